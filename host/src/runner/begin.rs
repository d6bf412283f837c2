//! From a call that is to become a task to its record.

use super::{Runner, unavailable};
use crate::call::Principal;
use crate::dispatch::TaskDue;
use crate::protocol::{ClientProfile, Dialect, Fault};
use crate::rt::Phase;
use crate::task::{Closed, How, Outcome, Running, Stage, StoreError, Task, TaskId, Told, Work, change};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What a client may ask for at least: less would be over before its client knew of it.
const MIN_TTL: Duration = Duration::from_secs(1);

/// A call that is to become a task.
pub struct Order {
    /// What its client speaks.
    pub dialect: &'static Dialect,
    /// Whose it will be.
    pub owner: Principal,
    /// What its client can do.
    pub client: ClientProfile,
    /// What is to be done.
    pub due: TaskDue,
    /// With which arguments.
    pub arguments: Option<Box<RawValue>>,
    /// What the client has answered before.
    pub answers: BTreeMap<String, Box<RawValue>>,
    /// For how long it is to be kept, if the client says it.
    pub ttl: Option<Duration>,
    /// How the client hears of progress and logs.
    pub told: Tell,
}

/// How the client of a task hears of progress and logs, once the task has a name.
pub type Tell = Box<dyn FnOnce(&TaskId) -> Option<Told> + Send>;

impl Runner {
    /// Keeps a new task, and begins it.
    ///
    /// # Errors
    /// [`Fault::TasksUnavailable`] when it cannot be kept: then nothing is done. [`Fault::ShuttingDown`].
    ///
    /// # Cancel safety
    /// When this is dropped before it resolves, nobody has the task's name, and it is cancelled.
    pub async fn begin(self: &Arc<Self>, order: Order) -> Result<Task, Fault> {
        // What could not begin any more would only be left behind.
        if self.drain.phase() == Phase::Draining {
            return Err(Fault::ShuttingDown);
        }
        let task = self.record(&order)?;
        let (id, told) = (task.id.clone(), order.told);
        let (send, kept) = oneshot::channel();
        let runner = Arc::clone(self);
        // A task of its own, so that what is kept is run or cancelled, whatever becomes of whoever asks.
        self.drain.spawn_work(async move {
            if let Err(error) = runner.store.insert(task.clone()).await {
                let nobody_knows = matches!(error, StoreError::Broken { .. });
                let _ = send.send(Err(unavailable(error)));
                if nobody_knows {
                    runner.forget(&id).await;
                }
                return;
            }
            tracing::debug!(task = %id, tool = %task.work.tool, "a task was created");
            if send.send(Ok(task)).is_err() {
                let _ = runner.cancel(&id).await;
                return;
            }
            let told = told(&id);
            runner.run(id, told).await;
        });
        kept.await.unwrap_or(Err(Fault::ShuttingDown))
    }

    /// Ends a task that may have been kept although its client was told that it was not.
    async fn forget(&self, id: &TaskId) {
        const WAIT: Duration = Duration::from_secs(1);
        while self.drain.phase() == Phase::Running && self.cancel(id).await.is_err() {
            tokio::select! {
                () = tokio::time::sleep(WAIT) => {}
                () = self.drain.draining() => {}
            }
        }
    }

    /// The record of a new task.
    fn record(&self, order: &Order) -> Result<Task, Fault> {
        let no_random = |_| Fault::HostFailed { reason: "no random bits".to_owned() };
        let now = self.clock.now();
        let TaskDue { tool, on_restart, recorded } = &order.due;
        let before = |answer: &RawValue| Closed { request: None, how: How::Answered(answer.to_owned()) };
        let answers = order.answers.iter();
        let running = Running {
            closed: answers.map(|(key, answer)| (key.clone(), before(answer))).collect(),
            recorded: recorded.clone(),
            ..Running::default()
        };
        Ok(Task {
            id: TaskId::random().map_err(no_random)?,
            owner: order.owner.clone(),
            dialect: order.dialect,
            created: now,
            updated: now,
            ttl: Some(order.ttl.map_or(self.limits.default_ttl, |ttl| ttl.max(MIN_TTL)).min(self.limits.max_ttl)),
            poll_interval: self.limits.poll_interval,
            version: 0,
            runner: self.id.clone(),
            work: Work {
                tool: tool.clone(),
                arguments: order.arguments.clone(),
                client: order.client.clone(),
                on_restart: *on_restart,
            },
            message: None,
            stage: running.begun().into(),
        })
    }

    /// Ends a task that is not run, or not any more.
    pub(super) async fn end(&self, id: &TaskId, outcome: Outcome) {
        let ended = change(&*self.store, id, || self.clock.now(), |it: Running| Stage::from(it.ended(outcome.clone())));
        if let Err(error) = ended.await {
            tracing::error!(task = %id, %error, "the end of a task cannot be written");
        }
    }
}
