//! Where tasks are kept, and how they change there.

use super::{Changes, Final, RunnerId, Running, Stage, Task, TaskId};
use crate::call::Principal;
use crate::rt::Millis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::pin::Pin;
use std::time::Duration;

/// How much a store keeps.
#[derive(Debug, Clone, Copy)]
pub struct TaskLimits {
    /// Tasks, ended ones included.
    pub max_tasks: usize,
    /// Tasks of one owner.
    pub max_per_owner: usize,
    /// Bytes of all records.
    pub max_bytes: usize,
}

/// Why a store does not do as it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room for another one.
    #[error("{max} tasks are kept already")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// Its owner has too many.
    #[error("{max} tasks of this client are kept already")]
    TooManyOfOwner {
        /// The bound.
        max: usize,
    },
    /// There is no room for so many bytes.
    #[error("the tasks that are kept have {max} bytes already")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// The place where it keeps them does not work. Nothing was changed, or nobody knows.
    #[error("the task store does not work: {reason}")]
    Broken {
        /// What the system says.
        reason: String,
    },
}

/// What a store's work becomes. Dropping it does not say whether the work was done.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Whether a record was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It was.
    Done,
    /// Somebody was quicker, or it is gone: read it again.
    Stale,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// The tasks; those that have gone meanwhile are not here.
    pub tasks: Vec<Task>,
    /// Where it goes on, if it does.
    pub next: Option<ListPlace>,
}

/// Where a list goes on: behind this one. Lists begin with the newest task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListPlace {
    /// When it was created.
    pub created: Millis,
    /// Its name.
    pub id: TaskId,
}

impl ListPlace {
    /// The place of a task.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        Self { created: task.created, id: task.id.clone() }
    }

    /// As clients carry it.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.created.0, self.id.as_str()))
    }

    /// What a client has carried; nothing if that is none of ours.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (created, id) = text.split_once(':')?;
        Some(Self { created: Millis(created.parse().ok()?), id: TaskId::of(id) })
    }
}

/// Keeps tasks. Several processes may share what it keeps: whatever one has read, another may have changed since, and no
/// method relies on what this process did before.
///
/// What a method has said to be done is there for every later call, and after the end of the process where the store outlives
/// it. All of it may take as long as a disk or a network takes; no method blocks the thread.
pub trait TaskStore: Send + Sync {
    /// Keeps a new task.
    fn insert(&self, task: Task) -> StoreFuture<'_, ()>;

    /// The task of a name.
    fn get(&self, id: &TaskId) -> StoreFuture<'_, Option<Task>>;

    /// Replaces a task by its next version, if nobody else has.
    fn replace(&self, task: Task) -> StoreFuture<'_, Replaced>;

    /// At most `max` tasks of an owner, newest first, behind a place.
    fn list(&self, owner: &Principal, behind: Option<ListPlace>, max: usize) -> StoreFuture<'_, Page>;

    /// Running tasks of other runners than this one that are known to be gone: nobody will change them any more.
    fn left_behind(&self, runner: &RunnerId) -> StoreFuture<'_, Vec<Task>>;

    /// Forgets tasks whose time is over, and tells how many.
    fn expire(&self, now: Millis) -> StoreFuture<'_, usize>;

    /// How many tasks there are, as far as this process knows. For whoever looks after the host, and nothing else.
    fn count(&self) -> usize;

    /// Who has changed: each task that any method has changed or forgotten, after that was done.
    fn changes(&self) -> &Changes;
}

/// What came of a change.
#[derive(Debug)]
pub enum Change {
    /// It was done; this is the task now.
    Done(Task),
    /// It has ended before.
    Ended(Task),
    /// There is no such task.
    Gone,
}

/// Changes a task, whatever others do to it meanwhile: `step` is applied to what it finds, until nobody was quicker.
///
/// # Errors
/// What the store gives.
///
/// # Cancel safety
/// When the future is dropped, nobody knows whether the change was made.
pub async fn change(
    store: &dyn TaskStore,
    id: &TaskId,
    now: impl Fn() -> Millis + Send,
    step: impl Fn(Running) -> Stage + Send,
) -> Result<Change, StoreError> {
    /// So many are quicker only where what a store says is not what it has.
    const MAX_TRIES: u32 = 1000;
    for tries in 0..MAX_TRIES {
        if tries > 10 {
            tokio::time::sleep(Duration::from_millis(u64::from(tries.min(100)))).await;
        }
        let Some(task) = store.get(id).await? else {
            return Ok(Change::Gone);
        };
        let next = match task.next(now(), &step) {
            Ok(next) => next,
            Err(Final) => return Ok(Change::Ended(task)),
        };
        if store.replace(next.clone()).await? == Replaced::Done {
            return Ok(Change::Done(next));
        }
    }
    Err(StoreError::Broken { reason: "a task cannot be changed: it always differs from what was read".to_owned() })
}
