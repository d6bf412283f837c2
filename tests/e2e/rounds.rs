//! Questions in rounds: asked by one request, answered by the next, at whatever host that arrives.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{
    Host, HostBuilder, Http, PREFIX, accept, assert_asks, meta_with, retry, stateless, stateless_call, text,
};
use serde_json::{Value, json};

/// Keys of 32 bytes in Base64.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEWER_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn everything() -> HostBuilder {
    Host::with(&["everything"])
}

fn with_keys(keys: &[&str]) -> HostBuilder {
    everything().config(&format!("[request_state]\nkeys = {keys:?}"))
}

fn ada() -> Value {
    json!({"user_name": accept(json!({"name": "Ada"}))})
}

#[track_caller]
fn refused(reply: &Value, expected: &str) {
    assert_eq!(reply["error"]["code"], -32602, "{reply}");
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_round_begun_at_one_host_ends_at_another() {
    let (one, other) = (with_keys(&[KEY]).serve_http(), with_keys(&[NEWER_KEY, KEY]).serve_http());
    let call = stateless_call(1, "test_input_required_result_multi_round", json!({}));
    let first = one.http().ask_stateless(&call);
    assert_asks(&first, &["step1"]);
    let second = other.http().ask_stateless(&retry(&call, 2, &first, json!({"step1": accept(json!({"name": "Ada"}))})));
    assert_asks(&second, &["step2"]);
    assert_eq!(
        second["result"]["inputRequests"]["step2"]["params"]["message"],
        "Step 2: Ada, what is your favorite color?"
    );
    let last = json!({"step2": accept(json!({"color": "blue"}))});
    // The other host has sealed with its newer key, which the first one does not have.
    refused(&one.http().ask_stateless(&retry(&call, 3, &second, last.clone())), "is not one of this server's");
    let done = other.http().ask_stateless(&retry(&call, 3, &second, last));
    assert_eq!(text(&done), "Ada likes blue");
    assert_eq!(done["result"]["resultType"], "complete");
}

#[test]
fn a_round_outlives_the_host_that_was_killed() {
    let host = everything().serve_http();
    let call = stateless_call(1, "test_once", json!({}));
    let asked = host.http().ask_stateless(&call);
    assert_asks(&asked, &["user_name"]);
    let again = host.kill().serve_http();
    let done = again.http().ask_stateless(&retry(&call, 2, &asked, ada()));
    // The step was done by the process that is gone, and is not done again: this one has done none.
    assert_eq!(text(&done), "step 0 of 0: Hello, Ada!");
}

#[test]
fn the_key_of_states_is_its_owners_alone() {
    let host = everything().serve_http();
    let key = host.folder().join("state/request-state.key");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_step_is_done_once_however_often_its_function_is_run() {
    let host = everything().serve_http();
    let http = host.http();
    let call = stateless_call(1, "test_once", json!({}));
    let asked = http.ask_stateless(&call);
    for id in 2..5 {
        let done = http.ask_stateless(&retry(&call, id, &asked, ada()));
        assert_eq!(text(&done), "step 0 of 1: Hello, Ada!");
    }
}

#[test]
fn prompts_and_resources_ask_as_well() {
    let host = everything().serve_http();
    let http = host.http();
    let read = stateless(1, "resources/read", json!({"uri": "test://asking"}));
    let asked = http.ask_stateless(&read);
    assert_asks(&asked, &["user_name"]);
    assert_eq!((asked["result"].get("ttlMs"), asked["result"].get("cacheScope")), (None, None), "2026-07-28 R-02");
    let done = http.ask_stateless(&retry(&read, 2, &asked, ada()));
    assert_eq!(done["result"]["contents"][0]["text"], "Hello, Ada!");
    let prompt = stateless(1, "prompts/get", json!({"name": "test_input_required_result_prompt"}));
    let asked = http.ask_stateless(&prompt);
    assert_asks(&asked, &["user_context"]);
    let answer = json!({"user_context": accept(json!({"context": "rain"}))});
    let done = http.ask_stateless(&retry(&prompt, 2, &asked, answer));
    assert_eq!(done["result"]["messages"][0]["content"]["text"], "Consider \"rain\".");
    // A state of one method is none of another.
    refused(&http.ask_stateless(&retry(&read, 3, &asked, json!({}))), "was given for another request");
}

#[test]
fn a_function_that_blocks_unwinds_and_is_run_again() {
    let host = everything().serve_http();
    let http = host.http();
    let call = stateless_call(1, "test_blocking_elicitation", json!({}));
    let asked = http.ask_stateless(&call);
    assert_asks(&asked, &["user_name"]);
    mcp_host_tests::eventually("the first run has ended", || {
        let health = http.get("/health/detailed").json();
        (health["plugins"][0]["calls"] == 0).then_some(())
    });
    assert_eq!(text(&http.ask_stateless(&retry(&call, 2, &asked, ada()))), "Hello, Ada!");
    assert!(!host.log().contains("panic"), "{}", host.log());
}

#[test]
fn everything_is_asked_at_once_and_what_lacks_is_asked_again() {
    let host = everything().serve_http();
    let http = host.http();
    let call = stateless_call(1, "test_input_required_result_multiple_inputs", json!({}));
    let asked = http.ask_stateless(&call);
    assert_asks(&asked, &["user_name", "greeting", "client_roots"]);
    let sampled = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Good day"}});
    let some = json!({"user_name": accept(json!({"name": "Ada"})), "greeting": sampled, "other": 7});
    let again = http.ask_stateless(&retry(&call, 2, &asked, some));
    assert_asks(&again, &["client_roots"]);
    let roots = json!({"client_roots": {"roots": [{"uri": "file:///home", "name": "home"}]}});
    let done = http.ask_stateless(&retry(&call, 3, &again, roots));
    assert_eq!(text(&done), "Good day, Ada! Roots: home");
}

#[test]
fn an_answer_that_does_not_fit_is_none() {
    let host = everything().serve_http();
    let http = host.http();
    let call = stateless_call(1, "test_input_required_result_elicitation", json!({}));
    let asked = http.ask_stateless(&call);
    for answer in [json!(7), json!({"action": "agree"}), accept(json!({})), accept(json!({"name": 7})), Value::Null] {
        assert_asks(&http.ask_stateless(&retry(&call, 2, &asked, json!({"user_name": answer}))), &["user_name"]);
    }
    assert_asks(&http.ask_stateless(&retry(&call, 2, &asked, Value::Null)), &["user_name"]);
    refused(&http.ask_stateless(&retry(&call, 2, &asked, json!([1]))), "'inputResponses' must be an object");
    for (answer, told) in [("decline", "Hello, nobody!"), ("cancel", "Hello, nobody!")] {
        let reply = http.ask_stateless(&retry(&call, 2, &asked, json!({"user_name": {"action": answer}})));
        assert_eq!(text(&reply), told, "2026-07-28 R-09");
    }
}

#[test]
fn the_client_of_each_round_says_what_it_can_do() {
    let host = everything().serve_http();
    let http = host.http();
    let call = stateless_call(1, "test_input_required_result_multi_round", json!({}));
    let asked = http.ask_stateless(&call);
    let mut next = retry(&call, 2, &asked, json!({"step1": accept(json!({"name": "Ada"}))}));
    next["params"]["_meta"] = meta_with(json!({}));
    let reply = http.post_stateless(&next);
    assert_eq!((reply.status, reply.json()["error"]["code"].as_i64()), (400, Some(-32021)), "2026-07-28 R-05");
}

#[test]
fn a_state_is_worth_nothing_in_other_hands() {
    let host = everything().config("[http]\nuser_header = \"X-User\"").serve_http();
    let http = host.http();
    let post = |user: &str, request: &Value| http.post_stateless_with(request, &[("x-user", user)]).json();
    let call = stateless_call(1, "test_elicitation", json!({"message": "hello"}));
    let asked = post("ada", &call);
    assert_asks(&asked, &["user"]);
    let answers = json!({"user": accept(json!({"username": "a", "email": "b"}))});
    let with = |change: &dyn Fn(&mut Value)| {
        let mut next = retry(&call, 2, &asked, answers.clone());
        change(&mut next);
        next
    };
    refused(&post("bob", &with(&|_| {})), "was given to somebody else");
    let other_arguments = with(&|next| next["params"]["arguments"]["message"] = "other".into());
    refused(&post("ada", &other_arguments), "was given for another request");
    let other_tool = with(&|next| next["params"]["name"] = "test_sampling".into());
    refused(&post("ada", &other_tool), "was given for another request");
    let tampered = with(&|next| {
        let state = next["params"]["requestState"].as_str().unwrap().to_owned();
        next["params"]["requestState"] = format!("{state}-TAMPERED").into();
    });
    refused(&post("ada", &tampered), "is not one of this server's");
    assert_eq!(
        text(&post("ada", &with(&|_| {}))),
        "User response: action=accept, content={\"username\":\"a\",\"email\":\"b\"}"
    );
}

#[test]
fn a_state_expires() {
    let host = everything().config("[request_state]\nttl = \"1s\"").serve_http();
    let call = stateless_call(1, "test_input_required_result_elicitation", json!({}));
    let next = retry(&call, 2, &host.http().ask_stateless(&call), ada());
    let expired = mcp_host_tests::eventually("the end of its time", || {
        let reply = host.http().ask_stateless(&next);
        reply.get("error").is_some().then_some(reply)
    });
    refused(&expired, "has expired");
}

#[test]
fn a_state_that_counts_once_counts_once() {
    let host = everything().serve_http();
    let call = stateless_call(1, "test_consume_once", json!({}));
    let asked = host.http().ask_stateless(&call);
    assert_asks(&asked, &["confirm"]);
    let answers = json!({"confirm": accept(json!({"ok": true}))});
    let next = retry(&call, 2, &asked, answers.clone());
    let replies: Vec<Value> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8).map(|_| scope.spawn(|| host.http().ask_stateless(&next))).collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.get("result").is_some());
    assert_eq!(won.iter().map(|reply| text(reply)).collect::<Vec<_>>(), ["state-ok, confirmed: true"]);
    lost.iter().for_each(|reply| refused(reply, "was used already"));
    // Nor does it count at the same host's next life, nor without the state that was asked with.
    let again = host.kill().serve_http();
    refused(&again.http().ask_stateless(&next), "was used already");
    let mut bare = call.clone();
    bare["params"]["inputResponses"] = answers;
    assert_asks(&again.http().ask_stateless(&bare), &["confirm"]);
    // Another host with the key does not know what was used where, so it refuses.
    let (one, other) = (with_keys(&[KEY]).serve_http(), with_keys(&[KEY]).serve_http());
    let asked = one.http().ask_stateless(&call);
    let next = retry(&call, 2, &asked, json!({"confirm": accept(json!({"ok": true}))}));
    refused(&other.http().ask_stateless(&next), "only at the server that gave it");
    assert_eq!(text(&one.http().ask_stateless(&next)), "state-ok, confirmed: true");
}

#[test]
fn rounds_end_and_states_are_bounded() {
    let host = everything().config("[request_state]\nmax_rounds = 1\nmax_size = \"700B\"").serve_http();
    let http = host.http();
    let call = stateless_call(1, "test_input_required_result_multi_round", json!({}));
    let asked = http.ask_stateless(&call);
    let next = http.ask_stateless(&retry(&call, 2, &asked, json!({"step1": accept(json!({"name": "Ada"}))})));
    let message = next["error"]["message"].as_str().unwrap();
    assert_eq!(message, "plugin 'everything' failed: it has asked in 1 rounds and asks again");
    // Nothing that compresses well.
    let mut seed = 1_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (seed >> 24) as u8 % 26)
    };
    let long: String = (0..4000).map(|_| next()).collect();
    let mut first = call.clone();
    first["params"]["inputResponses"] = json!({"step1": accept(json!({"name": long}))});
    let reply = http.ask_stateless(&first);
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.contains("what it remembers between rounds has"), "{message}");
}

#[test]
fn a_function_that_cannot_go_on_sends_the_user_to_a_url_first() {
    let host = everything().serve_http();
    let call = stateless_call(1, "test_url_required", json!({}));
    let asked = host.http().ask_stateless(&call);
    assert_asks(&asked, &["everything-login"]);
    let params = &asked["result"]["inputRequests"]["everything-login"]["params"];
    assert_eq!(params, &json!({"mode": "url", "message": "Please sign in first", "url": "https://example.com/login"}));
}

/// A question per mode: in the stateless era no id and no later word belongs to a URL.
#[test]
fn a_url_is_asked_without_an_id() {
    let host = everything().serve_http();
    let http: Http = host.http();
    let call = stateless_call(1, "test_url_elicitation", json!({}));
    let asked = http.ask_stateless(&call);
    assert_asks(&asked, &["everything-confirm"]);
    assert_eq!(asked["result"]["inputRequests"]["everything-confirm"]["params"].get("elicitationId"), None);
    let done = http.ask_stateless(&retry(&call, 2, &asked, json!({"everything-confirm": {"action": "accept"}})));
    assert_eq!(text(&done), "URL elicitation: accept");
    assert!(done["result"]["_meta"][format!("{PREFIX}/serverInfo")].is_object());
}

fn guest() -> Host {
    Host::with(&["guest"]).serve_http()
}

#[test]
fn a_step_before_a_url_is_done_once() {
    let host = guest();
    let call = stateless_call(1, "steps_then_url", json!({}));
    let mut asked = host.http().ask_stateless(&call);
    for id in 2..5 {
        assert_asks(&asked, &["login"]);
        asked = host.http().ask_stateless(&retry(&call, id, &asked, json!({"login": {"action": "accept"}})));
    }
    assert_eq!(text(&host.http().ask_stateless(&stateless_call(9, "steps", json!({})))), "1");
    // A user who says no is not asked for ever (2026-07-28 R-09).
    let declined = host.http().ask_stateless(&retry(&call, 6, &asked, json!({"login": {"action": "decline"}})));
    assert_eq!(declined["result"]["isError"], true);
    assert_eq!(text(&declined), "the user declined to open the URL that this needs");
}

#[test]
fn a_step_without_a_value_is_done_once_too() {
    let host = guest();
    let call = stateless_call(1, "steps_without_value", json!({}));
    let asked = host.http().ask_stateless(&call);
    assert_asks(&asked, &["name"]);
    let done = host.http().ask_stateless(&retry(&call, 2, &asked, json!({"name": {"action": "cancel"}})));
    assert_eq!(text(&done), "steps: 1");
}

#[test]
fn two_steps_with_one_key_are_not_both_done() {
    let host = guest();
    let told = host.http().ask_stateless(&stateless_call(1, "steps_with_one_key", json!({})));
    assert_eq!(text(&told), "0, two steps have the key 'step'; give each one of its own");
}

#[test]
fn a_question_does_not_end_a_step_beside_it() {
    let host = guest();
    let call = stateless_call(1, "asks_beside_a_step", json!({}));
    let asked = host.http().ask_stateless(&call);
    assert_asks(&asked, &["name"]);
    let done = host.http().ask_stateless(&retry(&call, 2, &asked, json!({"name": {"action": "decline"}})));
    assert_eq!(text(&done), "step 0 of 1");
}

#[test]
fn a_question_that_nobody_waits_for_is_not_asked() {
    let host = guest();
    let done = host.http().ask_stateless(&stateless_call(1, "gives_up_asking", json!({})));
    assert_eq!(text(&done), "went on alone");
}

#[test]
fn what_one_user_signed_in_for_is_kept_for_nobody_else() {
    let host = guest();
    let read = stateless(1, "resources/read", json!({"uri": "guest://behind-a-url"}));
    let asked = host.http().ask_stateless(&read);
    assert_asks(&asked, &["login"]);
    let done = host.http().ask_stateless(&retry(&read, 2, &asked, json!({"login": {"action": "accept"}})));
    assert_eq!(done["result"]["contents"][0]["text"], "secret of whoever signed in");
    assert_eq!(done["result"]["cacheScope"], "private", "2026-07-28 C-03");
}

#[test]
fn a_cancelled_call_is_silent_at_once() {
    let (_host, mut client) = Host::with(&["guest"]).serve_stdio();
    let meta = json!({format!("{PREFIX}/logLevel"): "info"});
    client.send(&stateless(1, "tools/call", json!({"name": "logs_and_logs", "_meta": meta})));
    assert_eq!(client.receive()["method"], "notifications/message");
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}));
    // Its id is free again at once (2026-07-28 M-07), and behind that answer nothing more is told (S-02).
    client.send(&stateless_call(1, "works", json!({})));
    loop {
        let message = client.receive();
        if message["id"] == 1 {
            assert_eq!(text(&message), "works");
            break;
        }
    }
    assert_eq!(client.receive_within(std::time::Duration::from_millis(300)), None);
}

#[test]
fn a_call_that_did_not_begin_uses_nothing_up() {
    let host = everything().config("[plugins.everything]\nmax_calls = 1").serve_http();
    let call = stateless_call(1, "test_consume_once", json!({}));
    let asked = host.http().ask_stateless(&call);
    assert_asks(&asked, &["confirm"]);
    let next = retry(&call, 2, &asked, json!({"confirm": accept(json!({"ok": true}))}));
    let busy = stateless_call(3, "test_block", json!({"ms": 600}));
    let http = host.http();
    let wait_for_calls = |calls: u64| {
        mcp_host_tests::eventually("the plugin's calls", || {
            let health = http.get("/health/detailed").json();
            (health["plugins"][0]["calls"] == calls).then_some(())
        });
    };
    wait_for_calls(0);
    let blocked = http.begin("POST", "/mcp", &http.stateless_headers(&busy), busy.to_string().as_bytes());
    wait_for_calls(1);
    let refused = http.ask_stateless(&next);
    assert_eq!(refused["error"]["message"], "too many calls are under way; try again later");
    assert_eq!(text(&mcp_host_tests::Stream::read(blocked).whole().json()), "blocked 600 ms");
    let done = mcp_host_tests::eventually("room for a call", || {
        let reply = http.ask_stateless(&next);
        reply.get("result").is_some().then_some(reply)
    });
    assert_eq!(text(&done), "state-ok, confirmed: true");
}

#[test]
fn a_state_is_bound_to_params_that_cannot_all_be_read() {
    let host = everything().serve_http();
    let http = host.http();
    let call = stateless_call(1, "test_elicitation", json!({"message": "harmless"}));
    let post = |request: &Value| {
        // A number that no machine type holds stands beside what is bound.
        let body = request.to_string().replacen("\"params\":{", "\"params\":{\"zzz\":1e999,", 1);
        http.exchange("POST", "/mcp", &http.stateless_headers(request), body.as_bytes()).json()
    };
    let asked = post(&call);
    assert_asks(&asked, &["user"]);
    let answers = json!({"user": accept(json!({"username": "a", "email": "b"}))});
    let mut other = retry(&call, 2, &asked, answers.clone());
    other["params"]["arguments"]["message"] = "harmful".into();
    refused(&post(&other), "was given for another request");
    assert!(text(&post(&retry(&call, 2, &asked, answers))).starts_with("User response: action=accept"));
}
