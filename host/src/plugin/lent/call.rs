//! The context of a call in this process: the client's side of it, in the words of the boundary.

use super::{LentCall, LentHost as _, OwnHost, Requested, failed, unknown_request};
use crate::call::{AskError, Asked, Call, Kept, LogMessage, Progress};
use crate::plugin::deaf::DeafCalls;
use crate::protocol::{Ask, LogLevel};
use crate::rt::{InFlight, InFlightGuard};
use mcp_plugin_api::abi::{Failure, failure, op};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What the calls of a plugin have in common.
pub(in crate::plugin) struct Lender {
    pub(in crate::plugin) host: OwnHost,
    pub(in crate::plugin) runtime: Handle,
    /// Calls that have not returned.
    pub(in crate::plugin) calls: InFlight,
    /// Those of them that nobody waits for any more.
    pub(in crate::plugin) deaf: Arc<DeafCalls>,
}

impl AsRef<InFlight> for Lender {
    fn as_ref(&self) -> &InFlight {
        &self.calls
    }
}

/// The context of one call. The plugin drops it when the call is truly over, and with it the call's slot.
pub(in crate::plugin) struct OwnCall {
    call: Arc<Call>,
    slot: InFlightGuard<Lender>,
}

impl Drop for OwnCall {
    fn drop(&mut self) {
        // Before its slot is free: a call is never among the deaf alone.
        self.slot.deaf.returned(&self.call);
    }
}

impl OwnCall {
    /// The context of a call that has a slot of its plugin.
    pub(in crate::plugin) fn new(call: Arc<Call>, slot: InFlightGuard<Lender>) -> Self {
        Self { call, slot }
    }

    /// Names the call in logs.
    pub(in crate::plugin) fn id(&self) -> crate::call::CallId {
        self.call.id
    }

    /// Nobody waits for it, and it does not return: its process is killed for it.
    pub(in crate::plugin) fn is_at_fault(&self) {
        self.slot.deaf.judge(self.call.id);
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
            other => self.slot.host.notify(other, payload),
        }
    }

    /// Does a request. What needs the host's runtime runs there: it panics when another polls it.
    fn answer(&self, op: &str, payload: &[u8]) -> Requested {
        let ask = match op {
            op::ELICIT => read(payload).map(ElicitPayload::into_ask),
            op::SAMPLE => read(payload).map(|SamplePayload { key, params }| (key, Ask::Sample(params))),
            op::ROOTS => read(payload).map(|KeyPayload { key }| (key, Ask::Roots)),
            op::CANCELLED => return self.when_cancelled(),
            // A call that has ended with its questions is run again: what it does now would be lost.
            op::ONCE_GET | op::ONCE_PUT if self.call.cancel.is_cancelled() => {
                return refused(failed(failure::SUSPENDED, "the call has ended", None));
            }
            op::ONCE_GET => match read(payload).map(|KeyPayload { key }| self.call.begin_step(&key)) {
                None => return refused(unknown_request()),
                Some(Ok(value)) => return ready(&value.map_or(Value::Null, |value| json!({"value": value}))),
                Some(Err(error)) => return refused(failed(failure::INTERNAL, &error.to_string(), None)),
            },
            op::ONCE_PUT => {
                let Some(RecordPayload { key, value }) = read(payload) else {
                    return refused(unknown_request());
                };
                let recorded = self.call.record(key.clone(), value.clone(), payload.len());
                self.call.end_step(&key);
                if let Err(error) = recorded {
                    return refused(failed(failure::INTERNAL, &error.to_string(), None));
                }
                return self.keep(Kept::Step { key, value });
            }
            op::CHECKPOINT => {
                let Some(CheckpointPayload { value }) = read(payload) else {
                    return refused(unknown_request());
                };
                return self.keep(Kept::Checkpoint(value));
            }
            op::BEGIN_TASK if self.call.peer.begin_task() => return ready(&Value::Null),
            op::BEGIN_TASK => return self.when_withdrawn(None),
            _ => return refused(unknown_request()),
        };
        let Some((key, ask)) = ask else {
            return refused(unknown_request());
        };
        let answered = |answer: Result<Box<RawValue>, AskError>| match answer {
            Ok(answer) => Ok(answer.get().as_bytes().to_vec()),
            Err(error) => Err(ask_failure(&error)),
        };
        match self.call.consult(&key, ask) {
            Asked::Answered(answer) => Requested::Ready(answered(answer)),
            Asked::Live(request) => {
                let call = Arc::clone(&self.call);
                self.spawned(async move { answered(call.ask(&key, request).await) })
            }
            Asked::Suspended => self.when_withdrawn(Some(OpenAsk { call: Arc::clone(&self.call), key })),
        }
    }

    /// Tells who asked to unwind, once the call is ended to be run again.
    fn when_withdrawn(&self, open: Option<OpenAsk>) -> Requested {
        let withdrawn = self.call.cancel.clone();
        Requested::Later(Box::pin(async move {
            withdrawn.cancelled().await;
            drop(open);
            Err(failed(failure::SUSPENDED, "the call is run again", None))
        }))
    }

    /// Keeps something for a later run, where there may be one.
    fn keep(&self, kept: Kept) -> Requested {
        let call = Arc::clone(&self.call);
        if call.peer.task().is_none() {
            return ready(&Value::Null);
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

    fn when_cancelled(&self) -> Requested {
        let cancel = self.call.cancel.clone();
        self.spawned(async move {
            cancel.cancelled().await;
            Ok(b"null".to_vec())
        })
    }

    /// Runs work on the host's runtime, and ends it when nobody waits for it.
    fn spawned(&self, work: impl Future<Output = Result<Vec<u8>, Failure>> + Send + 'static) -> Requested {
        let (send, receive) = oneshot::channel::<Result<Vec<u8>, Failure>>();
        self.slot.runtime.spawn(async move {
            let mut send = send;
            tokio::select! {
                () = send.closed() => {}
                result = work => {
                    let _ = send.send(result);
                }
            }
        });
        Requested::Later(Box::pin(async move {
            receive.await.unwrap_or_else(|_| Err(failed(failure::CANCELLED, "the host is stopping", None)))
        }))
    }
}

impl LentCall for OwnCall {
    fn is_cancelled(&self) -> bool {
        self.call.cancel.is_cancelled()
    }

    fn notify(&self, op: &str, payload: &[u8]) {
        self.take(op, payload);
    }

    fn request(&self, op: &str, payload: &[u8]) -> Requested {
        self.answer(op, payload)
    }

    fn query(&self, op: &str) -> Option<Vec<u8>> {
        let fact = match op {
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
        };
        Some(fact.to_string().into_bytes())
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

fn ready(value: &Value) -> Requested {
    Requested::Ready(Ok(value.to_string().into_bytes()))
}

fn refused(failure: Failure) -> Requested {
    Requested::Ready(Err(failure))
}

fn ask_failure(error: &AskError) -> Failure {
    let message = error.to_string();
    match error {
        AskError::MissingCapability(capability) => {
            failed(failure::MISSING_CAPABILITY, &message, Some(&json!({"capability": capability})))
        }
        AskError::TimedOut(_) => failed(failure::CLIENT_TIMEOUT, &message, None),
        AskError::Cancelled | AskError::Gone => failed(failure::CANCELLED, &message, None),
        AskError::ClientError { code, message: text } => {
            failed(failure::CLIENT_REFUSED, &message, Some(&json!({"code": code, "message": text})))
        }
        AskError::Refused(_) | AskError::Misfit(_) | AskError::TooMany => {
            failed(failure::CLIENT_REFUSED, &message, None)
        }
    }
}
