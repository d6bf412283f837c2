//! Each step of a call by itself: `cargo bench -p mcp-host-bench`.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use divan::{Bencher, black_box};
use mcp_host::call::{Call, Deadline, Teller};
use mcp_host::outlet::Outlet;
use mcp_host::protocol::{Around, Dialect, Protocols, RequestMeta};
use mcp_host::registry::{Answer, ListKind, Operation};
use mcp_host::session::{Session, SessionPeer};
use mcp_host::wire::{self, Id, Incoming, Message, Request};
use mcp_host_bench::in_process::{InProcess, Nowhere};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const IN_SESSION: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"message-1000000"}}}"#;
const STATELESS: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"message-1000000"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const RESULT: &[u8] = br#"{"content":[{"type":"text","text":"message-1000000"}]}"#;

const ERAS: [&str; 2] = ["2025-11-25", "2026-07-28"];

fn message(era: &str) -> &'static [u8] {
    if era == ERAS[0] { IN_SESSION } else { STATELESS }
}

/// How deep JSON may nest.
const DEPTH: usize = 64;

fn main() {
    // The timers of a call need a runtime.
    let _runtime = runtime().enter();
    divan::main();
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap())
}

/// A host whose one plugin has a thousand tools.
fn host() -> &'static InProcess {
    static HOST: OnceLock<InProcess> = OnceLock::new();
    HOST.get_or_init(|| runtime().block_on(InProcess::start(996)))
}

fn session() -> Arc<Session> {
    host().server.sessions().into_iter().next().unwrap()
}

fn request(bytes: &[u8]) -> Request<'_> {
    match wire::parse(bytes, DEPTH).unwrap() {
        Incoming::One(Message::Request(request)) => request,
        other => panic!("{other:?} is no request"),
    }
}

#[divan::bench(args = ERAS)]
fn envelope(bencher: Bencher<'_, '_>, era: &str) {
    let bytes = message(era);
    bencher.bench(|| black_box(wire::parse(black_box(bytes), DEPTH)).is_ok());
}

#[divan::bench(args = ERAS)]
fn era(bencher: Bencher<'_, '_>, era: &str) {
    let request = request(message(era));
    let around = Around { revision: Some(era), session: era == ERAS[0] };
    bencher.bench(|| {
        let meta = RequestMeta::of(black_box(request.params));
        Protocols::Both.era(&request.method, &meta, around)
    });
}

#[divan::bench]
fn session_lookup(bencher: Bencher<'_, '_>) {
    let id = session().id.clone();
    bencher.bench(|| host().server.store().find(black_box(&id)).unwrap());
}

#[divan::bench]
fn admit(bencher: Bencher<'_, '_>) {
    let (session, id) = (session(), Id::from(7));
    bencher.bench(|| session.admit(black_box(&id)).unwrap_or_else(|refused| panic!("{refused:?}")));
}

#[divan::bench]
fn resolve(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Arc::clone(host().server.registry().snapshot().tool(black_box("echo")).unwrap()));
}

#[divan::bench]
fn boundary(bencher: Bencher<'_, '_>) {
    let tool = Arc::clone(host().server.registry().snapshot().tool("echo").unwrap());
    let outlet: Arc<dyn Outlet> = Arc::new(Nowhere);
    let peer = SessionPeer::new(session(), Arc::new(Teller::new(outlet, None)));
    let deadline = || Deadline::new(Duration::from_secs(60), Duration::from_secs(60));
    let peer = Arc::new(peer);
    let call = || Arc::new(Call::new(Arc::clone(&peer) as _, deadline(), CancellationToken::new()));
    bencher.with_inputs(call).bench_values(|call| {
        match tool.callee.call(Operation::Tool, "echo", black_box(br#"{"message":"message-1000000"}"#), &call) {
            Answer::Ready(answer) => answer.unwrap(),
            Answer::Pending(_) => panic!("an inline tool answers at once"),
        }
    });
}

#[divan::bench]
fn splice(bencher: Bencher<'_, '_>) {
    let id = Id::from(1);
    bencher.bench(|| wire::result_reply(black_box(&id), black_box(RESULT)));
}

#[divan::bench]
fn list(bencher: Bencher<'_, '_>) {
    let (snapshot, newest) = (host().server.registry().snapshot(), Dialect::newest_stateless());
    bencher.bench(|| snapshot.page(newest, ListKind::Tools, None, 1000));
}

#[divan::bench]
fn whole_call(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| host().in_session("echo")).bench_values(|call| runtime().block_on(host().answer(call)));
}
