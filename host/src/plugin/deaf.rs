//! Calls that nobody waits for any more, and that have not returned: each keeps its slot, and is accounted for here. Whoever gave
//! it up, one is a fault that has not returned when the operator's time for it is over, or when its process is killed for it.

use crate::call::{Call, CallId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
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

/// Whoever waits for a call. Dropped before the answer is there, it leaves the call deaf.
pub(super) struct Waiting {
    call: Arc<Call>,
    calls: Arc<DeafCalls>,
}

impl DeafCalls {
    /// Somebody waits for the call.
    pub(super) fn wait_for(self: &Arc<Self>, call: &Arc<Call>) -> Waiting {
        Waiting { call: Arc::clone(call), calls: Arc::clone(self) }
    }

    /// The call has returned.
    pub(super) fn returned(&self, call: &Call) {
        if call.standing.end() {
            self.forget(call.id);
        }
    }

    /// How many there are, and for how long the oldest is deaf.
    pub(super) fn count(&self) -> (usize, Option<Duration>) {
        let calls = self.calls.lock();
        (calls.len(), calls.values().map(|deaf| deaf.since).min().map(|oldest| oldest.elapsed()))
    }

    /// Has a deaf call found at fault when it has not returned and no time is `left`, or when [`DeafCalls::judge`] is asked to before;
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

    /// The call is not waited for any longer that it returns: a fault, where it was to be found at fault later.
    pub(super) fn judge(&self, call: CallId) {
        let fault = self.calls.lock().get_mut(&call).and_then(|deaf| deaf.fault.take());
        if let Some(fault) = fault {
            (fault.count)();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Self { call, calls } = self;
        if call.standing.is_over() {
            return;
        }
        // Under the lock, so that a call that returns meanwhile waits to be taken out until it is in.
        let mut deaf = calls.calls.lock();
        if call.standing.leave() {
            deaf.insert(call.id, Deaf { since: Instant::now(), fault: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::silent_call;
    use std::sync::atomic::{AtomicU8, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_call_is_deaf_from_when_nobody_waits_until_it_returns() {
        let calls = Arc::new(DeafCalls::default());
        let call = silent_call();
        let waiting = calls.wait_for(&call);
        assert_eq!(calls.count(), (0, None));
        drop(waiting);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(calls.count(), (1, Some(Duration::from_secs(3))));
        calls.returned(&call);
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
        let all: Vec<_> = (0..3).map(|_| silent_call()).collect();
        for call in &all {
            let waiting = calls.wait_for(call);
            calls.judge_later(call.id, || panic!("somebody waits for it"), || panic!("somebody waits for it"));
            drop(waiting);
            let of_call = Arc::clone(call);
            calls.judge_later(call.id, move || of_call.deadline.not_due_for(), count());
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        // There is progress; one returns, and one is known to go on for ever.
        all.iter().for_each(|call| call.deadline.progress(1.0));
        calls.returned(&all[1]);
        calls.judge(all[2].id);
        calls.judge(all[2].id);
        assert_eq!(faults_now(), 1);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(faults_now(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((faults_now(), calls.count().0), (2, 2));
    }

    #[test]
    fn a_call_that_has_returned_is_not_deaf() {
        let calls = Arc::new(DeafCalls::default());
        let call = silent_call();
        let waiting = calls.wait_for(&call);
        calls.returned(&call);
        drop(waiting);
        assert_eq!(calls.count(), (0, None));
    }
}
