//! What the host lends to a plugin for one call.

use super::HostSide;
use super::library::lent;
use crate::call::{AskError, Asked, Call, Kept, LogMessage, Progress};
use crate::plugin::deaf::Unreturned;
use crate::protocol::{Ask, LogLevel};
use crate::rt::InFlightGuard;
use mcp_plugin_api::abi::foreign::{FfiFuture, ROption, RSlice, RStr, RVec};
use mcp_plugin_api::abi::{CallApi, Failure, Reply, failure, into_foreign, op};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The context of one call. The plugin drops it when the call is truly over, and with it the call's permit.
pub(in crate::plugin) struct CallSide {
    call: Arc<Call>,
    host: HostSide,
    runtime: Handle,
    /// Its slot, and that it has not returned.
    _held: (InFlightGuard, Unreturned),
}

impl CallSide {
    /// The context of a call that holds a permit of its plugin.
    pub(in crate::plugin) fn new(
        call: Arc<Call>,
        host: HostSide,
        runtime: Handle,
        held: (InFlightGuard, Unreturned),
    ) -> Self {
        Self { call, host, runtime, _held: held }
    }

    fn take(&self, op: &str, payload: &[u8]) {
        let peer = &self.call.peer;
        match op {
            op::PROGRESS => {
                if let Some(ProgressPayload { progress, total, message }) = read(payload) {
                    self.call.progress(Progress { done: progress, total, message });
                }
            }
            op::LOG => {
                if let Some(LogPayload { level, logger, data }) = read(payload) {
                    peer.log(LogMessage { level, logger, data });
                }
            }
            op::RELEASE => {
                if let Some(ReleasePayload { retry_ms }) = read(payload) {
                    peer.release(Duration::from_millis(retry_ms));
                }
            }
            op::ELICITATION_DONE => {
                if let Some(DonePayload { id }) = read(payload) {
                    peer.elicitation_done(&id);
                }
            }
            op::WAITING => peer.waits(),
            op::STEP_OVER => {
                if let Some(KeyPayload { key }) = read(payload) {
                    self.call.end_step(&key);
                }
            }
            other => self.host.take(other, payload),
        }
    }

    /// Does a request. Runs on the host's runtime: a future that needs it panics when the plugin's polls it.
    fn answer(&self, op: &str, payload: &[u8]) -> FfiFuture<Reply> {
        let ask = match op {
            op::ELICIT => read(payload).map(ElicitPayload::into_ask),
            op::SAMPLE => read(payload).map(|SamplePayload { key, params }| (key, Ask::Sample(params))),
            op::ROOTS => read(payload).map(|KeyPayload { key }| (key, Ask::Roots)),
            op::CANCELLED => return self.when_cancelled(),
            // A call that has ended with its questions is run again: what it does now would be lost.
            op::ONCE_GET | op::ONCE_PUT if self.call.cancel.is_cancelled() => {
                return ready(Some(Err(failed(failure::SUSPENDED, "the call has ended", None))));
            }
            op::ONCE_GET => {
                let step = read(payload).map(|KeyPayload { key }| self.call.begin_step(&key));
                return ready(step.map(|step| match step {
                    Ok(value) => Ok(value.map_or(Value::Null, |value| json!({"value": value}))),
                    Err(in_use) => Err(failed(failure::INTERNAL, &in_use.to_string(), None)),
                }));
            }
            op::ONCE_PUT => {
                let Some(RecordPayload { key, value }) = read(payload) else {
                    return ready(None);
                };
                self.call.record(key.clone(), value.clone());
                self.call.end_step(&key);
                return self.keep(Kept::Step { key, value });
            }
            op::CHECKPOINT => {
                let Some(CheckpointPayload { value }) = read(payload) else {
                    return ready(None);
                };
                return self.keep(Kept::Checkpoint(value));
            }
            op::BEGIN_TASK if self.call.peer.begin_task() => return ready(Some(Ok(Value::Null))),
            op::BEGIN_TASK => return self.when_withdrawn(None),
            _ => return ready(None),
        };
        let Some((key, ask)) = ask else {
            return ready(None);
        };
        let answered = |answer: Result<Box<RawValue>, AskError>| match answer {
            Ok(answer) => Ok(answer.get().as_bytes().to_vec()),
            Err(error) => Err(ask_failure(&error)),
        };
        match self.call.consult(&key, ask) {
            Asked::Answered(answer) => {
                let answer = answered(answer);
                into_foreign(async move { reply(answer) })
            }
            Asked::Live(request) => {
                let call = Arc::clone(&self.call);
                self.spawned(async move { answered(call.ask(&key, request).await) })
            }
            Asked::Suspended => self.when_withdrawn(Some(OpenAsk { call: Arc::clone(&self.call), key })),
        }
    }

    /// Tells who asked to unwind, once the call is ended to be run again.
    fn when_withdrawn(&self, open: Option<OpenAsk>) -> FfiFuture<Reply> {
        let withdrawn = self.call.cancel.clone();
        into_foreign(async move {
            withdrawn.cancelled().await;
            drop(open);
            Reply::RErr(failed(failure::SUSPENDED, "the call is run again", None))
        })
    }

    /// Keeps something for a later run, where there may be one.
    fn keep(&self, kept: Kept) -> FfiFuture<Reply> {
        let call = Arc::clone(&self.call);
        if call.peer.task().is_none() {
            return ready(Some(Ok(Value::Null)));
        }
        self.spawned(async move {
            if let Some(keeping) = call.peer.keep(kept)
                && let Err(error) = keeping.await
            {
                return Err(failed(failure::CANCELLED, &error.to_string(), None));
            }
            Ok(b"null".to_vec())
        })
    }

    fn when_cancelled(&self) -> FfiFuture<Reply> {
        let cancel = self.call.cancel.clone();
        self.spawned(async move {
            cancel.cancelled().await;
            Ok(b"null".to_vec())
        })
    }

    /// Runs work on the host's runtime, and ends it when nobody waits for it.
    fn spawned(&self, work: impl Future<Output = Result<Vec<u8>, Failure>> + Send + 'static) -> FfiFuture<Reply> {
        let (send, receive) = oneshot::channel::<Result<Vec<u8>, Failure>>();
        self.runtime.spawn(async move {
            let mut send = send;
            tokio::select! {
                () = send.closed() => {}
                result = work => {
                    let _ = send.send(result);
                }
            }
        });
        into_foreign(async move {
            match receive.await {
                Ok(result) => reply(result),
                Err(_) => Reply::RErr(failed(failure::CANCELLED, "the host is stopping", None)),
            }
        })
    }
}

impl CallApi for CallSide {
    fn is_cancelled(&self) -> bool {
        lent("is_cancelled", || self.call.cancel.is_cancelled())
    }

    fn notify(&self, op: RStr<'_>, payload: RSlice<'_, u8>) {
        lent("notify", || self.take(op.as_str(), payload.as_slice()));
    }

    fn request(&self, op: RStr<'_>, payload: RSlice<'_, u8>) -> FfiFuture<Reply> {
        let answer = lent("request", || Some(self.answer(op.as_str(), payload.as_slice())));
        answer.unwrap_or_else(|| ready(Some(Err(failed(failure::INTERNAL, "the host failed", None)))))
    }

    fn query(&self, op: RStr<'_>) -> ROption<RVec<u8>> {
        let answer = lent("query", || {
            Some(match op.as_str() {
                op::CALL_ID => json!(self.call.id.to_string()),
                op::DEADLINE => json!(self.call.deadline.left().as_millis() as u64),
                op::CLIENT => {
                    let client = self.call.client();
                    json!(mcp_plugin_api::Client {
                        name: client.name.clone(),
                        version: client.version.clone(),
                        elicit_form: client.elicit_form,
                        elicit_url: client.elicit_url,
                        sample: client.sampling,
                        sample_tools: client.sampling_tools,
                        roots: client.roots,
                        progress: self.call.peer.wants_progress(),
                        apps: client.apps,
                    })
                }
                op::TASK => {
                    let task = self.call.peer.task()?;
                    let mut told = json!({"id": task.id});
                    if let Some(checkpoint) = task.checkpoint {
                        told["checkpoint"] = checkpoint;
                    }
                    told
                }
                op::TRACE => {
                    let trace = self.call.trace()?;
                    json!(mcp_plugin_api::TraceContext {
                        traceparent: trace.traceparent.clone(),
                        tracestate: trace.tracestate.clone(),
                        baggage: trace.baggage.clone(),
                    })
                }
                _ => return None,
            })
        });
        answer.map(|value| value.to_string().into_bytes().into()).into()
    }
}

/// A question that waits for another request; nobody asks it any more when this is dropped.
struct OpenAsk {
    call: Arc<Call>,
    key: String,
}

impl Drop for OpenAsk {
    fn drop(&mut self) {
        self.call.peer.abandon(&self.key);
    }
}

#[derive(Deserialize)]
struct ProgressPayload {
    progress: f64,
    total: Option<f64>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct LogPayload {
    level: LogLevel,
    logger: Option<String>,
    data: Value,
}

#[derive(Deserialize)]
struct ReleasePayload {
    retry_ms: u64,
}

#[derive(Deserialize)]
struct DonePayload {
    id: String,
}

#[derive(Deserialize)]
struct SamplePayload {
    key: String,
    params: Value,
}

#[derive(Deserialize)]
struct KeyPayload {
    key: String,
}

#[derive(Deserialize)]
struct RecordPayload {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
struct CheckpointPayload {
    value: Value,
}

#[derive(Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
enum ElicitPayload {
    Form { key: String, message: String, schema: Value },
    Url { key: String, message: String, url: String },
}

impl ElicitPayload {
    fn into_ask(self) -> (String, Ask) {
        match self {
            Self::Form { key, message, schema } => (key, Ask::Form { message, schema }),
            Self::Url { key, message, url } => (key.clone(), Ask::Url { id: key, message, url }),
        }
    }
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}

fn reply(result: Result<Vec<u8>, Failure>) -> Reply {
    match result {
        Ok(bytes) => Reply::ROk(bytes.into()),
        Err(failure) => Reply::RErr(failure),
    }
}

fn failed(kind: &str, message: &str, data: Option<Value>) -> Failure {
    Failure {
        kind: kind.into(),
        message: message.into(),
        data: data.map_or_else(Vec::new, |data| data.to_string().into_bytes()).into(),
    }
}

/// A reply that is there at once; without one, the plugin asked for what this host does not know.
fn ready(reply: Option<Result<Value, Failure>>) -> FfiFuture<Reply> {
    let reply = match reply {
        Some(Ok(value)) => Reply::ROk(value.to_string().into_bytes().into()),
        Some(Err(failure)) => Reply::RErr(failure),
        None => Reply::RErr(failed(failure::MISSING_CAPABILITY, "this host does not know the request", None)),
    };
    into_foreign(async move { reply })
}

fn ask_failure(error: &AskError) -> Failure {
    let message = error.to_string();
    match error {
        AskError::MissingCapability(capability) => {
            failed(failure::MISSING_CAPABILITY, &message, Some(json!({"capability": capability})))
        }
        AskError::TimedOut(_) => failed(failure::CLIENT_TIMEOUT, &message, None),
        AskError::Cancelled | AskError::Gone => failed(failure::CANCELLED, &message, None),
        AskError::ClientError { code, message: text } => {
            failed(failure::CLIENT_REFUSED, &message, Some(json!({"code": code, "message": text})))
        }
        AskError::Refused(_) | AskError::Misfit(_) | AskError::TooMany => {
            failed(failure::CLIENT_REFUSED, &message, None)
        }
    }
}
