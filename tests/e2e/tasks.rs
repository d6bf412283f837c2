//! Tasks of the extension, of 2026-07-28: what the official suite does not look at.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{
    Host, HostBuilder, PREFIX, TASKS, Tasks, accept, assert_asks, eventually, full_meta, meta_with, stateless,
    stateless_call, text, with_tasks,
};
use serde_json::{Value, json};
use std::fs;

fn worker() -> HostBuilder {
    Host::with(&["worker"])
}

/// A call of a client that follows tasks.
fn call(id: u64, tool: &str, arguments: Value) -> Value {
    with_tasks(id, "tools/call", json!({"name": tool, "arguments": arguments}))
}

#[track_caller]
fn assert_error(reply: &Value, code: i64, piece: &str) {
    assert_eq!(reply["error"]["code"], code, "{reply}");
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.contains(piece), "{message}");
}

/// 2026-07-28 K-04, K-05, K-07, K-14.
#[test]
fn a_task_is_flat_can_be_found_at_once_and_has_its_result_inside() {
    let host = worker().serve_http();
    let created = host.http().ask_stateless(&call(1, "steps", json!({"steps": 2, "pause_ms": 50})));
    let task = &created["result"];
    let mut members: Vec<&str> = task.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    let expected = ["_meta", "createdAt", "lastUpdatedAt", "pollIntervalMs", "resultType", "status", "taskId", "ttlMs"];
    assert_eq!(members, expected);
    assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")));
    assert_eq!((&task["ttlMs"], &task["pollIntervalMs"]), (&json!(86_400_000), &json!(1000)));
    assert_eq!(task["taskId"].as_str().unwrap().len(), 32);
    let tasks = Tasks::stateless(host.http());
    let done = tasks.until(task["taskId"].as_str().unwrap(), "completed");
    assert_eq!(done["resultType"], "complete");
    assert_eq!(done["result"], json!({"content": [{"type": "text", "text": "2 steps"}]}));
    assert_eq!(done["createdAt"], task["createdAt"]);
    assert!(done["lastUpdatedAt"].as_str() > task["lastUpdatedAt"].as_str(), "{done}");
    for none in ["error", "inputRequests", "requestState", "ttl", "pollInterval"] {
        assert!(done.get(none).is_none(), "{none}: {done}");
    }
}

/// 2026-07-28 K-02, K-12: before anything is looked up, and before params are read.
#[test]
fn clients_without_the_extension_are_refused_before_anything_is_looked_up() {
    let host = worker().serve_http();
    let http = host.http();
    for (method, params) in [
        ("tasks/get", json!({"taskId": "no"})),
        ("tasks/get", json!({})),
        ("tasks/update", json!({"taskId": 7})),
        ("tasks/cancel", json!({"taskId": "no"})),
        ("subscriptions/listen", json!({"notifications": {"taskIds": ["no"]}})),
        ("subscriptions/listen", json!({"notifications": {"taskIds": "no", "toolsListChanged": 7}})),
    ] {
        let reply = http.post_stateless(&stateless(1, method, params));
        assert_eq!(reply.status, 400, "{method}: {}", reply.body);
        assert_error(&reply.json(), -32021, TASKS);
        assert_eq!(reply.json()["error"]["data"], json!({"requiredCapabilities": {"extensions": {TASKS: {}}}}));
    }
    // The same call is answered by its result.
    let plain = http.ask_stateless(&stateless_call(2, "steps", json!({"steps": 1, "pause_ms": 1})));
    assert_eq!((text(&plain), &plain["result"]["resultType"]), ("1 steps", &json!("complete")));
}

/// 2026-07-28 K-10, K-11, K-13; N-01.
#[test]
fn unknown_tasks_are_unknown_to_every_method() {
    let host = worker().serve_http();
    let tasks = Tasks::stateless(host.http());
    for (method, params) in [
        ("tasks/get", json!({"taskId": "no"})),
        ("tasks/update", json!({"taskId": "no", "inputResponses": {}})),
        ("tasks/cancel", json!({"taskId": "no"})),
    ] {
        assert_error(&tasks.ask(method, params), -32602, "unknown task");
    }
    assert_error(&tasks.ask("tasks/get", json!({})), -32602, "missing field 'taskId'");
    assert_error(&tasks.ask("tasks/update", json!({"taskId": "no"})), -32602, "missing field 'inputResponses'");
    for gone in ["tasks/result", "tasks/list"] {
        let reply = host.http().post_stateless(&with_tasks(3, gone, json!({"taskId": "no"})));
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!(-32601)), "2026-07-28 V-07");
    }
}

/// 2026-07-28 K-13: what is another's is as if it were not.
#[test]
fn another_user_finds_nothing() {
    let host = worker().config("[http]\nuser_header = \"X-User\"").serve_http();
    let as_user = |user: &str, request: &Value| host.http().post_stateless_with(request, &[("X-User", user)]).json();
    let created = as_user("ada", &call(1, "ask_word", json!({"file": "/dev/null"})));
    let id = created["result"]["taskId"].as_str().unwrap();
    for (method, more) in
        [("tasks/get", json!({})), ("tasks/update", json!({"inputResponses": {}})), ("tasks/cancel", json!({}))]
    {
        let mut params = more;
        params["taskId"] = id.into();
        let foreign = as_user("bob", &with_tasks(2, method, params.clone()));
        params["taskId"] = "no".into();
        assert_eq!(foreign["error"], as_user("bob", &with_tasks(2, method, params))["error"], "{method}");
    }
    assert_eq!(as_user("ada", &with_tasks(3, "tasks/get", json!({"taskId": id})))["result"]["taskId"], id);
    let listen = with_tasks(4, "subscriptions/listen", json!({"notifications": {"taskIds": [id]}}));
    let mut headers = host.http().stateless_headers(&listen);
    headers.push(("X-User".to_owned(), "bob".to_owned()));
    let stream = host.http().begin("POST", "/mcp", &headers, listen.to_string().as_bytes());
    let honoured = mcp_host_tests::Stream::read(stream).next_message();
    assert_eq!(honoured["params"]["notifications"], json!({}), "2026-07-28 K-14");
}

/// 2026-07-28 K-07, K-09, K-10, K-20.
#[test]
fn questions_are_shown_until_they_are_answered_and_keys_are_never_used_again() {
    let host = worker().serve_http();
    let tasks = Tasks::stateless(host.http());
    let file = host.folder().join("steps");
    let id = tasks.begin("ask_word", json!({"file": file}));
    let asked = tasks.until(&id, "input_required");
    let question = &asked["inputRequests"]["word"];
    assert_eq!((&question["method"], &question["params"]["mode"]), (&json!("elicitation/create"), &json!("form")));
    let update = |answers: Value| tasks.ask("tasks/update", json!({"taskId": id, "inputResponses": answers}));
    let ack = update(json!({"other": accept(json!({}))}));
    assert_eq!(ack["result"]["resultType"], "complete");
    assert_error(&update(json!({"word": accept(json!({"word": 7}))})), -32602, "the answer for 'word' is not taken");
    assert_eq!(tasks.get(&id)["status"], "input_required");
    let ack = update(json!({"word": accept(json!({"word": "blue"}))}));
    assert_eq!(ack["result"].as_object().unwrap().keys().collect::<Vec<_>>(), ["resultType", "_meta"]);
    assert!(tasks.get(&id).get("inputRequests").is_none(), "seen by the very next request");
    let done = tasks.until(&id, "completed");
    assert_eq!(done["result"]["content"][0]["text"], "7 blue");
    assert_eq!(fs::read_to_string(file).unwrap(), "step\n");
    assert_eq!(update(json!({"word": accept(json!({"word": "red"}))}))["result"]["resultType"], "complete");
}

/// 2026-07-28 K-11: cooperative, idempotent, and the plugin's code hears of it.
#[test]
fn a_cancelled_task_stops_its_code_and_stays_cancelled() {
    let host = worker().serve_http();
    let tasks = Tasks::stateless(host.http());
    let file = host.folder().join("heeded");
    let id = tasks.begin("heeds", json!({"file": file}));
    eventually("its begin", || fs::read_to_string(&file).ok());
    for _ in 0..2 {
        let ack = tasks.ask("tasks/cancel", json!({"taskId": id}));
        assert_eq!(ack["result"].as_object().unwrap().keys().collect::<Vec<_>>(), ["resultType", "_meta"]);
    }
    let cancelled = tasks.get(&id);
    assert_eq!((&cancelled["status"], cancelled.get("result")), (&json!("cancelled"), None));
    eventually("its end", || fs::read_to_string(&file).unwrap().contains("cancelled").then_some(()));
    assert_eq!(tasks.get(&id)["status"], "cancelled");
}

/// 2026-07-28 K-14, N-02, N-03, N-04; N-08.
#[test]
fn those_who_listen_are_told_the_whole_task_and_nothing_else() {
    let host = worker().serve_http();
    let tasks = Tasks::stateless(host.http());
    let file = host.folder().join("steps");
    let id = tasks.begin("ask_word", json!({"file": file}));
    let _ = tasks.until(&id, "input_required");
    let other = tasks.begin("steps", json!({"steps": 1, "pause_ms": 1}));
    let wanted = json!({"notifications": {"taskIds": [id, "no"]}});
    let mut stream = host.http().stream_stateless(&with_tasks(7, "subscriptions/listen", wanted));
    let honoured = stream.next_message();
    assert_eq!(honoured["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(honoured["params"]["notifications"], json!({"taskIds": [id]}));
    let _ = tasks.until(&other, "completed");
    let answer = json!({"word": accept(json!({"word": "blue"}))});
    let _ = tasks.ask("tasks/update", json!({"taskId": id, "inputResponses": answer}));
    loop {
        let told = stream.next_message();
        assert_eq!(told["method"], "notifications/tasks", "{told}");
        assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7);
        assert_eq!(told["params"]["taskId"], id.as_str());
        assert!(told["params"].get("resultType").is_none());
        if told["params"]["status"] == "completed" {
            let mut now = tasks.get(&id);
            let mut told = told["params"].clone();
            now.as_object_mut().unwrap().retain(|key, _| key != "_meta" && key != "resultType");
            told.as_object_mut().unwrap().retain(|key, _| key != "_meta");
            assert_eq!(told, now);
            break;
        }
    }
}

/// 2026-07-28 K-15, K-13.
#[test]
fn a_task_is_there_for_its_time_and_gone_after_it() {
    let host = worker().config("[tasks]\nttl = \"2s\"").serve_http();
    let tasks = Tasks::stateless(host.http());
    let id = tasks.begin("steps", json!({"steps": 1, "pause_ms": 1}));
    assert_eq!(tasks.until(&id, "completed")["ttlMs"], 2000);
    let gone = eventually("its end", || {
        let reply = tasks.ask("tasks/get", json!({"taskId": id}));
        reply.get("error").is_some().then_some(reply)
    });
    assert_error(&gone, -32602, "unknown task");
}

/// 2026-07-28 K-06, K-20: what comes before the task is asked before it, and kept for it.
#[test]
fn rounds_end_before_the_task_begins() {
    let host = Host::with(&["everything"]).serve_http();
    let request = call(1, "test_tool_with_task", json!({}));
    let asked = host.http().ask_stateless(&request);
    assert_asks(&asked, &["user_name"]);
    assert!(asked["result"].get("taskId").is_none());
    let answer = json!({"user_name": accept(json!({"name": "Ada"}))});
    let created = host.http().ask_stateless(&mcp_host_tests::retry(&request, 2, &asked, answer));
    assert_eq!(created["result"]["resultType"], "task", "{created}");
    assert!(created["result"].get("requestState").is_none());
    let id = created["result"]["taskId"].as_str().unwrap();
    let tasks = Tasks::stateless(host.http());
    assert_eq!(tasks.until(id, "completed")["result"]["content"][0]["text"], "Hello, Ada!");
    let without = host.http().post_stateless(&stateless_call(3, "test_tool_with_task", json!({})));
    assert_eq!(without.status, 400);
    assert_error(&without.json(), -32021, "runs as a task only");
}

/// dual-era §4: a task belongs to the era that created it; 2026-07-28 K-19 is the exception.
#[test]
fn a_task_belongs_to_its_era() {
    let host = worker().serve_http();
    let (new, old) = (Tasks::stateless(host.http()), Tasks::stateful(host.http()));
    let slow = json!({"steps": 1000, "pause_ms": 10});
    let (of_new, of_old) = (new.begin("steps", slow.clone()), old.begin("steps", slow));
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        assert_error(&old.ask(method, json!({"taskId": of_new})), -32602, "unknown task");
    }
    for method in ["tasks/get", "tasks/cancel"] {
        assert_error(&new.ask(method, json!({"taskId": of_old})), -32602, "unknown task");
    }
    let knows_core = |method: &str, id: &str| {
        let params = json!({"taskId": id, "_meta": meta_with(json!({"tasks": {}}))});
        host.http().post_stateless(&stateless(5, method, params))
    };
    let got = knows_core("tasks/get", &of_old).json();
    assert_eq!(
        (&got["result"]["resultType"], &got["result"]["ttl"]),
        (&json!("complete"), &json!(86_400_000)),
        "{got}"
    );
    assert_eq!(knows_core("tasks/cancel", &of_old).json()["result"]["status"], "cancelled");
    assert_eq!((knows_core("tasks/get", &of_new).status, knows_core("tasks/cancel", "no").status), (400, 400));
    assert_error(&knows_core("tasks/get", &of_new).json(), -32021, TASKS);
    assert_eq!(knows_core("tasks/update", &of_old).status, 400);
    // Nor does it begin a task.
    let meta = meta_with(json!({"tasks": {}}));
    let params = json!({"name": "steps", "arguments": {"steps": 1, "pause_ms": 1}, "task": {}, "_meta": meta});
    assert_eq!(text(&host.http().ask_stateless(&stateless(6, "tools/call", params))), "1 steps");
    assert_eq!(new.ask("tasks/cancel", json!({"taskId": of_new}))["result"]["resultType"], "complete");
}

/// 2026-07-28 N-08: progress is in the record; its words are for people.
#[test]
fn how_far_a_task_is_can_be_read_and_is_not_told() {
    let host = worker().serve_http();
    let tasks = Tasks::stateless(host.http());
    let id = tasks.begin("steps", json!({"steps": 500, "pause_ms": 10}));
    let message = eventually("a word about it", || tasks.get(&id)["statusMessage"].as_str().map(str::to_owned));
    assert!(message.ends_with(" of 500"), "{message}");
    let _ = tasks.ask("tasks/cancel", json!({"taskId": id}));
}

/// One that needs the user at a URL asks for that, and is tried again.
#[test]
fn a_task_sends_the_user_to_a_url_and_goes_on() {
    let host = worker().serve_http();
    let tasks = Tasks::stateless(host.http());
    let id = tasks.begin("needs_url", json!({"file": host.folder().join("tries")}));
    let asked = tasks.until(&id, "input_required");
    assert_eq!(asked["inputRequests"]["sign-in"]["params"]["url"], "https://example.com/sign-in");
    let answers = json!({"sign-in": {"action": "accept"}});
    let _ = tasks.ask("tasks/update", json!({"taskId": id, "inputResponses": answers}));
    assert_eq!(tasks.until(&id, "completed")["result"]["content"][0]["text"], "been there");
}

/// 2026-07-28 K-01, K-03, K-08, K-16.
#[test]
fn the_extension_is_offered_and_is_about_tools_alone() {
    let host = Host::with(&["everything"]).serve_http();
    let http = host.http();
    let discovered = http.ask_stateless(&stateless(1, "server/discover", json!({})));
    let capabilities = &discovered["result"]["capabilities"];
    assert_eq!((&capabilities["extensions"][TASKS], capabilities.get("tasks")), (&json!({}), None));
    let read = with_tasks(2, "resources/read", json!({"uri": "test://static-text", "task": {}}));
    assert_eq!(http.ask_stateless(&read)["result"]["resultType"], "complete");
    let tasks = Tasks::stateless(host.http());
    let failing = tasks.begin("failing_job", json!({}));
    let done = tasks.until(&failing, "completed");
    assert_eq!((&done["result"]["isError"], &done["statusMessage"]), (&json!(true), &json!("the job failed")));
    for name in ["", "another"] {
        let get = with_tasks(3, "tasks/get", json!({"taskId": failing}));
        let refused = http.post_stateless_with(&get, &[("Mcp-Name", name)]);
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(-32020)), "{name}");
    }
}

/// 2026-07-28 K-17: a task asks what the client could that began it, whoever polls.
#[test]
fn questions_are_for_the_client_that_began_the_task() {
    let host = worker().serve_http();
    let meta = meta_with(json!({"extensions": {TASKS: {}}}));
    let params = json!({"name": "ask_word", "arguments": {"file": host.folder().join("steps")}, "_meta": meta});
    let created = host.http().ask_stateless(&stateless(1, "tools/call", params));
    let tasks = Tasks::stateless(host.http());
    let failed = tasks.until(created["result"]["taskId"].as_str().unwrap(), "failed");
    assert_eq!(failed["error"]["code"], -32021, "{failed}");
    assert_eq!(failed["error"]["data"], json!({"requiredCapabilities": {"elicitation": {}}}));
}

/// 2026-07-28 S-02: a client that has cancelled its request gets no answer, and nothing is done for it.
#[test]
fn a_cancelled_request_makes_no_task() {
    let (host, mut client) = worker().serve_stdio();
    let file = host.folder().join("lines");
    let request = call(1, "count", json!({"to": 5, "file": file, "pause_ms": 1}));
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    client.send_bytes(format!("{request}\n{cancel}\n").as_bytes());
    let pong = client.ask(&stateless(2, "tools/list", json!({})));
    assert_eq!(pong["id"], 2, "the first that it is told");
    client.close();
    assert_eq!(client.rest(), Vec::<Value>::new());
    assert!(!file.exists(), "{:?}", fs::read_to_string(&file));
}

/// A change that comes while another one is being told is told too: the last word is the task's last state.
#[test]
fn those_who_listen_always_hear_of_the_end() {
    let host = worker().serve_http();
    let tasks = Tasks::stateless(host.http());
    for round in 0..20 {
        // A record that takes a while to read.
        let file = format!("/dev/{}null", "./".repeat(round * 100));
        let id = tasks.begin("count", json!({"to": 100_000, "pause_ms": 1, "file": file}));
        let wanted = json!({"notifications": {"taskIds": [id]}});
        let mut stream = host.http().stream_stateless(&with_tasks(7, "subscriptions/listen", wanted));
        assert_eq!(stream.next_message()["method"], "notifications/subscriptions/acknowledged");
        let _ = tasks.ask("tasks/cancel", json!({"taskId": id}));
        while stream.next_message()["params"]["status"] != "cancelled" {}
    }
}

/// Both eras on one pipe, with tasks in each.
#[test]
fn tasks_are_followed_over_a_pipe_too() {
    let (_host, mut client) = worker().serve_stdio();
    let created = client.ask(&call(1, "steps", json!({"steps": 1, "pause_ms": 1})));
    let id = created["result"]["taskId"].clone();
    let done = eventually("its end", || {
        let task = client.ask(&with_tasks(2, "tasks/get", json!({"taskId": id})));
        (task["result"]["status"] == "completed").then_some(task)
    });
    assert_eq!(done["result"]["result"]["content"][0]["text"], "1 steps");
}

/// Operators may want none.
#[test]
fn without_tasks_there_is_no_sign_of_them() {
    let host = Host::with(&["worker", "everything"]).config("[tasks]\nstore = \"off\"").serve_http();
    let discovered = host.http().ask_stateless(&stateless(1, "server/discover", json!({})));
    assert!(discovered["result"]["capabilities"]["extensions"].get(TASKS).is_none(), "{discovered}");
    let mut meta = full_meta();
    meta[format!("{PREFIX}/clientCapabilities")]["extensions"] = json!({TASKS: {}});
    let plain = host.http().ask_stateless(&call(2, "steps", json!({"steps": 1, "pause_ms": 1})));
    assert_eq!(text(&plain), "1 steps");
    let unknown = host.http().post_stateless(&with_tasks(4, "tasks/get", json!({"taskId": "no"})));
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!(-32601)));
    let mut http = host.http();
    let opened = http.initialize("2025-11-25");
    assert!(opened["result"]["capabilities"].get("tasks").is_none());
    let listed = http.ask(&mcp_host_tests::request(2, "tools/list", json!({})));
    assert!(listed["result"]["tools"].as_array().unwrap().iter().all(|tool| tool.get("execution").is_none()));
    assert_error(
        &http.ask(&mcp_host_tests::request(4, "tasks/get", json!({"taskId": "no"}))),
        -32601,
        "unknown method",
    );
    let plain = http.ask(&mcp_host_tests::request(
        3,
        "tools/call",
        json!({"name": "steps", "arguments": {"steps": 1, "pause_ms": 1}, "task": {}}),
    ));
    assert_eq!(text(&plain), "1 steps", "2025-era K-02");
}

/// Calls and tasks take as long as their tool may, and progress gives them more.
#[test]
fn each_tool_has_its_time_and_progress_prolongs_it() {
    let config = "[plugins.worker]\ncall_timeout = \"400ms\"\nmax_call_time = \"1500ms\"\n[plugins.worker.tools.deaf]\ncall_timeout = \"100ms\"\ntask_timeout = \"200ms\"";
    let host = worker().config(config).serve_http();
    let http = host.http();
    let longer = http.ask_stateless(&stateless_call(1, "steps", json!({"steps": 5, "pause_ms": 200})));
    assert_eq!(text(&longer), "5 steps", "a second in all, with progress");
    let too_long = http.ask_stateless(&stateless_call(2, "steps", json!({"steps": 100, "pause_ms": 200})));
    assert_error(&too_long, -32603, "did not answer within 1s 500ms");
    let silent = http.ask_stateless(&stateless_call(3, "steps", json!({"steps": 1, "pause_ms": 5000})));
    assert_error(&silent, -32603, "did not answer");
    let tasks = Tasks::stateless(host.http());
    let id = tasks.begin("deaf", json!({"ms": 3000}));
    let failed = tasks.until(&id, "failed");
    assert_eq!(failed["error"]["code"], -32603, "{failed}");
    assert_eq!(failed["statusMessage"], failed["error"]["message"]);
    // It blocks its thread, and is accounted for until it returns.
    let detail = |key: &str| host.http().get("/health/detailed").json()["plugins"][0][key].clone();
    assert_eq!((detail("deaf_calls"), detail("calls")), (json!(1), json!(1)));
    assert!(detail("oldest_deaf_seconds").is_u64());
    eventually("its return", || (detail("calls") == 0).then_some(()));
    assert_eq!((detail("deaf_calls"), detail("oldest_deaf_seconds")), (json!(0), Value::Null));
}

/// What is kept is bounded, and whoever comes too late is told so.
#[test]
fn the_number_of_tasks_is_bounded() {
    let host = worker().config("[tasks]\nmax_tasks = 2\nmax_per_client = 2\nmax_running = 1").serve_http();
    let tasks = Tasks::stateless(host.http());
    let slow = json!({"steps": 1000, "pause_ms": 10});
    let (first, second) = (tasks.begin("steps", slow.clone()), tasks.begin("steps", slow.clone()));
    let refused = host.http().ask_stateless(&call(3, "steps", slow));
    assert_error(&refused, -32603, "no task can be kept now: 2 tasks");
    let health = host.http().get("/health/detailed").json()["tasks"].clone();
    assert_eq!(health, json!({"kept": 2, "running": 1, "waiting": 1}));
    for id in [&first, &second] {
        let _ = tasks.ask("tasks/cancel", json!({"taskId": id}));
    }
    eventually("their end", || {
        let health = host.http().get("/health/detailed").json()["tasks"].clone();
        (health == json!({"kept": 2, "running": 0, "waiting": 0})).then_some(())
    });
}
