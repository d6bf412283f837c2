//! What goes wrong in a plugin, and whose concern it is.

use crate::abi::{Failure, failure};
use crate::context::Capability;
use serde_json::Value;

/// The result of a plugin's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a function of a plugin gave nothing.
///
/// Any standard error turns into one with `?`. In a tool it becomes a result that the model reads and can act on; the
/// other kinds become errors of the request itself.
pub struct Error {
    kind: Kind,
    message: String,
    data: Option<Value>,
}

/// Whom an error concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// The work failed.
    Failed,
    /// One of the boundary's kinds.
    Failure(String),
}

impl Error {
    /// The work failed; the model is to read why.
    #[must_use]
    pub fn new(message: impl std::fmt::Display) -> Self {
        Self { kind: Kind::Failed, message: message.to_string(), data: None }
    }

    /// The request's parameters are not usable, whatever the model does.
    #[must_use]
    pub fn invalid_params(message: impl std::fmt::Display) -> Self {
        Self::of(failure::INVALID_PARAMS, message)
    }

    /// A tool's arguments do not fit; the model is to read the message and try again.
    #[must_use]
    pub fn invalid_arguments(message: impl std::fmt::Display) -> Self {
        Self::of(failure::INVALID_ARGUMENTS, message)
    }

    /// What was asked for does not exist.
    #[must_use]
    pub fn not_found(message: impl std::fmt::Display) -> Self {
        Self::of(failure::NOT_FOUND, message)
    }

    /// The call cannot go on before the user has opened a URL and done there what is needed. `id` names the matter;
    /// announce its end with [`crate::Context::url_done`]. The client tries the call again after that.
    #[must_use]
    pub fn url_required(id: impl Into<String>, message: impl Into<String>, url: impl Into<String>) -> Self {
        let message = message.into();
        let data = serde_json::json!({
            "elicitations": [{"mode": "url", "elicitationId": id.into(), "url": url.into(), "message": message}],
        });
        Self { data: Some(data), ..Self::of(failure::URL_REQUIRED, message) }
    }

    /// The client cannot do what the function needs; it is told what it lacks.
    #[must_use]
    pub fn missing_capability(capability: Capability) -> Self {
        let path = capability.path();
        let message = format!("the client did not declare the capability '{path}'");
        Self::of(failure::MISSING_CAPABILITY, message).with_data(serde_json::json!({"capability": path}))
    }

    fn of(kind: &str, message: impl std::fmt::Display) -> Self {
        Self { kind: Kind::Failure(kind.to_owned()), message: message.to_string(), data: None }
    }

    /// Adds detail for programs.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the error is a tool's own failure, which the model reads as a result.
    pub(crate) fn is_tool_failure(&self) -> bool {
        self.kind == Kind::Failed
    }

    /// The boundary's kind of the error.
    #[must_use]
    pub fn kind(&self) -> &str {
        match &self.kind {
            Kind::Failed => failure::INTERNAL,
            Kind::Failure(kind) => kind,
        }
    }

    pub(crate) fn into_failure(self) -> Failure {
        Failure {
            kind: self.kind().into(),
            data: self.data.map_or_else(Vec::new, |data| data.to_string().into_bytes()).into(),
            message: self.message.into(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self {
            kind: Kind::Failure(failure.kind.into_string()),
            message: failure.message.into_string(),
            data: serde_json::from_slice(&failure.data).ok(),
        }
    }
}

// `Error` does not implement `std::error::Error`, so that this conversion may exist.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::new(message)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.kind(), self.message)
    }
}

/// What serde says, without the value that did not fit: arguments may be secret.
pub(crate) fn plain_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = message.find(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}
