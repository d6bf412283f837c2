//! The client, as a call sees it.

use crate::protocol::{Ask, AskRequest, ClientProfile, LogLevel, TraceContext};
use serde_json::Value;
use serde_json::value::RawValue;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How far the work is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// How much is done.
    pub done: f64,
    /// Of how much.
    pub total: Option<f64>,
    /// What happens.
    pub message: Option<String>,
}

/// A log message for the client.
#[derive(Debug, Clone, PartialEq)]
pub struct LogMessage {
    /// How much it matters.
    pub level: LogLevel,
    /// Which part says it.
    pub logger: Option<String>,
    /// What it says.
    pub data: Value,
}

/// Why a question got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The client cannot be asked this.
    #[error("the client did not declare the capability '{0}'")]
    MissingCapability(String),
    /// The client cannot be asked in this way.
    #[error("{0}")]
    Refused(String),
    /// The client's answer is not what it was asked for.
    #[error("{0}")]
    Misfit(&'static str),
    /// Too many questions to the client are open.
    #[error("too many questions to this client are open")]
    TooMany,
    /// The client answered with an error.
    #[error("the client answered with error {code}: {message}")]
    ClientError {
        /// Its code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// The client did not answer in time.
    #[error("the client did not answer within {0:?}")]
    TimedOut(Duration),
    /// The client is gone.
    #[error("the client is gone")]
    Gone,
    /// The call was cancelled.
    #[error("the call was cancelled")]
    Cancelled,
}

/// What becomes of a question.
pub enum Asked {
    /// The client has answered it already, or cannot be asked.
    Answered(Result<Box<RawValue>, AskError>),
    /// The client can be asked while the call runs.
    Live(AskRequest),
    /// The client is asked when the call has ended, and the call is run again with the answer. Who asked is to unwind when
    /// the call is cancelled.
    Suspended,
}

/// The questions, by their keys, for whose answers a call has to be run again.
pub type OpenAsks = Vec<(String, AskRequest)>;

/// Why a call is ended, to be run again.
#[derive(Debug)]
pub enum Suspension {
    /// With the answers to these questions.
    Asks(OpenAsks),
    /// As a task.
    Task,
}

/// What resolves when a call is to be ended and run again.
pub type SuspendFuture<'a> = Pin<Box<dyn Future<Output = Suspension> + Send + 'a>>;

/// Why something was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotKept(pub String);

/// What resolves when something is kept.
pub type KeepFuture<'a> = Pin<Box<dyn Future<Output = Result<(), NotKept>> + Send + 'a>>;

/// What outlives the process, where the call runs for something that does.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// The value of a step.
    Step {
        /// Names the step.
        key: String,
        /// What it gave.
        value: Value,
    },
    /// How far the work is.
    Checkpoint(Value),
}

/// The task that a call runs for.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskOfCall {
    /// Its name.
    pub id: String,
    /// How far an earlier run came.
    pub checkpoint: Option<Value>,
}

/// What a live question becomes.
pub type AskFuture<'a> = Pin<Box<dyn Future<Output = Result<Box<RawValue>, AskError>> + Send + 'a>>;

/// The client's side of one call. No method blocks; what cannot be delivered is dropped.
pub trait Peer: Send + Sync {
    /// Who the client is.
    fn client(&self) -> &ClientProfile;

    /// Whether the client wants to hear of progress.
    fn wants_progress(&self) -> bool;

    /// Tells the client how far the work is.
    fn progress(&self, progress: Progress);

    /// Sends the client a log message, if it wants such.
    fn log(&self, message: LogMessage);

    /// Frees the client's connection; it comes back after about `retry`.
    fn release(&self, retry: Duration);

    /// Tells the client that the user is done at a URL.
    fn elicitation_done(&self, id: &str);

    /// The trace that the call is part of.
    fn trace(&self) -> Option<&TraceContext> {
        None
    }

    /// Takes a question, under a key of its own in the call.
    fn consult(&self, key: &str, ask: Ask) -> Asked;

    /// Puts a live question to the client, under the key that it was consulted with. Dropping the future withdraws it.
    fn ask(&self, key: &str, request: AskRequest) -> AskFuture<'_>;

    /// All questions that precede the task have been asked. Whether the call goes on; if not, [`Peer::suspended`] resolves, and
    /// who asked is to unwind when the call is cancelled.
    fn begin_task(&self) -> bool {
        true
    }

    /// The task that the call runs for.
    fn task(&self) -> Option<TaskOfCall> {
        None
    }

    /// Keeps something for a later run; nothing where there is none.
    fn keep(&self, _kept: Kept) -> Option<KeepFuture<'_>> {
        None
    }

    /// The call waits for the answers to all that it has asked.
    fn waits(&self) {}

    /// Nobody waits for the answer to a question any more.
    fn abandon(&self, _key: &str) {}

    /// A step that happens once is about to be done.
    fn step_begins(&self, _key: &str) {}

    /// That step is over, done or not.
    fn step_ends(&self, _key: &str) {}

    /// Resolves when the call is to be ended and run again; nothing where clients are asked live.
    fn suspended(&self) -> Option<SuspendFuture<'_>> {
        None
    }
}
