//! Call a plugin's tools, resources and prompts in a unit test, without a host.
//!
//! A [`Kit`] starts the plugin as a host would, on the same code path up to the boundary. A [`Script`] says what the
//! client answers, and keeps what the plugin told it.
//!
//! ```
//! use mcp_plugin_api::prelude::*;
//! use mcp_plugin_api::testing::{Kit, Script};
//! use mcp_plugin_api::serde_json::json;
//!
//! #[derive(Default)]
//! struct Hello;
//!
//! #[plugin]
//! impl Hello {
//!     /// Greets whoever the user names.
//!     #[tool]
//!     async fn greet(&self, ctx: &Context) -> Result<String> {
//!         let answer = ctx.elicit("name", "Who are you?", Form::new().required("name", Field::text())).await?;
//!         Ok(answer.accepted().map_or("nobody".to_owned(), |form| format!("Hello, {}!", form["name"].as_str().unwrap_or(""))))
//!     }
//! }
//!
//! # fn main() {
//! let kit = Kit::<Hello>::start(json!({})).unwrap();
//! let script = Script::new().accept("name", json!({"name": "Ada"}));
//! let result = kit.tool("greet", json!({}), &script).unwrap();
//! assert_eq!(result.content, [Content::text("Hello, Ada!")]);
//! # }
//! ```

use crate::abi::foreign::{FfiFuture, ROption, RSlice, RStr, RVec, TD_Opaque};
use crate::abi::{CallApi, CallContext, Failure, HostApi, HostObject, Outcome, Reply, failure, into_foreign, op};
use crate::adapter::Adapter;
use crate::content::{Completion, Prompt, ResourceResult, ToolResult};
use crate::context::{Client, Context, LogLevel};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::manifest::Manifest;
use crate::plugin::Plugin;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, PoisonError};
use tokio::runtime::Runtime;

/// A started plugin.
pub struct Kit<P: Plugin> {
    adapter: Adapter<P>,
}

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

/// Waits for pending outcomes.
static WAITING: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().expect("a test can have a runtime"));

impl<P: Plugin> Kit<P> {
    /// Starts the plugin with a configuration.
    ///
    /// # Errors
    /// What the plugin's start gives.
    pub fn start(config: Value) -> Result<Self> {
        let host = Host::new(HostObject::from_value(Script::new(), TD_Opaque));
        Ok(Self { adapter: Adapter::start(host, config.to_string().as_bytes())? })
    }

    /// What the plugin offers.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        self.adapter.manifest()
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// Errors of the request; what the tool itself reports is in the result.
    pub fn tool(&self, name: &str, arguments: Value, script: &Script) -> Result<ToolResult> {
        self.run(op::TOOL, name, &arguments, script)
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// What the plugin gives.
    pub fn resource(&self, uri: &str, script: &Script) -> Result<ResourceResult> {
        self.run(op::RESOURCE, uri, &Value::Null, script)
    }

    /// Expands a prompt.
    ///
    /// # Errors
    /// What the plugin gives.
    pub fn prompt(&self, name: &str, arguments: Value, script: &Script) -> Result<Prompt> {
        self.run(op::PROMPT, name, &arguments, script)
    }

    /// Completes an argument of a prompt.
    ///
    /// # Errors
    /// What the plugin gives.
    pub fn complete_prompt(&self, prompt: &str, argument: &str, typed: &str) -> Result<Completion> {
        let payload = json!({"kind": "prompt", "argument": argument, "value": typed});
        self.run(op::COMPLETE, prompt, &payload, &Script::new())
    }

    /// Completes a parameter of a template.
    ///
    /// # Errors
    /// What the plugin gives.
    pub fn complete_template(&self, template: &str, parameter: &str, typed: &str) -> Result<Completion> {
        let payload = json!({"kind": "template", "argument": parameter, "value": typed});
        self.run(op::COMPLETE, template, &payload, &Script::new())
    }

    fn run<T: DeserializeOwned>(&self, op: &str, name: &str, payload: &Value, script: &Script) -> Result<T> {
        let payload = if payload.is_null() { String::new() } else { payload.to_string() };
        let context = Context::new(CallContext::from_value(script.clone(), TD_Opaque));
        let reply = match self.adapter.run(op, name, payload.as_bytes(), context) {
            Outcome::Ready(reply) => reply,
            Outcome::Pending(future) => WAITING.block_on(future),
        };
        match reply {
            Reply::ROk(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Reply::RErr(failure) => Err(Error::from(failure)),
        }
    }
}
