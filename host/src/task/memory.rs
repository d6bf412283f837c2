//! Tasks in memory: they live as long as the process.

use super::index::{Index, encode};
use super::{
    Changes, ListPlace, Page, Replaced, RunnerId, StoreError, StoreFuture, Task, TaskId, TaskLimits, TaskStore,
};
use crate::call::Principal;
use crate::rt::Millis;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Keeps tasks in memory.
pub struct MemoryStore {
    limits: TaskLimits,
    state: Mutex<State>,
    changes: Changes,
}

/// One lock, because the index tells of the tasks.
#[derive(Default)]
struct State {
    tasks: HashMap<TaskId, Task>,
    index: Index,
}

impl MemoryStore {
    /// A store without tasks.
    #[must_use]
    pub fn new(limits: TaskLimits) -> Self {
        Self { limits, state: Mutex::default(), changes: Changes::default() }
    }

    fn insert_now(&self, task: Task) -> Result<(), StoreError> {
        let bytes = encode(&task)?.len();
        let id = task.id.clone();
        {
            let mut state = self.state.lock();
            state.index.check_new(&task, bytes, &self.limits)?;
            state.index.put(&task, bytes);
            state.tasks.insert(id.clone(), task);
        }
        self.changes.announce(&id);
        Ok(())
    }

    fn replace_now(&self, task: Task) -> Result<Replaced, StoreError> {
        let bytes = encode(&task)?.len();
        let id = task.id.clone();
        {
            let mut state = self.state.lock();
            if state.index.version(&id).is_none_or(|version| version + 1 != task.version) {
                return Ok(Replaced::Stale);
            }
            state.index.check_next(&id, bytes, &self.limits)?;
            state.index.put(&task, bytes);
            state.tasks.insert(id.clone(), task);
        }
        self.changes.announce(&id);
        Ok(Replaced::Done)
    }
}

fn now<'a, T: Send + 'a>(result: Result<T, StoreError>) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(result))
}

impl TaskStore for MemoryStore {
    fn insert(&self, task: Task) -> StoreFuture<'_, ()> {
        now(self.insert_now(task))
    }

    fn get(&self, id: &TaskId) -> StoreFuture<'_, Option<Task>> {
        now(Ok(self.state.lock().tasks.get(id).cloned()))
    }

    fn replace(&self, task: Task) -> StoreFuture<'_, Replaced> {
        now(self.replace_now(task))
    }

    fn list(&self, owner: &Principal, behind: Option<ListPlace>, max: usize) -> StoreFuture<'_, Page> {
        let state = self.state.lock();
        let (page, next) = state.index.page(owner, behind.as_ref(), max);
        now(Ok(Page { tasks: page.iter().filter_map(|id| state.tasks.get(id).cloned()).collect(), next }))
    }

    fn left_behind(&self, runner: &RunnerId) -> StoreFuture<'_, Vec<Task>> {
        // Memory is one process's, so whoever else ran here is gone.
        let state = self.state.lock();
        let left = state.index.running_of_others(runner);
        now(Ok(left.iter().filter_map(|id| state.tasks.get(id).cloned()).collect()))
    }

    fn expire(&self, now_is: Millis) -> StoreFuture<'_, usize> {
        let expired = {
            let mut state = self.state.lock();
            let expired = state.index.expired(now_is, usize::MAX);
            for id in &expired {
                state.index.remove(id);
                state.tasks.remove(id);
            }
            expired
        };
        expired.iter().for_each(|id| self.changes.announce(id));
        now(Ok(expired.len()))
    }

    fn count(&self) -> usize {
        self.state.lock().index.len()
    }

    fn changes(&self) -> &Changes {
        &self.changes
    }
}
