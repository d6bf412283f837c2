//! A turn to work, which is lent to others while its holder waits for somebody.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A turn. It is given back when this is dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
    /// Waits for which it is lent.
    waits: AtomicUsize,
    /// Held by the one wait that takes it back: two would wait for each other.
    taking: tokio::sync::Mutex<()>,
}

/// One of those waits; it is over when this is dropped.
struct Wait<'a>(&'a Turn);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Turn {
    /// Waits for a turn out of `turns`.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place among those who wait.
    pub async fn take(turns: &Arc<Semaphore>) -> Self {
        // Closed by nobody, so this gives a turn.
        let held = Arc::clone(turns).acquire_owned().await.ok();
        Self {
            turns: Arc::clone(turns),
            held: Mutex::new(held),
            waits: AtomicUsize::new(0),
            taking: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for something, and lends the turn meanwhile; then waits for a turn again.
    ///
    /// # Cancel safety
    /// When the future is dropped, its holder goes on without a turn.
    pub async fn lend<T>(&self, wait: impl Future<Output = T>) -> T {
        let waits = self.waits.fetch_add(1, Ordering::AcqRel);
        let waiting = Wait(self);
        if waits == 0 {
            *self.held.lock() = None;
        }
        let value = wait.await;
        drop(waiting);
        let _only = self.taking.lock().await;
        if self.waits.load(Ordering::Acquire) == 0 && self.held.lock().is_none() {
            let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
            *self.held.lock() = turn;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_others_while_its_holder_waits() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Turn::take(&turns).await;
        assert_eq!(turns.available_permits(), 0);
        let wait = |seconds| turn.lend(tokio::time::sleep(Duration::from_secs(seconds)));
        let looking = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(turns.available_permits(), 1);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(turns.available_permits(), 1, "one of two waits goes on");
        };
        tokio::join!(wait(1), wait(2), looking);
        assert_eq!(turns.available_permits(), 0);
        drop(turn);
        assert_eq!(turns.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn two_waits_take_one_turn_back() {
        let turns = Arc::new(Semaphore::new(1));
        let turn = Turn::take(&turns).await;
        let other = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _taken = Turn::take(&turns).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
        };
        // The first is over while somebody else has the turn; so is the second, which begins and ends meanwhile.
        let first = turn.lend(tokio::time::sleep(Duration::from_secs(1)));
        let second = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            turn.lend(tokio::time::sleep(Duration::from_secs(1))).await;
        };
        tokio::join!(first, second, other);
        assert_eq!(turns.available_permits(), 0);
        drop(turn);
        assert_eq!(turns.available_permits(), 1);
    }
}
