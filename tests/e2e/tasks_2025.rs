//! Tasks of 2025-11-25, line by line: no official scenario looks at them. This file is long because there is a test for each.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, HostBuilder, Http, Stdio, Tasks, call, eventually, initialize, request, text};
use serde_json::{Value, json};
use std::fs;

const REVISION: &str = "2025-11-25";
const RELATED: &str = "io.modelcontextprotocol/related-task";

fn worker() -> HostBuilder {
    Host::with(&["worker"])
}

/// A call that is to become a task.
fn as_task(id: u64, tool: &str, arguments: Value) -> Value {
    request(id, "tools/call", json!({"name": tool, "arguments": arguments, "task": {"ttl": 60_000}}))
}

fn about(id: u64, method: &str, task: &str) -> Value {
    request(id, method, json!({"taskId": task}))
}

#[track_caller]
fn assert_error(reply: &Value, code: i64, piece: &str) {
    assert_eq!(reply["error"]["code"], code, "{reply}");
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.contains(piece), "{message}");
}

fn session(host: &Host) -> Http {
    let mut http = host.http();
    http.initialize(REVISION);
    http
}

/// 2025-era K-01, K-10: what is supported is declared, and no more.
#[test]
fn what_is_supported_is_declared_where_the_revision_has_it() {
    let host = Host::with(&["worker", "everything"]).serve_http();
    let opened = host.http().initialize(REVISION);
    let expected = json!({"cancel": {}, "requests": {"tools": {"call": {}}}});
    assert_eq!(opened["result"]["capabilities"]["tasks"], expected, "without identity nothing is listed");
    for older in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        assert!(host.http().initialize(older)["result"]["capabilities"].get("tasks").is_none(), "{older}");
    }
    let (_host, mut owner) = worker().serve_stdio();
    let expected = json!({"cancel": {}, "requests": {"tools": {"call": {}}}, "list": {}});
    assert_eq!(owner.initialize(REVISION)["result"]["capabilities"]["tasks"], expected);
    // Tools say whether they may run as one, to those who can read it.
    let support = |http: &Http| -> Vec<(String, Value)> {
        let listed = http.ask(&request(1, "tools/list", json!({})));
        let tools = listed["result"]["tools"].as_array().unwrap().iter();
        let with = tools.filter(|tool| tool.get("execution").is_some());
        with.map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool["execution"].clone())).collect()
    };
    let told = support(&session(&host));
    assert!(told.contains(&("failing_job".to_owned(), json!({"taskSupport": "required"}))), "{told:?}");
    assert!(told.contains(&("steps".to_owned(), json!({"taskSupport": "optional"}))));
    assert!(told.iter().all(|(name, _)| name != "test_simple_text"));
    let mut older = host.http();
    older.initialize("2025-06-18");
    assert_eq!(support(&older), []);
}

/// 2025-era K-02, K-03.
#[test]
fn a_task_is_made_only_where_the_client_asks_and_the_tool_allows_it() {
    let host = Host::with(&["everything", "worker"]).serve_http();
    let http = session(&host);
    let refused = http.ask(&as_task(1, "test_simple_text", json!({})));
    assert_error(&refused, -32601, "does not run as a task");
    assert_error(&http.ask(&call(2, "failing_job", json!({}))), -32601, "runs as a task only");
    assert_eq!(text(&http.ask(&call(3, "steps", json!({"steps": 1, "pause_ms": 1})))), "1 steps");
    // A request of another type is not declared, so `task` is ignored.
    let prompt = request(4, "prompts/get", json!({"name": "test_simple_prompt", "task": {"ttl": 5}}));
    assert!(http.ask(&prompt)["result"]["messages"].is_array());
    for wrong in [json!(7), json!([]), json!({"ttl": "long"}), json!({"ttl": -1}), json!({"ttl": 1.5})] {
        let params = json!({"name": "steps", "arguments": {"steps": 1, "pause_ms": 1}, "task": wrong});
        assert_error(&http.ask(&request(5, "tools/call", params)), -32602, "'task' must be an object");
    }
    // Older revisions have no tasks: the member means nothing, and every tool can be called.
    let mut older = host.http();
    older.initialize("2025-06-18");
    assert_eq!(
        text(&older.ask(&as_task(6, "test_simple_text", json!({})))),
        "This is a simple text response for testing."
    );
    assert_eq!(older.ask(&call(7, "failing_job", json!({})))["result"]["isError"], true);
    for method in ["tasks/get", "tasks/result", "tasks/list", "tasks/cancel"] {
        assert_error(&older.ask(&about(8, method, "no")), -32601, "unknown method");
    }
}

/// 2025-era K-04, K-05, K-07, K-08, K-17.
#[test]
fn a_task_is_nested_can_be_found_at_once_and_gives_its_result_as_the_call_would_have() {
    let host = worker().serve_http();
    let http = session(&host);
    let created = http.ask(&as_task(1, "steps", json!({"steps": 5, "pause_ms": 20})));
    let task = &created["result"]["task"];
    assert_eq!(
        (&task["status"], &task["ttl"], &task["pollInterval"]),
        (&json!("working"), &json!(60_000), &json!(1000))
    );
    assert!(created["result"].get("content").is_none());
    let id = task["taskId"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    assert!(task["createdAt"].as_str().unwrap().ends_with('Z'));
    let got = http.ask(&about(2, "tasks/get", id));
    assert_eq!((&got["result"]["taskId"], &got["result"]["createdAt"]), (&json!(id), &task["createdAt"]));
    assert!(got["result"].get("task").is_none(), "K-07: flat");
    assert!(got["result"].get("_meta").is_none(), "K-13: not here");
    // It blocks until the end, and may be called again.
    for number in 3..5 {
        let done = http.ask(&about(number, "tasks/result", id));
        assert_eq!(
            done["result"],
            json!({"content": [{"type": "text", "text": "5 steps"}], "_meta": {RELATED: {"taskId": id}}})
        );
    }
    assert_eq!(http.ask(&about(5, "tasks/get", id))["result"]["status"], "completed");
    // A client's wish is bounded.
    let params =
        json!({"name": "steps", "arguments": {"steps": 1, "pause_ms": 1}, "task": {"ttl": 9_007_199_254_740_991_u64}});
    let bounded = http.ask(&request(6, "tools/call", params));
    assert_eq!(bounded["result"]["task"]["ttl"], 7 * 24 * 3600 * 1000);
}

/// 2025-era K-09.
#[test]
fn failures_are_failed_tasks_and_their_results_are_what_they_were() {
    let host = Host::with(&["everything"]).serve_http();
    let tasks = Tasks::stateful(host.http());
    let failing = tasks.begin("failing_job", json!({}));
    let failed = tasks.until(&failing, "failed");
    assert_eq!(failed["statusMessage"], "the job failed");
    let result = tasks.ask("tasks/result", json!({"taskId": failing}));
    assert_eq!((&result["result"]["isError"], text(&result)), (&json!(true), "the job failed"));
    let erring = tasks.begin("protocol_error_job", json!({}));
    assert_eq!(tasks.until(&erring, "failed")["statusMessage"], "the job cannot be done with these params");
    let error = tasks.ask("tasks/result", json!({"taskId": erring}));
    assert_error(&error, -32602, "the job cannot be done with these params");
}

/// 2025-era K-06, K-11, K-12.
#[test]
fn cancelled_is_final_and_what_is_unknown_is_unknown() {
    let host = worker().serve_http();
    let tasks = Tasks::stateful(host.http());
    let file = host.folder().join("heeded");
    let id = tasks.begin("heeds", json!({"file": file}));
    eventually("its begin", || fs::read_to_string(&file).ok());
    let cancelled = tasks.ask("tasks/cancel", json!({"taskId": id}));
    assert_eq!((&cancelled["result"]["taskId"], &cancelled["result"]["status"]), (&json!(id), &json!("cancelled")));
    assert_error(&tasks.ask("tasks/cancel", json!({"taskId": id})), -32602, "ended already, as 'cancelled'");
    eventually("its end", || fs::read_to_string(&file).unwrap().contains("cancelled").then_some(()));
    assert_eq!(tasks.get(&id)["status"], "cancelled", "though the work has finished");
    assert_error(&tasks.ask("tasks/result", json!({"taskId": id})), -32602, "was cancelled");
    let done = tasks.begin("steps", json!({"steps": 1, "pause_ms": 1}));
    let _ = tasks.until(&done, "completed");
    assert_error(&tasks.ask("tasks/cancel", json!({"taskId": done})), -32602, "ended already, as 'completed'");
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        assert_error(&tasks.ask(method, json!({"taskId": "no"})), -32602, "unknown task");
        assert_error(&tasks.ask(method, json!({})), -32602, "missing field 'taskId'");
    }
}

/// 2025-era U-03: a cancelled request is not a cancelled task.
#[test]
fn a_request_that_waits_for_a_task_can_be_cancelled_and_the_task_goes_on() {
    let (_host, mut client) = worker().serve_stdio();
    client.initialize(REVISION);
    let created = client.ask(&as_task(1, "steps", json!({"steps": 30, "pause_ms": 20})));
    let id = created["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    client.send(&about(2, "tasks/result", &id));
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}));
    assert_eq!(client.ask(&about(3, "tasks/get", &id))["result"]["status"], "working");
    let done = client.ask(&about(4, "tasks/result", &id));
    assert_eq!(text(&done), "30 steps");
}

/// 2025-era K-10, K-12, K-16.
#[test]
fn an_owner_lists_its_own_and_nobody_elses() {
    let host = worker().config("[http]\nuser_header = \"X-User\"\n[limits]\npage_size = 2").serve_http();
    let open = |user: &str| {
        let as_user = [("X-User", user)];
        let opened = host.http().exchange_with(
            "POST",
            &as_user,
            request(0, "initialize", initialize(REVISION)).to_string().as_bytes(),
        );
        let mut http = host.http();
        http.session = Some(opened.header("mcp-session-id").unwrap().to_owned());
        (http, opened.json())
    };
    let ((ada, opened), (ada_again, _), (bob, _)) = (open("ada"), open("ada"), open("bob"));
    assert_eq!(opened["result"]["capabilities"]["tasks"]["list"], json!({}));
    let ask = |http: &Http, user: &str, message: &Value| {
        http.exchange_with("POST", &[("X-User", user)], message.to_string().as_bytes()).json()
    };
    let ids: Vec<String> = (0..5)
        .map(|number| {
            let created = ask(&ada, "ada", &as_task(number, "steps", json!({"steps": 1, "pause_ms": 1})));
            created["result"]["task"]["taskId"].as_str().unwrap().to_owned()
        })
        .collect();
    // Whoever it is has other sessions too.
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let params = cursor.map_or_else(|| json!({}), |cursor: Value| json!({"cursor": cursor}));
        let page = ask(&ada_again, "ada", &request(9, "tasks/list", params));
        let tasks = page["result"]["tasks"].as_array().unwrap();
        assert!(
            tasks.len() <= 2 && page["result"]["nextCursor"] != Value::Null
                || page["result"].get("nextCursor").is_none()
        );
        listed.extend(tasks.iter().map(|task| task["taskId"].as_str().unwrap().to_owned()));
        match page["result"].get("nextCursor") {
            Some(next) => cursor = Some(next.clone()),
            None => break,
        }
    }
    listed.sort_unstable();
    let mut expected = ids.clone();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert_error(&ask(&ada, "ada", &request(9, "tasks/list", json!({"cursor": "x"}))), -32602, "cursor");
    assert_eq!(ask(&bob, "bob", &request(9, "tasks/list", json!({})))["result"], json!({"tasks": []}));
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let foreign = ask(&bob, "bob", &about(10, method, &ids[0]));
        assert_eq!(foreign["error"], ask(&bob, "bob", &about(10, method, "no"))["error"], "{method}");
    }
    // Where nobody is known, a task is found by its name alone, and nothing is listed.
    let plain = worker().serve_http();
    assert_error(&session(&plain).ask(&request(1, "tasks/list", json!({}))), -32601, "tasks/list");
    let made = session(&plain).ask(&as_task(2, "steps", json!({"steps": 1, "pause_ms": 1})));
    let id = made["result"]["task"]["taskId"].as_str().unwrap();
    assert_eq!(text(&session(&plain).ask(&about(3, "tasks/result", id))), "1 steps", "by another session");
}

/// Waits for the reply to a request.
#[track_caller]
fn reply_to(client: &Stdio, id: u64) -> Value {
    loop {
        let message = client.receive();
        if message["id"] == id && message.get("method").is_none() {
            return message;
        }
    }
}

/// Waits for the first message that is a request of this method.
#[track_caller]
fn asked(client: &Stdio, method: &str) -> Value {
    loop {
        let message = client.receive();
        if message["method"] == method {
            return message;
        }
    }
}

/// 2025-era K-13, K-14.
#[test]
fn questions_come_on_the_stream_that_waits_for_the_result() {
    let host = worker().serve_http();
    let tasks = Tasks::stateful(host.http());
    let id = tasks.begin("ask_word", json!({"file": host.folder().join("steps")}));
    assert!(tasks.until(&id, "input_required").get("inputRequests").is_none(), "of the other era");
    let mut stream = tasks.http.post_stream(&about(5, "tasks/result", &id));
    let question = stream.next_message();
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["_meta"], json!({RELATED: {"taskId": id}}));
    // Somebody else who waits is asked, and what was put to the first is withdrawn.
    let mut second = tasks.http.post_stream(&about(6, "tasks/result", &id));
    let withdrawn = stream.next_message();
    assert_eq!(withdrawn["method"], "notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    assert_eq!(withdrawn["params"]["_meta"], json!({RELATED: {"taskId": id}}));
    let question = second.next_message();
    let answer =
        json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"word": "blue"}}});
    assert_eq!(tasks.http.post(&answer).status, 202);
    for (stream, number) in [(&mut stream, 5), (&mut second, 6)] {
        let done = stream.next_message();
        assert_eq!((&done["id"], text(&done)), (&json!(number), "7 blue"));
        assert_eq!(done["result"]["_meta"], json!({RELATED: {"taskId": id}}));
    }
    assert_eq!(tasks.get(&id)["status"], "completed");
}

/// 2025-era K-06, K-14: an answered task goes on working.
#[test]
fn a_task_that_is_answered_works_again() {
    let host = worker().serve_http();
    let tasks = Tasks::stateful(host.http());
    let id = tasks.begin("ask_and_wait", json!({"pause_ms": 60_000}));
    let _ = tasks.until(&id, "input_required");
    let mut stream = tasks.http.post_stream(&about(5, "tasks/result", &id));
    let question = stream.next_message();
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    assert_eq!(tasks.http.post(&answer).status, 202);
    let _ = tasks.until(&id, "working");
    assert_eq!(tasks.ask("tasks/cancel", json!({"taskId": id}))["result"]["status"], "cancelled");
    assert_error(&stream.next_message(), -32602, "was cancelled");
}

/// 2025-era K-12: what has expired is unknown, and what cannot be kept is the host's fault.
#[test]
fn expired_is_unknown_and_a_place_that_does_not_work_is_an_internal_error() {
    let builder = worker();
    let state = builder.plugins().parent().unwrap().join("state");
    let host = builder.serve_http();
    let http = session(&host);
    let params = json!({"name": "steps", "arguments": {"steps": 1, "pause_ms": 1}, "task": {"ttl": 1000}});
    let created = http.ask(&request(1, "tools/call", params));
    let id = created["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    eventually("its end", || http.ask(&about(2, "tasks/get", &id)).get("error").cloned());
    assert_error(&http.ask(&about(3, "tasks/result", &id)), -32602, "unknown task");
    let builder = host.kill();
    fs::remove_dir_all(state.join("tasks")).unwrap();
    fs::write(state.join("tasks"), "in the way").unwrap();
    let host = builder.serve_http();
    let http = session(&host);
    assert_error(
        &http.ask(&as_task(4, "steps", json!({"steps": 1, "pause_ms": 1}))),
        -32603,
        "no task can be kept now",
    );
    assert_error(&http.ask(&about(5, "tasks/get", &id)), -32603, "no task can be kept now");
}

/// 2025-era K-08, K-14: whoever waits may leave, and another one is asked.
#[test]
fn a_question_is_put_again_to_whoever_waits_next() {
    let host = worker().serve_http();
    let tasks = Tasks::stateful(host.http());
    let id = tasks.begin("ask_word", json!({"file": host.folder().join("steps")}));
    let mut first = tasks.http.post_stream(&about(5, "tasks/result", &id));
    let asked_first = first.next_message();
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    assert_eq!(tasks.http.post(&cancel).status, 202);
    let mut second = tasks.http.post_stream(&about(6, "tasks/result", &id));
    let again = second.next_message();
    assert_eq!(again["params"], asked_first["params"]);
    assert_ne!(again["id"], asked_first["id"]);
    let refusal = json!({"jsonrpc": "2.0", "id": again["id"], "error": {"code": -1, "message": "the user said no"}});
    assert_eq!(tasks.http.post(&refusal).status, 202);
    let done = second.next_message();
    assert_eq!(done["result"]["isError"], true);
    assert_eq!(text(&done), "the client answered with error -1: the user said no");
    assert_eq!(tasks.get(&id)["status"], "failed", "K-09");
}

/// 2025-era K-08, K-14: a connection that broke keeps the question from nobody.
#[test]
fn whoever_comes_last_is_asked() {
    let host = worker().serve_http();
    let tasks = Tasks::stateful(host.http());
    let id = tasks.begin("ask_word", json!({"file": host.folder().join("steps")}));
    let mut lost = tasks.http.post_stream(&about(5, "tasks/result", &id));
    let first = lost.next_message();
    drop(lost);
    let mut second = Tasks::stateful(host.http()).http.post_stream(&about(6, "tasks/result", &id));
    let again = second.next_message();
    assert_eq!(again["params"], first["params"], "in another session");
}

/// 2025-era L-05, C-10: nobody is asked what it did not declare.
#[test]
fn a_client_without_forms_waits_and_is_not_asked() {
    let host = worker().serve_http();
    let tasks = Tasks::stateful(host.http());
    let id = tasks.begin("ask_word", json!({"file": host.folder().join("steps")}));
    let mut formless = host.http();
    let mut params = initialize(REVISION);
    params["capabilities"] = json!({});
    formless.initialize_with(params);
    let mut waiting = formless.post_stream(&about(5, "tasks/result", &id));
    let _ = tasks.http.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let mut stream = tasks.http.post_stream(&about(6, "tasks/result", &id));
    let question = stream.next_message();
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    assert_eq!(tasks.http.post(&answer).status, 202);
    assert_eq!(text(&waiting.next_message()), "declined", "the first that it is told");
}

/// A client that leaves has not refused: its question waits, and outlives the host too.
#[test]
fn a_client_that_leaves_refuses_nothing() {
    let (mut host, mut client) = worker().serve_stdio();
    client.initialize(REVISION);
    let file = host.folder().join("steps");
    let created = client.ask(&as_task(1, "ask_word", json!({"file": file})));
    let id = created["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    client.send(&about(2, "tasks/result", &id));
    let _ = asked(&client, "elicitation/create");
    client.close();
    assert_eq!(host.wait().code(), Some(0));
    let (_host, mut client) = host.kill().serve_stdio();
    client.initialize(REVISION);
    client.send(&about(3, "tasks/result", &id));
    let question = asked(&client, "elicitation/create");
    let answer =
        json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"word": "blue"}}});
    client.send(&answer);
    let done = client.receive();
    assert_eq!(text(&done), "7 blue");
    assert_eq!(fs::read_to_string(file).unwrap(), "step\n", "done once, in both runs");
}

/// 2025-era K-16, H-12: whoever waits for a task holds no call's place, and is not waited for when it is gone.
#[test]
fn requests_that_wait_for_tasks_hold_up_nobody() {
    let host = worker()
        .config("[limits]\nmax_calls = 2\n[sessions]\nresume_for = \"300ms\"\nidle_timeout = \"600ms\"")
        .serve_http();
    let tasks = Tasks::stateful(host.http());
    let id = tasks.begin("ask_word", json!({"file": host.folder().join("steps")}));
    for number in 10..14 {
        let mut waiting = tasks.http.post_stream(&about(number, "tasks/result", &id));
        let _ = waiting.next_message();
    }
    let other = session(&host);
    assert_eq!(text(&other.ask(&call(1, "steps", json!({"steps": 1, "pause_ms": 1})))), "1 steps");
    eventually("the end of the session whose client is gone", || {
        (host.http().get("/health/detailed").json()["sessions"] == 0).then_some(())
    });
}

/// 2025-era K-13, K-15, U-06.
#[test]
fn progress_logs_and_states_are_told_until_the_end_and_say_whose_they_are() {
    let (_host, mut client) = worker().serve_stdio();
    client.initialize(REVISION);
    let mut params =
        json!({"name": "tells", "arguments": {"pause_ms": 30}, "task": {}, "_meta": {"progressToken": "p"}});
    client.send(&request(1, "tools/call", params.take()));
    let mut id = None;
    let (mut progress, mut logs) = (Vec::new(), Vec::new());
    loop {
        let message = client.receive();
        let related = message["params"]["_meta"][RELATED]["taskId"].clone();
        match message["method"].as_str() {
            None => id = Some(message["result"]["task"]["taskId"].clone()),
            Some("notifications/progress") => {
                assert_eq!(message["params"]["progressToken"], "p");
                progress.push((related, message["params"]["progress"].as_f64().unwrap()));
            }
            Some("notifications/message") => logs.push((related, message["params"]["data"].clone())),
            Some("notifications/tasks/status") => {
                assert!(message["params"].get("_meta").is_none(), "K-13: not here");
                if message["params"]["status"] == "completed" {
                    assert_eq!(message["params"]["taskId"], id.clone().unwrap());
                    break;
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let id = id.unwrap();
    assert_eq!(progress, [1.0, 2.0, 3.0].map(|done| (id.clone(), done)));
    assert_eq!(logs, ["word 1", "word 2", "word 3"].map(|word| (id.clone(), json!(word))));
    assert!(client.receive_within(std::time::Duration::from_millis(200)).is_none(), "nothing follows the end");
}

/// 2025-era K-18: a client that answers as tasks of its own is asked so, and followed.
#[test]
fn questions_can_be_tasks_of_the_client() {
    let (_host, mut client) = worker().serve_stdio();
    let mut params = initialize(REVISION);
    params["capabilities"]["tasks"] = json!({
        "cancel": {},
        "requests": {"elicitation": {"create": {}}, "sampling": {"createMessage": {}}}
    });
    client.ask(&request(0, "initialize", params));
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let reply = |client: &mut Stdio, id: &Value, result: Value| {
        client.send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    };
    let task = |status: &str| {
        json!({
            "taskId": "mine", "status": status, "createdAt": "2026-01-01T00:00:00Z",
            "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": null, "pollInterval": 50
        })
    };
    client.send(&call(1, "ask_model", json!({})));
    let question = asked(&client, "sampling/createMessage");
    assert_eq!(question["params"]["task"], json!({"ttl": 600_000}));
    reply(&mut client, &question["id"], json!({"task": task("working")}));
    for status in ["working", "completed"] {
        let poll = asked(&client, "tasks/get");
        assert_eq!(poll["params"], json!({"taskId": "mine"}));
        reply(&mut client, &poll["id"], task(status));
    }
    let fetch = asked(&client, "tasks/result");
    let sampled = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "ha"}});
    reply(&mut client, &fetch["id"], sampled.clone());
    let done = client.receive();
    assert_eq!((&done["id"], text(&done)), (&json!(1), "ha"));
    // It may answer at once all the same.
    client.send(&call(2, "ask_model", json!({})));
    let question = asked(&client, "sampling/createMessage");
    reply(&mut client, &question["id"], sampled);
    assert_eq!(text(&client.receive()), "ha");
    // Nobody waits for it any more: it is told so.
    client.send(&call(3, "ask_model", json!({})));
    let question = asked(&client, "sampling/createMessage");
    reply(&mut client, &question["id"], json!({"task": task("working")}));
    let _ = asked(&client, "tasks/get");
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}}));
    assert_eq!(asked(&client, "tasks/cancel")["params"], json!({"taskId": "mine"}));
    // A form too, within a task of the host, whose own state is not the client's.
    let created = client.ask(&as_task(5, "ask_and_wait", json!({"pause_ms": 1})));
    let id = created["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    client.send(&about(6, "tasks/result", &id));
    let question = asked(&client, "elicitation/create");
    assert_eq!(question["params"]["task"], json!({"ttl": 600_000}));
    assert_eq!(question["params"]["_meta"], json!({RELATED: {"taskId": id}}));
    reply(&mut client, &question["id"], json!({"task": task("failed")}));
    let fetch = asked(&client, "tasks/result");
    client.send(&json!({"jsonrpc": "2.0", "id": fetch["id"], "error": {"code": -1, "message": "no"}}));
    let failed = reply_to(&client, 6);
    assert_eq!(text(&failed), "the client answered with error -1: no");
    // A task of its own that fails is a failed question.
    client.send(&call(4, "ask_model", json!({})));
    let question = asked(&client, "sampling/createMessage");
    reply(&mut client, &question["id"], json!({"task": task("cancelled")}));
    let failed = reply_to(&client, 4);
    assert_eq!(text(&failed), "the client has cancelled its task");
}
