//! Faults that come again and again take a tool, or its whole plugin, out of the catalogue; later it is tried again.
//!
//! Closed → open after `max_faults` in a row, none further back than `window` → half open after a pause → closed by the first
//! answer, or open again for twice as long. A fault is a panic, a crash of the process, or a call that ran out of time or did not
//! end when it was given up; an error that the plugin returns is none. Who takes what out of the catalogue, and when it looks, is
//! the supervisor's.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerLimits {
    /// Faults in a row that open it.
    pub max_faults: u32,
    /// Faults further back than this do not count.
    pub window: Duration,
    /// How long it is open at first; twice as long each time it opens again.
    pub retry_after: Duration,
}

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Tools that are out at a time, from which on the whole plugin is.
const TOOLS_OF_A_BROKEN_PLUGIN: usize = 3;

/// What is out of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Out {
    /// The whole plugin is.
    pub(super) all: bool,
    /// These of its tools are.
    pub(super) tools: BTreeSet<String>,
}

/// The breakers of one plugin: one for each tool that has failed, and one for everything else, under the empty name.
pub(super) struct Breaker {
    limits: BreakerLimits,
    /// No fault was seen, so an answer need not look.
    is_spotless: AtomicBool,
    parts: Mutex<BTreeMap<String, Part>>,
}

struct Part {
    faults: u32,
    first: Instant,
    state: State,
    /// For how long it is open the next time.
    pause: Duration,
    last: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen,
}

impl Breaker {
    pub(super) fn new(limits: BreakerLimits) -> Self {
        Self { limits, is_spotless: AtomicBool::new(true), parts: Mutex::default() }
    }

    /// An answer came.
    pub(super) fn answered(&self, part: &str) {
        if self.is_spotless.load(Ordering::Relaxed) {
            return;
        }
        let mut parts = self.parts.lock();
        if parts.get(part).is_some_and(|part| !matches!(part.state, State::Open { .. })) {
            parts.remove(part);
        }
        if parts.is_empty() {
            self.is_spotless.store(true, Ordering::Relaxed);
        }
    }

    /// A fault happened. Whether something goes out of the catalogue.
    pub(super) fn failed(&self, part: &str, fault: &'static str) -> bool {
        let now = Instant::now();
        let mut parts = self.parts.lock();
        // Under the lock, so that an answer that has seen no part does not say that there is none.
        self.is_spotless.store(false, Ordering::Relaxed);
        let part = parts.entry(part.to_owned()).or_insert_with(|| Part {
            faults: 0,
            first: now,
            state: State::Closed,
            pause: self.limits.retry_after,
            last: fault,
        });
        if now.duration_since(part.first) > self.limits.window {
            (part.faults, part.first) = (0, now);
        }
        part.faults += 1;
        part.last = fault;
        let opens = match part.state {
            State::Closed => part.faults >= self.limits.max_faults,
            State::HalfOpen => true,
            State::Open { .. } => false,
        };
        if opens {
            part.state = State::Open { until: now + part.pause };
            part.pause = (part.pause * 2).min(LONGEST_PAUSE);
            part.faults = 0;
        }
        opens
    }

    /// What is out now, and when that is to be looked at again. What has been out for long enough is half open from now on.
    pub(super) fn look(&self) -> (Out, Option<Instant>) {
        if self.is_spotless.load(Ordering::Relaxed) {
            return (Out::default(), None);
        }
        let now = Instant::now();
        let mut parts = self.parts.lock();
        let mut out = Out::default();
        let mut next: Option<Instant> = None;
        for (name, part) in parts.iter_mut() {
            let State::Open { until } = part.state else { continue };
            if until <= now {
                part.state = State::HalfOpen;
                continue;
            }
            next = Some(next.map_or(until, |next| next.min(until)));
            if name.is_empty() {
                out.all = true;
            } else {
                out.tools.insert(name.clone());
            }
        }
        out.all |= out.tools.len() >= TOOLS_OF_A_BROKEN_PLUGIN;
        (out, next)
    }

    /// Why a part is out, for the operator.
    pub(super) fn reason(&self, part: &str) -> Option<&'static str> {
        self.parts.lock().get(part).map(|part| part.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerLimits {
            max_faults: 3,
            window: Duration::from_secs(60),
            retry_after: Duration::from_secs(5),
        })
    }

    fn out(tools: &[&str]) -> Out {
        Out { all: false, tools: tools.iter().map(|tool| (*tool).to_owned()).collect() }
    }

    #[tokio::test(start_paused = true)]
    async fn faults_in_a_row_open_it_and_its_siblings_stay() {
        let breaker = breaker();
        assert!(!breaker.failed("bad", "it panicked"));
        assert!(!breaker.failed("bad", "it panicked"));
        breaker.answered("bad");
        assert!(!breaker.failed("bad", "it panicked"), "an answer between them begins anew");
        assert!(!breaker.failed("bad", "it panicked"));
        assert!(breaker.failed("bad", "it timed out"));
        let (now, next) = breaker.look();
        assert_eq!((now, next), (out(&["bad"]), Some(Instant::now() + Duration::from_secs(5))));
        assert_eq!(breaker.reason("bad"), Some("it timed out"));
    }

    #[tokio::test(start_paused = true)]
    async fn faults_far_apart_do_not_open_it() {
        let breaker = breaker();
        for _ in 0..10 {
            assert!(!breaker.failed("bad", "it panicked"));
            tokio::time::advance(Duration::from_secs(40)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_tried_again_and_the_first_outcome_decides() {
        let breaker = breaker();
        (0..3).for_each(|_| {
            breaker.failed("bad", "it panicked");
        });
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(breaker.look(), (out(&[]), None), "half open");
        assert!(breaker.failed("bad", "it panicked"), "one fault opens it again");
        let (_, next) = breaker.look();
        assert_eq!(next, Some(Instant::now() + Duration::from_secs(10)), "for twice as long");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(breaker.look(), (out(&[]), None));
        breaker.answered("bad");
        assert!(!breaker.failed("bad", "it panicked"), "closed: it has its three faults again");
        assert!(!breaker.failed("bad", "it panicked"));
    }

    #[tokio::test(start_paused = true)]
    async fn many_faulty_tools_are_a_faulty_plugin() {
        let breaker = breaker();
        for tool in ["a", "b", "c"] {
            (0..3).for_each(|_| {
                breaker.failed(tool, "it panicked");
            });
        }
        assert!(breaker.look().0.all);
    }
}
