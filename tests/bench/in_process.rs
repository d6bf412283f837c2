//! The host in this process: real plugins, all checks, no sockets.

use axum::body::Body;
use axum::http::Request;
use mcp_host::config::{Overrides, Settings, parse};
use mcp_host::dispatch::Dispatcher;
use mcp_host::outlet::{Delivery, Outlet};
use mcp_host::plugin::{Supervisor, WorkerProgram};
use mcp_host::registry::Registry;
use mcp_host::replay::{Keys, Ledger, Rounds};
use mcp_host::rt::Drain;
use mcp_host::serve::Server;
use mcp_host::session::Store;
use mcp_host::transport::http::{Endpoint, Health, HealthDetail, router};
use mcp_host_tests::artifact;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tower_service::Service as _;

/// A host that is asked by function calls.
pub struct InProcess {
    /// What answers.
    pub server: Arc<Server>,
    /// Its plugins.
    pub supervisor: Supervisor,
    router: axum::Router,
    session: String,
    _folder: tempfile::TempDir,
}

/// A way to a client to whom nothing is said.
#[derive(Debug)]
pub struct Nowhere;

impl Outlet for Nowhere {
    fn send(&self, _message: bytes::Bytes, _delivery: Delivery) -> Result<(), bytes::Bytes> {
        Ok(())
    }
}

/// Nobody asks how it is.
struct Unasked;

impl Health for Unasked {
    fn is_ready(&self) -> bool {
        true
    }

    fn detail(&self) -> HealthDetail {
        unreachable!("nobody asks")
    }

    fn metrics(&self) -> String {
        String::new()
    }
}

impl InProcess {
    /// A host with the plugins of the benchmarks, of which one has so many tools, and a session that is open. Needs a runtime.
    pub async fn start(tools: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        for file in ["libbench.so", "libmany.so"] {
            fs::copy(artifact(file), plugins.join(file)).unwrap();
        }
        let state = folder.path().join("state");
        let text = format!("state_dir = {state:?}\n[plugins.many.config]\ntools = {tools}\n");
        let overrides = Overrides { plugin_dirs: vec![plugins], ..Overrides::default() };
        let mut settings = Settings::resolve(parse(&text, &|_| None).unwrap(), overrides).unwrap();
        settings.supervisor.program = WorkerProgram(artifact("mcp-host"));
        let registry = Registry::default();
        let supervisor = Supervisor::new(settings.supervisor, registry.clone(), Vec::new());
        supervisor.load_all().await;
        let dispatcher = Dispatcher::new(registry, settings.dispatch);
        let (keys, ledger) = (Keys::ephemeral().unwrap(), Ledger::in_memory().unwrap());
        let rounds = Rounds::new(keys, ledger, settings.request_state.limits);
        let (store, drain) = (Store::new(settings.store), Drain::default());
        let server = Server::new(dispatcher, settings.face, settings.server, store, rounds, None, drain);
        let server = Arc::new(server);
        let (hosts, identity, limits) = (settings.hosts, settings.identity, settings.http_limits);
        let endpoint = Endpoint::new(Arc::clone(&server), hosts, identity, limits, Arc::new(Unasked));
        let router = router(Arc::new(endpoint), settings.oldest_transport);
        let mut host = Self { server, supervisor, router, session: String::new(), _folder: folder };
        host.session = host.open_session().await;
        host
    }

    async fn open_session(&self) -> String {
        let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        let response = self.router.clone().call(post(&[], body)).await.unwrap();
        response.headers()["mcp-session-id"].to_str().unwrap().to_owned()
    }

    /// A call of a tool in the session, as it comes out of HTTP.
    #[must_use]
    pub fn in_session(&self, tool: &str) -> Request<Body> {
        let headers = [("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", &*self.session)];
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"message":"{MESSAGE}"}}}}}}"#
        );
        post(&headers, &body)
    }

    /// A call of a tool that stands for itself, as it comes out of HTTP.
    #[must_use]
    pub fn stateless(&self, tool: &str) -> Request<Body> {
        let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", tool)];
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"message":"{MESSAGE}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        );
        post(&headers, &body)
    }

    /// Answers a request, and gives the body.
    pub async fn answer(&self, request: Request<Body>) -> bytes::Bytes {
        let response = self.router.clone().call(request).await.unwrap();
        assert_eq!(response.status(), 200);
        axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap()
    }

    /// Ends the plugins.
    pub async fn stop(self) {
        self.supervisor.stop_all(Duration::from_secs(1)).await;
    }
}

/// What the tools say back.
pub const MESSAGE: &str = "message-1000000";

fn post(headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::post("/mcp")
        .header("host", "127.0.0.1:8080")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("content-length", body.len());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}
