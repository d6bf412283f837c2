//! Requests of 2026-07-28 over HTTP, each on its own.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{
    Host, Http, PREFIX, Reply, eventually, initialize, meta_with, request, stateless, stateless_call, text,
};
use serde_json::{Value, json};
use std::time::Duration;

fn host() -> Host {
    Host::with(&["everything"]).serve_http()
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: i64) -> Value {
    let body = reply.json();
    assert_eq!((reply.status, body["error"]["code"].as_i64()), (status, Some(code)), "{}", reply.body);
    assert_eq!(reply.header("mcp-session-id"), None, "2026-07-28 H-15");
    body["error"].clone()
}

#[test]
fn a_server_says_what_it_is() {
    let host = host();
    let reply = host.http().post_stateless(&stateless(7, "server/discover", json!({})));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(reply.header("mcp-session-id"), None);
    let result = &reply.json()["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(1000), &json!("public")));
    let info = &result["_meta"][format!("{PREFIX}/serverInfo")];
    assert_eq!((info["name"].as_str(), info["version"].is_string()), (Some("mcp-host"), true));
    assert_eq!(result.get("serverInfo"), None, "2026-07-28 V-02");
    let capabilities = &result["capabilities"];
    assert_eq!(capabilities["tools"], json!({"listChanged": true}));
    assert_eq!(capabilities.get("tasks"), None, "2026-07-28 V-04");
    assert_eq!(capabilities["extensions"][format!("{PREFIX}/skills")], json!({"directoryRead": true}));
    assert_eq!(capabilities["extensions"][format!("{PREFIX}/ui")], json!({}));
}

#[test]
fn the_checks_come_in_their_order() {
    let host = host();
    let http = host.http();
    let good = stateless_call(1, "echo", json!({"message": "m"}));
    let post = |request: &Value, changes: &[(&str, &str)]| http.post_stateless_with(request, changes);
    let without = |key: &str| {
        let mut request = good.clone();
        request["params"]["_meta"].as_object_mut().unwrap().remove(&format!("{PREFIX}/{key}"));
        request
    };
    let in_version = |version: &str| {
        let mut request = good.clone();
        request["params"]["_meta"][format!("{PREFIX}/protocolVersion")] = version.into();
        request
    };
    // 2026-07-28 M-01 before all else, even with every header wrong.
    let wrong = [("mcp-method", "x"), ("mcp-protocol-version", "2026-07-28"), ("mcp-name", "x")];
    refused(&post(&without("protocolVersion"), &wrong), 400, -32602);
    refused(&post(&without("clientCapabilities"), &wrong), 400, -32602);
    // H-05 before V-01.
    refused(&post(&in_version("v999"), &[("mcp-protocol-version", "2026-07-28")]), 400, -32020);
    refused(&post(&good, &[("mcp-protocol-version", "")]), 400, -32020);
    refused(&post(&good, &[("mcp-protocol-version", "2025-11-25")]), 400, -32020);
    // V-01 before H-06.
    let error = refused(&post(&in_version("v999"), &[("mcp-method", "x")]), 400, -32022);
    assert_eq!(error["data"], json!({"supported": ["2026-07-28"], "requested": "v999"}));
    refused(&post(&in_version("2025-11-25"), &[]), 400, -32022);
    // H-06 and H-07 before the method is looked up.
    let mut unknown = good.clone();
    unknown["method"] = "no/such".into();
    refused(&post(&unknown, &[("mcp-method", "tools/call")]), 400, -32020);
    refused(&post(&unknown, &[("mcp-method", "no/such")]), 404, -32601);
    refused(&post(&good, &[("mcp-name", "")]), 400, -32020);
    refused(&post(&good, &[("mcp-name", "Echo")]), 400, -32020);
    assert_eq!(text(&post(&good, &[("mcp-name", "=?base64?ZWNobw==?=")]).json()), "m");
    // Unknown names are no matter of the envelope: 200 (H-11).
    refused(&post(&stateless_call(1, "nope", json!({})), &[]), 200, -32602);
    assert_eq!(text(&post(&good, &[]).json()), "m");
}

#[test]
fn methods_of_sessions_do_not_exist() {
    let host = host();
    for method in
        ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/list"]
    {
        let mut params = initialize("2025-11-25");
        params["level"] = "info".into();
        params["uri"] = "test://static-text".into();
        refused(&host.http().post_stateless(&stateless(1, method, params)), 404, -32601);
    }
    // V-07: nor are the removed notifications heard; all are taken (H-03).
    for method in ["notifications/initialized", "notifications/cancelled", "notifications/roots/list_changed"] {
        let mut message = stateless(1, method, json!({"requestId": 1}));
        message.as_object_mut().unwrap().remove("id");
        let reply = host.http().post_stateless(&message);
        assert_eq!((reply.status, reply.body.as_str()), (202, ""));
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let host = host();
    let http = host.http();
    let version = [("mcp-protocol-version", "2026-07-28")];
    let batch = json!([stateless(1, "server/discover", json!({}))]).to_string();
    refused(&http.exchange_with("POST", &version, batch.as_bytes()), 400, -32600);
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string();
    refused(&http.exchange_with("POST", &version, response.as_bytes()), 400, -32600);
    refused(&http.exchange_with("POST", &version, b"{"), 400, -32700);
    assert_eq!(http.exchange_with("GET", &[], b"").status, 405);
}

#[test]
fn retired_headers_are_ignored_and_none_is_given() {
    let host = host();
    let http = host.http();
    let changes = [("mcp-session-id", "made-up"), ("last-event-id", "1-1")];
    let reply = http.post_stateless_with(&stateless(1, "tools/list", json!({})), &changes);
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, None));
    let request = stateless(1, "tools/call", json!({"name": "test_tool_with_progress", "_meta": {"progressToken": 0}}));
    let mut stream = http.stream_stateless(&request);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!((stream.header("x-accel-buffering"), stream.header("mcp-session-id")), (Some("no"), None));
    let mut told = Vec::new();
    while let Some(event) = stream.next_event() {
        assert_eq!((&event.id, &event.retry), (&None, &None), "2026-07-28 H-14");
        told.push(event.data.expect("no event is empty"));
    }
    let progress: Vec<_> = told.iter().filter_map(|message| message["params"]["progress"].as_f64()).collect();
    assert_eq!(progress, [0.0, 50.0, 100.0]);
    assert!(told[..3].iter().all(|message| message["params"]["progressToken"] == 0));
    assert_eq!((told.len(), &told[3]["id"]), (4, &json!(1)));
}

#[test]
fn logs_come_at_the_level_that_the_request_names_and_only_then() {
    let host = host();
    let logged = |meta: Value| {
        let request = stateless(1, "tools/call", json!({"name": "test_tool_with_logging", "_meta": meta}));
        host.http().stream_stateless(&request).messages().len()
    };
    let level = |level: &str| json!({format!("{PREFIX}/logLevel"): level});
    assert_eq!(logged(level("info")), 4);
    assert_eq!(logged(level("debug")), 4);
    // Nothing but the result: JSON, so no event at all.
    assert_eq!(logged(level("warning")), 0);
    assert_eq!(logged(json!({})), 0);
    let unknown = stateless(1, "tools/call", json!({"name": "echo", "_meta": level("loud")}));
    refused(&host.http().post_stateless(&unknown), 400, -32602);
}

#[test]
fn a_client_that_leaves_cancels_its_call() {
    let host = host();
    let http = host.http();
    let running = || http.get("/health/detailed").json()["calls"].as_u64().unwrap();
    let request = stateless_call(1, "test_sleep", json!({"ms": 20_000}));
    for streamed in [false, true] {
        let mut headers = http.stateless_headers(&request);
        if streamed {
            headers.retain(|(name, _)| name != "Accept");
            headers.push(("Accept".to_owned(), "text/event-stream".to_owned()));
        }
        let connection = http.begin("POST", "/mcp", &headers, request.to_string().as_bytes());
        eventually("the call", || (running() == 1).then_some(()));
        drop(connection);
        eventually("the end of the call", || (running() == 0).then_some(()));
    }
}

#[test]
fn a_missing_capability_is_named_as_an_object() {
    let host = host();
    let mut call = stateless_call(1, "test_missing_capability", json!({}));
    call["params"]["_meta"] = meta_with(json!({}));
    let error = refused(&host.http().post_stateless(&call), 400, -32021);
    assert_eq!(error["data"], json!({"requiredCapabilities": {"sampling": {}}}));
    let mut url = stateless_call(1, "test_url_elicitation", json!({}));
    url["params"]["_meta"] = meta_with(json!({"elicitation": {}}));
    let error = refused(&host.http().post_stateless(&url), 400, -32021);
    assert_eq!(error["data"], json!({"requiredCapabilities": {"elicitation": {"url": {}}}}));
}

#[test]
fn arguments_are_held_to_the_headers_that_repeat_them() {
    let host = host();
    let http = host.http();
    let count = stateless_call(1, "test_integer_header", json!({"count": 42}));
    for (header, fits) in [("42", true), ("42.0", true), ("=?base64?NDI=?=", true), ("43", false), ("", false)] {
        let reply = http.post_stateless_with(&count, &[("mcp-param-count", header)]);
        if fits {
            assert_eq!(text(&reply.json()), "count is 42", "{header}");
        } else {
            refused(&reply, 400, -32020);
        }
    }
    // Headers that no schema names are nobody's business.
    let echo = stateless_call(1, "echo", json!({"message": "m"}));
    assert_eq!(text(&http.post_stateless_with(&echo, &[("mcp-param-other", "x")]).json()), "m");
    let absent = stateless_call(1, "test_x_mcp_header", json!({}));
    refused(&http.post_stateless_with(&absent, &[("mcp-param-region", "eu")]), 400, -32020);
}

#[test]
fn results_say_how_long_they_keep_and_for_whom() {
    let config = "[plugins.everything]\ncache_ttl = \"2s\"\ncache_scope = \"private\"";
    let told = Host::with(&["everything"]).config(config).serve_http();
    let hint = |host: &Host, method: &str, params: Value| {
        let result = host.http().ask_stateless(&stateless(1, method, params))["result"].clone();
        (result["ttlMs"].as_u64(), result["cacheScope"].as_str().map(str::to_owned))
    };
    let read = |uri: &str| json!({"uri": uri});
    let (public, private) = (Some("public".to_owned()), Some("private".to_owned()));
    let own = host();
    for method in ["tools/list", "resources/list", "resources/templates/list", "prompts/list", "skills/list"] {
        assert_eq!(hint(&own, method, json!({})), (Some(1000), public.clone()), "{method}");
        assert_eq!(hint(&told, method, json!({})), (Some(2000), private.clone()), "{method}");
    }
    assert_eq!(hint(&own, "resources/read", read("test://static-text")), (Some(1000), public.clone()));
    assert_eq!(hint(&told, "resources/read", read("test://static-text")), (Some(2000), private.clone()));
    // What the client was asked for is for that client alone, whatever the plugin says (C-03).
    let asking = json!({"uri": "test://asking", "inputResponses": {"user_name": {"action": "accept", "content": {"name": "Ada"}}}});
    assert_eq!(hint(&own, "resources/read", asking), (Some(60_000), private));
    let called = own.http().ask_stateless(&stateless_call(1, "echo", json!({"message": "m"})));
    assert_eq!(called["result"].get("ttlMs"), None);
}

#[test]
fn any_json_is_a_structured_result() {
    let host = host();
    for (kind, expected) in [("array", json!([1, 2])), ("number", json!(7)), ("null", Value::Null)] {
        let reply = host.http().ask_stateless(&stateless_call(1, "test_structured_any", json!({"kind": kind})));
        assert_eq!(reply["result"].get("structuredContent"), Some(&expected), "{reply}");
    }
    let tools = host.http().ask_stateless(&stateless(1, "tools/list", json!({})));
    let tool = |name: &str| {
        tools["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone()
    };
    assert_eq!(tool("test_structured_any")["outputSchema"], json!({"type": ["array", "number", "null"]}));
    assert_eq!(tool("test_app")["_meta"]["ui"], json!({"resourceUri": "ui://everything/clock"}));
    assert_eq!(tool("test_simple_text").get("execution"), None, "2026-07-28 L-08");
}

#[test]
fn pages_and_skills_are_served() {
    let host = host();
    let ask = |method: &str, params: Value| host.http().ask_stateless(&stateless(1, method, params));
    let page = ask("resources/read", json!({"uri": "ui://everything/clock"}));
    let contents = &page["result"]["contents"][0];
    assert_eq!(contents["mimeType"], "text/html;profile=mcp-app");
    assert_eq!(contents["_meta"]["ui"], json!({"prefersBorder": true}));
    assert!(contents["text"].as_str().unwrap().starts_with("<!doctype html>"));
    let unknown = ask("skills/get", json!({"uri": "skill://everything/none/SKILL.md"}));
    assert_eq!(unknown["error"]["code"], -32602);
    let reference = ask("resources/read", json!({"uri": "skill://everything/pdf-processing/references/forms.md"}));
    assert_eq!(reference["result"]["contents"][0]["mimeType"], "text/markdown");
    // Without skills there are no such methods (SK).
    let bare = Host::with(&["hello"]).serve_http();
    for method in ["skills/list", "skills/get", "resources/directory/read"] {
        refused(&bare.http().post_stateless(&stateless(1, method, json!({"uri": "skill://a/b"}))), 404, -32601);
    }
}

#[test]
fn folders_of_skills_that_the_operator_names_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    let bad = folder.path().join("bad");
    for (path, name) in [(&good, "good"), (&bad, "other")] {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("SKILL.md"), format!("---\nname: {name}\ndescription: d\n---\nBody\n")).unwrap();
    }
    let host = Host::with(&["hello"]).config(&format!("skill_dirs = [{good:?}, {bad:?}]")).serve_http();
    let listed = host.http().ask_stateless(&stateless(1, "skills/list", json!({})));
    let skills = listed["result"]["skills"].as_array().unwrap();
    assert_eq!(skills.len(), 1);
    assert_eq!(skills[0]["uri"], "skill://skills/good/SKILL.md");
    let read = host.http().ask_stateless(&stateless(2, "resources/read", json!({"uri": skills[0]["uri"]})));
    assert!(read["result"]["contents"][0]["text"].as_str().unwrap().ends_with("---\nBody\n"));
    let health = host.http().get("/health/detailed").json();
    assert!(health["problems"][0].as_str().unwrap().contains("its folder must have that name"), "{health}");
}

#[test]
fn a_trace_reaches_the_plugin_and_a_broken_one_is_none() {
    let host = host();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (given, expected) in [(parent, parent), ("00-nonsense", "no trace")] {
        let request = stateless(1, "tools/call", json!({"name": "test_trace", "_meta": {"traceparent": given}}));
        assert_eq!(text(&host.http().ask_stateless(&request)), expected);
    }
}

#[test]
fn what_depends_on_the_trace_is_kept_for_nobody_else() {
    let host = Host::with(&["guest"]).serve_http();
    let read = stateless(1, "resources/read", json!({"uri": "guest://traced", "_meta": {"baggage": "user=ada"}}));
    let result = host.http().ask_stateless(&read)["result"].clone();
    assert_eq!(result["contents"][0]["text"], "user=ada");
    assert_eq!(result["cacheScope"], "private", "2026-07-28 C-03");
}

#[test]
fn an_era_can_be_switched_off() {
    let stateful = Host::with(&["everything"]).config("protocol = \"stateful\"").serve_http();
    let reply = stateful.http().post_stateless(&stateless(1, "server/discover", json!({})));
    refused(&reply, 400, -32600);
    let mut session = stateful.http();
    session.initialize("2025-11-25");
    assert_eq!(session.ask(&request(1, "ping", json!({})))["result"], json!({}));

    let only = Host::with(&["everything"]).config("protocol = \"stateless\"").serve_http();
    let http = only.http();
    let opened = http.post(&request(0, "initialize", initialize("2025-11-25")));
    let error = refused(&opened, 400, -32022);
    assert_eq!(error["data"], json!({"supported": ["2026-07-28"], "requested": "2025-11-25"}));
    refused(&http.post(&request(1, "tools/list", json!({}))), 400, -32602);
    for verb in ["GET", "DELETE"] {
        let reply = http.exchange_with(verb, &[("mcp-session-id", "x")], b"");
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    }
    assert_eq!(http.post_stateless(&stateless(1, "server/discover", json!({}))).status, 200);
}

#[test]
fn results_need_not_say_who_gave_them() {
    let host = Host::with(&["everything"]).config("[server]\nin_results = false").serve_http();
    let reply = host.http().ask_stateless(&stateless_call(1, "echo", json!({"message": "m"})));
    assert_eq!(reply["result"], json!({"resultType": "complete", "content": [{"type": "text", "text": "m"}]}));
}

#[test]
fn a_client_that_takes_one_kind_of_answer_gets_that() {
    let host = host();
    let call = stateless(1, "tools/call", json!({"name": "test_tool_with_progress", "_meta": {"progressToken": "p"}}));
    let json = host.http().post_stateless_with(&call, &[("accept", "application/json")]);
    assert_eq!((json.status, json.header("content-type")), (200, Some("application/json")));
    let echo = stateless_call(1, "echo", json!({"message": "m"}));
    let stream = host.http().post_stateless_with(&echo, &[("accept", "text/event-stream")]);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert!(stream.body.starts_with("data: {"), "{}", stream.body);
    let instant = stateless(1, "tools/call", json!({"name": "test_instant_progress", "_meta": {"progressToken": 1}}));
    let json = host.http().post_stateless_with(&instant, &[("accept", "application/json")]);
    assert_eq!(json.header("content-type"), Some("application/json"));
    // A refusal has its status all the same (H-11).
    let only_streams = [("accept", "text/event-stream")];
    refused(&host.http().post_stateless_with(&stateless(1, "no/such", json!({})), &only_streams), 404, -32601);
    let mut lacking = stateless_call(1, "test_missing_capability", json!({}));
    lacking["params"]["_meta"] = meta_with(json!({}));
    refused(&host.http().post_stateless_with(&lacking, &only_streams), 400, -32021);
    assert_eq!(host.http().post_stateless_with(&echo, &[("accept", "text/html")]).status, 406);
    let listen = stateless(1, "subscriptions/listen", json!({"notifications": {}}));
    assert_eq!(host.http().post_stateless_with(&listen, &[("accept", "application/json")]).status, 406);
}

#[test]
fn who_asks_is_told_by_the_proxy() {
    let host = Host::with(&["everything"]).config("[http]\nuser_header = \"X-User\"").serve_http();
    let echo = stateless_call(1, "echo", json!({"message": "m"}));
    assert_eq!(host.http().post_stateless(&echo).status, 401);
    assert_eq!(host.http().post_stateless_with(&echo, &[("x-user", "ada")]).status, 200);
    // A session is its user's (2025-era H-21).
    let initialize = request(0, "initialize", initialize("2025-11-25")).to_string();
    let opened = host.http().exchange_with("POST", &[("x-user", "ada")], initialize.as_bytes());
    let session = opened.header("mcp-session-id").unwrap();
    let ping = request(1, "ping", json!({})).to_string();
    let status = |user: &str| {
        host.http().exchange_with("POST", &[("x-user", user), ("mcp-session-id", session)], ping.as_bytes()).status
    };
    assert_eq!((status("ada"), status("bob"), status("")), (200, 404, 401));
}

#[test]
fn a_host_that_drains_sends_newcomers_elsewhere() {
    let mut host = host();
    let http = host.http();
    let mut busy = http.connect();
    let call = stateless_call(1, "test_sleep", json!({"ms": 1500}));
    let body = call.to_string();
    let mut head = "POST /mcp HTTP/1.1\r\n".to_owned();
    for (name, value) in http.stateless_headers(&call) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    std::io::Write::write_all(&mut busy, head.as_bytes()).unwrap();
    eventually("the call", || (http.get("/health/detailed").json()["calls"] == 1).then_some(()));
    host.signal("TERM");
    // What runs is answered before the end.
    let reply = mcp_host_tests::Stream::read(busy).whole();
    assert_eq!(text(&reply.json()), "slept 1500 ms");
    assert_eq!(host.wait().code(), Some(0));
}

/// A connection on which both kinds of messages are sent one after the other.
#[test]
fn one_connection_carries_both_eras() {
    let host = host();
    let mut session: Http = host.http();
    session.initialize("2025-11-25");
    let mut connection = host.http().connect();
    for round in 0..4 {
        let (headers, body) = if round % 2 == 0 {
            let request = stateless_call(round, "echo", json!({"message": "new"}));
            (host.http().stateless_headers(&request), request.to_string())
        } else {
            let request = mcp_host_tests::call(round, "echo", json!({"message": "old"}));
            (session.usual_headers(), request.to_string())
        };
        let mut head = "POST /mcp HTTP/1.1\r\n".to_owned();
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        std::io::Write::write_all(&mut connection, head.as_bytes()).unwrap();
        let reply = mcp_host_tests::Stream::read(connection.try_clone().unwrap()).whole().json();
        assert_eq!(reply["id"], round);
        assert_eq!(text(&reply), if round % 2 == 0 { "new" } else { "old" });
        assert_eq!(reply["result"].get("resultType").is_some(), round % 2 == 0);
    }
    connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
}
