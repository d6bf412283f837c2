//! What a store must know of all its tasks at once: how many, how large, whose, and until when.

use super::{ListPlace, RunnerId, StoreError, Task, TaskId, TaskLimits};
use crate::call::Principal;
use crate::rt::Millis;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

/// What is known of all tasks without reading them.
#[derive(Default)]
pub(super) struct Index {
    entries: HashMap<TaskId, Entry>,
    /// By owner, newest first.
    owners: BTreeMap<Principal, BTreeSet<Reverse<ListPlace>>>,
    expiring: BTreeSet<(Millis, TaskId)>,
    bytes: usize,
}

/// What is known of one task.
struct Entry {
    owner: Principal,
    place: ListPlace,
    expires: Option<Millis>,
    version: u64,
    bytes: usize,
    /// Who runs it; nothing once it has ended.
    runs_at: Option<RunnerId>,
}

impl Index {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The version of a task.
    pub(super) fn version(&self, id: &TaskId) -> Option<u64> {
        self.entries.get(id).map(|entry| entry.version)
    }

    /// Whether there is room for a new task of this size.
    pub(super) fn check_new(&self, task: &Task, bytes: usize, limits: &TaskLimits) -> Result<(), StoreError> {
        if self.entries.len() >= limits.max_tasks {
            return Err(StoreError::TooMany { max: limits.max_tasks });
        }
        if self.owners.get(&task.owner).is_some_and(|places| places.len() >= limits.max_per_owner) {
            return Err(StoreError::TooManyOfOwner { max: limits.max_per_owner });
        }
        self.check_growth(0, bytes, limits)
    }

    /// Whether a task may grow to this size. One that shrinks always may, so that a full store can be emptied; and so may a
    /// small one, so that every task can end with a word about why.
    pub(super) fn check_next(&self, id: &TaskId, bytes: usize, limits: &TaskLimits) -> Result<(), StoreError> {
        const SMALL: usize = 8 << 10;
        let before = self.entries.get(id).map_or(0, |entry| entry.bytes);
        if bytes <= before || bytes <= SMALL {
            return Ok(());
        }
        self.check_growth(before, bytes, limits)
    }

    fn check_growth(&self, before: usize, bytes: usize, limits: &TaskLimits) -> Result<(), StoreError> {
        if self.bytes - before + bytes > limits.max_bytes {
            return Err(StoreError::TooLarge { max: limits.max_bytes });
        }
        Ok(())
    }

    /// Takes in a task, or its next version.
    pub(super) fn put(&mut self, task: &Task, bytes: usize) {
        self.remove(&task.id);
        let place = ListPlace::of(task);
        let expires = task.expires();
        self.owners.entry(task.owner.clone()).or_default().insert(Reverse(place.clone()));
        if let Some(expires) = expires {
            self.expiring.insert((expires, task.id.clone()));
        }
        self.bytes += bytes;
        let runs_at = task.running().map(|_| task.runner.clone());
        let (owner, version) = (task.owner.clone(), task.version);
        self.entries.insert(task.id.clone(), Entry { owner, place, expires, version, bytes, runs_at });
    }

    /// Forgets a task.
    pub(super) fn remove(&mut self, id: &TaskId) {
        let Some(entry) = self.entries.remove(id) else {
            return;
        };
        self.bytes -= entry.bytes;
        if let Some(expires) = entry.expires {
            self.expiring.remove(&(expires, id.clone()));
        }
        if let Some(places) = self.owners.get_mut(&entry.owner) {
            places.remove(&Reverse(entry.place));
            if places.is_empty() {
                self.owners.remove(&entry.owner);
            }
        }
    }

    /// At most `max` tasks of an owner, newest first, behind a place; and where it goes on, if it does.
    pub(super) fn page(
        &self,
        owner: &Principal,
        behind: Option<&ListPlace>,
        max: usize,
    ) -> (Vec<TaskId>, Option<ListPlace>) {
        let Some(places) = self.owners.get(owner) else {
            return (Vec::new(), None);
        };
        let from = behind.map_or(Bound::Unbounded, |behind| Bound::Excluded(Reverse(behind.clone())));
        let mut behind = places.range((from, Bound::Unbounded));
        let page: Vec<&ListPlace> = behind.by_ref().take(max).map(|Reverse(place)| place).collect();
        let next = behind.next().and_then(|_| page.last()).map(|last| (*last).clone());
        (page.into_iter().map(|place| place.id.clone()).collect(), next)
    }

    /// Tasks whose time is over, at most `max`.
    pub(super) fn expired(&self, now: Millis, max: usize) -> Vec<TaskId> {
        let over = self.expiring.iter().take_while(|(expires, _)| *expires <= now);
        over.take(max).map(|(_, id)| id.clone()).collect()
    }

    /// Tasks that have not ended, of other runners than this one.
    pub(super) fn running_of_others(&self, runner: &RunnerId) -> Vec<TaskId> {
        let others = self.entries.iter().filter(|(_, entry)| entry.runs_at.as_ref().is_some_and(|at| at != runner));
        others.map(|(id, _)| id.clone()).collect()
    }
}

/// The bytes of a record.
pub(super) fn encode(task: &Task) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(task).map_err(|error| StoreError::Broken { reason: error.to_string() })
}
