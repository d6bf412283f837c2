//! How a callee's answer becomes an outcome: one way for all methods.

use crate::call::{Call, Failure, OpenAsks, Suspension};
use crate::protocol::{Fault, ResultBody};
use crate::registry::{Answer, AnswerFuture};
use mcp_plugin_api::manifest::OnRestart;
use serde_json::Value;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

/// What becomes of a request: a resolution in the client's dialect or a fault, now or later.
pub enum Outcome {
    /// It is here.
    Now(Result<Resolution, Fault>),
    /// It comes. Dropping the future cancels the call.
    Later(Pin<Box<dyn Future<Output = Result<Resolution, Fault>> + Send>>),
}

/// How a request ends that does not fail.
#[derive(Debug, PartialEq)]
pub enum Resolution {
    /// With its result.
    Complete(ResultBody),
    /// With questions; it is run again when the answers are there.
    InputRequired {
        /// The questions, by key.
        asks: OpenAsks,
        /// Values of steps that happen once.
        recorded: HashMap<String, Value>,
    },
    /// It becomes a task, and is run again as such.
    Task(TaskDue),
}

/// A call that is to become a task.
#[derive(Debug, PartialEq)]
pub struct TaskDue {
    /// The tool, by the name that clients see.
    pub tool: String,
    /// What becomes of it when the host starts again.
    pub on_restart: OnRestart,
    /// Values of steps that happen once.
    pub recorded: HashMap<String, Value>,
}

impl From<ResultBody> for Resolution {
    fn from(body: ResultBody) -> Self {
        Self::Complete(body)
    }
}

/// What a handler makes of a callee's answer.
pub(super) type Finish = Box<dyn FnOnce(Result<Vec<u8>, Failure>) -> Result<ResultBody, Fault> + Send>;

impl Outcome {
    /// The outcome of an answer. `finish` is boxed only if the answer comes later.
    pub(super) fn of(
        answer: Answer,
        call: &Arc<Call>,
        plugin: &Arc<str>,
        due: Option<TaskDue>,
        finish: impl FnOnce(Result<Vec<u8>, Failure>) -> Result<ResultBody, Fault> + Send + 'static,
    ) -> Self {
        match answer {
            Answer::Ready(answer) => Self::Now(finish(answer).map(Resolution::from)),
            Answer::Pending(answer) => {
                let bounded = bounded(Arc::clone(call), answer, Arc::clone(plugin), due, Box::new(finish));
                Self::Later(Box::pin(bounded))
            }
        }
    }
}

/// Waits for an answer, until it is cancelled, its time is over, it can do nothing more without the client's answers, or it
/// becomes the task that is `due`.
async fn bounded(
    call: Arc<Call>,
    answer: AnswerFuture,
    plugin: Arc<str>,
    due: Option<TaskDue>,
    finish: Finish,
) -> Result<Resolution, Fault> {
    let suspended = async {
        match call.peer.suspended() {
            Some(suspended) => suspended.await,
            None => std::future::pending().await,
        }
    };
    // The answer's future is gone when one of the other arms runs: its function has unwound, or is let unwind there.
    tokio::select! {
        biased;
        answer = answer => finish(answer).map(Resolution::from),
        () = call.cancel.cancelled() => Err(Fault::Cancelled),
        suspension = suspended => {
            // What still waits for an answer unwinds now.
            call.cancel.cancel();
            let recorded = call.all_recorded();
            match (suspension, due) {
                (Suspension::Asks(asks), _) => Ok(Resolution::InputRequired { asks, recorded }),
                (Suspension::Task, Some(due)) => Ok(Resolution::Task(TaskDue { recorded, ..due })),
                (Suspension::Task, None) => {
                    Err(Fault::HostFailed { reason: "a call became a task that can be none".to_owned() })
                }
            }
        }
        () = call.deadline.passed() => {
            // A blocking function learns of it this way; everything else is dropped with the future.
            call.cancel.cancel();
            Err(Fault::TimedOut { plugin: plugin.to_string(), timeout: call.deadline.bound() })
        }
    }
}

/// The fault of a failure, for methods whose result has no place for it.
pub(super) fn fault(plugin: &str, failure: Failure) -> Fault {
    let failed = |reason: String| Fault::PluginFailed { plugin: plugin.to_owned(), reason };
    match failure {
        Failure::InvalidParams { message, data } => Fault::InvalidParams { reason: message, data },
        Failure::InvalidArguments(message) | Failure::NotFound(message) => Fault::invalid_params(message),
        Failure::Failed(reason) => failed(reason),
        Failure::Crashed(crash) => failed(crash.how),
        // The panic's message is in the operator's log; it could quote arguments.
        Failure::Panicked(_) => failed("it panicked".to_owned()),
        Failure::Cancelled => Fault::Cancelled,
        Failure::MissingCapability { capability, .. } => Fault::MissingCapability { capability },
        Failure::AskFailed(message) => Fault::AskFailed { message },
        Failure::UrlRequired { message, data } => Fault::UrlRequired { message, data },
        Failure::Busy => Fault::Busy,
        Failure::Stopped => Fault::PluginStopped { plugin: plugin.to_owned() },
    }
}
