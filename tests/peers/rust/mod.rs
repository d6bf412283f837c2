//! The official Rust SDK as a client.

#![allow(deprecated, reason = "what the next revision drops is still part of this era")]

pub(crate) mod stateless;

use mcp_host_tests::text;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientConfig, ClientRequest, CreateMessageRequestParams,
    CreateMessageResult, ElicitRequestParams, ElicitResult, ListRootsResult, LoggingMessageNotificationParam,
    ProgressNotificationParam, ResourceUpdatedNotificationParam,
};
use rmcp::service::{NotificationContext, PeerRequestOptions, RequestContext, RunningService};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientHandler, ErrorData, RoleClient, ServiceExt as _};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use tokio::sync::mpsc;

/// A client that can do everything, and tells what it is told.
struct Everything(mpsc::UnboundedSender<(&'static str, Value)>);

impl Everything {
    fn tell(&self, kind: &'static str, what: Value) {
        let _ = self.0.send((kind, what));
    }
}

fn decoded<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

impl ClientHandler for Everything {
    fn get_info(&self) -> ClientConfig {
        let capabilities = json!({"roots": {}, "sampling": {}, "elicitation": {"form": {}, "url": {}}});
        let mut info = ClientConfig::default();
        info.capabilities = decoded(capabilities);
        info
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let asked = serde_json::to_value(&params).unwrap();
        let heard = asked.pointer("/messages/0/content/text").or_else(|| asked.pointer("/messages/0/content/0/text"));
        let content = json!({"type": "text", "text": format!("heard {}", heard.unwrap().as_str().unwrap())});
        Ok(decoded(json!({"role": "assistant", "model": "test", "content": content})))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(decoded(json!({"roots": [{"uri": "file:///home", "name": "home"}]})))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(decoded(json!({"action": "accept", "content": {"username": "ada", "email": "ada@example.com"}})))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.tell("progress", json!(params.progress));
    }

    async fn on_logging_message(&self, params: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        self.tell("log", params.data);
    }

    async fn on_resource_updated(&self, params: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        self.tell("updated", json!(params.uri));
    }

    async fn on_resource_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.tell("changed", Value::Null);
    }
}

type Client = RunningService<RoleClient, Everything>;

async fn call(client: &Client, tool: &str, arguments: Value) -> Value {
    let params: CallToolRequestParams = decoded(json!({"name": tool, "arguments": arguments}));
    let result = client.call_tool(params).await.unwrap();
    json!({"result": serde_json::to_value(result).unwrap()})
}

/// The next thing of a kind that the client was told.
async fn told(events: &mut mpsc::UnboundedReceiver<(&'static str, Value)>, kind: &str) -> Value {
    let wait = async {
        loop {
            let (found, what) = events.recv().await.expect("the client lives");
            if found == kind {
                return what;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("no {kind}"))
}

/// Calls a tool that sleeps, and does not wait for it.
async fn cancel_a_call(client: &Client) {
    let sleep: CallToolRequestParams = decoded(json!({"name": "test_sleep", "arguments": {"ms": 30_000}}));
    let sleeping = client
        .send_cancellable_request(
            ClientRequest::CallToolRequest(CallToolRequest::new(sleep)),
            PeerRequestOptions::no_options(),
        )
        .await
        .unwrap();
    sleeping.cancel(Some("enough".to_owned())).await.unwrap();
}

async fn use_everything(client: Client, mut events: mpsc::UnboundedReceiver<(&'static str, Value)>) {
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "test_simple_text"));
    assert_eq!(text(&call(&client, "echo", json!({"message": "hi"})).await), "hi");
    let structured = call(&client, "test_structured", json!({"place": "home"})).await;
    assert_eq!(
        structured["result"]["structuredContent"],
        json!({"temperature": 22.5, "conditions": "clear at home", "humidity": 65})
    );
    assert_eq!(call(&client, "test_error_handling", json!({})).await["result"]["isError"], true);
    let unknown: CallToolRequestParams = decoded(json!({"name": "nope"}));
    assert!(client.call_tool(unknown).await.unwrap_err().to_string().contains("-32602"));
    assert_eq!(
        text(&call(&client, "test_tool_with_progress", json!({})).await),
        "Tool with progress executed successfully"
    );
    for done in [0.0, 50.0, 100.0] {
        assert_eq!(told(&mut events, "progress").await, json!(done));
    }
    cancel_a_call(&client).await;
    assert_eq!(text(&call(&client, "test_sampling", json!({"prompt": "you"})).await), "LLM response: heard you");
    assert_eq!(
        text(&call(&client, "test_elicitation", json!({"message": "who?"})).await),
        r#"User response: action=accept, content={"username":"ada","email":"ada@example.com"}"#
    );
    assert_eq!(text(&call(&client, "test_list_roots", json!({})).await), "Roots: home (file:///home)");
    let watched = "test://watched-resource";
    client.subscribe(decoded(json!({"uri": watched}))).await.unwrap();
    call(&client, "test_touch_resource", json!({"uri": watched})).await;
    assert_eq!(told(&mut events, "updated").await, json!(watched));
    call(&client, "test_trigger_resource_change", json!({})).await;
    told(&mut events, "changed").await;
    call(&client, "test_tool_with_logging", json!({})).await;
    assert_eq!(told(&mut events, "log").await, json!("Tool execution started"));
    let read = client.read_resource(decoded(json!({"uri": "test://template/7/data"}))).await.unwrap();
    assert!(serde_json::to_string(&read).unwrap().contains("Data for ID: 7"));
    // Over HTTP the host frees the connection in the middle of the call; the SDK comes back with Last-Event-ID by itself.
    assert_eq!(text(&call(&client, "test_reconnection", json!({})).await), "Reconnection test completed successfully");
    client.cancel().await.unwrap();
}

/// Uses the host at a URL.
pub(crate) async fn over_http(url: &str) {
    let (send, events) = mpsc::unbounded_channel();
    let transport = StreamableHttpClientTransport::from_uri(url.to_owned());
    use_everything(Everything(send).serve(transport).await.unwrap(), events).await;
}

/// Uses a host that it starts itself.
pub(crate) async fn over_stdio(host: &Command) {
    let (send, events) = mpsc::unbounded_channel();
    let mut command = tokio::process::Command::new(host.get_program());
    command.args(host.get_args());
    let (transport, _) = TokioChildProcess::builder(command).stderr(Stdio::null()).spawn().unwrap();
    use_everything(Everything(send).serve(transport).await.unwrap(), events).await;
}
