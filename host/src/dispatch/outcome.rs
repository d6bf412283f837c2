//! How a callee's answer becomes an outcome: one way for all methods.

use crate::call::{Call, Failure, OpenAsks};
use crate::protocol::{Fault, ResultBody};
use crate::registry::{Answer, AnswerFuture};
use serde_json::Value;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

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
        timeout: Duration,
        finish: impl FnOnce(Result<Vec<u8>, Failure>) -> Result<ResultBody, Fault> + Send + 'static,
    ) -> Self {
        match answer {
            Answer::Ready(answer) => Self::Now(finish(answer).map(Resolution::from)),
            Answer::Pending(answer) => {
                let bounded = bounded(Arc::clone(call), answer, Arc::clone(plugin), timeout, Box::new(finish));
                Self::Later(Box::pin(bounded))
            }
        }
    }
}

/// Waits for an answer, until it is cancelled, its time is over, or it can do nothing more without the client's answers.
async fn bounded(
    call: Arc<Call>,
    answer: AnswerFuture,
    plugin: Arc<str>,
    timeout: Duration,
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
        asks = suspended => {
            // What still waits for an answer unwinds now.
            call.cancel.cancel();
            Ok(Resolution::InputRequired { asks, recorded: call.all_recorded() })
        }
        () = call.deadline.passed() => {
            // A blocking function learns of it this way; everything else is dropped with the future.
            call.cancel.cancel();
            Err(Fault::TimedOut { plugin: plugin.to_string(), seconds: timeout.as_secs() })
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
