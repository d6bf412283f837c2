//! One task, from its turn to its end.

use super::Runner;
use crate::call::{AskError, Asked, Call, Deadline, Peer};
use crate::dispatch::{Beginning, Incoming, Outcome as Dispatched, Resolution, TaskWish};
use crate::protocol::{Ask, Fault, Method, Owner, RequestMeta, TaskForm, tool_error};
use crate::rt::{InFlight, Phase, Turn};
use crate::task::{Left, Outcome, Running, Task, TaskId, TaskPeer, Told, change};
use futures_util::FutureExt as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How soon a task whose plugin is busy is tried again, and how soon at last.
const BUSY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

impl Runner {
    /// Runs a task to its end, or until the host ends: then it is left as it is, for the next start.
    pub(super) async fn run(self: Arc<Self>, id: TaskId, told: Option<Told>) {
        let _begun = InFlight::enter(&self.begun);
        let teller = told.as_ref().map(|told| Arc::clone(&told.teller));
        if let Some(teller) = &teller {
            self.tellers.lock().insert(id.clone(), Arc::clone(teller));
        }
        let left = match self.turn(&id).await {
            Some((task, turn)) => {
                let (peer, keeper) = TaskPeer::new(Arc::clone(&self.store), self.clock, &task, told, Some(turn));
                tokio::select! {
                    left = keeper.keep(self.work(&task, peer)) => Some(left),
                    () = self.host_ends(&id) => None,
                }
            }
            None if self.drain.phase() == Phase::Draining => None,
            None => Some(Left::Taken),
        };
        // Nothing is told of a task that has ended (2025-era U-06).
        teller.inspect(|teller| teller.end());
        self.tellers.lock().remove(&id);
        match left {
            Some(Left::Ended(outcome)) => tracing::debug!(task = %id, outcome = word(&outcome), "a task has ended"),
            Some(Left::Taken) => tracing::debug!(task = %id, "a task was cancelled, or its time is over"),
            None => {
                tracing::info!(task = %id, "a task is left for the next start");
                // Cut short in order: only what ends its host is given up for that.
                let left = |running: Running| running.left().into();
                let _ = change(&*self.store, &id, || self.clock.now(), left).await;
            }
        }
    }

    /// Waits for a task's turn. Nothing when it is over before that, or the host ends.
    async fn turn(&self, id: &TaskId) -> Option<(Task, Turn)> {
        let mut watch = self.store.changes().watch(id);
        let mut turn = std::pin::pin!(Turn::take(&self.turns));
        loop {
            let taken = tokio::select! {
                () = self.drain.draining() => return None,
                turn = &mut turn => Some(turn),
                () = watch.changed() => None,
            };
            match (self.store.get(id).await, taken) {
                (Ok(None), _) => return None,
                (Ok(Some(task)), _) if task.running().is_none() || task.runner != self.id => return None,
                (Ok(Some(task)), Some(turn)) => return Some((task, turn)),
                (Err(_) | Ok(Some(_)), None) => {}
                // Its record cannot be read now, and its turn is not kept from others meanwhile.
                (Err(error), Some(_)) => {
                    tracing::warn!(task = %id, %error, "a task cannot be begun yet");
                    tokio::time::sleep(BUSY.1).await;
                    turn.set(Turn::take(&self.turns));
                }
            }
        }
    }

    /// Resolves when the host ends and does not wait for the task any more: one that waits for its client is not waited for,
    /// because no answer is taken now.
    async fn host_ends(&self, id: &TaskId) {
        self.drain.draining().await;
        let mut watch = self.store.changes().watch(id);
        loop {
            let waits = self.store.get(id).await.is_ok_and(|task| {
                task.is_some_and(|task| task.running().is_some_and(|running| !running.open.is_empty()))
            });
            if waits {
                return;
            }
            tokio::select! {
                () = watch.changed() => {}
                () = self.drain.cancellation().cancelled() => return,
            }
        }
    }

    /// What the task's function gives.
    async fn work(&self, task: &Task, peer: Arc<TaskPeer>) -> Outcome {
        let mut wait = BUSY.0;
        loop {
            let fault = match self.call(task, &peer).await {
                Ok(Resolution::Complete(body)) => return Outcome::of(body),
                Ok(Resolution::InputRequired { .. } | Resolution::Task(_)) => {
                    return failed(task, &Fault::HostFailed { reason: "a task was to be run again".to_owned() });
                }
                // Its turn has come, but its plugin has too much to do, or is being replaced: this call has not begun.
                Err(fault @ (Fault::Busy | Fault::PluginStopped { .. })) => fault,
                // Its plugin ends with the host, and so does this: the task is left.
                Err(Fault::Cancelled) if self.drain.phase() == Phase::Draining => std::future::pending().await,
                // Its client is sent there; that the user is done, the function itself finds out.
                Err(Fault::UrlRequired { message, data }) if task.dialect.features.tasks == TaskForm::Extension => {
                    if let Err(outcome) = sent_to(&peer, &data).await {
                        return outcome;
                    }
                    Fault::UrlRequired { message, data }
                }
                Err(fault) => return failed(task, &fault),
            };
            tracing::trace!(task = %task.id, %fault, "a task is tried again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BUSY.1);
        }
    }

    /// Calls the task's tool, as any call is dispatched.
    async fn call(&self, task: &Task, peer: &Arc<TaskPeer>) -> Result<Resolution, Fault> {
        let mut params = json!({"name": task.work.tool}).to_string();
        if let Some(arguments) = &task.work.arguments {
            params.pop();
            params.push_str(r#","arguments":"#);
            params.push_str(arguments.get());
            params.push('}');
        }
        let params = RawValue::from_string(params)
            .map_err(|_| Fault::HostFailed { reason: "the arguments are not JSON any more".to_owned() })?;
        let token = CancellationToken::new();
        // However this ends, what the plugin still does for it is to end too.
        let _cancelled_at_last = token.clone().drop_guard();
        let dispatched = {
            let begin = |beginning: Beginning<'_>| {
                let left = task.expires().map_or(Duration::MAX, |expires| {
                    Duration::from_millis(expires.0.saturating_sub(self.clock.now().0))
                });
                let deadline = Deadline::of_task(beginning.timeouts.task, left);
                let call = Call::new(Arc::clone(peer) as Arc<dyn Peer>, deadline, token.clone());
                Ok(Arc::new(call.with_recorded(peer.recorded())))
            };
            let meta = RequestMeta::of(Some(&params));
            let incoming = Incoming {
                dialect: task.dialect,
                method: Method::CallTool,
                params: Some(&params),
                meta: &meta,
                tasks: TaskWish::Inside,
                begin: &begin,
            };
            std::panic::catch_unwind(AssertUnwindSafe(|| self.dispatcher.dispatch(&incoming)))
                .map_err(|_| Fault::panicked())?
        };
        match dispatched {
            Dispatched::Now(result) => result,
            Dispatched::Later(result) => {
                AssertUnwindSafe(result).catch_unwind().await.map_err(|_| Fault::panicked())?
            }
        }
    }
}

/// Asks the user to the URLs that a function needs first; it is called again after that.
async fn sent_to(peer: &TaskPeer, data: &Value) -> Result<(), Outcome> {
    let refused = |reason: &str| Outcome::of(tool_error(reason));
    let elicitations = data["elicitations"].as_array().map(Vec::as_slice).unwrap_or_default();
    if elicitations.is_empty() {
        return Err(refused("the tool wants the user at a URL, but names none"));
    }
    for elicitation in elicitations {
        let text = |key: &str| elicitation[key].as_str().unwrap_or_default().to_owned();
        let (key, message, url) = (text("elicitationId"), text("message"), text("url"));
        let answer = match peer.consult(&key, Ask::Url { id: key.clone(), message, url }) {
            Asked::Answered(answer) => answer,
            Asked::Live(request) => peer.ask(&key, request).await,
            Asked::Suspended => Err(AskError::Cancelled),
        };
        let answer = answer.map_err(|error| refused(&error.to_string()))?;
        let answer: Value = serde_json::from_str(answer.get()).unwrap_or_default();
        if answer["action"] != "accept" {
            return Err(refused("the user did not open the URL that this needs"));
        }
    }
    Ok(())
}

/// The end of a task whose call failed.
fn failed(task: &Task, fault: &Fault) -> Outcome {
    match fault.owner() {
        Owner::Client => tracing::debug!(task = %task.id, %fault, "a task failed"),
        Owner::Plugin | Owner::Host => tracing::warn!(task = %task.id, %fault, "a task failed"),
    }
    Outcome::Error(fault.on_the_wire(task.dialect))
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Result { is_error: false, .. } => "completed",
        Outcome::Result { is_error: true, .. } => "failed by its tool",
        Outcome::Error(_) => "failed",
        Outcome::Cancelled => "cancelled",
    }
}
