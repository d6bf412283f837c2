//! The official Rust SDK as a client of 2026-07-28.

use super::{Client, Everything, call, cancel_a_call, decoded, told};
use mcp_host_tests::text;
use rmcp::model::{
    CallToolRequestParams, LoggingLevel, ProtocolVersion, RequestMetaObject, ServerNotification, SubscriptionFilter,
};
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::json;
use std::process::{Command, Stdio};
use tokio::sync::mpsc;

fn mode() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

async fn use_everything(client: Client, mut events: mpsc::UnboundedReceiver<(&'static str, serde_json::Value)>) {
    assert_eq!(client.peer_info().unwrap().protocol_version, ProtocolVersion::V_2026_07_28);
    let tools = client.list_all_tools().await.unwrap();
    assert!(tools.iter().any(|tool| tool.name == "test_simple_text"));
    assert_eq!(text(&call(&client, "echo", json!({"message": "hi"})).await), "hi");
    let structured = call(&client, "test_structured_any", json!({"kind": "array"})).await;
    assert_eq!(structured["result"]["structuredContent"], json!([1, 2]));
    assert_eq!(call(&client, "test_error_handling", json!({})).await["result"]["isError"], true);
    let unknown: CallToolRequestParams = decoded(json!({"name": "nope"}));
    assert!(client.call_tool(unknown).await.unwrap_err().to_string().contains("-32602"));
    call(&client, "test_tool_with_progress", json!({})).await;
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
    let read = client.read_resource(decoded(json!({"uri": "test://template/7/data"}))).await.unwrap();
    assert!(serde_json::to_string(&read).unwrap().contains("Data for ID: 7"));
    let arguments = json!({"name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}});
    let prompt = client.get_prompt(decoded(arguments)).await.unwrap();
    assert!(serde_json::to_string(&prompt).unwrap().contains("arg1='a', arg2='b'"));
    let completed = client.complete_prompt_simple("test_prompt_with_arguments", "arg1", "tes").await.unwrap();
    assert_eq!(completed, ["test", "testing", "tested"]);
    let watched = "test://watched-resource";
    let filter = SubscriptionFilter::builder().resources_list_changed().resource_subscription(watched).build();
    let mut subscription = client.listen(filter).await.unwrap();
    call(&client, "test_touch_resource", json!({"uri": watched})).await;
    call(&client, "test_trigger_resource_change", json!({})).await;
    let (mut updated, mut changed) = (false, false);
    while !(updated && changed) {
        match subscription.next().await.unwrap().expect("the subscription lives") {
            ServerNotification::ResourceUpdatedNotification(told) => updated |= told.params.uri == watched,
            ServerNotification::ResourceListChangedNotification(_) => changed = true,
            other => panic!("{other:?}"),
        }
    }
    subscription.cancel().await.unwrap();
    let mut logging: CallToolRequestParams = decoded(json!({"name": "test_tool_with_logging"}));
    let mut meta = RequestMetaObject::new();
    meta.set_log_level(LoggingLevel::Debug);
    logging.meta = Some(meta);
    client.call_tool(logging).await.unwrap();
    assert_eq!(told(&mut events, "log").await, json!("Tool execution started"));
    client.cancel().await.unwrap();
}

/// Uses the host at a URL.
pub(crate) async fn over_http(url: &str) {
    let (send, events) = mpsc::unbounded_channel();
    let transport = StreamableHttpClientTransport::from_uri(url.to_owned());
    use_everything(Everything(send).serve_with_lifecycle(transport, mode()).await.unwrap(), events).await;
}

/// Uses a host that it starts itself.
pub(crate) async fn over_stdio(host: &Command) {
    let (send, events) = mpsc::unbounded_channel();
    let mut command = tokio::process::Command::new(host.get_program());
    command.args(host.get_args());
    let (transport, _) = TokioChildProcess::builder(command).stderr(Stdio::null()).spawn().unwrap();
    use_everything(Everything(send).serve_with_lifecycle(transport, mode()).await.unwrap(), events).await;
}
