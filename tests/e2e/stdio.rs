//! The host over standard input and output, line by line.
//!
//! It is long because the checklist of the stateful era is walked here once, over the transport that hides least.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, call, request, text};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn every_stateful_revision_is_negotiated_and_stripped() {
    for (revision, titled, structured) in [
        ("2024-11-05", false, false),
        ("2025-03-26", false, false),
        ("2025-06-18", true, true),
        ("2025-11-25", true, true),
    ] {
        let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
        let opened = client.initialize(revision);
        assert_eq!(opened["result"]["protocolVersion"], revision, "2025-era L-03");
        assert_eq!(opened["result"]["capabilities"].get("completions").is_some(), revision != "2024-11-05");
        let tools = client.ask(&request(1, "tools/list", json!({})));
        let tool =
            tools["result"]["tools"].as_array().unwrap().iter().find(|it| it["name"] == "test_structured").unwrap();
        assert_eq!(tool.get("outputSchema").is_some(), structured, "{revision}");
        let first = &tools["result"]["tools"][0];
        assert_eq!(first.get("title").is_some(), titled, "{revision}");
        assert_eq!(first.get("icons").is_some(), revision == "2025-11-25");
        assert_eq!(first.get("annotations").is_some(), revision != "2024-11-05");
        let result = client.ask(&call(2, "test_structured", json!({"place": "home"})));
        assert_eq!(result["result"].get("structuredContent").is_some(), structured, "{revision}");
        assert_eq!(text(&result), r#"{"temperature":22.5,"conditions":"clear at home","humidity":65}"#);
        // Arrays are structured results of no stateful revision (2025-era T-05).
        let result = client.ask(&call(3, "test_structured_array", json!({})));
        assert_eq!(result["result"], json!({"content": [{"type": "text", "text": "[1,2,3]"}]}), "{revision}");
        let audio = client.ask(&call(4, "test_audio_content", json!({})));
        let kind = if revision == "2024-11-05" { "text" } else { "audio" };
        assert_eq!(audio["result"]["content"][0]["type"], kind);
        let link = client.ask(&call(5, "test_resource_link", json!({})));
        let kind = if titled { "resource_link" } else { "text" };
        assert_eq!(link["result"]["content"][0]["type"], kind, "{revision}");
    }
}

#[test]
fn an_unknown_revision_gets_the_newest() {
    let (_host, mut client) = Host::with(&["hello"]).serve_stdio();
    assert_eq!(client.initialize("2026-07-28")["result"]["protocolVersion"], "2025-11-25", "2025-era L-04");
}

#[test]
fn requests_before_the_handshake_are_refused_and_pings_answered() {
    let (_host, mut client) = Host::with(&["hello"]).serve_stdio();
    assert_eq!(client.ask(&request(1, "ping", json!({}))), json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    let refused = client.ask(&request(2, "tools/list", json!({})));
    assert_eq!(refused["error"]["code"], -32600, "2025-era L-01");
    client.initialize("2025-11-25");
    let again = client.ask(&request(3, "initialize", mcp_host_tests::initialize("2025-11-25")));
    assert_eq!(again["error"]["code"], -32600, "2025-era L-12");
}

#[test]
fn standard_output_stays_pure_when_a_plugin_prints() {
    let (host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    // Every line is parsed as a message by the client, which fails at anything else (2025-era S-02).
    assert_eq!(text(&client.ask(&call(1, "test_prints_to_stdout", json!({})))), "printed");
    host.wait_for_log("printed from Rust");
    host.wait_for_log("printed from C");
}

#[test]
fn a_thousand_calls_written_at_once_are_all_answered() {
    let (_host, mut client) = Host::with(&["everything"]).config("[sessions]\nmax_calls = 1000\n").serve_stdio();
    client.initialize("2025-11-25");
    let calls: String =
        (1..=1000).map(|id| format!("{}\n", call(id, "echo", json!({"message": format!("m{id}")})))).collect();
    client.send_bytes(calls.as_bytes());
    let mut seen = vec![false; 1001];
    for _ in 0..1000 {
        let reply = client.receive();
        let id = reply["id"].as_u64().unwrap();
        assert_eq!(text(&reply), format!("m{id}"));
        assert!(!std::mem::replace(&mut seen[id as usize], true), "{id} was answered twice");
    }
}

#[test]
fn calls_run_side_by_side() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_sleep", json!({"ms": 1500})));
    client.send(&call(2, "test_block", json!({"ms": 300})));
    client.send(&call(3, "echo", json!({"message": "quick"})));
    let order: Vec<Value> = (0..3).map(|_| client.receive()["id"].clone()).collect();
    assert_eq!(order, [json!(3), json!(2), json!(1)]);
}

#[test]
fn the_end_of_input_lets_calls_finish() {
    let (mut host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_sleep", json!({"ms": 300})));
    client.send(&call(2, "test_block", json!({"ms": 200})));
    // The last line needs no newline.
    client.send_bytes(call(3, "echo", json!({"message": "last"})).to_string().as_bytes());
    client.close();
    let mut ids: Vec<u64> = client.rest().iter().map(|reply| reply["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3], "2025-era S-05");
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn a_signal_lets_calls_finish() {
    let (mut host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_sleep", json!({"ms": 400})));
    client.ask(&call(2, "echo", json!({"message": "the other one runs"})));
    host.signal("TERM");
    assert_eq!(text(&client.receive()), "slept 400 ms");
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (mut host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_block", json!({"ms": 60_000})));
    client.ask(&call(2, "echo", json!({"message": "the other one runs"})));
    host.signal("TERM");
    host.wait_for_log("draining");
    host.signal("INT");
    assert_eq!(host.wait().code(), Some(130));
}

#[test]
fn calls_beyond_the_grace_are_given_up() {
    let (mut host, mut client) =
        Host::with(&["everything"]).config("[limits]\ndrain_timeout = \"200ms\"").serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_block", json!({"ms": 60_000})));
    client.ask(&call(2, "echo", json!({"message": "the other one runs"})));
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn a_cancelled_call_gets_no_answer() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    for (id, tool) in [(1, "test_sleep"), (2, "test_block")] {
        client.send(&call(id, tool, json!({"ms": 700})));
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
    }
    // Unknown, finished and malformed cancellations are ignored (2025-era U-03).
    for params in [json!({"requestId": 99}), json!({"requestId": null}), json!({}), json!([1])] {
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}));
    }
    assert_eq!(text(&client.ask(&call(3, "echo", json!({"message": "still here"})))), "still here");
    assert_eq!(client.receive_within(Duration::from_millis(1000)), None);
}

#[test]
fn ids_keep_their_type_and_size() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    for id in ["7", "\"7\"", "\"é\\n\"", "123456789012345678901234567890", "-1"] {
        client.send_bytes(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n").as_bytes());
        let reply = client.receive();
        assert_eq!(reply["id"], serde_json::from_str::<Value>(id).unwrap(), "2025-era J-02");
    }
}

#[test]
fn an_id_in_use_is_refused() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_sleep", json!({"ms": 300})));
    client.send(&call(1, "echo", json!({"message": "again"})));
    assert_eq!(client.receive()["error"]["code"], -32600);
    assert_eq!(text(&client.receive()), "slept 300 ms");
}

#[test]
fn batches_are_as_the_revision_has_them() {
    let batch = json!([
        request(1, "ping", json!({})),
        {"jsonrpc": "2.0", "method": "notifications/unknown"},
        call(2, "test_sleep", json!({"ms": 20})),
        5,
    ]);
    for (revision, accepted) in
        [("2024-11-05", true), ("2025-03-26", true), ("2025-06-18", false), ("2025-11-25", false)]
    {
        let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
        client.initialize(revision);
        client.send(&batch);
        let reply = client.receive();
        if !accepted {
            assert_eq!(reply["error"]["code"], -32600, "2025-era J-06 {revision}");
            continue;
        }
        let mut replies = reply.as_array().unwrap().clone();
        replies.sort_by_key(|reply| reply["id"].as_u64());
        assert_eq!(replies[0]["error"]["code"], -32600);
        assert_eq!((&replies[1]["id"], &replies[2]["id"], replies.len()), (&json!(1), &json!(2), 3));
        // An empty one is an error, and one of notifications only has no reply (2025-era J-07).
        client.send(&json!([]));
        assert_eq!(client.receive()["error"]["code"], -32600);
        client.send(&json!([{"jsonrpc": "2.0", "method": "notifications/unknown"}]));
        assert_eq!(client.ask(&request(9, "ping", json!({})))["id"], 9);
    }
}

#[test]
fn progress_and_logs_come_before_the_answer() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    let mut progress = call(1, "test_tool_with_progress", json!({}));
    progress["params"]["_meta"] = json!({"progressToken": "p"});
    client.send(&progress);
    let told: Vec<Value> = (0..3).map(|_| client.receive()["params"].clone()).collect();
    assert_eq!(
        told,
        [0.0, 50.0, 100.0].map(|done| json!({
            "progressToken": "p", "progress": done, "total": 100.0, "message": format!("Completed step {done} of 100")
        }))
    );
    assert_eq!(client.receive()["id"], 1);
    // Without a token there is no progress (2025-era U-05).
    client.send(&call(2, "test_tool_with_progress", json!({})));
    assert_eq!(client.receive()["id"], 2);
    // Logs are filtered by the session's level (2025-era U-07).
    client.send(&call(3, "test_tool_with_logging", json!({})));
    let logs: Vec<Value> = (0..3).map(|_| client.receive()["params"].clone()).collect();
    assert_eq!(logs[0], json!({"level": "info", "data": "Tool execution started"}));
    assert_eq!(client.receive()["id"], 3);
    assert_eq!(
        client.ask(&request(4, "logging/setLevel", json!({"level": "warning"}))),
        json!({"jsonrpc": "2.0", "id": 4, "result": {}})
    );
    client.send(&call(5, "test_tool_with_logging", json!({})));
    assert_eq!(client.receive()["id"], 5);
    let unknown = client.ask(&request(6, "logging/setLevel", json!({"level": "loud"})));
    assert_eq!(unknown["error"]["code"], -32602);
}

/// Answers the host's next question and gives the question.
fn answer(client: &mut mcp_host_tests::Stdio, answer: &Value) -> Value {
    let question = client.receive();
    let mut reply = json!({"jsonrpc": "2.0", "id": question["id"]});
    reply.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
    client.send(&reply);
    question
}

#[test]
fn the_client_is_asked_over_the_same_pipe() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");

    client.send(&call(1, "test_list_roots", json!({})));
    let question = answer(
        &mut client,
        &json!({"result": {"roots": [{"uri": "file:///home", "name": "home"}, {"uri": "file:///tmp"}]}}),
    );
    assert_eq!((&question["method"], &question["params"]), (&json!("roots/list"), &json!({})));
    assert_eq!(text(&client.receive()), "Roots: home (file:///home), file:///tmp");

    client.send(&call(2, "test_elicitation_typed", json!({})));
    let order = json!({"name": "Ada", "count": 2, "size": "large", "extras": ["small"]});
    let question = answer(&mut client, &json!({"result": {"action": "accept", "content": order}}));
    assert_eq!(question["params"]["mode"], "form");
    let fields = &question["params"]["requestedSchema"]["properties"];
    assert_eq!(fields["size"]["oneOf"][0], json!({"const": "small", "title": "Fits a pocket"}));
    assert_eq!(fields["extras"]["items"]["anyOf"][1], json!({"const": "large", "title": "Fits a house"}));
    assert_eq!(fields["count"]["default"], 1);
    assert_eq!(text(&client.receive()), "2 x Large for Ada, with 1 extras");

    client.send(&call(3, "test_url_elicitation", json!({})));
    let question = answer(&mut client, &json!({"result": {"action": "accept"}}));
    assert_eq!(question["params"]["mode"], "url");
    let done = client.receive();
    assert_eq!(done["method"], "notifications/elicitation/complete", "2025-era C-16");
    assert_eq!(done["params"]["elicitationId"], question["params"]["elicitationId"]);
    assert_eq!(text(&client.receive()), "URL elicitation: accept");

    client.send(&call(4, "test_sampling_with_tools", json!({"prompt": "weather?"})));
    let using = json!({"type": "tool_use", "id": "u1", "name": "weather", "input": {"place": "here"}});
    let question = answer(
        &mut client,
        &json!({"result": {"role": "assistant", "model": "m", "stopReason": "toolUse", "content": [using]}}),
    );
    assert_eq!(question["params"]["tools"][0]["name"], "weather");
    let said = json!({"type": "text", "text": "It is sunny"});
    let question = answer(&mut client, &json!({"result": {"role": "assistant", "model": "m", "content": said}}));
    assert_eq!(question["params"]["messages"][2]["content"][0]["toolUseId"], "u1", "2025-era C-04");
    assert_eq!(text(&client.receive()), "LLM response after 1 tool uses: It is sunny");

    // What the client refuses, the model reads (2025-era C-06).
    client.send(&call(5, "test_sampling", json!({"prompt": "p"})));
    answer(&mut client, &json!({"error": {"code": -1, "message": "the user said no"}}));
    let refused = client.receive();
    assert_eq!(refused["result"]["isError"], true);
    assert_eq!(text(&refused), "the client answered with error -1: the user said no");
}

#[test]
fn a_client_without_capabilities_is_never_asked() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    let params =
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "n", "version": "1"}});
    client.ask(&request(0, "initialize", params));
    let tools = [
        ("test_sampling", json!({"prompt": "p"})),
        ("test_elicitation", json!({"message": "m"})),
        ("test_list_roots", json!({})),
        ("test_url_elicitation", json!({})),
    ];
    for (tool, arguments) in tools {
        // The very next message is the error, so no question came before it (2025-era L-05).
        client.send(&call(1, tool, arguments));
        let reply = client.receive();
        assert_eq!(reply["error"]["code"], -32600, "{tool}: {reply}");
        assert!(reply["error"]["data"]["requiredCapability"].is_string());
    }
}

#[test]
fn a_question_is_withdrawn_when_its_call_is_cancelled() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_elicitation", json!({"message": "m"})));
    let question = client.receive();
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}));
    let withdrawn = client.receive();
    assert_eq!(withdrawn["method"], "notifications/cancelled", "2025-era U-04");
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    // A late answer is ignored.
    client.send(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "cancel"}}));
    assert_eq!(client.ask(&request(2, "ping", json!({})))["id"], 2);
}

#[test]
fn a_question_that_is_not_answered_times_out() {
    let (_host, mut client) = Host::with(&["everything"]).config("[sessions]\nask_timeout = \"100ms\"").serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_elicitation", json!({"message": "m"})));
    assert_eq!(client.receive()["method"], "elicitation/create");
    assert_eq!(client.receive()["method"], "notifications/cancelled", "2025-era L-10");
    assert_eq!(text(&client.receive()), "the client did not answer within 100ms");
}

#[test]
fn a_url_that_is_needed_first_is_an_error_of_its_own() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    let reply = client.ask(&call(1, "test_url_required", json!({})));
    assert_eq!(reply["error"]["code"], -32042, "2025-era C-17");
    assert_eq!(reply["error"]["data"]["elicitations"][0]["url"], "https://example.com/login");
}

#[test]
fn updates_and_changed_lists_are_told() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    let watched = json!({"uri": "test://watched-resource"});
    let touch = |id| call(id, "test_touch_resource", watched.clone());
    assert_eq!(client.ask(&request(1, "resources/subscribe", watched.clone()))["result"], json!({}));
    client.send(&touch(2));
    let mut both = [client.receive(), client.receive()];
    both.sort_by_key(|message| message.get("id").is_some());
    assert_eq!(both[0]["method"], "notifications/resources/updated", "2025-era R-07");
    assert_eq!(both[0]["params"], watched);
    assert_eq!(client.ask(&request(3, "resources/unsubscribe", watched.clone()))["result"], json!({}));
    client.send(&touch(4));
    assert_eq!(client.receive()["id"], 4);
    assert_eq!(client.receive_within(Duration::from_millis(200)), None);
    client.send(&call(5, "test_trigger_resource_change", json!({})));
    let mut both = [client.receive(), client.receive()];
    both.sort_by_key(|message| message.get("id").is_some());
    assert_eq!(both[0]["method"], "notifications/resources/list_changed", "2025-era R-08");
    let listed = client.ask(&request(6, "resources/list", json!({})));
    let listed = listed["result"]["resources"].as_array().unwrap();
    assert!(listed.iter().any(|resource| resource["uri"] == "test://sometimes"), "{listed:?}");
    let unknown = client.ask(&request(7, "resources/subscribe", json!({"uri": "test://none"})));
    assert_eq!(unknown["error"]["code"], -32002);
}

#[test]
fn errors_name_what_was_meant() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    let mut error = |request: Value| client.ask(&request)["error"].clone();
    let unknown = error(call(1, "test_simple_texr", json!({})));
    assert_eq!(unknown["code"], -32602, "2025-era T-07");
    assert_eq!(unknown["message"], "unknown tool 'test_simple_texr'; did you mean 'test_simple_text'?");
    let missing = error(request(2, "resources/read", json!({"uri": "test://static-texy"})));
    assert_eq!(
        (&missing["code"], &missing["data"]),
        (&json!(-32002), &json!({"uri": "test://static-texy"})),
        "2025-era R-04"
    );
    assert_eq!(error(request(3, "prompts/get", json!({"name": "nope"})))["code"], -32602, "2025-era P-03");
    let argument =
        error(request(4, "prompts/get", json!({"name": "test_prompt_with_arguments", "arguments": {"arg1": "a"}})));
    assert_eq!(argument["message"], "'test_prompt_with_arguments' needs the argument 'arg2'");
    assert_eq!(error(request(5, "nope/nope", json!({})))["code"], -32601, "2025-era J-05");
    assert_eq!(error(request(6, "tools/call", json!({})))["message"], "invalid params: missing field 'name'");
    assert_eq!(error(request(7, "tools/call", json!({"name": "echo", "arguments": [1]})))["code"], -32602);
    assert_eq!(error(request(8, "tools/list", json!({"cursor": "nope"})))["code"], -32602, "2025-era U-09");
    let completion = json!({"ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"}, "argument": {"name": "nope", "value": ""}});
    assert_eq!(error(request(9, "completion/complete", completion))["code"], -32602, "2025-era U-10");
}

#[test]
fn arguments_that_do_not_fit_are_for_the_model_to_read() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    // By the plugin's typed decoding, and by the host's validation of a schema that is more than types (2025-era T-08).
    for (tool, arguments) in [
        ("echo", json!({})),
        ("echo", json!({"message": 5})),
        ("echo", json!({"message": "a", "more": 1})),
        ("json_schema_2020_12_tool", json!({"contactMethod": "phone", "email": "a@b"})),
        ("test_integer_header", json!({"count": 1.5})),
    ] {
        let reply = client.ask(&call(1, tool, arguments.clone()));
        assert_eq!(reply["result"]["isError"], true, "{tool} {arguments}: {reply}");
        assert!(text(&reply).starts_with(&format!("the arguments of '{tool}' do not fit: ")), "{reply}");
    }
    let fits = client.ask(&call(2, "json_schema_2020_12_tool", json!({"contactMethod": "phone", "phone": "1"})));
    assert_eq!(text(&fits), "JSON Schema 2020-12 tool called with 2 arguments");
}

#[test]
fn a_result_that_breaks_its_promise_is_not_passed_on() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    let kept = client.ask(&call(1, "test_promised_output", json!({"count": 9})));
    assert_eq!(kept["result"]["structuredContent"], json!({"count": 9}));
    let broken = client.ask(&call(2, "test_promised_output", json!({"count": 10})));
    assert_eq!(broken["error"]["code"], -32603, "2025-era T-04");
}

#[test]
fn completions_have_at_most_a_hundred_values() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    let complete = |typed: &str| json!({"ref": {"type": "ref/resource", "uri": "test://template/{id}/data"}, "argument": {"name": "id", "value": typed}});
    let all = client.ask(&request(1, "completion/complete", complete("")));
    let completion = &all["result"]["completion"];
    assert_eq!(completion["values"].as_array().unwrap().len(), 100, "2025-era U-10");
    assert_eq!((&completion["total"], &completion["hasMore"]), (&json!(200), &json!(true)));
    let few = client.ask(&request(2, "completion/complete", complete("19")));
    assert_eq!(few["result"]["completion"]["values"].as_array().unwrap().len(), 11);
}

#[test]
fn lists_come_in_pages() {
    let (_host, mut client) = Host::with(&["everything"]).config("[limits]\npage_size = 10").serve_stdio();
    client.initialize("2025-11-25");
    let mut names = Vec::new();
    let mut cursor: Option<Value> = None;
    loop {
        let params = cursor.take().map_or_else(|| json!({}), |cursor| json!({"cursor": cursor}));
        let page = client.ask(&request(1, "tools/list", params))["result"].clone();
        let tools = page["tools"].as_array().unwrap();
        assert!(tools.len() <= 10);
        names.extend(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
        cursor = page.get("nextCursor").cloned();
        if cursor.is_none() {
            break;
        }
    }
    let whole = {
        let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
        client.initialize("2025-11-25");
        client.ask(&request(1, "tools/list", json!({})))["result"]["tools"].clone()
    };
    let whole: Vec<&str> = whole.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, whole);
}

#[test]
fn a_call_beyond_its_time_is_given_up() {
    let (_host, mut client) = Host::with(&["everything"]).config("[limits]\ncall_timeout = \"200ms\"").serve_stdio();
    client.initialize("2025-11-25");
    for tool in ["test_sleep", "test_block"] {
        let reply = client.ask(&call(1, tool, json!({"ms": 1500})));
        assert_eq!(reply["error"]["code"], -32603);
        assert!(reply["error"]["message"].as_str().unwrap().contains("did not answer within"));
    }
    assert_eq!(text(&client.ask(&call(2, "test_sleep", json!({"ms": 100})))), "slept 100 ms");
}

#[test]
fn arguments_have_defaults_and_any_names() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(text(&client.ask(&call(1, "repeat", json!({"call": "a"})))), "a a");
    assert_eq!(text(&client.ask(&call(2, "repeat", json!({"call": "a", "context": 3, "type": "-"})))), "a-a-a");
    let refused = client.ask(&call(3, "repeat", json!({"call": "a", "context": -1})));
    assert_eq!(refused["result"]["isError"], true);
}

#[test]
fn tools_and_prompts_come_and_go() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    for (trigger, list, changed, name) in [
        ("test_trigger_tool_change", "tools", "notifications/tools/list_changed", "test_sometimes"),
        ("test_trigger_prompt_change", "prompts", "notifications/prompts/list_changed", "test_sometimes_prompt"),
    ] {
        for shown in [true, false] {
            client.send(&call(1, trigger, json!({})));
            let mut both = [client.receive(), client.receive()];
            both.sort_by_key(|message| message.get("id").is_some());
            assert_eq!(both[0]["method"], changed, "2025-era T-10, P-05");
            let listed = client.ask(&request(2, &format!("{list}/list"), json!({})));
            let items = listed["result"][list].as_array().unwrap();
            assert_eq!(items.iter().any(|item| item["name"] == name), shown, "{name}");
        }
    }
    let hidden = client.ask(&call(3, "test_sometimes", json!({})));
    assert_eq!(hidden["error"]["code"], -32602);
}

#[test]
fn the_end_of_input_ends_calls_that_wait_for_the_client() {
    let (mut host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&call(1, "test_elicitation", json!({"message": "who?"})));
    assert_eq!(client.receive()["method"], "elicitation/create");
    client.close();
    assert_eq!(host.wait().code(), Some(0), "2025-era S-05");
}

#[test]
fn older_clients_are_asked_in_their_own_form() {
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
        client.initialize(revision);
        client.send(&call(1, "test_sampling", json!({"prompt": "you"})));
        let content = json!({"type": "text", "text": "me"});
        let question = answer(&mut client, &json!({"result": {"role": "assistant", "model": "m", "content": content}}));
        assert_eq!(question["params"]["messages"][0]["content"], json!({"type": "text", "text": "you"}), "{revision}");
        assert_eq!(text(&client.receive()), "LLM response: me");
    }
}

/// A host that is started by hand, with what a client that is not the harness gives it.
fn by_hand(
    builder: &mcp_host_tests::HostBuilder,
    input: std::process::Stdio,
    output: std::process::Stdio,
) -> std::process::Child {
    let mut command = std::process::Command::new(mcp_host_tests::artifact("mcp-host"));
    command.arg("--plugins-dir").arg(builder.plugins()).env("HOME", builder.plugins());
    command.env("XDG_CACHE_HOME", builder.plugins()).env("XDG_STATE_HOME", builder.plugins());
    command.stdin(input).stdout(output).stderr(std::process::Stdio::null()).spawn().unwrap()
}

const PING: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
const PONG: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n";

#[test]
fn sockets_are_spoken_over_as_pipes_are() {
    use std::io::{Read as _, Write as _};
    let builder = Host::with(&["hello"]);
    let pair = || std::os::unix::net::UnixStream::pair().unwrap();
    let ((mut input, theirs), (mut output, theirs_too)) = (pair(), pair());
    let stdio = |socket| std::process::Stdio::from(std::os::fd::OwnedFd::from(socket));
    let mut host = by_hand(&builder, stdio(theirs), stdio(theirs_too));
    input.write_all(PING.as_bytes()).unwrap();
    input.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    assert_eq!((said.as_str(), host.wait().unwrap().code()), (PONG, Some(0)));
}

#[test]
fn a_pipe_with_a_name_ends_when_its_writer_does_and_so_does_a_file() {
    use std::io::{Read as _, Write as _};
    let builder = Host::with(&["hello"]);
    let folder = tempfile::tempdir().unwrap();
    let (fifo, file) = (folder.path().join("fifo"), folder.path().join("file"));
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::write(&file, PING).unwrap();
    for input in [&fifo, &file] {
        let writer = (input == &fifo).then(|| {
            let fifo = fifo.clone();
            std::thread::spawn(move || {
                std::fs::OpenOptions::new().write(true).open(fifo).unwrap().write_all(PING.as_bytes())
            })
        });
        let opened = std::fs::File::open(input).unwrap();
        // It has written and is gone before the host reads.
        writer.into_iter().for_each(|writer| writer.join().unwrap().unwrap());
        let mut host = by_hand(&builder, opened.into(), std::process::Stdio::piped());
        let mut said = String::new();
        host.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((said.as_str(), host.wait().unwrap().code()), (PONG, Some(0)), "{}", input.display());
    }
}
