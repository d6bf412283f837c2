//! Tasks, as each era writes them (2025-era K, 2026-07-28 K).

use super::{Dialect, TaskForm, WireError};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime};

/// The key of `_meta` under which messages say which task they belong to (2025-era K-13).
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// It is being done, or waits for its turn.
    Working,
    /// It waits for answers of its client.
    InputRequired,
    /// It has its result.
    Completed,
    /// It has its result, in which the tool tells of its own failure.
    ToolFailed,
    /// It has no result, but an error.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl TaskStatus {
    /// The status in a dialect's terms. A tool's own failure is a failed task in one era, and a completed one in the other
    /// (2025-era K-09, 2026-07-28 K-08).
    #[must_use]
    pub fn word(self, dialect: &Dialect) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::ToolFailed if dialect.features.tasks == TaskForm::Extension => "completed",
            Self::ToolFailed | Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A task as clients see it.
#[derive(Debug, Clone, Copy)]
pub struct TaskShown<'a> {
    /// Its name.
    pub id: &'a str,
    /// How it stands.
    pub status: TaskStatus,
    /// A word about that.
    pub message: Option<&'a str>,
    /// When it was created.
    pub created: SystemTime,
    /// When it last changed.
    pub updated: SystemTime,
    /// For how long after its creation it is kept; for ever without.
    pub ttl: Option<Duration>,
    /// How long its client should wait before it asks again.
    pub poll_interval: Duration,
}

impl TaskShown<'_> {
    /// The members of a task.
    #[must_use]
    pub fn members(&self, dialect: &Dialect) -> Map<String, Value> {
        let mut members = Map::new();
        let mut put = |key: &str, value: Value| members.insert(key.to_owned(), value);
        put("taskId", self.id.into());
        put("status", self.status.word(dialect).into());
        if let Some(message) = self.message {
            put("statusMessage", message.into());
        }
        put("createdAt", humantime::format_rfc3339_millis(self.created).to_string().into());
        put("lastUpdatedAt", humantime::format_rfc3339_millis(self.updated).to_string().into());
        let ttl = self.ttl.map(|ttl| ttl.as_millis() as u64);
        let poll_interval = self.poll_interval.as_millis() as u64;
        // One era has units in its names (2026-07-28 K-04).
        let names = match dialect.features.tasks {
            TaskForm::Extension => ("ttlMs", "pollIntervalMs"),
            TaskForm::Core | TaskForm::None => ("ttl", "pollInterval"),
        };
        put(names.0, json!(ttl));
        put(names.1, poll_interval.into());
        members
    }
}

/// A result whose `_meta` says which task it belongs to; `result` is a JSON object (2025-era K-08).
#[must_use]
pub fn with_related_task(result: &RawValue, task: &str) -> Value {
    let mut result: Value = serde_json::from_str(result.get()).unwrap_or_else(|_| json!({}));
    if let Some(result) = result.as_object_mut() {
        let meta = result.entry("_meta").or_insert_with(|| json!({}));
        if let Some(meta) = meta.as_object_mut() {
            meta.insert(RELATED_TASK.to_owned(), json!({"taskId": task}));
        }
    }
    result
}

impl WireError {
    /// The error as a member of a task (2026-07-28 K-07).
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(revision: &str, status: TaskStatus, expected: Value) {
        let shown = TaskShown {
            id: "t",
            status,
            message: None,
            created: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
            updated: SystemTime::UNIX_EPOCH + Duration::from_secs(86400),
            ttl: Some(Duration::from_secs(60)),
            poll_interval: Duration::from_secs(1),
        };
        assert_eq!(Value::Object(shown.members(Dialect::of(revision).unwrap())), expected);
    }

    #[test]
    fn each_era_has_names_and_words_of_its_own() {
        let (created, updated) = ("1970-01-01T00:00:01.500Z", "1970-01-02T00:00:00.000Z");
        check(
            "2025-11-25",
            TaskStatus::ToolFailed,
            json!({
                "taskId": "t", "status": "failed", "createdAt": created, "lastUpdatedAt": updated,
                "ttl": 60000, "pollInterval": 1000
            }),
        );
        check(
            "2026-07-28",
            TaskStatus::ToolFailed,
            json!({
                "taskId": "t", "status": "completed", "createdAt": created, "lastUpdatedAt": updated,
                "ttlMs": 60000, "pollIntervalMs": 1000
            }),
        );
    }

    #[test]
    fn a_result_keeps_its_own_meta_beside_the_task() {
        let result = RawValue::from_string(r#"{"content":[],"_meta":{"a":1}}"#.to_owned()).unwrap();
        assert_eq!(
            with_related_task(&result, "t"),
            json!({"content": [], "_meta": {"a": 1, RELATED_TASK: {"taskId": "t"}}})
        );
    }
}
