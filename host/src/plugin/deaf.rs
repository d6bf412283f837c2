//! Calls that nobody waits for any more, and that have not returned: each keeps its slot, and is accounted for here. Whoever gave
//! it up, one is a fault that has not returned when the operator's time for it is over, or when its process is killed for it.

use crate::call::CallId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// The deaf calls of one plugin.
#[derive(Default)]
pub(super) struct DeafCalls {
    calls: Mutex<HashMap<CallId, Deaf>>,
}

struct Deaf {
    since: Instant,
    fault: Option<Fault>,
}

/// What is done when a deaf call is found at fault; dropped when it returns before.
struct Fault {
    count: Box<dyn FnOnce() + Send>,
    /// Finds it at fault when its time is over.
    _timer: AbortOnDropHandle<()>,
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
        let calls = self.calls.lock();
        (calls.len(), calls.values().map(|deaf| deaf.since).min().map(|oldest| oldest.elapsed()))
    }

    /// Has a deaf call found at fault when it has not returned and no time is `left`, or when [`Unreturned::is_at_fault`] says so;
    /// `count` counts it. `left` is asked again when what it said is over: progress gives a call more time. Nothing where it has
    /// returned. To be called on a runtime.
    pub(super) fn judge_later(
        self: &Arc<Self>,
        call: CallId,
        left: impl Fn() -> Duration + Send + 'static,
        count: impl FnOnce() + Send + 'static,
    ) {
        let mut calls = self.calls.lock();
        let Some(deaf) = calls.get_mut(&call) else { return };
        let judge = Arc::clone(self);
        let timer = tokio::spawn(async move {
            loop {
                let left = left();
                if left.is_zero() {
                    return judge.judge(call);
                }
                tokio::time::sleep(left).await;
            }
        });
        deaf.fault = Some(Fault { count: Box::new(count), _timer: AbortOnDropHandle::new(timer) });
    }

    fn forget(&self, call: CallId) {
        let gone = self.calls.lock().remove(&call);
        // What would have counted it goes when nobody is kept waiting.
        drop(gone);
    }

    fn judge(&self, call: CallId) {
        let fault = self.calls.lock().get_mut(&call).and_then(|deaf| deaf.fault.take());
        if let Some(fault) = fault {
            (fault.count)();
        }
    }
}

impl Unreturned {
    /// It is not waited for any longer that it returns: a fault.
    pub(super) fn is_at_fault(&self) {
        self.calls.judge(self.call);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.state.load(Ordering::Acquire) == OVER {
            return;
        }
        // In this order, so that a call that returns meanwhile is taken out by one of the two.
        self.calls.calls.lock().insert(self.call, Deaf { since: Instant::now(), fault: None });
        let deaf = self.state.compare_exchange(WAITED, DEAF, Ordering::AcqRel, Ordering::Acquire);
        if deaf.is_err() {
            self.calls.forget(self.call);
        }
    }
}

impl Drop for Unreturned {
    fn drop(&mut self) {
        if self.state.swap(OVER, Ordering::AcqRel) == DEAF {
            self.calls.forget(self.call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Deadline;

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

    #[tokio::test(start_paused = true)]
    async fn a_deaf_call_is_at_fault_when_it_has_not_returned_in_time() {
        let (calls, faults) = (Arc::new(DeafCalls::default()), Arc::new(AtomicU8::new(0)));
        let count = || {
            let faults = Arc::clone(&faults);
            move || {
                faults.fetch_add(1, Ordering::Relaxed);
            }
        };
        let faults_now = || faults.load(Ordering::Relaxed);
        let deadline = Arc::new(Deadline::new(Duration::from_secs(5), Duration::from_secs(60)));
        let mut all = Vec::new();
        for _ in 0..3 {
            let call = CallId::next();
            let (waiting, unreturned) = calls.begin(call);
            calls.judge_later(call, || panic!("somebody waits for it"), || panic!("somebody waits for it"));
            drop(waiting);
            let deadline = Arc::clone(&deadline);
            calls.judge_later(call, move || deadline.not_due_for(), count());
            all.push(unreturned);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        // There is progress; one returns, and one is known to go on for ever.
        deadline.progress(1.0);
        drop(all.remove(1));
        all[1].is_at_fault();
        all[1].is_at_fault();
        assert_eq!(faults_now(), 1);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(faults_now(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((faults_now(), calls.count().0), (2, 2));
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
