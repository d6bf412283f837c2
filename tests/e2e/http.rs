//! Streamable HTTP as good clients use it: sessions, streams, resuming.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests of real processes run on real time")]

use mcp_host_tests::{Host, Stream, call, eventually, request, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn a_session_is_opened_used_and_ended() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let session = client.session.clone().unwrap();
    assert!(session.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) && session.len() >= 32, "2025-era H-20");
    assert_eq!(text(&client.ask(&call(1, "echo", json!({"message": "hi"})))), "hi");
    let ended = client.exchange_with("DELETE", &[], b"");
    assert_eq!(ended.status, 204, "2025-era H-23");
    for verb in ["POST", "GET", "DELETE"] {
        let gone = client.exchange_with(verb, &[], request(1, "ping", json!({})).to_string().as_bytes());
        assert_eq!(gone.status, 404, "2025-era H-22 {verb}");
    }
    let anew = client.post(&request(0, "initialize", mcp_host_tests::initialize("2025-11-25")));
    assert_eq!(anew.status, 200, "a stale id is forgiven");
}

#[test]
fn an_answer_alone_is_json_and_anything_before_it_a_stream() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let plain = client.post(&call(1, "test_simple_text", json!({})));
    assert_eq!(plain.header("content-type"), Some("application/json"), "2025-era H-08");
    let mut stream = client.post_stream(&call(2, "test_tool_with_logging", json!({})));
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    let first = stream.next_event().unwrap();
    assert_eq!((first.id.as_deref(), first.data), (Some("1-0"), None), "2025-era H-09");
    let rest: Vec<_> = std::iter::from_fn(|| stream.next_event()).collect();
    assert_eq!(rest.len(), 4);
    assert_eq!(rest[0].id.as_deref(), Some("1-1"));
    assert_eq!(rest[3].data.as_ref().unwrap()["id"], 2, "2025-era H-11");
}

#[test]
fn older_sessions_are_not_primed() {
    let host = Host::with(&["everything"]).serve_http();
    for revision in ["2025-03-26", "2025-06-18"] {
        let mut client = host.http();
        client.initialize(revision);
        let mut stream = client.post_stream(&call(2, "test_tool_with_logging", json!({})));
        assert!(stream.next_event().unwrap().data.is_some(), "2025-era H-09 {revision}");
    }
}

#[test]
fn a_client_that_accepts_one_form_gets_that() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let body = |tool: &str| call(1, tool, json!({})).to_string();
    let json =
        client.exchange_with("POST", &[("Accept", "application/json")], body("test_tool_with_logging").as_bytes());
    assert_eq!((json.status, json.header("content-type")), (200, Some("application/json")));
    assert_eq!(text(&json.json()), "Tool with logging executed successfully");
    let stream = client.exchange_with("POST", &[("Accept", "text/event-stream")], body("test_simple_text").as_bytes());
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert!(stream.body.contains("This is a simple text response"));
}

#[test]
fn a_slow_answer_gets_a_stream_so_that_it_can_be_fetched_later() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut stream = client.post_stream(&call(7, "test_sleep", json!({"ms": 1500})));
    let primed = stream.next_event().unwrap();
    // The connection breaks while the call runs, and the answer is ready while the client is away (2025-era H-12).
    drop(stream);
    eventually("the call's end", || (client.get("/health/detailed").json()["calls"] == 0).then_some(()));
    let mut resumed = client.get_stream(primed.id.as_deref());
    assert_eq!(resumed.status, 200);
    let answer = resumed.next_event().unwrap();
    assert_eq!(text(&answer.data.unwrap()), "slept 1500 ms");
    assert_eq!(resumed.next_event(), None, "the stream has ended");
    // It can be fetched once more, as the client may have lost it again.
    assert_eq!(client.get_stream(primed.id.as_deref()).messages().len(), 1);
    // But nothing is left behind the answer.
    assert_eq!(client.get_stream(answer.id.as_deref()).messages(), Vec::<Value>::new());
}

#[test]
fn an_answer_is_never_sent_on_another_stream() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut own = client.get_stream(None);
    assert_eq!(own.next_event().unwrap().id.as_deref(), Some("0-0"));
    let mut stream = client.post_stream(&call(7, "test_sleep", json!({"ms": 800})));
    let first = stream.next_event().unwrap().id.unwrap();
    drop(stream);
    let mut other = client.post_stream(&call(8, "test_tool_with_logging", json!({})));
    assert_eq!(other.messages().iter().filter_map(|it| it["id"].as_u64()).collect::<Vec<_>>(), [8], "2025-era H-15");
    assert_eq!(client.get_stream(Some(&first)).messages()[0]["id"], 7);
    // On the session's own stream there are changes only (2025-era H-14).
    let _ = client.ask(&call(9, "test_trigger_resource_change", json!({})));
    assert_eq!(own.next_message()["method"], "notifications/resources/list_changed");
}

#[test]
fn unknown_positions_cannot_be_resumed() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut stream = client.post_stream(&call(1, "test_tool_with_logging", json!({})));
    let _ = stream.messages();
    for id in ["", "x", "1", "1-99", "9-0", "-1-0", "1-0-0"] {
        let refused = client.exchange_with("GET", &[("Last-Event-ID", if id.is_empty() { "-" } else { id })], b"");
        assert_eq!(refused.status, 400, "2025-era H-18 {id}");
    }
    // Nor those of another session.
    let mut other = host.http();
    other.initialize("2025-11-25");
    assert_eq!(other.get_stream(Some("1-0")).status, 400);
}

#[test]
fn a_connection_can_be_freed_in_the_middle_of_a_call() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut stream = client.post_stream(&call(1, "test_reconnection", json!({})));
    let primed = stream.next_event().unwrap();
    assert_eq!(stream.next_event().unwrap().retry, Some(100), "2025-era H-10");
    assert_eq!(stream.next_event(), None);
    let resumed = client.get_stream(primed.id.as_deref()).messages();
    assert_eq!(text(&resumed[0]), "Reconnection test completed successfully");
    // An older session keeps its connection.
    let mut older = host.http();
    older.initialize("2025-06-18");
    assert_eq!(text(&older.ask(&call(1, "test_reconnection", json!({})))), "Reconnection test completed successfully");
}

#[test]
fn a_session_has_one_stream_of_its_own_and_keeps_what_it_missed() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let first = client.get_stream(None);
    assert_eq!(client.get_stream(None).status, 409, "2025-era H-16");
    drop(first);
    // Told while nobody listens, and heard by whoever comes next.
    let _ = client.ask(&call(1, "test_trigger_resource_change", json!({})));
    let mut second =
        eventually("the stream is free again", || Some(client.get_stream(None)).filter(|it| it.status == 200));
    assert_eq!(second.next_message()["method"], "notifications/resources/list_changed");
}

#[test]
fn questions_and_answers_travel_by_two_requests() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut stream = client.post_stream(&call(1, "test_elicitation", json!({"message": "who?"})));
    let question = stream.next_message();
    assert_eq!(question["method"], "elicitation/create");
    let content = json!({"username": "ada", "email": "ada@example.com"});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": content}});
    assert_eq!(client.post(&answer).status, 202, "2025-era H-07");
    assert_eq!(
        text(&stream.next_message()),
        r#"User response: action=accept, content={"username":"ada","email":"ada@example.com"}"#
    );
    // Another session cannot answer for this one.
    let mut stranger = host.http();
    stranger.initialize("2025-11-25");
    let mut stream = client.post_stream(&call(2, "test_list_roots", json!({})));
    let question = stream.next_message();
    let lie = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": [{"uri": "file:///lie"}]}});
    assert_eq!(stranger.post(&lie).status, 202);
    let truth = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": [{"uri": "file:///truth"}]}});
    assert_eq!(client.post(&truth).status, 202);
    assert_eq!(text(&stream.next_message()), "Roots: file:///truth");
}

#[test]
fn a_cancelled_call_ends_its_stream_without_an_answer() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let began = Instant::now();
    let mut stream = client.post_stream(&call(1, "test_sleep", json!({"ms": 10_000})));
    let _ = stream.next_event();
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(client.post(&cancel).status, 202);
    assert_eq!(stream.messages(), Vec::<Value>::new(), "2025-era U-03");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_headers_of_a_session_must_fit_it() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-06-18");
    let ping = request(1, "ping", json!({})).to_string();
    let status = |changes: &[(&str, &str)]| client.exchange_with("POST", changes, ping.as_bytes()).status;
    assert_eq!(status(&[("MCP-Protocol-Version", "2025-06-18")]), 200);
    assert_eq!(status(&[]), 200, "2025-era H-25");
    assert_eq!(status(&[("MCP-Protocol-Version", "1999-01-01")]), 400, "2025-era H-25");
    assert_eq!(status(&[("MCP-Protocol-Version", "2025-11-25")]), 400, "2025-era H-26");
    assert_eq!(status(&[("Mcp-Session-Id", "")]), 400, "2025-era H-21");
    assert_eq!(status(&[("Mcp-Session-Id", "nope")]), 404, "2025-era H-22");
    assert_eq!(client.exchange_with("PUT", &[], b"").status, 405, "2025-era H-01");
    assert_eq!(client.exchange_with("PUT", &[], b"").header("allow"), Some("POST, GET, DELETE"));
    assert_eq!(client.exchange_with("GET", &[("Accept", "application/json")], b"").status, 406, "2025-era H-13");
    assert_eq!(client.exchange_with("GET", &[("Mcp-Session-Id", "")], b"").status, 405, "dual-era D-01");
    let again = client.post(&request(5, "initialize", mcp_host_tests::initialize("2025-06-18")));
    assert_eq!(again.status, 400, "2025-era L-12");
}

#[test]
fn batches_are_accepted_in_2025_03_26_only() {
    let host = Host::with(&["everything"]).serve_http();
    let batch = json!([call(1, "echo", json!({"message": "a"})), {"jsonrpc": "2.0", "method": "notifications/x"}, call(2, "test_sleep", json!({"ms": 10}))]);
    let mut client = host.http();
    client.initialize("2025-03-26");
    let mut replies = client.post(&batch).json().as_array().unwrap().clone();
    replies.sort_by_key(|reply| reply["id"].as_u64());
    assert_eq!((text(&replies[0]), text(&replies[1]), replies.len()), ("a", "slept 10 ms", 2), "2025-era J-07");
    let told = client.post(&json!([{"jsonrpc": "2.0", "method": "notifications/x"}]));
    assert_eq!((told.status, told.body.as_str()), (202, ""));
    assert_eq!(client.post(&json!([])).status, 400);
    for revision in ["2025-06-18", "2025-11-25"] {
        let mut client = host.http();
        client.initialize(revision);
        let refused = client.post(&batch);
        assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (400, json!(-32600)), "2025-era J-06");
    }
}

#[test]
fn idle_sessions_end_and_busy_ones_stay() {
    let host = Host::with(&["everything"]).config("[sessions]\nidle_timeout = \"1s\"").serve_http();
    let (mut idle, mut busy) = (host.http(), host.http());
    idle.initialize("2025-11-25");
    busy.initialize("2025-11-25");
    let stream = busy.get_stream(None);
    eventually("the idle session's end", || {
        (host.http().get("/health/detailed").json()["sessions"] == 1).then_some(())
    });
    assert_eq!(idle.post(&request(1, "ping", json!({}))).status, 404);
    assert_eq!(busy.post(&request(1, "ping", json!({}))).status, 200);
    drop(stream);
}

#[test]
fn http2_with_prior_knowledge_is_served() {
    let host = Host::with(&["hello"]).serve_http();
    let mut connection = host.http().connect();
    use std::io::{Read as _, Write as _};
    // The preface and empty settings of HTTP/2; the answer begins with the server's settings, frame type 4.
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00").unwrap();
    let mut frame = [0; 9];
    connection.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4);
}

#[test]
fn health_tells_and_hides() {
    let host = Host::with(&["everything", "hello"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(client.get("/health/ready").body, "ready\n");
    let detail = client.get("/health/detailed");
    assert!(!detail.body.contains(client.session.as_ref().unwrap()), "no session id");
    let detail = detail.json();
    assert_eq!((&detail["status"], &detail["sessions"]), (&json!("ready"), &json!(1)));
    assert_eq!(detail["plugins"][0]["name"], "everything");
    let mut deaf = client.post_stream(&call(1, "test_block", json!({"ms": 1500})));
    let _ = deaf.next_event();
    drop(deaf);
    let calls = eventually("the blocked call is counted", || {
        let calls = client.get("/health/detailed").json()["plugins"][0]["calls"].as_u64().unwrap();
        (calls == 1).then_some(calls)
    });
    assert_eq!(calls, 1);
}

#[test]
fn a_signal_lets_calls_finish_and_turns_new_ones_away() {
    let mut host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut own = client.get_stream(None);
    let mut stream = client.post_stream(&call(1, "test_sleep", json!({"ms": 1200})));
    let _ = stream.next_event();
    host.signal("TERM");
    assert_eq!(text(&stream.next_message()), "slept 1200 ms");
    assert_eq!(own.messages(), Vec::<Value>::new(), "the session's own stream ends too");
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn the_transport_of_2024_11_05_is_served_when_it_is_wanted() {
    let off = Host::with(&["hello"]).serve_http();
    assert_eq!(off.http().get("/sse").status, 404, "2025-era HS-07");

    let mut host = Host::with(&["everything"]).config("[http]\nsse_2024 = true").serve_http();
    let client = host.http();
    let mut stream = Stream::read(client.begin("GET", "/sse", &client.usual_headers(), b""));
    let address = stream.next_text("endpoint");
    assert!(address.starts_with("/messages?sessionId="), "2025-era HS-02: {address}");
    let post = |message: Value| {
        client.exchange("POST", &address, &client.usual_headers(), message.to_string().as_bytes()).status
    };
    assert_eq!(post(request(0, "initialize", mcp_host_tests::initialize("2024-11-05"))), 202, "2025-era HS-03");
    assert_eq!(stream.next_message()["result"]["protocolVersion"], "2024-11-05");
    assert_eq!(post(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})), 202);
    assert_eq!(post(call(1, "test_tool_with_logging", json!({}))), 202);
    let told: Vec<Value> = (0..4).map(|_| stream.next_message()).collect();
    assert_eq!((&told[0]["method"], &told[3]["id"]), (&json!("notifications/message"), &json!(1)));
    let question = {
        assert_eq!(post(call(2, "test_list_roots", json!({}))), 202);
        stream.next_message()
    };
    assert_eq!(post(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}})), 202);
    assert_eq!(text(&stream.next_message()), "Roots: ");
    let foreign = client.exchange(
        "GET",
        "/sse",
        &[("Host".into(), "evil.example.com".into()), ("Accept".into(), "text/event-stream".into())],
        b"",
    );
    assert_eq!(foreign.status, 403, "2025-era HS-06");
    // The connection is the session (2025-era HS-04).
    drop(stream);
    eventually("the session's end", || (post(request(3, "ping", json!({}))) == 404).then_some(()));
    let _left_open = Stream::read(client.begin("GET", "/sse", &client.usual_headers(), b""));
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(0), "an open stream does not hold up the end");
}

#[test]
fn what_an_instant_call_says_is_not_lost() {
    let host = Host::with(&["everything"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut told = call(1, "test_instant_progress", json!({}));
    told["params"]["_meta"] = json!({"progressToken": 7});
    let messages = client.post_stream(&told).messages();
    assert_eq!(messages[0]["params"], json!({"progressToken": 7, "progress": 1.0}), "2025-era H-08");
    assert_eq!(text(&messages[1]), "done at once");
}
