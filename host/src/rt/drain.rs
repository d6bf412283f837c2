//! The order of an end: first nothing new, then nothing at all.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Takes work.
    Running,
    /// Takes no new work; what runs may finish.
    Draining,
}

/// The handle by which every room learns of the end, and by which tasks are owned. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Drain {
    phase: Arc<watch::Sender<Phase>>,
    /// Cancelled when the grace is over.
    cancel: CancellationToken,
    /// Calls, which are waited for first.
    work: TaskTracker,
    /// Everything else: connections, loops.
    tasks: TaskTracker,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Running)),
            cancel: CancellationToken::new(),
            work: TaskTracker::new(),
            tasks: TaskTracker::new(),
        }
    }
}

impl Drain {
    /// Where the process is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Resolves when draining begins.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn draining(&self) {
        let mut phase = self.phase.subscribe();
        // The sender lives in `self`.
        let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
    }

    /// Resolves when draining has begun and the work is done, or given up.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn work_finished(&self) {
        self.draining().await;
        tokio::select! {
            () = self.work.wait() => {}
            () = self.cancel.cancelled() => {}
        }
    }

    /// What every piece of work listens to: cancelled when the grace is over.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Runs a piece of work that the drain lets finish.
    pub fn spawn_work(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(work);
    }

    /// Counts a piece of work that somebody else runs; dropping it ends it.
    pub fn track_work<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.work.track_future(work)
    }

    /// Runs a task that ends by itself once the drain has begun and the work is done.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Stops taking work.
    pub fn begin(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Stops taking work, and waits `grace` for what is under way; then runs `farewell`, which ends what the tasks wait
    /// for, and gives them what is left of the grace. Tells whether all work finished by itself.
    pub async fn finish(&self, grace: Duration, farewell: impl FnOnce()) -> bool {
        const MOMENT: Duration = Duration::from_millis(500);
        self.begin();
        self.work.close();
        self.tasks.close();
        let end = Instant::now() + grace;
        let in_time = tokio::time::timeout_at(end, self.work.wait()).await.is_ok();
        // Before anything is cut off, so that it can still be said.
        farewell();
        if !in_time {
            self.cancel.cancel();
            let _ = tokio::time::timeout(MOMENT, self.work.wait()).await;
        }
        // Answers may still be on their way out.
        if tokio::time::timeout_at(end.max(Instant::now() + MOMENT), self.tasks.wait()).await.is_err() {
            self.cancel.cancel();
            let _ = tokio::time::timeout(MOMENT, self.tasks.wait()).await;
        }
        self.cancel.cancel();
        in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_finishes_in_time_is_waited_for() {
        let drain = Drain::default();
        drain.spawn_work(tokio::time::sleep(Duration::from_secs(3)));
        let began = tokio::time::Instant::now();
        assert!(drain.finish(Duration::from_secs(10), || ()).await);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert_eq!(drain.phase(), Phase::Draining);
    }

    #[tokio::test(start_paused = true)]
    async fn work_beyond_the_grace_is_cancelled() {
        let drain = Drain::default();
        let cancel = drain.cancellation().clone();
        drain.spawn_work(async move { cancel.cancelled().await });
        let began = tokio::time::Instant::now();
        assert!(!drain.finish(Duration::from_secs(10), || ()).await);
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_farewell_is_said_before_anything_is_cut_off() {
        let drain = Drain::default();
        let cancel = drain.cancellation().clone();
        let seen = cancel.clone();
        drain.spawn_work(async move { cancel.cancelled().await });
        let mut cut_off = None;
        assert!(!drain.finish(Duration::from_secs(1), || cut_off = Some(seen.is_cancelled())).await);
        assert_eq!(cut_off, Some(false));
    }
}
