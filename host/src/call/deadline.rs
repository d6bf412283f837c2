//! Until when a call may take. The time that a person takes to answer does not count, and progress gives it more.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A call that its client waits for, from its start or its last progress.
    pub call: Duration,
    /// Such a call with all its progress.
    pub max_call: Duration,
    /// A call that runs as a task, from its start or its last progress. With all its progress it may take as long as the task
    /// is kept.
    pub task: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self { call: Duration::from_secs(300), max_call: HOUR, task: HOUR }
    }
}

/// A deadline that stands still while the client is asked something, and moves with progress.
#[derive(Debug)]
pub struct Deadline {
    /// From the start, or from the last progress.
    timeout: Duration,
    /// From the start, whatever progress there is.
    max: Duration,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    at: Instant,
    /// It never moves beyond this by progress.
    hard: Instant,
    /// When the work has had all the time that the operator gives it: later than the deadline where a client wants it sooner.
    due: Instant,
    /// `due` never moves beyond this by progress; nothing where the client alone bounds it.
    last_due: Option<Instant>,
    /// Progress that was told; only what grows is progress.
    done: f64,
    pauses: usize,
    paused_at: Instant,
}

impl State {
    /// The time as this deadline knows it, which stands still while it is held.
    fn now(&self) -> Instant {
        if self.pauses > 0 { self.paused_at } else { Instant::now() }
    }
}

/// Holds a deadline still until it is dropped.
#[derive(Debug)]
pub struct Pause<'a>(&'a Deadline);

impl Deadline {
    /// A deadline `timeout` after now, which progress moves, but never beyond `max` after now.
    #[must_use]
    pub fn new(timeout: Duration, max: Duration) -> Self {
        /// Far enough, and within what every clock can say.
        const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        let now = Instant::now();
        let (timeout, max) = (timeout.min(FAR), max.min(FAR));
        let hard = now + max;
        let at = (now + timeout).min(hard);
        let state =
            State { at, hard, due: at, last_due: Some(hard), done: f64::NEG_INFINITY, pauses: 0, paused_at: now };
        Self { timeout, max, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The same for the work of a task that is forgotten `kept` after now. A client chooses for how long it is kept, and the
    /// work may begin late: that this is over is no fault of the work.
    #[must_use]
    pub fn of_task(timeout: Duration, kept: Duration) -> Self {
        let mut deadline = Self::new(timeout, kept);
        let timeout = deadline.timeout;
        let state = deadline.state.get_mut();
        (state.due, state.last_due) = (Instant::now() + timeout, None);
        deadline
    }

    /// A deadline `timeout` after now, which progress does not move.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self::new(timeout, timeout)
    }

    /// Which of its two bounds it is at: that without progress, or that of all of it.
    #[must_use]
    pub fn bound(&self) -> Duration {
        let state = self.state.lock();
        if state.at >= state.hard { self.max } else { self.timeout }
    }

    /// For how long the work has time of the operator, whether or not anybody waits for it any more.
    #[must_use]
    pub fn not_due_for(&self) -> Duration {
        let state = self.state.lock();
        state.due.saturating_duration_since(state.now())
    }

    /// The work has come so far: there is as much time again as at its start. Telling the same once more gives none.
    pub fn progress(&self, done: f64) {
        let mut state = self.state.lock();
        if done.is_nan() || done <= state.done {
            return;
        }
        state.done = done;
        let moved = state.now() + self.timeout;
        // Whoever waits looks again when the old time has come.
        state.at = state.at.max(moved.min(state.hard));
        state.due = state.due.max(state.last_due.map_or(moved, |last| moved.min(last)));
    }

    /// How much time is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        let state = self.state.lock();
        state.at.saturating_duration_since(state.now())
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
                    () = tokio::time::sleep_until(at) => {
                        let state = self.state.lock();
                        if state.pauses == 0 && state.at <= at {
                            return;
                        }
                    }
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
            state.hard += paused;
            state.due += paused;
            state.last_due = state.last_due.map(|last| last + paused);
        }
        drop(state);
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_task_is_no_overrun() {
        let seconds = Duration::from_secs;
        let deadlines = [
            (Deadline::of_task(seconds(10), seconds(3)), (true, false)),
            (Deadline::of_task(seconds(2), seconds(3)), (true, true)),
            (Deadline::of_task(seconds(10), Duration::ZERO), (true, false)),
            (Deadline::new(seconds(10), seconds(3)), (true, true)),
            (Deadline::after(seconds(5)), (false, false)),
        ];
        tokio::time::advance(seconds(4)).await;
        for (deadline, over) in deadlines {
            assert_eq!((deadline.left().is_zero(), deadline.not_due_for().is_zero()), over, "{deadline:?}");
        }
    }

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

    #[tokio::test(start_paused = true)]
    async fn progress_moves_the_deadline_up_to_its_bound() {
        let deadline = Deadline::new(Duration::from_secs(10), Duration::from_secs(25));
        let began = Instant::now();
        let working = async {
            for done in [1.0, f64::NAN, 2.0, 2.0, 3.0] {
                tokio::time::sleep(Duration::from_secs(4)).await;
                deadline.progress(done);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = deadline.passed() => {}
            () = working => {}
        }
        // The last progress came after 20 seconds, and the bound is at 25.
        assert_eq!(began.elapsed().as_secs(), 25);
    }

    #[tokio::test(start_paused = true)]
    async fn the_bound_of_all_is_never_passed() {
        let deadline = Deadline::new(Duration::from_secs(10), Duration::from_secs(4));
        let began = Instant::now();
        deadline.passed().await;
        assert_eq!((began.elapsed().as_secs(), deadline.bound().as_secs()), (4, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_grow_is_no_progress() {
        let deadline = Deadline::new(Duration::from_secs(10), Duration::from_secs(100));
        let began = Instant::now();
        deadline.progress(1.0);
        let working = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                deadline.progress(1.0);
            }
        };
        tokio::select! {
            () = deadline.passed() => {}
            () = working => {}
        }
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}
