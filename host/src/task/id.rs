//! Names of tasks, and of those who run them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Names a task: 192 random bits, because where nobody is known, whoever has the name has the task (2025-era K-05, K-16,
/// 2026-07-28 K-18).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// A name that nobody can guess.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn random() -> Result<Self, getrandom::Error> {
        random().map(|text| Self(text.into()))
    }

    /// The name that a client has sent. It may be nobody's.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(text.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whoever has the name may have the task, so logs do not say it whole.
impl fmt::Debug for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(6).collect();
        write!(formatter, "{shown}…")
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// Names a process that runs tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunnerId(Arc<str>);

impl RunnerId {
    /// A name that no other process has.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn random() -> Result<Self, getrandom::Error> {
        random().map(|text| Self(text.into()))
    }
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
