//! Levels of log messages for clients (2025-era U-07).

use serde::{Deserialize, Serialize};

/// How much a log message matters, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For finding faults.
    Debug,
    /// Normal events.
    Info,
    /// Normal, but worth a look.
    Notice,
    /// Something is off.
    Warning,
    /// Something failed.
    Error,
    /// A part of the system failed.
    Critical,
    /// Someone must act at once.
    Alert,
    /// Nothing works.
    Emergency,
}
