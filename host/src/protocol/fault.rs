//! Why a request got no result: symbols within, codes on the wire. The translation happens here, once.

use super::Dialect;
use crate::wire::code;
use serde_json::{Value, json};

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
    /// The plugin took too long.
    #[error("plugin '{plugin}' did not answer within {seconds} seconds")]
    TimedOut {
        /// The plugin.
        plugin: String,
        /// The deadline that passed.
        seconds: u64,
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

/// An error as it goes onto the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct WireError {
    /// The JSON-RPC code.
    pub code: i32,
    /// For whoever reads it.
    pub message: String,
    /// Detail for programs.
    pub data: Option<Value>,
}

impl Fault {
    /// A fault of the params without further detail.
    #[must_use]
    pub fn invalid_params(reason: impl Into<String>) -> Self {
        Self::InvalidParams { reason: reason.into(), data: None }
    }

    /// Whose concern it is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match self {
            Self::PluginFailed { .. } | Self::TimedOut { .. } => Owner::Plugin,
            Self::Busy | Self::ShuttingDown | Self::HostFailed { .. } => Owner::Host,
            _ => Owner::Client,
        }
    }

    /// The error as a dialect writes it.
    #[must_use]
    pub fn on_the_wire(&self, dialect: &Dialect) -> WireError {
        /// 2025-era R-04.
        const RESOURCE_NOT_FOUND: i32 = -32002;
        /// 2025-era C-17.
        const URL_ELICITATION_REQUIRED: i32 = -32042;
        let (code, data) = match self {
            Self::UnknownMethod { .. } => (code::METHOD_NOT_FOUND, None),
            Self::NotInitialized | Self::AlreadyInitialized | Self::InvalidRequest { .. } => {
                (code::INVALID_REQUEST, None)
            }
            Self::InvalidParams { data, .. } => (code::INVALID_PARAMS, data.clone()),
            Self::UnknownName { .. } => (code::INVALID_PARAMS, None),
            Self::ResourceNotFound { uri, .. } => (RESOURCE_NOT_FOUND, Some(json!({"uri": uri}))),
            Self::MissingCapability { capability } => {
                (code::INVALID_REQUEST, Some(json!({"requiredCapability": capability})))
            }
            Self::UrlRequired { data, .. } if dialect.features.fourth_wave => {
                (URL_ELICITATION_REQUIRED, Some(data.clone()))
            }
            Self::UrlRequired { .. } => (code::INVALID_REQUEST, None),
            Self::AskFailed { .. }
            | Self::PluginFailed { .. }
            | Self::TimedOut { .. }
            | Self::Busy
            | Self::ShuttingDown
            | Self::Cancelled
            | Self::HostFailed { .. } => (code::INTERNAL_ERROR, None),
        };
        WireError { code, message: self.to_string(), data }
    }
}
