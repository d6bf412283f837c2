//! Calls that nobody waits for any more, and that have not returned: each keeps its slot, and is accounted for here.

use crate::call::CallId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The deaf calls of one plugin.
#[derive(Debug, Default)]
pub(super) struct DeafCalls {
    since: Mutex<HashMap<CallId, Instant>>,
}

/// Somebody waits for the call.
const WAITED: u8 = 0;
/// Nobody does any more.
const DEAF: u8 = 1;
/// It has returned.
const OVER: u8 = 2;

/// Whoever waits for a call. Dropped before the answer is there, it leaves the call deaf.
pub(super) struct Waiting {
    state: Arc<AtomicU8>,
    calls: Arc<DeafCalls>,
    call: CallId,
}

/// A call that has not returned. It has when this is dropped.
pub(super) struct Unreturned {
    state: Arc<AtomicU8>,
    calls: Arc<DeafCalls>,
    call: CallId,
}

impl DeafCalls {
    /// A call begins: who waits for it, and what goes when it returns.
    pub(super) fn begin(self: &Arc<Self>, call: CallId) -> (Waiting, Unreturned) {
        let state = Arc::new(AtomicU8::new(WAITED));
        let waiting = Waiting { state: Arc::clone(&state), calls: Arc::clone(self), call };
        (waiting, Unreturned { state, calls: Arc::clone(self), call })
    }

    /// How many there are, and for how long the oldest is deaf.
    pub(super) fn count(&self) -> (usize, Option<Duration>) {
        let since = self.since.lock();
        (since.len(), since.values().min().map(Instant::elapsed))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.state.load(Ordering::Acquire) == OVER {
            return;
        }
        // In this order, so that a call that returns meanwhile is taken out by one of the two.
        self.calls.since.lock().insert(self.call, Instant::now());
        let deaf = self.state.compare_exchange(WAITED, DEAF, Ordering::AcqRel, Ordering::Acquire);
        if deaf.is_err() {
            self.calls.since.lock().remove(&self.call);
        }
    }
}

impl Drop for Unreturned {
    fn drop(&mut self) {
        if self.state.swap(OVER, Ordering::AcqRel) == DEAF {
            self.calls.since.lock().remove(&self.call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_deaf_from_when_nobody_waits_until_it_returns() {
        let calls = Arc::new(DeafCalls::default());
        let (waiting, unreturned) = calls.begin(CallId::next());
        assert_eq!(calls.count(), (0, None));
        drop(waiting);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(calls.count(), (1, Some(Duration::from_secs(3))));
        drop(unreturned);
        assert_eq!(calls.count(), (0, None));
    }

    #[test]
    fn a_call_that_has_returned_is_not_deaf() {
        let calls = Arc::new(DeafCalls::default());
        let (waiting, unreturned) = calls.begin(CallId::next());
        drop(unreturned);
        drop(waiting);
        assert_eq!(calls.count(), (0, None));
    }
}
