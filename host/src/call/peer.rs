//! The client, as a call sees it.

use crate::protocol::{Ask, ClientProfile, LogLevel};
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

/// What a question becomes.
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

    /// Puts a question to the client. Dropping the future withdraws it.
    fn ask(&self, ask: Ask) -> AskFuture<'_>;
}
