//! What is known of a task: its stages are types, and each change consumes a running one.

use super::{RunnerId, TaskId};
use crate::call::{AskError, Principal};
use crate::protocol::{AskRequest, ClientProfile, Dialect, ResultBody, TaskShown, TaskStatus, WireError};
use crate::rt::Millis;
use mcp_plugin_api::manifest::OnRestart;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A task, whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Its name.
    pub id: TaskId,
    /// Whose it is.
    pub owner: Principal,
    /// What its client spoke when it was created: it belongs to that era.
    #[serde(serialize_with = "revision_of", deserialize_with = "dialect_of")]
    pub dialect: &'static Dialect,
    /// When it was created.
    pub created: Millis,
    /// When it last changed.
    pub updated: Millis,
    /// For how long after its creation it is kept; for ever without.
    pub ttl: Option<Duration>,
    /// How long its client should wait before it asks again.
    pub poll_interval: Duration,
    /// How often it was changed.
    pub version: u64,
    /// Who runs it.
    pub runner: RunnerId,
    /// What is done.
    pub work: Work,
    /// A word about how it stands.
    pub message: Option<String>,
    /// How far it is.
    pub stage: Stage,
}

/// What is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Work {
    /// The tool, by the name that clients see.
    pub tool: String,
    /// Its arguments; nothing once it has ended.
    pub arguments: Option<Box<RawValue>>,
    /// What its client can do.
    pub client: ClientProfile,
    /// What becomes of it when the host starts again.
    pub on_restart: OnRestart,
}

/// How far a task is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being done.
    Running(Running),
    /// It has ended.
    Ended(Ended),
}

/// What is known while it is being done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Running {
    /// Questions that wait for an answer, by the keys that clients see: each is one question's for all of a task's life.
    pub open: BTreeMap<String, AskRequest>,
    /// Questions that were answered, or withdrawn.
    pub closed: BTreeMap<String, Closed>,
    /// Values of steps that happen once.
    pub recorded: HashMap<String, Value>,
    /// How far its function has said it is.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Value>,
    /// How often it was begun.
    pub runs: u32,
}

/// A question that waits no more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Closed {
    /// The question; nothing where it was answered before the task began.
    pub request: Option<AskRequest>,
    /// What became of it.
    pub how: How,
}

/// What became of a question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It was answered.
    Answered(Box<RawValue>),
    /// The client answered with an error.
    Refused {
        /// Its code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// Nobody wants to know any more.
    Withdrawn,
}

impl Closed {
    /// Whether it is this question that was closed, or an answer of before the task that fits it.
    #[must_use]
    pub fn is_of(&self, request: &AskRequest) -> bool {
        match (&self.request, &self.how) {
            (Some(asked), _) => asked == request,
            (None, How::Answered(answer)) => request.answer_rule().check(answer).is_ok(),
            (None, How::Refused { .. } | How::Withdrawn) => false,
        }
    }
}

/// The end of a task. Nothing leads back from here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ended(Outcome);

/// How a task has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With its result, in its dialect.
    Result {
        /// A JSON object.
        json: Box<RawValue>,
        /// Its `_meta`, where its era has members of its own there.
        meta: Option<Map<String, Value>>,
        /// Whether the tool tells of its own failure.
        is_error: bool,
    },
    /// With an error, in its dialect.
    Error(WireError),
    /// It was cancelled.
    Cancelled,
}

/// The task has ended: it does not change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task has ended")]
pub struct Final;

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Result { json, .. }, Self::Result { json: other, .. }) => json.get() == other.get(),
            (Self::Error(error), Self::Error(other)) => error == other,
            (Self::Cancelled, Self::Cancelled) => true,
            _ => false,
        }
    }
}

impl Outcome {
    /// The outcome with a result; an error where that is no JSON, which no encoder of ours gives.
    #[must_use]
    pub fn of(body: ResultBody) -> Self {
        let text = String::from_utf8(body.json.to_vec()).ok();
        match text.and_then(|text| RawValue::from_string(text).ok()) {
            Some(json) => Self::Result { json, meta: body.meta, is_error: body.is_error },
            None => Self::Error(WireError {
                code: crate::wire::code::INTERNAL_ERROR,
                message: "the host failed: its result is not JSON".to_owned(),
                data: None,
            }),
        }
    }

    /// A word about it, for whoever asks how the task stands.
    fn message(&self) -> Option<String> {
        match self {
            Self::Result { json, is_error: true, .. } => first_text(json.get()),
            Self::Result { .. } => None,
            Self::Error(error) => Some(error.message.clone()),
            Self::Cancelled => Some("it was cancelled".to_owned()),
        }
    }
}

/// The first text of a tool's result, cut short.
fn first_text(result: &str) -> Option<String> {
    const MAX_CHARS: usize = 500;
    let result: Value = serde_json::from_str(result).ok()?;
    let text = result["content"].as_array()?.iter().find_map(|block| block["text"].as_str())?;
    Some(text.chars().take(MAX_CHARS).collect())
}

impl Ended {
    /// How.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.0
    }
}

impl Running {
    /// Begins it, for the first time or again.
    #[must_use]
    pub fn begun(self) -> Self {
        Self { runs: self.runs + 1, ..self }
    }

    /// It is left before its end, in order: that time does not count.
    #[must_use]
    pub fn left(self) -> Self {
        Self { runs: self.runs.saturating_sub(1), ..self }
    }

    /// The key under which clients see a question: the function's own, unless another question has had that (2026-07-28
    /// K-09).
    #[must_use]
    pub fn key_of(&self, key: &str, request: &AskRequest) -> String {
        let is_free = |candidate: &str| match (self.open.get(candidate), self.closed.get(candidate)) {
            (Some(open), _) => open == request,
            (None, Some(closed)) => closed.is_of(request),
            (None, None) => true,
        };
        let mut others = (2..).map(|number: u32| format!("{key}~{number}"));
        if is_free(key) { key.to_owned() } else { others.find(|other| is_free(other)).unwrap_or_default() }
    }

    /// Puts a question, under the key of [`Running::key_of`]. One that was answered stays answered.
    #[must_use]
    pub fn asked(mut self, key: &str, request: AskRequest) -> Self {
        if self.answer(key).is_none() {
            self.closed.remove(key);
            self.open.insert(key.to_owned(), request);
        }
        self
    }

    /// Closes a question. Unknown ones, and those that are closed already, stay as they are.
    fn closed(mut self, key: &str, how: How) -> Self {
        if let Some(request) = self.open.remove(key) {
            self.closed.insert(key.to_owned(), Closed { request: Some(request), how });
        }
        self
    }

    /// Withdraws a question, if it is open.
    #[must_use]
    pub fn withdrawn(self, key: &str) -> Self {
        self.closed(key, How::Withdrawn)
    }

    /// Takes the client's refusal of a question, if it is open.
    #[must_use]
    pub fn refused(self, key: &str, code: i64, message: &str) -> Self {
        self.closed(key, How::Refused { code, message: message.to_owned() })
    }

    /// Answers a question, if it is open and the answer fits it.
    #[must_use]
    pub fn answered(self, key: &str, answer: &RawValue) -> Self {
        match self.open.get(key).map(|request| request.answer_rule().check(answer)) {
            Some(Ok(())) => self.closed(key, How::Answered(answer.to_owned())),
            Some(Err(_)) | None => self,
        }
    }

    /// Ends it.
    #[must_use]
    pub fn ended(self, outcome: Outcome) -> Ended {
        Ended(outcome)
    }

    /// What became of a question, if it waits no more.
    #[must_use]
    pub fn answer(&self, key: &str) -> Option<Result<Box<RawValue>, AskError>> {
        match &self.closed.get(key)?.how {
            How::Answered(answer) => Some(Ok(answer.clone())),
            How::Refused { code, message } => {
                Some(Err(AskError::ClientError { code: *code, message: message.clone() }))
            }
            How::Withdrawn => None,
        }
    }
}

impl From<Running> for Stage {
    fn from(running: Running) -> Self {
        Self::Running(running)
    }
}

impl From<Ended> for Stage {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl Task {
    /// What is known while it is being done; nothing once it has ended.
    #[must_use]
    pub fn running(&self) -> Option<&Running> {
        match &self.stage {
            Stage::Running(running) => Some(running),
            Stage::Ended(_) => None,
        }
    }

    /// How it has ended; nothing while it is being done.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.stage {
            Stage::Running(_) => None,
            Stage::Ended(ended) => Some(ended.outcome()),
        }
    }

    /// The next version of it: this is the one way in which a task changes.
    ///
    /// # Errors
    /// [`Final`] when it has ended.
    pub fn next(&self, now: Millis, step: impl FnOnce(Running) -> Stage) -> Result<Self, Final> {
        let Stage::Running(running) = &self.stage else {
            return Err(Final);
        };
        let stage = step(running.clone());
        let message = match &stage {
            Stage::Running(_) => self.message.clone(),
            Stage::Ended(ended) => ended.outcome().message(),
        };
        // An ended task is not run again, so nothing of what that would need is kept.
        let work = match &stage {
            Stage::Running(_) => self.work.clone(),
            Stage::Ended(_) => Work { arguments: None, ..self.work.clone() },
        };
        Ok(Self { stage, message, work, updated: now.max(self.updated), version: self.version + 1, ..self.clone() })
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> TaskStatus {
        match &self.stage {
            Stage::Running(running) if running.open.is_empty() => TaskStatus::Working,
            Stage::Running(_) => TaskStatus::InputRequired,
            Stage::Ended(Ended(Outcome::Result { is_error: false, .. })) => TaskStatus::Completed,
            Stage::Ended(Ended(Outcome::Result { is_error: true, .. })) => TaskStatus::ToolFailed,
            Stage::Ended(Ended(Outcome::Error(_))) => TaskStatus::Failed,
            Stage::Ended(Ended(Outcome::Cancelled)) => TaskStatus::Cancelled,
        }
    }

    /// As clients see it.
    #[must_use]
    pub fn shown(&self) -> TaskShown<'_> {
        TaskShown {
            id: self.id.as_str(),
            status: self.status(),
            message: self.message.as_deref(),
            created: self.created.to_system_time(),
            updated: self.updated.to_system_time(),
            ttl: self.ttl,
            poll_interval: self.poll_interval,
        }
    }

    /// Until when it is kept; for ever without.
    #[must_use]
    pub fn expires(&self) -> Option<Millis> {
        self.ttl.map(|ttl| self.created.after(ttl))
    }
}

fn revision_of<S: Serializer>(dialect: &&'static Dialect, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dialect.revision)
}

fn dialect_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static Dialect, D::Error> {
    let revision = String::deserialize(deserializer)?;
    Dialect::of(&revision).ok_or_else(|| serde::de::Error::custom("a revision that this host does not know"))
}

/// Keeps `null` apart from nothing.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
