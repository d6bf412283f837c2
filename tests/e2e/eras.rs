//! Both eras at once, on one endpoint and on one pipe: each client gets its own answers in its own form, and nothing of the
//! other's.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{
    Host, Http, PREFIX, Stdio, Stream, accept, assert_asks, call, request, retry, stateless, stateless_call, text,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Every key that stands anywhere in a message.
fn keys(message: &Value, found: &mut Vec<String>) {
    match message {
        Value::Object(members) => {
            for (key, value) in members {
                found.push(key.clone());
                keys(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

/// What one era has and the other must never see (dual-era §2).
const STATELESS_ONLY: [&str; 7] = [
    "resultType",
    "ttlMs",
    "cacheScope",
    "io.modelcontextprotocol/serverInfo",
    "io.modelcontextprotocol/subscriptionId",
    "inputRequests",
    "requestState",
];
const STATEFUL_ONLY: [&str; 3] = ["elicitationId", "execution", "serverInfo"];

#[track_caller]
fn assert_lacks(message: &Value, forbidden: &[&str]) {
    let mut found = Vec::new();
    keys(message, &mut found);
    for key in forbidden {
        assert!(!found.iter().any(|it| it == key), "'{key}' in {message}");
    }
}

/// Requests that both eras have, and that are answered at once.
fn common() -> Vec<(&'static str, Value)> {
    let tool = |name: &str, arguments: Value| ("tools/call", json!({"name": name, "arguments": arguments}));
    vec![
        ("tools/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/read", json!({"uri": "test://static-text"})),
        ("prompts/get", json!({"name": "test_simple_prompt"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"}, "argument": {"name": "arg1", "value": "te"}}),
        ),
        tool("echo", json!({"message": "m"})),
        tool("test_structured", json!({})),
        tool("test_error_handling", json!({})),
        tool("no_such_tool", json!({})),
        ("resources/read", json!({"uri": "test://none"})),
        ("no/such", json!({})),
    ]
}

#[track_caller]
fn hold_apart(old: &Value, new: &Value) {
    assert_lacks(old, &STATELESS_ONLY);
    assert_lacks(new, &STATEFUL_ONLY);
    if new.get("result").is_some() {
        assert_eq!(new["result"]["resultType"], "complete", "{new}");
        assert!(new["result"]["_meta"][format!("{PREFIX}/serverInfo")].is_object(), "{new}");
    }
    let code = |reply: &Value| reply["error"]["code"].as_i64();
    assert!(!matches!(code(old), Some(-32022..=-32020)), "{old}");
    assert!(!matches!(code(new), Some(-32002 | -32042)), "{new}");
    assert_eq!(code(old).is_some(), code(new).is_some(), "{old} {new}");
}

#[test]
fn nothing_leaks_over_http() {
    let host = Host::with(&["everything"]).serve_http();
    let mut session = host.http();
    let opened = session.initialize("2025-11-25");
    assert_lacks(&opened, &STATELESS_ONLY);
    for (method, params) in common() {
        let old = session.post(&request(1, method, params.clone()));
        let new = host.http().post_stateless(&stateless(1, method, params));
        hold_apart(&old.json(), &new.json());
        // 2025-era J-05: an error of a well-formed request is a 200; 2026-07-28 H-11: an unknown method is none.
        assert_eq!(old.status, 200);
        assert_eq!(new.status, if method == "no/such" { 404 } else { 200 });
        assert_eq!(new.header("mcp-session-id"), None);
    }
    for exact in ["ping", "logging/setLevel"] {
        let reply = session.ask(&request(2, exact, json!({"level": "debug"})));
        assert_eq!(reply["result"], json!({}), "{exact}");
    }
    // A session's log level is no request's, and the other way round.
    let logging = json!({"name": "test_tool_with_logging"});
    let silent = host.http().stream_stateless(&stateless(3, "tools/call", logging.clone())).messages();
    assert_eq!(silent.len(), 0);
    let told = session.post_stream(&request(4, "tools/call", logging)).messages();
    assert_eq!(told.len(), 4);
    // Without structured results of any kind, the stateful era has the text.
    let any = json!({"name": "test_structured_any", "arguments": {"kind": "array"}});
    let old = session.ask(&request(5, "tools/call", any));
    assert_eq!((old["result"].get("structuredContent"), text(&old)), (None, "[1,2]"));
}

#[test]
fn nothing_leaks_over_a_pipe_and_any_order_will_do() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    // Before any handshake (dual-era D-20, D-22, D-23).
    let probe = client.ask(&stateless(1, "server/discover", json!({})));
    assert_eq!(probe["result"]["supportedVersions"], json!(["2026-07-28"]));
    let bare = client.ask(&request(2, "server/discover", json!({})));
    assert_eq!(bare["error"]["code"], -32602);
    let early = client.ask(&request(3, "tools/list", json!({})));
    assert_eq!(early["error"]["code"], -32600);
    assert_eq!(client.ask(&request(4, "ping", json!({})))["result"], json!({}));
    let other = client.ask(&stateless(5, "initialize", json!({})));
    assert_eq!(other["error"]["code"], -32601);
    client.initialize("2025-11-25");
    let bare = client.ask(&request(6, "server/discover", json!({})));
    assert_eq!(bare["error"]["code"], -32601);
    for (method, params) in common() {
        let old = client.ask(&request(7, method, params.clone()));
        let new = client.ask(&stateless(7, method, params));
        hold_apart(&old, &new);
    }
    // A modern request finds nothing of the session, nor does it open one.
    let new = client.ask(&stateless(8, "server/discover", json!({})));
    assert_eq!(new["result"]["resultType"], "complete");
}

#[test]
fn ids_of_both_eras_are_the_clients_own() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    client.send(&stateless_call(1, "test_sleep", json!({"ms": 20_000})));
    let doubled = client.ask(&call(1, "echo", json!({"message": "m"})));
    assert_eq!(doubled["error"]["message"], "a request with this id is under way");
    client.send(&call(2, "test_sleep", json!({"ms": 20_000})));
    let doubled = client.ask(&stateless_call(2, "echo", json!({"message": "m"})));
    assert_eq!(doubled["error"]["message"], "a request with this id is under way");
    // Either is cancelled by its id, whatever era the word itself is of; nothing of them follows (2026-07-28 S-02).
    for id in [1, 2, 77] {
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
    }
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": 7}));
    assert_eq!(text(&client.ask(&call(3, "echo", json!({"message": "next"})))), "next");
    assert_eq!(client.receive_within(Duration::from_millis(200)), None);
    assert_eq!(text(&client.ask(&stateless_call(1, "echo", json!({"message": "again"})))), "again");
}

#[test]
fn a_plugin_asks_both_in_the_way_of_each() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    let arguments = json!({"message": "Who?"});
    let new = stateless_call(1, "test_elicitation", arguments.clone());
    client.send(&call(2, "test_elicitation", arguments));
    let live = client.receive();
    assert_eq!(live["method"], "elicitation/create");
    // While the stateful call waits, the stateless one is asked and answered.
    let asked = client.ask(&new);
    assert_asks(&asked, &["user"]);
    let answer = accept(json!({"username": "new", "email": "n@example.com"}));
    let done = client.ask(&retry(&new, 3, &asked, json!({"user": answer})));
    assert!(text(&done).contains("\"new\""), "{done}");
    let answer = accept(json!({"username": "old", "email": "o@example.com"}));
    client.send(&json!({"jsonrpc": "2.0", "id": live["id"], "result": answer}));
    let done = client.receive();
    assert_eq!(done["id"], 2);
    assert!(text(&done).contains("\"old\""), "{done}");
}

fn listen(id: impl Into<Value>, notifications: Value) -> Value {
    stateless(id, "subscriptions/listen", json!({"notifications": notifications}))
}

fn subscription(message: &Value) -> &Value {
    &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"]
}

#[test]
fn each_stream_hears_what_it_asked_for_and_nothing_else() {
    let host = Host::with(&["everything"]).serve_http();
    let http = host.http();
    let watched = "test://watched-resource";
    let open = |id: Value, filter: Value| -> Stream {
        let mut stream = http.stream_stateless(&listen(id.clone(), filter));
        let first = stream.next_message();
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "2026-07-28 N-02");
        assert_eq!(subscription(&first), &id, "2026-07-28 N-03");
        stream
    };
    let all = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": [watched, "test://none"],
    });
    let mut everything = http.stream_stateless(&listen("all", all));
    let honoured = everything.next_message()["params"]["notifications"].clone();
    assert_eq!(honoured["resourceSubscriptions"], json!([watched]), "what is not served is not honoured");
    let mut tools = open(json!(1), json!({"toolsListChanged": true}));
    let mut prompts = open(json!("1"), json!({"promptsListChanged": true}));
    let mut session = host.http();
    session.initialize("2025-11-25");
    let mut own = session.get_stream(None);
    let trigger = |tool: &str, arguments: Value| {
        assert!(http.ask_stateless(&stateless_call(9, tool, arguments)).get("result").is_some());
    };
    let expect = |stream: &mut Stream, method: &str, id: Value| {
        let message = stream.next_message();
        assert_eq!((message["method"].as_str().unwrap(), subscription(&message)), (method, &id));
        message
    };
    trigger("test_trigger_tool_change", json!({}));
    expect(&mut tools, "notifications/tools/list_changed", json!(1));
    expect(&mut everything, "notifications/tools/list_changed", json!("all"));
    trigger("test_trigger_prompt_change", json!({}));
    expect(&mut prompts, "notifications/prompts/list_changed", json!("1"));
    expect(&mut everything, "notifications/prompts/list_changed", json!("all"));
    trigger("test_touch_resource", json!({"uri": "test://static-text"}));
    trigger("test_touch_resource", json!({"uri": watched}));
    let updated = expect(&mut everything, "notifications/resources/updated", json!("all"));
    assert_eq!(updated["params"]["uri"], watched);
    trigger("test_trigger_resource_change", json!({}));
    expect(&mut everything, "notifications/resources/list_changed", json!("all"));
    // The session has heard of each list once, untagged (dual-era §5).
    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    while heard.len() < 3 {
        let message = own.next_message();
        assert_eq!(subscription(&message), &Value::Null);
        *heard.entry(message["method"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(heard.values().all(|count| *count == 1), "{heard:?}");
    // Leaving a stream ends it alone.
    drop(tools);
    mcp_host_tests::eventually("two streams", || {
        (http.get("/health/detailed").json()["subscriptions"] == 2).then_some(())
    });
    trigger("test_trigger_prompt_change", json!({}));
    expect(&mut prompts, "notifications/prompts/list_changed", json!("1"));
}

#[test]
fn streams_end_with_a_result_when_the_host_ends() {
    let mut host = Host::with(&["everything"]).serve_http();
    let mut stream = host.http().stream_stateless(&listen("mine", json!({"toolsListChanged": true})));
    stream.next_message();
    host.signal("TERM");
    let farewell = stream.next_message();
    assert_eq!((&farewell["id"], &farewell["result"]["resultType"]), (&json!("mine"), &json!("complete")));
    assert_eq!(farewell["result"]["_meta"][format!("{PREFIX}/subscriptionId")], "mine");
    assert_eq!(stream.next_event(), None);
    assert_eq!(host.wait().code(), Some(0));

    // On a pipe the client is told first that its request is over (2026-07-28 N-05).
    let (mut host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.send(&listen(5, json!({"toolsListChanged": true})));
    assert_eq!(client.receive()["method"], "notifications/subscriptions/acknowledged");
    host.signal("TERM");
    let cancelled = client.receive();
    assert_eq!(
        (&cancelled["method"], &cancelled["params"]["requestId"]),
        (&json!("notifications/cancelled"), &json!(5))
    );
    let farewell = client.receive();
    assert_eq!((&farewell["id"], &farewell["result"]["resultType"]), (&json!(5), &json!("complete")));
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn streams_have_their_farewell_though_a_call_has_to_be_cut_off() {
    let mut host = Host::with(&["everything"]).config("[limits]\ndrain_timeout = \"500ms\"").serve_http();
    let http = host.http();
    let mut stream = http.stream_stateless(&listen(1, json!({"toolsListChanged": true})));
    stream.next_message();
    let busy = stateless_call(2, "test_sleep", json!({"ms": 20_000}));
    let _busy = http.begin("POST", "/mcp", &http.stateless_headers(&busy), busy.to_string().as_bytes());
    mcp_host_tests::eventually("the call", || (http.get("/health/detailed").json()["calls"] == 1).then_some(()));
    host.signal("TERM");
    assert_eq!(stream.next_message()["result"]["resultType"], "complete");
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn what_is_listened_for_is_bounded() {
    let host = Host::with(&["everything"]).serve_http();
    let listen_for =
        |uris: Value| host.http().post_stateless(&listen(1, json!({"resourceSubscriptions": uris}))).json();
    let long = format!("test://template/{}/data", "a".repeat(9000));
    assert_eq!(listen_for(json!([long]))["error"]["code"], -32602);
    assert_eq!(listen_for(json!(vec!["test://static-text"; 1025]))["error"]["code"], -32602);
    let mut twice =
        host.http().stream_stateless(&listen(2, json!({"resourceSubscriptions": vec!["test://static-text"; 9]})));
    assert_eq!(twice.next_message()["params"]["notifications"]["resourceSubscriptions"], json!(["test://static-text"]));
}

#[test]
fn streams_on_a_pipe_are_told_apart_and_cancelled_alone() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    for id in [1, 2] {
        client.send(&listen(id, json!({"toolsListChanged": true})));
        assert_eq!(subscription(&client.receive()), &json!(id));
    }
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}));
    let done = client.ask(&stateless_call(3, "echo", json!({"message": "m"})));
    assert_eq!(text(&done), "m");
    client.send(&stateless_call(4, "test_trigger_tool_change", json!({})));
    let mut both = [client.receive(), client.receive()];
    both.sort_by_key(|message| message.get("id").is_none());
    assert_eq!(both[0]["id"], 4);
    assert_eq!(subscription(&both[1]), &json!(2));
    assert_eq!(client.receive_within(Duration::from_millis(200)), None);
    client.close();
    assert_eq!(client.rest(), Vec::<Value>::new());
}

#[test]
fn a_reader_that_is_away_finds_what_is_still_true() {
    let host = Host::with(&["everything"]).serve_http();
    let http = host.http();
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["test://watched-resource"]});
    let mut stream = http.stream_stateless(&listen(1, filter));
    stream.next_message();
    for _ in 0..200 {
        let _ =
            http.ask_stateless(&stateless_call(2, "test_touch_resource", json!({"uri": "test://watched-resource"})));
    }
    let _ = http.ask_stateless(&stateless_call(2, "test_trigger_tool_change", json!({})));
    let mut updates = 0;
    loop {
        let message = stream.next_message();
        match message["method"].as_str().unwrap() {
            "notifications/resources/updated" => updates += 1,
            other => {
                assert_eq!(other, "notifications/tools/list_changed");
                break;
            }
        }
    }
    assert!((1..=200).contains(&updates), "{updates}");
}

/// One thing that one of the clients does.
#[derive(Debug, Clone, Copy)]
struct Step {
    stateless: bool,
    deed: Deed,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Echo,
    List,
    Wrong,
    /// Asked in the stateless era only: a session would be asked live.
    Ask,
    /// Begun and cancelled, in the stateless era only: no answer may come, and the id is free at once.
    Cancel,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let deed = prop_oneof![Just(Deed::Echo), Just(Deed::List), Just(Deed::Wrong), Just(Deed::Ask), Just(Deed::Cancel)];
    let step = (any::<bool>(), deed).prop_map(|(stateless, deed)| Step { stateless, deed });
    prop::collection::vec(step, 1..40)
}

/// How many requests are under way at a time: as soon as all are answered, their ids are used again, by either era.
const AT_ONCE: usize = 8;

/// Sends steps over one pipe, several at once, and checks each answer.
fn interleave(client: &mut Stdio, steps: &[Step], run: usize) {
    for (window, steps) in steps.chunks(AT_ONCE).enumerate() {
        let mut expected = BTreeMap::new();
        for (id, step) in (0_u64..).zip(steps) {
            let message = format!("{run}-{window}-{id}");
            let (method, params) = match step.deed {
                Deed::Echo => ("tools/call", json!({"name": "echo", "arguments": {"message": message}})),
                Deed::Ask if step.stateless => {
                    ("tools/call", json!({"name": "test_elicitation", "arguments": {"message": message}}))
                }
                Deed::Cancel if step.stateless => {
                    ("tools/call", json!({"name": "test_sleep", "arguments": {"ms": 60_000}}))
                }
                Deed::Wrong => ("no/such", json!({})),
                Deed::List | Deed::Ask | Deed::Cancel => ("prompts/list", json!({})),
            };
            client.send(&if step.stateless { stateless(id, method, params) } else { request(id, method, params) });
            if step.stateless && matches!(step.deed, Deed::Cancel) {
                let cancel = json!({"requestId": id});
                client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel}));
            } else {
                expected.insert(id, (*step, message));
            }
        }
        while !expected.is_empty() {
            let reply = client.receive();
            let (step, message) = expected.remove(&reply["id"].as_u64().unwrap()).expect("an answer to what was asked");
            match step.deed {
                Deed::Echo => assert_eq!(text(&reply), message),
                Deed::Ask if step.stateless => {
                    assert_eq!(reply["result"]["inputRequests"]["user"]["params"]["message"], message);
                }
                Deed::Wrong => assert_eq!(reply["error"]["code"], -32601),
                _ => assert!(reply["result"]["prompts"].is_array(), "{reply}"),
            }
            let own = reply["result"].get("resultType").is_some();
            assert_eq!(own, step.stateless && reply.get("result").is_some(), "{reply}");
        }
    }
}

#[test]
fn any_interleaving_gives_each_era_its_own_answers() {
    let (_host, mut client) = Host::with(&["everything"]).serve_stdio();
    client.initialize("2025-11-25");
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let client = std::cell::RefCell::new((client, 1));
    proptest::test_runner::TestRunner::new(config)
        .run(&steps(), |steps| {
            let (client, run) = &mut *client.borrow_mut();
            interleave(client, &steps, *run);
            *run += 1;
            Ok(())
        })
        .unwrap();
}

#[test]
fn clients_of_both_eras_use_the_same_ids_at_once() {
    let host = Host::with(&["everything"]).serve_http();
    std::thread::scope(|scope| {
        for client in 0..6 {
            let http: Http = host.http();
            scope.spawn(move || {
                let mut session = http.clone();
                if client % 2 == 0 {
                    session.initialize("2025-11-25");
                }
                for id in 0..40 {
                    let message = format!("{client}-{id}");
                    let arguments = json!({"message": message});
                    let reply = if client % 2 == 0 {
                        session.ask(&call(id, "echo", arguments))
                    } else {
                        http.ask_stateless(&stateless_call(id, "echo", arguments))
                    };
                    assert_eq!((reply["id"].as_u64(), text(&reply)), (Some(id), message.as_str()));
                }
            });
        }
    });
}
