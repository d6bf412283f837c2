//! Bad guests: whatever a plugin does, its call ends with a named reason and the others go on.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, Stdio, call, text};
use serde_json::{Value, json};
use std::time::Duration;

#[track_caller]
fn assert_unaffected(client: &mut Stdio) {
    assert_eq!(text(&client.ask(&call(900, "works", json!({})))), "works");
    assert_eq!(text(&client.ask(&call(901, "greet", json!({"name": "you"})))), "Hello, you!");
}

#[test]
fn panics_are_errors_of_their_calls() {
    let (mut host, mut client) = Host::with(&["guest", "hello"]).serve_stdio();
    client.initialize("2025-11-25");
    let arguments = |tool: &str| if tool == "panics" { json!({"secret": "hunter2"}) } else { json!({}) };
    for tool in ["panics", "panics_inline", "panics_blocking", "panics_in_future", "panics_twice"] {
        let reply = client.ask(&call(1, tool, arguments(tool)));
        assert_eq!(reply["error"]["code"], -32603, "{tool}: {reply}");
        assert_eq!(reply["error"]["message"], "plugin 'guest' failed: it panicked", "{tool}");
        assert_unaffected(&mut client);
    }
    let in_drop = client.ask(&call(2, "panics_in_drop", json!({"ms": 5})));
    assert_eq!(in_drop["error"]["message"], "plugin 'guest' failed: it panicked");
    // The operator sees the panic, with its plugin and call.
    host.wait_for_log("panicked in a future");
    assert!(host.log().contains("plugin=\"guest\""));
    assert!(host.is_running());
}

#[test]
fn a_panic_in_the_drop_of_a_cancelled_call_ends_there() {
    let (mut host, mut client) = Host::with(&["guest", "hello"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "panics_in_drop", json!({"ms": 60_000})));
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}));
    host.wait_for_log("panicked in drop");
    assert_unaffected(&mut client);
    assert!(host.is_running());
}

#[test]
fn a_call_that_never_returns_is_given_up() {
    let config = "[limits]\ncall_timeout = \"200ms\"\ndrain_timeout = \"300ms\"";
    let (mut host, mut client) = Host::with(&["guest", "hello"]).config(config).serve_stdio();
    client.initialize("2025-11-25");
    let reply = client.ask(&call(1, "never_returns", json!({})));
    assert_eq!(reply["error"]["message"], "plugin 'guest' did not answer within 200ms");
    assert_unaffected(&mut client);
    client.close();
    assert_eq!(host.wait().code(), Some(0), "the end does not wait for it");
}

#[test]
fn plugins_that_do_not_start_are_refused_with_the_reason() {
    for (mood, reason) in [
        ("panic", "it did not start: panicked in start"),
        ("fail", "it did not start: there is no coffee"),
        ("hang", "it did not return within 500ms"),
        ("nonsense", "it did not start: unknown variant `nonsense`"),
    ] {
        let config = format!("[limits]\nstart_timeout = \"500ms\"\n[plugins.guest.config]\nstart = \"{mood}\"");
        let (host, mut client) = Host::with(&["guest", "hello"]).config(&config).serve_stdio();
        client.initialize("2025-11-25");
        assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!", "{mood}");
        assert!(client.ask(&call(2, "works", json!({})))["error"].is_object());
        host.wait_for_log("plugin refused");
        assert!(host.log().contains(reason), "{mood}: {}", host.log());
    }
}

#[test]
fn panics_at_the_end_do_not_stop_the_end() {
    let config = "[plugins.guest.config]\ndrop = \"panic\"";
    let (mut host, mut client) = Host::with(&["guest", "hello"]).config(config).serve_stdio();
    client.initialize("2025-11-25");
    assert_unaffected(&mut client);
    client.close();
    assert_eq!(host.wait().code(), Some(0));
    assert!(host.log().contains("panicked in stop"), "{}", host.log());
}

#[test]
fn results_that_are_not_are_refused_by_name() {
    let (mut host, mut client) = Host::with(&["raw", "guest", "hello"]).serve_stdio();
    client.initialize("2025-11-25");
    for (tool, reason) in [
        ("invalid_utf8", "its result is not UTF-8"),
        ("invalid_json", "its result is not of the promised shape: it is not JSON"),
        ("newline_in_text", "its result is not of the promised shape: it is not JSON"),
        ("wrong_shape", "its result is not of the promised shape: it is not an object"),
        ("huge", "its result has 67108868 bytes, 16777216 are allowed"),
        ("odd_kind", "an unknown kind"),
    ] {
        let reply = client.ask(&call(1, tool, json!({})));
        assert_eq!(reply["error"]["code"], -32603, "{tool}");
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{tool}: {message}");
        assert_unaffected(&mut client);
    }
    // Line breaks between tokens are legal, and are taken out.
    assert_eq!(text(&client.ask(&call(2, "raw_newline", json!({})))), "one line");
    assert!(host.is_running());
}

#[test]
fn a_tool_that_is_offered_twice_is_there_once_and_told() {
    let host = Host::with(&["raw", "hello"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let listed = client.ask(&mcp_host_tests::request(1, "tools/list", json!({})))["result"]["tools"].clone();
    let named = |name: &str| listed.as_array().unwrap().iter().filter(|tool| tool["name"] == name).count();
    assert_eq!((named("raw_newline"), named("greet")), (1, 1), "{listed}");
    let problems = client.get("/health/detailed").json()["problems"].clone();
    assert_eq!(problems, json!(["tool 'raw_newline' of plugin 'raw' is left out: it offers the name twice"]));
}

#[test]
fn the_log_of_a_plugin_names_plugin_and_call() {
    let (host, mut client) = Host::with(&["guest"]).config("[log]\nformat = \"json\"").serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(text(&client.ask(&call(1, "logs", json!({})))), "logged");
    host.wait_for_log("told to the operator");
    let log = host.log();
    let line = log.lines().find(|line| line.contains("told to the operator")).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&event["plugin"], &event["target"], &event["fields"]),
        (&json!("guest"), &json!("plugin"), &json!("{\"answer\":42}"))
    );
    assert!(event["call"].as_str().unwrap().starts_with('c'), "{event}");
    assert_eq!(client.receive_within(Duration::from_millis(50)), None, "nothing of it goes to the client");
}

#[test]
fn a_closed_standard_error_does_not_end_the_host() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::Stdio;
    let builder = Host::with(&["hello"]);
    let mut command = builder.command(&["--stdio"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let initialize = mcp_host_tests::request(0, "initialize", mcp_host_tests::initialize("2025-11-25"));
    writeln!(input, "{initialize}").unwrap();
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("protocolVersion"), "{line}");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0), "it drains as ever");
}
