use super::*;
use crate::call::{AskError, AskFuture, Asked, Deadline, Failure, LogMessage, Peer, Progress, SuspendFuture};
use crate::protocol::{Ask, AskRequest, ClientProfile};
use crate::registry::{Answer, Callee, Offer, Operation, Selection, build};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A callee that answers each tool as its name says.
struct Fake(Arc<str>);

impl Callee for Fake {
    fn plugin(&self) -> &Arc<str> {
        &self.0
    }

    fn version(&self) -> &Arc<str> {
        &self.0
    }

    fn call(&self, operation: Operation, name: &str, payload: &[u8], call: &Arc<Call>) -> Answer {
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}]}).to_string().into_bytes();
        match (operation, name) {
            (Operation::Tool, "echo") => Answer::Ready(Ok(text(&String::from_utf8_lossy(payload)))),
            (Operation::Tool, "later") => {
                let answer = text("later");
                Answer::Pending(Box::pin(async move {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    Ok(answer)
                }))
            }
            (Operation::Tool, "asks") => {
                let call = Arc::clone(call);
                let Asked::Live(request) = call.consult("roots", Ask::Roots) else {
                    // A call that is to be run again hangs until it is dropped.
                    return Answer::Pending(Box::pin(std::future::pending()));
                };
                Answer::Pending(Box::pin(async move {
                    match call.ask(request).await {
                        Ok(_) => Ok(text("asked")),
                        Err(error) => Err(Failure::AskFailed(error.to_string())),
                    }
                }))
            }
            (Operation::Tool, "failing") => Answer::Ready(Err(Failure::Failed("why".to_owned()))),
            (Operation::Tool, "panicking") => Answer::Ready(Err(Failure::Panicked("with a secret".to_owned()))),
            (Operation::Tool, "misfit") => Answer::Ready(Err(Failure::InvalidArguments("it does not fit".to_owned()))),
            (Operation::Resource, _) => Answer::Ready(Err(Failure::NotFound("gone".to_owned()))),
            _ => Answer::Ready(Err(Failure::Stopped)),
        }
    }
}

/// A client that takes a minute to answer, or one that answers with another request.
struct Slow {
    client: ClientProfile,
    suspends: bool,
}

impl Peer for Slow {
    fn client(&self) -> &ClientProfile {
        &self.client
    }

    fn wants_progress(&self) -> bool {
        false
    }

    fn progress(&self, _: Progress) {}

    fn log(&self, _: LogMessage) {}

    fn release(&self, _: Duration) {}

    fn elicitation_done(&self, _: &str) {}

    fn consult(&self, _: &str, _: Ask) -> Asked {
        if self.suspends { Asked::Suspended } else { Asked::Live(roots()) }
    }

    fn suspended(&self) -> Option<SuspendFuture<'_>> {
        let asks = vec![("roots".to_owned(), roots())];
        self.suspends.then(|| Box::pin(std::future::ready(asks)) as SuspendFuture<'_>)
    }

    fn ask(&self, _: AskRequest) -> AskFuture<'_> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Err(AskError::Gone)
        })
    }
}

fn roots() -> AskRequest {
    AskRequest { method: "roots/list", params: json!({}) }
}

fn dispatcher() -> Dispatcher {
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}, "checksInput": true});
    let strict = json!({"name": "strict", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}});
    let manifest = json!({
        "tools": [tool("echo"), tool("later"), tool("asks"), tool("failing"), tool("panicking"), tool("misfit"), strict],
        "resources": [{"uri": "a://1", "name": "one"}],
        "prompts": [{"name": "p", "arguments": [{"name": "x"}]}],
    });
    let offer = Offer {
        callee: Arc::new(Fake("fake".into())),
        manifest: Arc::new(serde_json::from_value(manifest).unwrap()),
        selection: Selection::default(),
    };
    let registry = Registry::default();
    registry.publish(build(vec![offer]).0);
    let limits = Limits { call_timeout: Duration::from_secs(5), max_result_bytes: 1000, page_size: 10 };
    Dispatcher::new(registry, limits)
}

/// What a request comes to: its result, or its fault in words.
async fn run(method: Method, params: Value, cancel: &CancellationToken) -> Result<Value, String> {
    match resolve(method, params, cancel, false).await {
        Ok(Resolution::Complete(body)) => Ok(serde_json::from_slice(&body.json).unwrap()),
        Ok(other) => panic!("{other:?}"),
        Err(fault) => Err(fault.to_string()),
    }
}

async fn resolve(
    method: Method,
    params: Value,
    cancel: &CancellationToken,
    suspends: bool,
) -> Result<Resolution, Fault> {
    let dispatcher = dispatcher();
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let begin = |_: Beginning<'_>| {
        let deadline = Deadline::after(dispatcher.limits().call_timeout);
        let client = Slow { client: ClientProfile::default(), suspends };
        let call = Call::new(Arc::new(client), deadline, cancel.clone());
        call.record("step".to_owned(), json!(7));
        Ok(Arc::new(call))
    };
    let dialect = Dialect::stateful("2025-11-25").unwrap();
    let outcome = dispatcher.dispatch(&Incoming {
        dialect,
        method,
        params: Some(&params),
        meta: &crate::protocol::RequestMeta::of(Some(&params)),
        begin: &begin,
    });
    match outcome {
        Outcome::Now(result) => result,
        Outcome::Later(result) => result.await,
    }
}

async fn tool(name: &str, arguments: Value) -> Result<Value, String> {
    run(Method::CallTool, json!({"name": name, "arguments": arguments}), &CancellationToken::new()).await
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

fn error(message: &str) -> Value {
    json!({"content": [{"type": "text", "text": message}], "isError": true})
}

#[tokio::test(start_paused = true)]
async fn arguments_reach_the_callee_byte_for_byte() {
    assert_eq!(tool("echo", json!({"a": [1, 2.50]})).await, Ok(text(r#"{"a":[1,2.5]}"#)));
    let without = run(Method::CallTool, json!({"name": "echo"}), &CancellationToken::new()).await;
    assert_eq!(without, Ok(text("")));
}

#[tokio::test(start_paused = true)]
async fn what_the_model_can_act_on_is_a_result_and_the_rest_a_fault() {
    assert_eq!(tool("misfit", json!({})).await, Ok(error("it does not fit")));
    assert_eq!(tool("failing", json!({})).await, Err("plugin 'fake' failed: why".to_owned()));
    assert_eq!(tool("panicking", json!({})).await, Err("plugin 'fake' failed: it panicked".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_the_callee_does_not_check_is_checked_here() {
    let misfit = tool("strict", json!({"n": 0})).await.unwrap();
    let message = misfit["content"][0]["text"].as_str().unwrap();
    assert!(message.starts_with("the arguments of 'strict' do not fit: '/n': "), "{message}");
    assert!(!message.contains('0'), "the value may be secret: {message}");
    assert_eq!(tool("strict", json!({"n": 1})).await, Err("plugin 'fake' failed: it was stopped".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_its_time_is_given_up_and_the_time_of_an_answer_does_not_count() {
    assert_eq!(tool("later", json!({})).await, Ok(text("later")));
    assert_eq!(tool("asks", json!({})).await, Ok(error("the client is gone")));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_another_request_ends_with_its_questions() {
    let cancel = CancellationToken::new();
    let asked = resolve(Method::CallTool, json!({"name": "asks"}), &cancel, true).await;
    let recorded = [("step".to_owned(), json!(7))].into();
    assert_eq!(asked, Ok(Resolution::InputRequired { asks: vec![("roots".to_owned(), roots())], recorded }));
    assert!(cancel.is_cancelled(), "what still runs is told so");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_ends() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let outcome = run(Method::CallTool, json!({"name": "later"}), &cancel).await;
    assert_eq!(outcome, Err("the call was cancelled".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn names_that_do_not_exist_are_told_with_what_was_meant() {
    assert_eq!(tool("ech", json!({})).await, Err("unknown tool 'ech'; did you mean 'echo'?".to_owned()));
    let cancel = CancellationToken::new();
    let read = run(Method::ReadResource, json!({"uri": "a://2"}), &cancel).await;
    assert_eq!(read, Err("resource not found: a://2; did you mean 'a://1'?".to_owned()));
    let gone = run(Method::ReadResource, json!({"uri": "a://1"}), &cancel).await;
    assert_eq!(gone, Err("resource not found: a://1".to_owned()));
    let prompt = run(Method::GetPrompt, json!({"name": "q"}), &cancel).await;
    assert_eq!(prompt, Err("unknown prompt 'q'".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_argument_without_proposals_has_none() {
    let complete = |argument: &str| json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": argument, "value": ""}});
    let cancel = CancellationToken::new();
    let nothing = json!({"completion": {"values": [], "total": 0, "hasMore": false}});
    assert_eq!(run(Method::Complete, complete("x"), &cancel).await, Ok(nothing));
    let unknown = run(Method::Complete, complete("y"), &cancel).await;
    assert_eq!(unknown, Err("prompt 'p' has no argument 'y'".to_owned()));
}
