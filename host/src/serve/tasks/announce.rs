//! Changes of tasks, told to those who follow them (2025-era K-15, 2026-07-28 K-14).

use crate::protocol::TaskStatus;
use crate::serve::Server;
use crate::session::Session;
use crate::task::{Task, TaskId};
use crate::wire;
use parking_lot::Mutex;
use std::collections::HashMap;
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

/// Requests that wait for tasks.
type Attended = Mutex<HashMap<TaskId, Waiting>>;

/// Those that wait for one task, in the order in which they came, and word of changes among them.
struct Waiting {
    numbers: Vec<u64>,
    next: u64,
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
        self.attended.lock().get(&self.id).and_then(|waiting| waiting.numbers.last()) == Some(&self.number)
    }

    /// Resolves when that may have changed.
    pub(super) async fn changed(&mut self) {
        // The sender goes with the last of those who wait.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let mut attended = self.attended.lock();
        if let Some(waiting) = attended.get_mut(&self.id) {
            waiting.numbers.retain(|number| *number != self.number);
            waiting.changed.send_replace(());
            if waiting.numbers.is_empty() {
                attended.remove(&self.id);
            }
        }
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
        let mut attended = self.attended.lock();
        let waiting = attended.entry(id.clone()).or_insert_with(|| Waiting {
            numbers: Vec::new(),
            next: 0,
            changed: watch::Sender::new(()),
        });
        waiting.next += 1;
        waiting.numbers.push(waiting.next);
        waiting.changed.send_replace(());
        let (number, changed) = (waiting.next, waiting.changed.subscribe());
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
    /// Gives what passes changes of tasks on until the work of the host is finished: those that come from this call on, whenever it is
    /// begun. So call it before anybody is answered.
    pub fn announce_tasks(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        let changes = self.runner.as_ref().map(|runner| runner.store().changes().listen());
        async move {
            let Some(mut changes) = changes else {
                return;
            };
            loop {
                let change = tokio::select! {
                    () = self.drain().work_finished() => return,
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
            // The client asks by itself, too: it must not depend on this (2025-era K-15).
            Err(error) => tracing::warn!(task = %id, %error, "a change of a task cannot be told"),
        }
    }
}
