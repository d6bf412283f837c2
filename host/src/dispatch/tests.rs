use super::*;
use crate::call::{
    AskError, AskFuture, Asked, Deadline, Failure, LogMessage, Peer, Progress, SuspendFuture, Suspension, Timeouts,
};
use crate::protocol::{Ask, AskRequest, ClientProfile};
use crate::registry::{Answer, Callee, Offer, Operation, Selection, TimeoutRule, build};
use serde_json::{Value, json};
use std::time::Duration;
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
            (Operation::Tool, "echo" | "task-echo") => Answer::Ready(Ok(text(&String::from_utf8_lossy(payload)))),
            (Operation::Tool, "later" | "task-later") => {
                let answer = text("later");
                Answer::Pending(Box::pin(async move {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    Ok(answer)
                }))
            }
            (Operation::Tool, "asks" | "task-asks") => {
                let call = Arc::clone(call);
                let Asked::Live(request) = call.consult("roots", Ask::Roots) else {
                    // A call that is to be run again hangs until it is dropped.
                    return Answer::Pending(Box::pin(std::future::pending()));
                };
                Answer::Pending(Box::pin(async move {
                    match call.ask("roots", request).await {
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

const TIMEOUTS: Timeouts =
    Timeouts { call: Duration::from_secs(5), max_call: Duration::from_secs(50), task: Duration::from_secs(500) };

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
        let asks = Suspension::Asks(vec![("roots".to_owned(), roots())]);
        self.suspends.then(|| Box::pin(std::future::ready(asks)) as SuspendFuture<'_>)
    }

    fn ask(&self, _: &str, _: AskRequest) -> AskFuture<'_> {
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
    let task = |name: &str, support: &str, asks_first: bool| {
        let mut task = tool(name);
        task["task"] = json!({"support": support, "asksFirst": asks_first});
        task
    };
    let tasks = [task("later", "optional", false), task("echo", "required", false), task("asks", "required", true)];
    let tasks = tasks.map(|mut task| {
        task["name"] = format!("task-{}", task["name"].as_str().unwrap()).into();
        task
    });
    let manifest = json!({
        "tools": [tool("echo"), tool("later"), tool("asks"), tool("failing"), tool("panicking"), tool("misfit"), strict, tasks[0], tasks[1], tasks[2]],
        "resources": [{"uri": "a://1", "name": "one"}],
        "prompts": [{"name": "p", "arguments": [{"name": "x"}]}],
    });
    let offer = Offer {
        withheld: Default::default(),
        callee: Arc::new(Fake("fake".into())),
        manifest: Arc::new(serde_json::from_value(manifest).unwrap()),
        selection: Selection::default(),
        timeouts: TimeoutRule { all: TIMEOUTS, ..TimeoutRule::default() },
    };
    let registry = Registry::default();
    registry.publish(build(vec![offer]).0);
    let limits = Limits { max_result_bytes: 1000, page_size: 10, tasks: true };
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
    resolve_as(TaskWish::Unknown, method, params, cancel, suspends).await
}

async fn resolve_as(
    wish: TaskWish,
    method: Method,
    params: Value,
    cancel: &CancellationToken,
    suspends: bool,
) -> Result<Resolution, Fault> {
    let dispatcher = dispatcher();
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let begin = |beginning: Beginning<'_>| {
        assert_eq!(beginning.timeouts, TIMEOUTS);
        let deadline = Deadline::after(beginning.timeouts.call);
        let client = Slow { client: ClientProfile::default(), suspends };
        let call = Call::new(Arc::new(client), deadline, cancel.clone());
        call.record("step".to_owned(), json!(7), 5).unwrap();
        Ok(Arc::new(call))
    };
    let dialect = Dialect::stateful("2025-11-25").unwrap();
    let outcome = dispatcher.dispatch(&Incoming {
        dialect,
        method,
        params: Some(&params),
        meta: &crate::protocol::RequestMeta::of(Some(&params)),
        tasks: wish,
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

/// What a call comes to, in a word.
async fn as_task(wish: TaskWish, tool: &str) -> String {
    let cancel = CancellationToken::new();
    match resolve_as(wish, Method::CallTool, json!({"name": tool, "arguments": {}}), &cancel, true).await {
        Ok(Resolution::Complete(_)) => "called".to_owned(),
        Ok(Resolution::InputRequired { .. }) => "asked".to_owned(),
        Ok(Resolution::Task(due)) => {
            assert_eq!(due.tool, tool);
            "task".to_owned()
        }
        Err(fault) => fault.to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn whether_a_call_becomes_a_task_is_for_its_tool_and_its_client_to_say() {
    const REFUSED: &str =
        "tool 'task-echo' runs as a task only: the client must ask for one, or declare that it can follow one";
    for (wish, expected) in [
        (TaskWish::Unknown, ["called", "called", "called", "asked"]),
        (TaskWish::Declined, ["called", "called", REFUSED, ""]),
        (TaskWish::Offered, ["called", "task", "task", "asked"]),
        (TaskWish::Demanded, ["tool 'echo' does not run as a task: leave 'task' out", "task", "task", "task"]),
        (TaskWish::Inside, ["called", "called", "called", "asked"]),
    ] {
        for (tool, expected) in ["echo", "task-later", "task-echo", "task-asks"].into_iter().zip(expected) {
            // A tool that suspends is not waited for in the tests of those that do not.
            if expected.is_empty() || (tool == "task-later" && expected == "called") {
                continue;
            }
            assert_eq!(as_task(wish, tool).await, expected, "{wish:?}, {tool}");
        }
    }
}
