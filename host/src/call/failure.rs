//! Why a callee gave no result.

use serde_json::Value;

/// How a callee's process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// In words, for the client too.
    pub how: String,
    /// It counts against what was called. Of several calls of one thing that it ended, one does.
    pub is_counted: bool,
}

impl Crash {
    /// The process had ended before the call came to it.
    #[must_use]
    pub fn beside(how: &str) -> Self {
        Self { how: how.to_owned(), is_counted: false }
    }
}

/// Why a callee gave no result. What a tool itself reports as failed is a result, not this.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The params are not usable.
    #[error("{message}")]
    InvalidParams {
        /// What is wrong.
        message: String,
        /// Detail for programs.
        data: Option<Value>,
    },
    /// A tool's arguments do not fit; the model is to try again.
    #[error("{0}")]
    InvalidArguments(String),
    /// It does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The callee's own fault.
    #[error("{0}")]
    Failed(String),
    /// The callee's code panicked.
    #[error("panicked: {0}")]
    Panicked(String),
    /// The callee's process has ended, with the call in it.
    #[error("{}", .0.how)]
    Crashed(Crash),
    /// The call was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The client cannot do what the call needs.
    #[error("{message}")]
    MissingCapability {
        /// What is wrong.
        message: String,
        /// The capability.
        capability: String,
    },
    /// The client refused or failed what was asked of it.
    #[error("{0}")]
    AskFailed(String),
    /// The call needs the user at a URL first.
    #[error("{message}")]
    UrlRequired {
        /// For the user.
        message: String,
        /// The elicitations.
        data: Value,
    },
    /// Too many calls are under way at the callee.
    #[error("too many calls are under way")]
    Busy,
    /// The callee is gone.
    #[error("the plugin was stopped")]
    Stopped,
}
