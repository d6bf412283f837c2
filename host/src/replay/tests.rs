use super::*;
use crate::protocol::AskRequest;
use serde_json::json;

const PARAMS: &str = r#"{"name":"t","arguments":{"a":1,"b":[{"c":2,"d":3}]},"_meta":{"x":1}}"#;

fn rounds() -> Rounds {
    let limits = RoundsLimits { ttl: Duration::from_secs(600), max_rounds: 3, max_bytes: 64 << 10 };
    Rounds::new(Keys::new([7; Keys::BYTES], &[]), Ledger::in_memory().unwrap(), limits)
}

fn beginning(principal: &Principal) -> Beginning<'_> {
    Beginning { principal, plugin: "p", version: "1.0.0", single_use: false }
}

fn open() -> OpenAsks {
    vec![("name".to_owned(), AskRequest { method: "roots/list", params: json!({}) })]
}

fn subject(params: &str) -> Subject {
    Subject::of("tools/call", Some(params)).unwrap()
}

fn seal(rounds: &Rounds, beginning: Beginning<'_>, round: u32) -> String {
    let recorded = HashMap::from([("step".to_owned(), json!(7))]);
    rounds.next_state(beginning, subject(PARAMS), round, &open(), BTreeMap::new(), recorded).unwrap()
}

fn retry(
    rounds: &Rounds,
    beginning: Beginning<'_>,
    state: &str,
    responses: Value,
    params: &str,
) -> Result<Retry, String> {
    let own = RawValue::from_string(json!({"inputResponses": responses, "requestState": state}).to_string()).unwrap();
    let meta = RequestMeta::of(Some(&own));
    rounds.retry(&meta, beginning, || Subject::of("tools/call", Some(params))).map_err(|fault| fault.to_string())
}

#[test]
fn a_retry_gets_what_was_asked_and_nothing_else() {
    let rounds = rounds();
    let anyone = Principal::Anyone;
    let state = seal(&rounds, beginning(&anyone), 0);
    let given = json!({"name": {"roots": []}, "other": {"roots": []}});
    let retry = retry(&rounds, beginning(&anyone), &state, given, PARAMS).unwrap();
    assert_eq!(retry.round, 1);
    assert_eq!(retry.answers.keys().collect::<Vec<_>>(), ["name"]);
    assert_eq!(retry.recorded["step"], json!(7));
}

#[test]
fn the_order_of_members_does_not_matter_and_everything_else_does() {
    let same = r#"{"arguments":{"b":[{"d":3,"c":2}],"a":1},"requestState":"s","inputResponses":{},"name":"t"}"#;
    assert_eq!(subject(PARAMS), subject(same));
    for other in [
        r#"{"name":"u","arguments":{"a":1,"b":[{"c":2,"d":3}]}}"#,
        r#"{"name":"t","arguments":{"a":2,"b":[{"c":2,"d":3}]}}"#,
        r#"{"name":"t","arguments":{"a":1,"b":[{"c":2},{"d":3}]}}"#,
        r#"{"name":"t","arguments":{"a":"1","b":[{"c":2,"d":3}]}}"#,
        r#"{"name":"t"}"#,
    ] {
        assert_ne!(subject(PARAMS), subject(other), "{other}");
    }
    assert_ne!(subject(PARAMS), Subject::of("prompts/get", Some(PARAMS)).unwrap());
}

#[test]
fn params_that_cannot_be_read_whole_are_nobodys_subject() {
    let tail = r#""zzz":"\ud800""#;
    assert!(Subject::of("tools/call", Some(&format!(r#"{{"name":"t",{tail}}}"#))).is_err());
    // Numbers beyond any machine type stand as they were written.
    let with = |number: &str| subject(&format!(r#"{{"name":"t","n":{number}}}"#));
    assert_ne!(with("18446744073709551617"), with("18446744073709551618"));
    assert_ne!(with("1e999"), with("2e999"));
    // What stands side by side is not run together.
    assert_ne!(subject(r#"{"a":[1,2]}"#), subject(r#"{"a":[12]}"#));
    assert_ne!(subject(r#"{"a":["x","y"]}"#), subject(r#"{"a":["x\",\"y"]}"#));
    assert_eq!(subject(r#"{"a":"\u0041"}"#), subject(r#"{"a":"A"}"#));
}

#[test]
fn a_state_is_refused_in_other_hands() {
    let rounds = rounds();
    let (ada, bob) = (Principal::User("ada".into()), Principal::User("bob".into()));
    let state = seal(&rounds, beginning(&ada), 0);
    let refused = |beginning: Beginning<'_>, state: &str, params: &str| {
        retry(&rounds, beginning, state, json!({}), params).unwrap_err()
    };
    assert_eq!(refused(beginning(&bob), &state, PARAMS), Refused::OtherPrincipal.to_string());
    assert_eq!(refused(beginning(&Principal::Anyone), &state, PARAMS), Refused::OtherPrincipal.to_string());
    assert_eq!(refused(beginning(&ada), &state, r#"{"name":"u"}"#), Refused::OtherRequest.to_string());
    let newer = Beginning { version: "1.0.1", ..beginning(&ada) };
    assert_eq!(refused(newer, &state, PARAMS), Refused::OtherVersion.to_string());
    assert_eq!(refused(beginning(&ada), &format!("{state}-TAMPERED"), PARAMS), Refused::Foreign.to_string());
    assert!(retry(&rounds, beginning(&ada), &state, json!({}), PARAMS).is_ok());
    let named_like = Principal::User("ada ".into());
    assert_eq!(refused(beginning(&named_like), &state, PARAMS), Refused::OtherPrincipal.to_string());
}

#[test]
fn a_state_expires_and_rounds_end() {
    let rounds = rounds();
    let anyone = Principal::Anyone;
    let own = json!({"requestState": seal(&rounds, beginning(&anyone), 0)}).to_string();
    let own = RawValue::from_string(own).unwrap();
    let after = |time: u64| {
        let now = seconds(SystemTime::now()) + time;
        rounds.retry_at(now, &RequestMeta::of(Some(&own)), beginning(&anyone), || Ok(subject(PARAMS)))
    };
    assert_eq!(after(590).unwrap().round, 1);
    assert_eq!(after(620).unwrap_err().to_string(), Refused::Expired.to_string());
    let last = seal(&rounds, beginning(&anyone), 2);
    assert_eq!(retry(&rounds, beginning(&anyone), &last, json!({}), PARAMS).unwrap().round, 3);
    let fewer = Rounds { limits: RoundsLimits { max_rounds: 2, ..rounds.limits }, ..rounds.clone() };
    assert_eq!(
        retry(&fewer, beginning(&anyone), &last, json!({}), PARAMS).unwrap_err(),
        Refused::TooManyRounds.to_string()
    );
    let again = rounds.next_state(beginning(&anyone), subject(PARAMS), 3, &open(), BTreeMap::new(), HashMap::new());
    assert_eq!(again.unwrap_err().to_string(), "plugin 'p' failed: it has asked in 3 rounds and asks again");
}

#[test]
fn what_may_be_used_once_is_used_once_where_it_was_given() {
    let rounds = rounds();
    let anyone = Principal::Anyone;
    let once = Beginning { single_use: true, ..beginning(&anyone) };
    let state = seal(&rounds, once, 0);
    // A refused retry uses nothing up.
    assert!(retry(&rounds, once, &state, json!({}), "{}").is_err());
    let elsewhere = Rounds { ledger: Arc::new(Ledger::in_memory().unwrap()), ..rounds.clone() };
    assert_eq!(retry(&elsewhere, once, &state, json!({}), PARAMS).unwrap_err(), Refused::OtherLedger.to_string());
    let taken = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..8).map(|_| scope.spawn(|| retry(&rounds, once, &state, json!({}), PARAMS).is_ok())).collect();
        tries.into_iter().map(|one| one.join().unwrap()).filter(|taken| *taken).count()
    });
    assert_eq!(taken, 1);
    // Without a state, answers count for nothing where they may count once.
    let own = RawValue::from_string(json!({"inputResponses": {"name": {}}}).to_string()).unwrap();
    assert!(rounds.retry(&RequestMeta::of(Some(&own)), once, || Ok(subject(PARAMS))).unwrap().answers.is_empty());
    let free = rounds.retry(&RequestMeta::of(Some(&own)), beginning(&anyone), || Ok(subject(PARAMS))).unwrap();
    assert_eq!(free.answers.len(), 1);
}

#[test]
fn what_are_no_answers_is_refused_or_none() {
    let rounds = rounds();
    let anyone = Principal::Anyone;
    let read = |params: Value| {
        let own = RawValue::from_string(params.to_string()).unwrap();
        let meta = RequestMeta::of(Some(&own));
        rounds.retry(&meta, beginning(&anyone), || Ok(subject(PARAMS))).map(|retry| retry.answers.len())
    };
    assert_eq!(read(json!({"inputResponses": null})), Ok(0));
    assert_eq!(read(json!({"inputResponses": 7})), Err(Fault::invalid_params("'inputResponses' must be an object")));
    assert_eq!(read(json!({"requestState": 7})), Err(Fault::invalid_params("'requestState' must be a string")));
}
