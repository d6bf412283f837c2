//! Who runs tasks: begins them, drives each to its one end, takes up what a stopped host has left behind.
//!
//! In goes the call that is to become a task; out comes its record, kept before anybody is told of it. What a task's
//! function does is dispatched as any call is, with a client that is asked by the record. How a revision writes a task is not
//! known here.

mod begin;
mod resume;
mod work;

pub use begin::{Order, Tell};

use crate::call::{Principal, Teller};
use crate::dispatch::Dispatcher;
use crate::protocol::{Fault, TaskForm};
use crate::rt::{Clock, Drain, InFlight};
use crate::task::{Change, ListPlace, Outcome, Page, RunnerId, Running, StoreError, Task, TaskId, TaskStore, change};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bounds of tasks.
#[derive(Debug, Clone, Copy)]
pub struct RunnerLimits {
    /// How many run at a time; more wait for their turn.
    pub max_running: usize,
    /// How often one is begun that is run again after each restart.
    pub max_runs: u32,
    /// For how long one is kept whose client does not say it.
    pub default_ttl: Duration,
    /// For how long one is kept at most.
    pub max_ttl: Duration,
    /// How long clients should wait before they ask again.
    pub poll_interval: Duration,
}

/// Runs tasks.
pub struct Runner {
    id: RunnerId,
    dispatcher: Dispatcher,
    store: Arc<dyn TaskStore>,
    limits: RunnerLimits,
    clock: Clock,
    drain: Drain,
    turns: Arc<Semaphore>,
    /// All that were begun here and have not ended.
    begun: Arc<InFlight>,
    /// How the clients of running tasks hear of them.
    tellers: Mutex<HashMap<TaskId, Arc<Teller>>>,
}

impl Runner {
    /// A runner over a store.
    ///
    /// # Errors
    /// When the system gives no random bits.
    pub fn new(
        dispatcher: Dispatcher,
        store: Arc<dyn TaskStore>,
        limits: RunnerLimits,
        clock: Clock,
        drain: Drain,
    ) -> Result<Self, getrandom::Error> {
        let turns = Arc::new(Semaphore::new(limits.max_running));
        Ok(Self {
            id: RunnerId::random()?,
            dispatcher,
            store,
            limits,
            clock,
            drain,
            turns,
            begun: Arc::new(InFlight::new(usize::MAX)),
            tellers: Mutex::default(),
        })
    }

    /// Where tasks are kept.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn TaskStore> {
        &self.store
    }

    /// How many tasks run here, and how many wait for their turn.
    #[must_use]
    pub fn busy(&self) -> (usize, usize) {
        let running = self.limits.max_running - self.turns.available_permits().min(self.limits.max_running);
        (running, self.begun.count().saturating_sub(running))
    }

    /// The task of a name, if it is this owner's, is of a client of this form, and its time is not over.
    ///
    /// # Errors
    /// [`Fault::UnknownTask`] for all of that alike: nobody learns of another's task (2025-era K-16, 2026-07-28 K-13).
    pub async fn find(&self, id: &str, owner: &Principal, form: TaskForm) -> Result<Task, Fault> {
        let task = self.store.get(&TaskId::of(id)).await.map_err(unavailable)?;
        let now = self.clock.now();
        let found = task.filter(|task| {
            task.owner == *owner
                && task.dialect.features.tasks == form
                && task.expires().is_none_or(|expires| now < expires)
        });
        found.ok_or(Fault::UnknownTask)
    }

    /// At most `max` tasks of an owner, newest first, behind a place.
    ///
    /// # Errors
    /// [`Fault::TasksUnavailable`].
    pub async fn list(
        &self,
        owner: &Principal,
        form: TaskForm,
        mut behind: Option<ListPlace>,
        max: usize,
    ) -> Result<Page, Fault> {
        let now = self.clock.now();
        let mut tasks = Vec::new();
        loop {
            let page = self.store.list(owner, behind, max - tasks.len()).await.map_err(unavailable)?;
            tasks.extend(page.tasks.into_iter().filter(|task| {
                task.dialect.features.tasks == form && task.expires().is_none_or(|expires| now < expires)
            }));
            behind = page.next;
            if behind.is_none() || tasks.len() >= max {
                return Ok(Page { tasks, next: behind });
            }
        }
    }

    /// Cancels a task. What it came to is said by the change: of those who end a task at a time, one does.
    ///
    /// # Errors
    /// [`Fault::TasksUnavailable`].
    ///
    /// # Cancel safety
    /// When the future is dropped, nobody knows whether the task was cancelled; so it is with answers and refusals.
    pub async fn cancel(&self, id: &TaskId) -> Result<Change, Fault> {
        let cancelled = change(&*self.store, id, || self.clock.now(), |it| it.ended(Outcome::Cancelled).into());
        let changed = cancelled.await.map_err(unavailable)?;
        // Before anybody is told that it has ended: nothing is told of it after that (2025-era U-06).
        if let Some(teller) = self.tellers.lock().remove(id) {
            teller.end();
        }
        Ok(changed)
    }

    /// Answers questions of a task. Unknown keys, and those that were answered, are ignored (2026-07-28 K-10).
    ///
    /// # Errors
    /// [`Fault::InvalidParams`] when an answer does not fit its question: then none is taken. [`Fault::UnknownTask`].
    pub async fn answer(&self, task: &Task, answers: &BTreeMap<String, &RawValue>) -> Result<(), Fault> {
        let Some(running) = task.running() else {
            return Ok(());
        };
        let open: Vec<_> = answers.iter().filter(|(key, _)| running.open.contains_key(*key)).collect();
        for (key, answer) in &open {
            if let Some(Err(reason)) = running.open.get(*key).map(|request| request.answer_rule().check(answer)) {
                let key: String = key.chars().take(100).collect();
                return Err(Fault::invalid_params(format!("the answer for '{key}' is not taken: {reason}")));
            }
        }
        // What answers nothing changes nothing.
        if open.is_empty() {
            return Ok(());
        }
        // Held to the question again: it may be another one by now.
        let answered =
            |running| open.iter().fold(running, |it: Running, (key, answer)| it.answered(key, answer)).into();
        match change(&*self.store, &task.id, || self.clock.now(), answered).await.map_err(unavailable)? {
            Change::Done(_) | Change::Ended(_) => Ok(()),
            Change::Gone => Err(Fault::UnknownTask),
        }
    }

    /// The client refuses to answer a question of a task.
    ///
    /// # Errors
    /// [`Fault::TasksUnavailable`].
    pub async fn refuse(&self, id: &TaskId, key: &str, code: i64, message: &str) -> Result<(), Fault> {
        let changed = change(&*self.store, id, || self.clock.now(), |it| it.refused(key, code, message).into());
        changed.await.map(drop).map_err(unavailable)
    }

    /// Forgets tasks whose time is over.
    pub async fn expire(&self) {
        if let Err(error) = self.store.expire(self.clock.now()).await {
            tracing::warn!(%error, "tasks whose time is over cannot be forgotten");
        }
    }
}

/// The fault of a store that does not do as it was told. What the system says is for the operator.
fn unavailable(error: StoreError) -> Fault {
    let reason = match &error {
        StoreError::Broken { .. } => {
            tracing::error!(%error, "a task cannot be kept or found");
            "the place where they are kept does not work; its operator must see to that".to_owned()
        }
        bound => format!("{bound}; try again later"),
    };
    Fault::TasksUnavailable { reason }
}

#[cfg(test)]
mod tests;
