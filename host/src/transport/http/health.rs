//! The word for operators: alive, ready, and in detail. No session id and no argument is in it.

use serde::Serialize;

/// What is asked by `/health` and its kin, and by `/metrics`.
pub trait Health: Send + Sync {
    /// Whether new work is welcome, and everything that is required is there.
    fn is_ready(&self) -> bool;

    /// Everything in detail.
    fn detail(&self) -> HealthDetail;

    /// The same as figures, in the text form of OpenMetrics.
    fn metrics(&self) -> String;
}

/// The host in detail.
#[derive(Debug, Serialize)]
pub struct HealthDetail {
    /// `ready`, `not ready` or `draining`.
    pub status: &'static str,
    /// The host's version.
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Sessions that are open.
    pub sessions: usize,
    /// Streams of changes that are open.
    pub subscriptions: usize,
    /// Calls under way.
    pub calls: usize,
    /// Tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TasksHealth>,
    /// All plugins.
    pub plugins: Vec<PluginHealth>,
    /// What the operator should know.
    pub problems: Vec<String>,
}

/// Tasks in detail.
#[derive(Debug, Serialize)]
pub struct TasksHealth {
    /// Those that are kept, ended ones included.
    pub kept: usize,
    /// Those that run in this host.
    pub running: usize,
    /// Those that wait for their turn.
    pub waiting: usize,
}

/// One plugin in detail.
#[derive(Debug, Serialize)]
pub struct PluginHealth {
    /// Its name, or its file's.
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where its file is.
    pub file: String,
    /// The SHA-256 of what is served, or was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `loading`, `ready`, `disabled`, `not a plugin`, `refused`, `quarantined`, `broken`, `restarting` or
    /// `draining`.
    pub state: &'static str,
    /// Why it is not served, or why its newest file is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the host is not ready without it.
    pub required: bool,
    /// Where it runs: `in-process` or `worker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<&'static str>,
    /// Counts the versions that were served, from 1.
    pub generation: u64,
    /// Versions of it in the host's process: none is ever unmapped.
    pub resident_generations: usize,
    /// Versions before this one whose calls have not ended.
    pub draining_generations: usize,
    /// How often its processes were started again.
    pub restarts: u64,
    /// What it wants and is not granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_granted: Vec<String>,
    /// What is denied to it, and by what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enforced: Vec<String>,
    /// What it may do because this system cannot deny it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_enforced: Vec<String>,
    /// Calls under way, those that nobody waits for any more included.
    pub calls: usize,
    /// Calls that nobody waits for any more: they were cancelled, or took too long, and have not returned.
    pub deaf_calls: usize,
    /// For how many seconds the oldest of them has been so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_deaf_seconds: Option<u64>,
}
