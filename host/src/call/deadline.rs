//! Until when a call may take. The time that a person takes to answer does not count.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A deadline that stands still while the client is asked something.
#[derive(Debug)]
pub struct Deadline {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    at: Instant,
    pauses: usize,
    paused_at: Instant,
}

/// Holds a deadline still until it is dropped.
#[derive(Debug)]
pub struct Pause<'a>(&'a Deadline);

impl Deadline {
    /// A deadline `after` now.
    #[must_use]
    pub fn after(after: Duration) -> Self {
        let now = Instant::now();
        Self { state: Mutex::new(State { at: now + after, pauses: 0, paused_at: now }), changed: Notify::new() }
    }

    /// How much time is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        let state = self.state.lock();
        let now = if state.pauses > 0 { state.paused_at } else { Instant::now() };
        state.at.saturating_duration_since(now)
    }

    /// Holds it still.
    pub fn pause(&self) -> Pause<'_> {
        let mut state = self.state.lock();
        if state.pauses == 0 {
            state.paused_at = Instant::now();
        }
        state.pauses += 1;
        drop(state);
        self.changed.notify_waiters();
        Pause(self)
    }

    /// Resolves when it has passed.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn passed(&self) {
        loop {
            let changed = self.changed.notified();
            let at = {
                let state = self.state.lock();
                (state.pauses == 0).then_some(state.at)
            };
            match at {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    () = changed => {}
                },
            }
        }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.pauses -= 1;
        if state.pauses == 0 {
            let paused = state.paused_at.elapsed();
            state.at += paused;
        }
        drop(state);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_moves_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(4)).await;
        {
            let _one = deadline.pause();
            let _two = deadline.pause();
            tokio::time::advance(Duration::from_secs(60)).await;
            assert_eq!(deadline.left(), Duration::from_secs(6));
        }
        let began = Instant::now();
        deadline.passed().await;
        assert_eq!(began.elapsed().as_secs(), 6);
    }
}
