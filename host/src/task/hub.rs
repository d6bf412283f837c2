//! Word of changes: which task has changed, to those who wait for that one, and to those who hear of all.

use super::TaskId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Tells who has changed. A store of one process tells of its own changes; a shared one would tell of those that others have
/// made as well. Cheap to clone.
#[derive(Clone)]
pub struct Changes {
    shared: Arc<Shared>,
}

struct Shared {
    all: broadcast::Sender<TaskId>,
    /// Those for whom somebody waits.
    watched: Mutex<HashMap<TaskId, watch::Sender<()>>>,
}

/// Changes that a slow listener may be behind; it is told that it has missed some.
const BEHIND: usize = 4096;

impl Default for Changes {
    fn default() -> Self {
        let (all, _) = broadcast::channel(BEHIND);
        Self { shared: Arc::new(Shared { all, watched: Mutex::default() }) }
    }
}

impl Changes {
    /// Tells that a task has changed, or is gone.
    pub fn announce(&self, id: &TaskId) {
        {
            let mut watched = self.shared.watched.lock();
            if let Some(sender) = watched.get(id)
                && sender.send(()).is_err()
            {
                watched.remove(id);
            }
        }
        // Without listeners there is nobody to tell.
        let _ = self.shared.all.send(id.clone());
    }

    /// Waits for changes of one task: of those that come after this.
    #[must_use]
    pub fn watch(&self, id: &TaskId) -> Watch {
        let mut watched = self.shared.watched.lock();
        let sender = watched.entry(id.clone()).or_insert_with(|| watch::Sender::new(()));
        Watch { receiver: sender.subscribe(), id: id.clone(), shared: Arc::clone(&self.shared) }
    }

    /// Hears of all changes.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<TaskId> {
        self.shared.all.subscribe()
    }

    /// How many are waited for.
    #[cfg(test)]
    pub(super) fn watched(&self) -> usize {
        self.shared.watched.lock().len()
    }
}

/// Waits for changes of one task.
pub struct Watch {
    receiver: watch::Receiver<()>,
    id: TaskId,
    shared: Arc<Shared>,
}

impl Watch {
    /// Resolves when it has changed since this was made, or last resolved.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The entry goes with its last watch, and this is one.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.shared.watched.lock();
        // This one still counts itself.
        if watched.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            watched.remove(&self.id);
        }
    }
}
