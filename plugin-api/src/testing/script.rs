//! The client of a test: what it answers, and what it was told.

use crate::abi::foreign::{FfiFuture, ROption, RSlice, RStr, RVec};
use crate::abi::{CallApi, Failure, HostApi, Reply, failure, into_foreign, op};
use crate::context::{Client, LogLevel};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// What the client answers to each key, and what it was told.
#[derive(Clone, Default)]
pub struct Script {
    answers: BTreeMap<String, Value>,
    task: Option<Value>,
    told: Arc<Told>,
}

/// A lock of std, because a kit for tests is no reason for another dependency.
#[derive(Default)]
#[allow(clippy::disallowed_types, reason = "a kit for tests is no reason for another dependency")]
struct Told {
    said: std::sync::Mutex<Vec<Said>>,
    once: std::sync::Mutex<BTreeMap<String, Value>>,
    cancelled: std::sync::atomic::AtomicBool,
    cancelling: tokio::sync::Notify,
}

/// What a plugin told its client or its host.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// How far the work is: done, total, message.
    Progress(f64, Option<f64>, Option<String>),
    /// A log message.
    Log(LogLevel, Value),
    /// A resource has new content.
    ResourceUpdated(String),
    /// A question was asked, under this key.
    Asked(String),
    /// How far a task is was kept.
    Checkpoint(Value),
    /// Anything else, by the name of its operation.
    Other(String),
}

impl Script {
    /// A client that answers nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The user sends a form.
    #[must_use]
    pub fn accept(self, key: &str, content: Value) -> Self {
        self.answer(key, json!({"action": "accept", "content": content}))
    }

    /// The user says no.
    #[must_use]
    pub fn decline(self, key: &str) -> Self {
        self.answer(key, json!({"action": "decline"}))
    }

    /// The model answers with text.
    #[must_use]
    pub fn sampled(self, key: &str, text: &str) -> Self {
        let content = json!({"type": "text", "text": text});
        self.answer(key, json!({"role": "assistant", "model": "scripted", "content": content}))
    }

    /// The client has these roots: URIs.
    #[must_use]
    pub fn roots(self, key: &str, uris: &[&str]) -> Self {
        let roots: Vec<Value> = uris.iter().map(|uri| json!({"uri": uri})).collect();
        self.answer(key, json!({"roots": roots}))
    }

    /// The call runs for a task.
    #[must_use]
    pub fn task(mut self) -> Self {
        self.task = Some(json!({"id": "test"}));
        self
    }

    /// The call runs for a task that was left behind, and had come this far.
    #[must_use]
    pub fn task_at(mut self, checkpoint: Value) -> Self {
        self.task = Some(json!({"id": "test", "checkpoint": checkpoint}));
        self
    }

    /// The client's answer, as it is in the protocol.
    #[must_use]
    pub fn answer(mut self, key: &str, answer: Value) -> Self {
        self.answers.insert(key.to_owned(), answer);
        self
    }

    /// Cancels the calls of this client, now and later.
    pub fn cancel(&self) {
        self.told.cancelled.store(true, std::sync::atomic::Ordering::Release);
        self.told.cancelling.notify_waiters();
    }

    /// What the client was told, in order.
    #[must_use]
    pub fn said(&self) -> Vec<Said> {
        self.told.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, said: Said) {
        self.told.said.lock().unwrap_or_else(PoisonError::into_inner).push(said);
    }

    fn take(&self, op: &str, payload: &[u8]) {
        let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
        let said = match op {
            op::PROGRESS => Said::Progress(
                payload["progress"].as_f64().unwrap_or_default(),
                payload["total"].as_f64(),
                payload["message"].as_str().map(str::to_owned),
            ),
            op::LOG => Said::Log(
                serde_json::from_value(payload["level"].clone()).unwrap_or(LogLevel::Info),
                payload["data"].clone(),
            ),
            op::WAITING | op::STEP_OVER => return,
            op::RESOURCE_UPDATED => Said::ResourceUpdated(payload["uri"].as_str().unwrap_or_default().to_owned()),
            other => Said::Other(other.to_owned()),
        };
        self.say(said);
    }

    fn reply(&self, op: &str, payload: &[u8]) -> Reply {
        let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
        let key = payload["key"].as_str().unwrap_or_default().to_owned();
        let mut once = self.told.once.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match op {
            op::ONCE_GET => Some(once.get(&key).map_or(Value::Null, |value| json!({"value": value}))),
            op::BEGIN_TASK => Some(Value::Null),
            op::CHECKPOINT => {
                self.say(Said::Checkpoint(payload["value"].clone()));
                Some(Value::Null)
            }
            op::ONCE_PUT => {
                once.insert(key.clone(), payload["value"].clone());
                Some(Value::Null)
            }
            _ => {
                self.say(Said::Asked(key.clone()));
                self.answers.get(&key).cloned()
            }
        };
        match answer {
            Some(answer) => Reply::ROk(answer.to_string().into_bytes().into()),
            None => Reply::RErr(Failure {
                kind: failure::MISSING_CAPABILITY.into(),
                message: format!("the script has no answer for '{key}'").into(),
                data: Vec::new().into(),
            }),
        }
    }
}

impl HostApi for Script {
    fn log_enabled(&self, _level: u8, _target: RStr<'_>) -> bool {
        false
    }

    fn log(&self, _level: u8, _event: RSlice<'_, u8>) {}

    fn notify(&self, op: RStr<'_>, payload: RSlice<'_, u8>) {
        self.take(op.as_str(), payload.as_slice());
    }
}

impl CallApi for Script {
    fn is_cancelled(&self) -> bool {
        self.told.cancelled.load(std::sync::atomic::Ordering::Acquire)
    }

    fn notify(&self, op: RStr<'_>, payload: RSlice<'_, u8>) {
        self.take(op.as_str(), payload.as_slice());
    }

    fn request(&self, op: RStr<'_>, payload: RSlice<'_, u8>) -> FfiFuture<Reply> {
        if op.as_str() == op::CANCELLED {
            let told = Arc::clone(&self.told);
            return into_foreign(async move {
                let cancelling = told.cancelling.notified();
                if !told.cancelled.load(std::sync::atomic::Ordering::Acquire) {
                    cancelling.await;
                }
                Reply::ROk(b"null".to_vec().into())
            });
        }
        let reply = self.reply(op.as_str(), payload.as_slice());
        into_foreign(async move { reply })
    }

    fn query(&self, op: RStr<'_>) -> ROption<RVec<u8>> {
        let answer = match op.as_str() {
            op::CALL_ID => json!("test"),
            op::TASK => match &self.task {
                Some(task) => task.clone(),
                None => return ROption::RNone,
            },
            op::CLIENT => json!(Client {
                name: "script".to_owned(),
                version: "1".to_owned(),
                elicit_form: true,
                elicit_url: true,
                sample: true,
                sample_tools: true,
                roots: true,
                progress: true,
                apps: true,
            }),
            _ => return ROption::RNone,
        };
        ROption::RSome(answer.to_string().into_bytes().into())
    }
}
