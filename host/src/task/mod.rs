//! Work that outlives its request: what is known of it, how that changes, and where it is kept.
//!
//! A [`Task`] is a record; only a running one changes, and an ended one has no way back. Whoever changes a record gives the
//! store the next version of the one it has read, and reads again if somebody was quicker: so of many that end a task at a
//! time, one does. A [`TaskStore`] keeps records, in memory or on disk. Who runs the work is not known here, nor how a
//! revision writes it.

mod disk;
mod hub;
mod id;
mod index;
mod keeper;
mod memory;
mod peer;
mod record;
mod store;

pub use disk::{DiskError, DiskStore};
pub use hub::{Changes, Watch};
pub use id::{RunnerId, TaskId};
pub use keeper::{Keeper, Left};
pub use memory::MemoryStore;
pub use peer::{TaskPeer, Told};
pub use record::{Closed, Ended, Final, How, Outcome, Running, Stage, Task, Work};
pub use store::{Change, ListPlace, Page, Replaced, StoreError, StoreFuture, TaskLimits, TaskStore, change};

#[cfg(test)]
mod tests;
