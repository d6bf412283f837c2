//! Changes of tasks, told to those who follow them (2025-era K-15, 2026-07-28 K-14).

use crate::protocol::TaskStatus;
use crate::serve::Server;
use crate::session::Session;
use crate::task::{Task, TaskId};
use crate::wire;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

/// Sessions that hear of the tasks that they have begun.
#[derive(Default)]
pub(in crate::serve) struct Followers {
    by_task: Mutex<HashMap<TaskId, Follower>>,
    /// Who puts a task's questions to its client: one request at a time, so that nobody is asked twice.
    attended: Arc<Attended>,
}

#[derive(Default)]
struct Attended {
    by_task: Mutex<HashMap<TaskId, Vec<u64>>>,
    next: AtomicU64,
    changed: watch::Sender<()>,
}

/// A request that waits for a task. The last of them puts the task's questions to its client: those before it may have lost
/// their connection.
pub(super) struct Attendance {
    attended: Arc<Attended>,
    id: TaskId,
    number: u64,
    changed: watch::Receiver<()>,
}

impl Attendance {
    /// Whether it is this one that asks.
    pub(super) fn is_ours(&self) -> bool {
        self.attended.by_task.lock().get(&self.id).and_then(|waiting| waiting.last()) == Some(&self.number)
    }

    /// Resolves when that may have changed.
    pub(super) async fn changed(&mut self) {
        // The sender lives in `attended`.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut by_task = self.attended.by_task.lock();
        if let Some(waiting) = by_task.get_mut(&self.id) {
            waiting.retain(|number| *number != self.number);
            if waiting.is_empty() {
                by_task.remove(&self.id);
            }
        }
        drop(by_task);
        self.attended.changed.send_replace(());
    }
}

struct Follower {
    session: Weak<Session>,
    /// What was told last; the same is not told twice.
    told: Option<(TaskStatus, Option<String>)>,
}

impl Followers {
    /// Lets a session hear of a task.
    pub(super) fn follow(&self, id: &TaskId, session: &Arc<Session>) {
        self.by_task.lock().insert(id.clone(), Follower { session: Arc::downgrade(session), told: None });
    }

    /// A request waits for a task.
    pub(super) fn attend(&self, id: &TaskId) -> Attendance {
        let number = self.attended.next.fetch_add(1, Ordering::Relaxed);
        self.attended.by_task.lock().entry(id.clone()).or_default().push(number);
        self.attended.changed.send_replace(());
        let changed = self.attended.changed.subscribe();
        Attendance { attended: Arc::clone(&self.attended), id: id.clone(), number, changed }
    }

    /// Those that are followed.
    fn all(&self) -> Vec<TaskId> {
        self.by_task.lock().keys().cloned().collect()
    }

    fn has(&self, id: &TaskId) -> bool {
        self.by_task.lock().contains_key(id)
    }

    /// Who is to be told of a task, if that differs from what was told last.
    fn due(&self, task: &Task) -> Option<Arc<Session>> {
        let mut by_task = self.by_task.lock();
        let follower = by_task.get_mut(&task.id)?;
        let Some(session) = follower.session.upgrade() else {
            by_task.remove(&task.id);
            return None;
        };
        let now = (task.status(), task.message.clone());
        if follower.told.as_ref() == Some(&now) {
            return None;
        }
        follower.told = Some(now);
        if task.running().is_none() {
            by_task.remove(&task.id);
        }
        Some(session)
    }

    fn forget(&self, id: &TaskId) {
        self.by_task.lock().remove(id);
    }
}

impl Server {
    /// Passes changes of tasks on until the host drains.
    pub async fn announce_tasks(self: Arc<Self>) {
        let Some(runner) = self.runner.clone() else {
            return;
        };
        let mut changes = runner.store().changes().listen();
        loop {
            let change = tokio::select! {
                () = self.drain().draining() => return,
                change = changes.recv() => change,
            };
            match change {
                Ok(id) => {
                    self.listeners.announce_task(&id);
                    self.tell_follower(&id).await;
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "tasks changed faster than that could be told");
                    self.listeners.announce_all_tasks();
                    for id in self.followers.all() {
                        self.tell_follower(&id).await;
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn tell_follower(&self, id: &TaskId) {
        let Some(runner) = self.runner.as_ref().filter(|_| self.followers.has(id)) else {
            return;
        };
        match runner.store().get(id).await {
            Ok(Some(task)) => {
                if let Some(session) = self.followers.due(&task) {
                    let params = task.shown().members(task.dialect);
                    session.announce(wire::notification("notifications/tasks/status", &params));
                }
            }
            Ok(None) => self.followers.forget(id),
            // The next change tells more; the client asks by itself.
            Err(_) => {}
        }
    }
}
