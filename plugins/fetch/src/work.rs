//! The work of a call, on a thread that nobody has to wait for: who is asked may stay silent, and a page may take its time.

use mcp_plugin_api::{Context, Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

/// Work that is done at a time, also where nobody waits for it any more.
const MAX_AT_A_TIME: usize = 64;

/// Enough for the depth of a page that is read, four times over.
pub(crate) const STACK_BYTES: usize = 8 * 1024 * 1024;

/// How often it is looked whether anybody waits.
const LOOK: Duration = Duration::from_millis(50);

/// By how much work may miss its end, so that it can say itself why it is over.
const GRACE: Duration = Duration::from_secs(2);

/// Does the work of calls.
pub(crate) struct Workers {
    bound: Duration,
    at_work: Arc<AtomicUsize>,
}

/// The time of one call.
pub(crate) struct Time {
    end: SystemTime,
    is_given_up: Arc<AtomicBool>,
}

impl Time {
    /// What is left of it; nothing where it is over, or nobody waits any more.
    pub(crate) fn left(&self) -> Option<Duration> {
        let left = self.end.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero());
        left.filter(|_| !self.is_given_up.load(Ordering::Relaxed))
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_none()
    }
}

/// One of those that are done at a time.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(at_work: &Arc<AtomicUsize>) -> Option<Self> {
        let next = |taken: usize| (taken < MAX_AT_A_TIME).then_some(taken + 1);
        at_work.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|_| Self(Arc::clone(at_work)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// For work that may take so long.
    pub(crate) fn new(bound: Duration) -> Self {
        Self { bound, at_work: Arc::default() }
    }

    /// Does the work of a call. Returns as well when the client has given the call up; the work then ends as soon as it looks at its
    /// time.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        ctx: &Context,
        work: impl FnOnce(&Time) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let given_up = || Error::new("nobody waits for the page any more");
        if ctx.is_cancelled() {
            return Err(given_up());
        }
        let busy = || Error::new("too many pages are being fetched; try again in a moment");
        let place = Place::take(&self.at_work).ok_or_else(busy)?;
        let is_given_up = Arc::new(AtomicBool::new(false));
        let time = Time { end: SystemTime::now() + self.bound, is_given_up: Arc::clone(&is_given_up) };
        let last = time.end + GRACE;
        let (send, done) = mpsc::channel();
        let thread = std::thread::Builder::new().name("fetch".to_owned()).stack_size(STACK_BYTES);
        let begun = thread.spawn(move || {
            let outcome = work(&time);
            drop(place);
            // Nobody may be there any more.
            let _ = send.send(outcome);
        });
        begun.map_err(|error| Error::new(format!("no thread could be started: {error}")))?;
        loop {
            match done.recv_timeout(LOOK) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::new("the page could not be read")),
                Err(RecvTimeoutError::Timeout) if ctx.is_cancelled() => {
                    is_given_up.store(true, Ordering::Relaxed);
                    return Err(given_up());
                }
                Err(RecvTimeoutError::Timeout) if SystemTime::now() > last => {
                    is_given_up.store(true, Ordering::Relaxed);
                    return Err(Error::new(format!("the page could not be read within {:?}", self.bound)));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_AT_A_TIME, Place};
    use std::sync::Arc;

    #[test]
    fn so_much_is_done_at_a_time() {
        let at_work = Arc::default();
        let mut places: Vec<_> = (0..MAX_AT_A_TIME).map(|_| Place::take(&at_work)).collect();
        assert!(places.iter().all(Option::is_some) && Place::take(&at_work).is_none());
        places.pop();
        assert!(Place::take(&at_work).is_some());
    }
}
