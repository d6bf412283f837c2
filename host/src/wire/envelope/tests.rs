use super::*;

/// What a message comes to, in one line.
#[track_caller]
fn check(json: &str, expected: &str) {
    let told = match parse(json.as_bytes(), 8) {
        Ok(Incoming::One(message)) => tell(&Ok(message)),
        Ok(Incoming::Batch(messages)) => {
            format!("batch of {}", messages.iter().map(tell).collect::<Vec<_>>().join(" | "))
        }
        Err(error) => tell(&Err(error)),
    };
    assert_eq!(told, expected, "{json}");
}

fn tell(message: &Result<Message<'_>, ParseError>) -> String {
    let raw = |raw: &Option<&RawValue>| raw.map_or("nothing", RawValue::get).to_owned();
    match message {
        Ok(Message::Request(it)) => format!("request {} {} {}", it.id.as_json(), &*it.method, raw(&it.params)),
        Ok(Message::Notification(it)) => format!("notification {} {}", &*it.method, raw(&it.params)),
        Ok(Message::Response(it)) => match it.body {
            ResponseBody::Result(result) => format!("result {} {result}", it.id.as_json()),
            ResponseBody::Error(error) => format!("error {} {error}", it.id.as_json()),
        },
        Err(ParseError::NotJson(_)) => "not json".to_owned(),
        Err(ParseError::NotMessage { id, .. }) => {
            format!("not a message, id {}", id.as_ref().map_or("none", Id::as_json))
        }
    }
}

#[test]
fn the_three_kinds_of_messages_are_told_apart() {
    check(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, "request 1 ping nothing");
    check(r#"{"jsonrpc":"2.0","id":"1","method":"p","params":{"a": [1]}}"#, r#"request "1" p {"a": [1]}"#);
    check(r#"{"jsonrpc":"2.0","method":"n"}"#, "notification n nothing");
    check(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "result 1 {}");
    check(r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "result 1 null");
    check(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, r#"error 1 {"code":1}"#);
}

#[test]
fn large_integer_ids_survive() {
    check(
        r#"{"jsonrpc":"2.0","id":99999999999999999999999,"method":"ping"}"#,
        "request 99999999999999999999999 ping nothing",
    );
}

#[test]
fn escaped_methods_are_read() {
    check(r#"{"jsonrpc":"2.0","id":1,"method":"p\u0069ng"}"#, "request 1 ping nothing");
}

#[test]
fn garbage_is_not_json() {
    for garbage in ["", "{", "hello", "{\"a\":}", "\"", "{} {}", "[1", "{\"id\":1,}"] {
        check(garbage, "not json");
    }
}

#[test]
fn invalid_utf8_is_not_json() {
    assert!(matches!(parse(b"{\"a\":\"\xff\"}", 8), Err(ParseError::NotJson(_))));
}

#[test]
fn json_that_is_no_message_is_refused_with_its_id() {
    check("1", "not a message, id none");
    check("{}", "not a message, id none");
    check(r#"{"jsonrpc":"2.0","id":7}"#, "not a message, id 7");
    check(r#"{"jsonrpc":"1.0","id":7,"method":"x"}"#, "not a message, id 7");
    check(r#"{"id":7,"method":"x"}"#, "not a message, id 7");
    check(r#"{"jsonrpc":"2.0","id":7,"method":5}"#, "not a message, id 7");
    check(r#"{"jsonrpc":"2.0","id":7,"method":"x","params":3}"#, "not a message, id 7");
    check(r#"{"jsonrpc":"2.0","id":7,"method":"x","result":{}}"#, "not a message, id 7");
}

#[test]
fn null_ids_and_fractions_are_refused() {
    check(r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, "not a message, id none");
    check(r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#, "not a message, id none");
}

#[test]
fn doubled_keys_are_refused_and_other_cases_are_unknown() {
    check(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#, "not a message, id 2");
    check(r#"{"jsonrpc":"2.0","id":1,"method":"x","method":"y"}"#, "not a message, id 1");
    check(r#"{"jsonrpc":"2.0","id":1,"Method":"x"}"#, "not a message, id 1");
    check(r#"{"jsonrpc":"2.0","id":1,"METHOD":"y","method":"x"}"#, "request 1 x nothing");
}

#[test]
fn depth_at_the_limit_is_accepted_and_one_more_is_not() {
    let nested = |depth: usize| {
        format!(r#"{{"jsonrpc":"2.0","method":"n","params":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
    };
    check(&nested(7), "notification n [[[[[[[]]]]]]]");
    check(&nested(8), "not json");
}

#[test]
fn batches_are_judged_one_by_one() {
    check("[]", "not a message, id none");
    check(
        r#"[{"jsonrpc":"2.0","id":1,"method":"a"}, 5, {"jsonrpc":"2.0","method":"b"}]"#,
        "batch of request 1 a nothing | not a message, id none | notification b nothing",
    );
}

#[test]
fn a_batch_at_the_limit_is_taken_and_a_longer_one_is_not() {
    let batch = |count: usize| format!("[{}]", vec![r#"{"jsonrpc":"2.0","method":"n"}"#; count].join(","));
    assert!(
        matches!(parse(batch(MAX_BATCH).as_bytes(), 8), Ok(Incoming::Batch(messages)) if messages.len() == MAX_BATCH)
    );
    check(&batch(MAX_BATCH + 1), "not a message, id none");
}

#[test]
fn members_by_position_are_no_message() {
    check(r#"[["2.0",1,"ping"]]"#, "batch of not a message, id none");
}
