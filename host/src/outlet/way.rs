//! Where messages to a client leave.

use bytes::Bytes;
use std::time::Duration;

/// What happens to a message when there is no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is dropped: progress, logs.
    MayDrop,
    /// It is not the first to go: requests, answers, changes. A stream drops others before it; a pipe that is full gives it
    /// back.
    MustKeep,
}

/// A way to a client. No method blocks.
pub trait Outlet: Send + Sync {
    /// Sends a message. Gives it back when this way is closed.
    ///
    /// # Errors
    /// The message, when the way is closed.
    fn send(&self, message: Bytes, delivery: Delivery) -> Result<(), Bytes>;

    /// For how long nobody has followed it; nothing where somebody does, or where that cannot be told.
    fn unfollowed_for(&self) -> Option<Duration> {
        None
    }

    /// Frees the client's connection; it comes back after about `retry`. Nothing, where connections are not freed.
    fn release(&self, _retry: Duration) {}
}
