//! Why a request got no result: symbols within, codes on the wire. The translation happens here, once.

use super::{Dialect, TASKS_EXTENSION};
use crate::wire::code;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// Whose concern a fault is. Decides the level of its log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The client sent what cannot be done.
    Client,
    /// A plugin failed.
    Plugin,
    /// This host failed, or is stopping.
    Host,
}

/// Why a request got no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The method does not exist in the client's era.
    #[error("unknown method '{method}'")]
    UnknownMethod {
        /// The method.
        method: String,
    },
    /// The session is not open yet.
    #[error("this session is not initialized: send 'initialize' first")]
    NotInitialized,
    /// The session is open already.
    #[error("this session is initialized already")]
    AlreadyInitialized,
    /// What the request must say of itself is missing or has the wrong type (2026-07-28 M-01).
    #[error("{reason}")]
    InvalidMeta {
        /// What is wrong.
        reason: String,
    },
    /// The request names a revision that is not served (2026-07-28 V-01).
    #[error("the protocol version '{requested}' is not supported")]
    UnsupportedRevision {
        /// The revision.
        requested: String,
    },
    /// A header does not say what the body says (2026-07-28 H-05 to H-10).
    #[error("{reason}")]
    HeaderMismatch {
        /// Which one.
        reason: String,
    },
    /// The message may not come in this form.
    #[error("{reason}")]
    InvalidRequest {
        /// What is wrong.
        reason: String,
    },
    /// The params are not usable.
    #[error("{reason}")]
    InvalidParams {
        /// What is wrong.
        reason: String,
        /// Detail for programs.
        data: Option<Value>,
    },
    /// No such tool or prompt.
    #[error("unknown {kind} '{name}'{}", hint(.suggestion))]
    UnknownName {
        /// `tool` or `prompt`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// No such resource.
    #[error("resource not found: {uri}{}", hint(.suggestion))]
    ResourceNotFound {
        /// What was asked for.
        uri: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// The client cannot do what the call needs.
    #[error("the client did not declare the capability '{capability}', which this needs")]
    MissingCapability {
        /// The capability.
        capability: String,
    },
    /// The method is for clients that declare the extension of tasks (2026-07-28 K-12).
    #[error("the client did not declare the extension '{TASKS_EXTENSION}', which this needs")]
    TasksNotDeclared,
    /// The tool runs as a task only (2025-era K-03, 2026-07-28 K-02).
    #[error("tool '{tool}' runs as a task only: the client must ask for one, or declare that it can follow one")]
    TaskRequired {
        /// The tool.
        tool: String,
    },
    /// The tool never runs as a task (2025-era K-03).
    #[error("tool '{tool}' does not run as a task: leave 'task' out")]
    TaskForbidden {
        /// The tool.
        tool: String,
    },
    /// No task of this id is there for whoever asks.
    #[error("unknown task: it never was, or has expired")]
    UnknownTask,
    /// The task has ended already (2025-era K-11).
    #[error("the task has ended already, as '{status}'")]
    TaskEnded {
        /// How.
        status: &'static str,
    },
    /// The task was cancelled: it has no result.
    #[error("the task was cancelled: it has no result")]
    TaskCancelled,
    /// Tasks cannot be kept.
    #[error("no task can be kept now: {reason}")]
    TasksUnavailable {
        /// What the operator should know, free of details of the machine.
        reason: String,
    },
    /// The call needs the user at a URL first (2025-era C-17).
    #[error("{message}")]
    UrlRequired {
        /// For the user.
        message: String,
        /// The elicitations.
        data: Value,
    },
    /// The client refused or failed what the plugin asked of it.
    #[error("{message}")]
    AskFailed {
        /// What happened.
        message: String,
    },
    /// The plugin failed.
    #[error("plugin '{plugin}' failed: {reason}")]
    PluginFailed {
        /// The plugin.
        plugin: String,
        /// What happened.
        reason: String,
    },
    /// The plugin was stopped before the call reached it.
    #[error("plugin '{plugin}' failed: it was stopped")]
    PluginStopped {
        /// The plugin.
        plugin: String,
    },
    /// The plugin took too long.
    #[error("plugin '{plugin}' did not answer within {}", humantime::format_duration(*.timeout))]
    TimedOut {
        /// The plugin.
        plugin: String,
        /// The time that passed.
        timeout: Duration,
    },
    /// Too much is under way.
    #[error("too many calls are under way; try again later")]
    Busy,
    /// The host is stopping.
    #[error("the host is shutting down; try again later")]
    ShuttingDown,
    /// The call was cancelled; its requester gets no answer.
    #[error("the call was cancelled")]
    Cancelled,
    /// This host failed.
    #[error("the host failed: {reason}")]
    HostFailed {
        /// What happened, free of details of the machine.
        reason: String,
    },
}

fn hint(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was taken, and this is the outcome.
    Answered,
    /// It was not taken: it lacks what every request must have, or its client cannot do what it needs.
    Unacceptable,
    /// Its method is not known.
    UnknownMethod,
    /// It will be taken another time, or elsewhere.
    Unavailable,
}

/// A capability, such as `elicitation.url`, as the object in which a client would declare it.
fn as_object(capability: &str) -> Value {
    capability.rsplit('.').fold(json!({}), |inner, key| json!({key: inner}))
}

/// An error as it goes onto the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WireError {
    /// The JSON-RPC code.
    pub code: i32,
    /// For whoever reads it.
    pub message: String,
    /// Detail for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl Fault {
    /// A fault of the params without further detail.
    #[must_use]
    pub fn invalid_params(reason: impl Into<String>) -> Self {
        Self::InvalidParams { reason: reason.into(), data: None }
    }

    /// The fault of a panic of this host: it is the fault of one call, and not the end of the host.
    #[must_use]
    pub fn panicked() -> Self {
        Self::HostFailed { reason: "it panicked; please report this".to_owned() }
    }

    /// Whose concern it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match self {
            Self::PluginFailed { .. } | Self::PluginStopped { .. } | Self::TimedOut { .. } => Owner::Plugin,
            Self::Busy | Self::ShuttingDown | Self::HostFailed { .. } | Self::TasksUnavailable { .. } => Owner::Host,
            _ => Owner::Client,
        }
    }

    /// Whether nothing of the call has run, so that it can be made again as it was.
    #[must_use]
    pub fn is_before_the_call(&self) -> bool {
        matches!(self, Self::Busy | Self::PluginStopped { .. })
    }

    /// How far the request came, for transports whose replies have a status (2026-07-28 H-11).
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self {
            Self::UnknownMethod { .. } => Standing::UnknownMethod,
            Self::InvalidMeta { .. }
            | Self::UnsupportedRevision { .. }
            | Self::HeaderMismatch { .. }
            | Self::InvalidRequest { .. }
            | Self::TasksNotDeclared
            | Self::TaskRequired { .. }
            | Self::MissingCapability { .. } => Standing::Unacceptable,
            Self::ShuttingDown => Standing::Unavailable,
            _ => Standing::Answered,
        }
    }

    /// The error as a dialect writes it.
    #[must_use]
    pub fn on_the_wire(&self, dialect: &Dialect) -> WireError {
        /// 2025-era R-04.
        const RESOURCE_NOT_FOUND: i32 = -32002;
        /// 2025-era C-17.
        const URL_ELICITATION_REQUIRED: i32 = -32042;
        /// 2026-07-28 M-08.
        const HEADER_MISMATCH: i32 = -32020;
        /// 2026-07-28 M-04.
        const MISSING_CLIENT_CAPABILITY: i32 = -32021;
        /// 2026-07-28 V-01.
        const UNSUPPORTED_PROTOCOL_VERSION: i32 = -32022;
        let own_codes = dialect.features.fifth_wave;
        let (code, data) = match self {
            Self::UnknownMethod { .. } => (code::METHOD_NOT_FOUND, None),
            Self::NotInitialized | Self::AlreadyInitialized | Self::InvalidRequest { .. } => {
                (code::INVALID_REQUEST, None)
            }
            Self::InvalidParams { data, .. } => (code::INVALID_PARAMS, data.clone()),
            Self::UnknownName { .. }
            | Self::InvalidMeta { .. }
            | Self::UnknownTask
            | Self::TaskEnded { .. }
            | Self::TaskCancelled => (code::INVALID_PARAMS, None),
            Self::UnsupportedRevision { requested } => {
                let supported: Vec<&str> = Dialect::all_stateless().iter().map(|dialect| dialect.revision).collect();
                (UNSUPPORTED_PROTOCOL_VERSION, Some(json!({"supported": supported, "requested": requested})))
            }
            Self::HeaderMismatch { .. } => (HEADER_MISMATCH, None),
            // 2026-07-28 L-07.
            Self::ResourceNotFound { uri, .. } if own_codes => (code::INVALID_PARAMS, Some(json!({"uri": uri}))),
            Self::ResourceNotFound { uri, .. } => (RESOURCE_NOT_FOUND, Some(json!({"uri": uri}))),
            Self::TasksNotDeclared | Self::TaskRequired { .. } if own_codes => {
                let required = json!({"requiredCapabilities": {"extensions": {TASKS_EXTENSION: {}}}});
                (MISSING_CLIENT_CAPABILITY, Some(required))
            }
            Self::TasksNotDeclared | Self::TaskRequired { .. } | Self::TaskForbidden { .. } => {
                (code::METHOD_NOT_FOUND, None)
            }
            Self::MissingCapability { capability } if own_codes => {
                (MISSING_CLIENT_CAPABILITY, Some(json!({"requiredCapabilities": as_object(capability)})))
            }
            Self::MissingCapability { capability } => {
                (code::INVALID_REQUEST, Some(json!({"requiredCapability": capability})))
            }
            Self::UrlRequired { data, .. } if dialect.features.fourth_wave && !own_codes => {
                (URL_ELICITATION_REQUIRED, Some(data.clone()))
            }
            Self::UrlRequired { .. } => (code::INVALID_REQUEST, None),
            Self::AskFailed { .. }
            | Self::PluginFailed { .. }
            | Self::PluginStopped { .. }
            | Self::TimedOut { .. }
            | Self::Busy
            | Self::ShuttingDown
            | Self::Cancelled
            | Self::TasksUnavailable { .. }
            | Self::HostFailed { .. } => (code::INTERNAL_ERROR, None),
        };
        WireError { code, message: self.to_string(), data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fault: Fault, revision: &str, code: i32, data: Value) {
        let dialect = Dialect::all().iter().find(|dialect| dialect.revision == revision).unwrap();
        let error = fault.on_the_wire(dialect);
        assert_eq!((error.code, error.data.unwrap_or_default()), (code, data), "{revision}: {fault:?}");
    }

    #[test]
    fn each_era_has_codes_of_its_own() {
        let not_found = || Fault::ResourceNotFound { uri: "a:b".to_owned(), suggestion: None };
        check(not_found(), "2025-11-25", -32002, json!({"uri": "a:b"}));
        check(not_found(), "2026-07-28", -32602, json!({"uri": "a:b"}));
        let missing = || Fault::MissingCapability { capability: "elicitation.url".to_owned() };
        check(missing(), "2025-11-25", -32600, json!({"requiredCapability": "elicitation.url"}));
        check(missing(), "2026-07-28", -32021, json!({"requiredCapabilities": {"elicitation": {"url": {}}}}));
        let url = || Fault::UrlRequired { message: String::new(), data: json!([1]) };
        check(url(), "2025-11-25", -32042, json!([1]));
        check(url(), "2025-06-18", -32600, Value::Null);
        check(url(), "2026-07-28", -32600, Value::Null);
    }

    #[test]
    fn an_unknown_revision_is_told_those_that_are_served() {
        let fault = Fault::UnsupportedRevision { requested: "v9".to_owned() };
        check(fault, "2026-07-28", -32022, json!({"supported": ["2026-07-28"], "requested": "v9"}));
    }
}
