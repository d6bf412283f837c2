use super::*;

const MAX: usize = 1000;

#[track_caller]
fn check(revision: &str, result: &str, expected: Result<&str, ResultError>) {
    let dialect = Dialect::all().iter().find(|dialect| dialect.revision == revision).unwrap();
    let written = tool_result(dialect, result.as_bytes().to_vec(), MAX, |_| Ok(()));
    assert_eq!(written.map(|body| String::from_utf8(body.json.to_vec()).unwrap()), expected.map(str::to_owned));
}

#[test]
fn the_newest_revision_gets_the_bytes_as_they_are() {
    let result = r#"{ "content":[ ],"structuredContent": {"a":1}, "isError":false}"#;
    check("2025-11-25", result, Ok(result));
}

#[test]
fn structured_results_are_dropped_where_the_revision_lacks_them() {
    let result = r#"{"content":[],"structuredContent":{"a":1}}"#;
    check("2025-06-18", result, Ok(result));
    check("2025-03-26", result, Ok(r#"{"content":[]}"#));
    check("2024-11-05", result, Ok(r#"{"content":[]}"#));
}

#[test]
fn structured_results_that_are_no_objects_are_dropped_in_this_era() {
    check("2025-11-25", r#"{"content":[],"structuredContent":[1]}"#, Ok(r#"{"content":[]}"#));
    check("2025-06-18", r#"{"content":[],"structuredContent":7}"#, Ok(r#"{"content":[]}"#));
}

#[test]
fn any_json_may_be_a_structured_result_in_the_stateless_era() {
    for value in ["[1]", "7", "null", "\"s\"", "{}"] {
        let result = format!(r#"{{"content":[],"structuredContent":{value}}}"#);
        check("2026-07-28", &result, Ok(&result));
        if value != "{}" {
            check("2025-11-25", &result, Ok(r#"{"content":[]}"#));
        }
    }
}

#[test]
fn fields_of_the_plugins_own_are_kept_apart_where_the_era_has_some_too() {
    let result = br#"{"content":[],"_meta":{"com.example/k":1}}"#;
    let newest = tool_result(Dialect::newest_stateless(), result.to_vec(), MAX, |_| Ok(())).unwrap();
    assert_eq!(
        (&*newest.json, newest.meta),
        (br#"{"content":[]}"#.as_slice(), json!({"com.example/k": 1}).as_object().cloned())
    );
    let older = tool_result(Dialect::negotiate(""), result.to_vec(), MAX, |_| Ok(())).unwrap();
    assert_eq!((&*older.json, older.meta), (result.as_slice(), None));
}

#[test]
fn what_the_era_itself_writes_is_not_taken_from_a_plugin() {
    let result = r#"{"content":[],"_meta":null,"resultType":"task","ttlMs":9,"cacheScope":"public"}"#;
    check("2026-07-28", result, Ok(r#"{"content":[]}"#));
    check("2025-11-25", result, Ok(r#"{"content":[],"_meta":null}"#));
    let contents = br#"{"contents":[],"cacheScope":"public"}"#.to_vec();
    let read = resource_result(Dialect::newest_stateless(), contents, MAX).unwrap();
    assert_eq!(read.json, br#"{"contents":[]}"#.as_slice());
}

#[test]
fn newer_content_becomes_text_for_older_revisions() {
    let link = r#"{"content":[{"type":"resource_link","uri":"a://b","name":"b"}]}"#;
    check("2025-06-18", link, Ok(link));
    check("2025-03-26", link, Ok(r#"{"content":[{"type":"text","text":"a://b"}]}"#));
    let audio = r#"{"content":[{"type":"audio","data":"","mimeType":"audio/wav"}]}"#;
    check("2025-03-26", audio, Ok(audio));
    check("2024-11-05", audio, Ok(r#"{"content":[{"type":"text","text":"[audio, audio/wav]"}]}"#));
}

#[test]
fn line_breaks_between_tokens_are_removed() {
    check("2025-11-25", "{\"content\":\n[\r\n]}", Ok(r#"{"content":[]}"#));
}

#[test]
fn broken_results_are_named() {
    check("2025-11-25", "{", Err(ResultError::WrongShape("it is not JSON".to_owned())));
    check("2025-11-25", "{\"content\":[\"\n\"]}", Err(ResultError::WrongShape("it is not JSON".to_owned())));
    for text in ["[1,2,3]", "[[],[],[],null,false,null,null,null,null]"] {
        check("2025-11-25", text, Err(ResultError::WrongShape("it is not an object".to_owned())));
    }
    check("2025-11-25", "{\"content\":{}}", Err(ResultError::WrongShape("'content' is not an array".to_owned())));
    let broken = tool_result(Dialect::stateful("2025-11-25").unwrap(), vec![b'"', 0xff, b'"'], MAX, |_| Ok(()));
    assert_eq!(broken, Err(ResultError::NotUtf8));
}

#[test]
fn a_result_at_the_limit_is_passed_on_and_one_more_byte_is_not() {
    let longest = format!(r#"{{"content":[]{}}}"#, " ".repeat(MAX - 14));
    assert_eq!(longest.len(), MAX);
    check("2025-11-25", &longest, Ok(&longest));
    check("2025-11-25", &format!("{longest} "), Err(ResultError::TooLarge { bytes: MAX + 1, max: MAX }));
}

#[test]
fn odd_messages_of_prompts_are_passed_over() {
    let older = Dialect::stateful("2025-06-18").unwrap();
    let odd = br#"{"messages":["x",7,{"role":"user"},null]}"#;
    assert_eq!(prompt_result(older, odd.to_vec(), MAX).unwrap().json, odd.as_slice());
}
