//! The client of a task, as its function sees it: it is asked by the record, and hears what its era lets it hear.

use super::keeper::{Line, Order};
use super::{Closed, How, Keeper, Task, TaskStore};
use crate::call::{
    AskError, AskFuture, Asked, KeepFuture, Kept, LogMessage, NotKept, Peer, Progress, TaskOfCall, Teller,
};
use crate::protocol::{Ask, AskRefused, AskRequest, ClientProfile, Dialect, LogLevel};
use crate::rt::{Clock, Turn};
use mcp_plugin_api::manifest::OnRestart;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How a client hears of a task's progress and logs, in the era that has such; nothing of it outlives a restart.
pub struct Told {
    /// Where they are told.
    pub teller: Arc<Teller>,
    /// The least level of log messages that the client wants.
    pub least: Box<dyn Fn() -> LogLevel + Send + Sync>,
}

/// The client's side of a task.
pub struct TaskPeer {
    id: String,
    dialect: &'static Dialect,
    client: ClientProfile,
    told: Option<Told>,
    /// Questions that earlier runs have closed.
    closed: BTreeMap<String, Closed>,
    checkpoint: Mutex<Option<Value>>,
    /// Values of steps, of this run and earlier ones.
    recorded: Mutex<HashMap<String, Value>>,
    /// Whether a later run may want what is kept.
    reruns: bool,
    line: Line,
    /// Lent to others while the client is asked.
    turn: Option<Turn>,
}

impl TaskPeer {
    /// The client's side of a task, and who keeps its record. `told` is how its client hears of progress and logs; `turn` is
    /// lent to others while it is asked.
    #[must_use]
    pub fn new(
        store: Arc<dyn TaskStore>,
        clock: Clock,
        task: &Task,
        told: Option<Told>,
        turn: Option<Turn>,
    ) -> (Arc<Self>, Keeper) {
        let (keeper, line) = Keeper::new(store, clock, task);
        let running = task.running().cloned().unwrap_or_default();
        let peer = Self {
            id: task.id.as_str().to_owned(),
            dialect: task.dialect,
            client: task.work.client.clone(),
            told,
            closed: running.closed,
            checkpoint: Mutex::new(running.checkpoint),
            recorded: Mutex::new(running.recorded),
            reruns: task.work.on_restart == OnRestart::Rerun,
            line,
            turn,
        };
        (Arc::new(peer), keeper)
    }

    /// Values of steps that were done, by whichever run.
    #[must_use]
    pub fn recorded(&self) -> HashMap<String, Value> {
        self.recorded.lock().clone()
    }
}

/// A question that waits; it is withdrawn when this is dropped without an answer.
struct OpenAsk<'a> {
    peer: &'a TaskPeer,
    key: String,
    answered: bool,
}

impl Drop for OpenAsk<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // Without a keeper the task is over.
            let _ = self.peer.line.orders.send(Order::Withdraw { key: std::mem::take(&mut self.key) });
        }
    }
}

impl Peer for TaskPeer {
    fn client(&self) -> &ClientProfile {
        &self.client
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn progress(&self, progress: Progress) {
        if let Some(told) = &self.told {
            told.teller.progress(progress.clone());
        }
        self.line.latest.say(progress);
    }

    fn log(&self, message: LogMessage) {
        if let Some(told) = &self.told
            && message.level >= (told.least)()
        {
            told.teller.log(message);
        }
    }

    fn release(&self, _retry: Duration) {
        // Its client has no connection that waits.
    }

    fn elicitation_done(&self, _id: &str) {
        // Its client asks how it stands.
    }

    fn consult(&self, key: &str, ask: Ask) -> Asked {
        let request = match ask.request(self.dialect, &self.client) {
            Ok(request) => request,
            Err(AskRefused::MissingCapability(capability)) => {
                return Asked::Answered(Err(AskError::MissingCapability(capability.to_owned())));
            }
            Err(other) => return Asked::Answered(Err(AskError::Refused(other.to_string()))),
        };
        // What was answered before the task began, or before a restart.
        match self.closed.get(key).filter(|closed| closed.is_of(&request)).map(|closed| &closed.how) {
            Some(How::Answered(answer)) => Asked::Answered(Ok(answer.clone())),
            Some(How::Refused { .. } | How::Withdrawn) | None => Asked::Live(request),
        }
    }

    fn ask(&self, key: &str, request: AskRequest) -> AskFuture<'_> {
        let key = key.to_owned();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let asked = Order::Ask { key: key.clone(), request, answer };
            self.line.orders.send(asked).map_err(|_| AskError::Cancelled)?;
            let mut open = OpenAsk { peer: self, key, answered: false };
            let answer = match &self.turn {
                Some(turn) => turn.lend(answered).await,
                None => answered.await,
            };
            open.answered = true;
            answer.unwrap_or(Err(AskError::Cancelled))
        })
    }

    fn task(&self) -> Option<TaskOfCall> {
        Some(TaskOfCall { id: self.id.clone(), checkpoint: self.checkpoint.lock().clone() })
    }

    fn keep(&self, kept: Kept) -> Option<KeepFuture<'_>> {
        // Known at once: the function may be called again in this very run.
        match kept.clone() {
            Kept::Step { key, value } => drop(self.recorded.lock().insert(key, value)),
            Kept::Checkpoint(value) => *self.checkpoint.lock() = Some(value),
        }
        if !self.reruns {
            return None;
        }
        Some(Box::pin(async move {
            let over = || NotKept("the task is over".to_owned());
            let (done, written) = oneshot::channel();
            self.line.orders.send(Order::Keep { kept, done }).map_err(|_| over())?;
            written.await.map_err(|_| over())?
        }))
    }
}
