//! Counted work with a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts work that is under way, up to a bound. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InFlight {
    count: Arc<AtomicUsize>,
    max: usize,
}

/// A piece of counted work; it ends when this is dropped.
#[derive(Debug)]
pub struct InFlightGuard(Arc<AtomicUsize>);

impl InFlight {
    /// At most `max` pieces at a time.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { count: Arc::default(), max }
    }

    /// How many there are now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// One more, unless the bound is reached.
    #[must_use]
    pub fn enter(&self) -> Option<InFlightGuard> {
        let entered = self
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < self.max).then_some(count + 1));
        entered.ok().map(|_| InFlightGuard(Arc::clone(&self.count)))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_kept_and_ended_work_makes_room() {
        let calls = InFlight::new(2);
        let first = calls.enter();
        let second = calls.enter();
        assert!(first.is_some() && second.is_some());
        assert!(calls.enter().is_none());
        drop(first);
        assert_eq!(calls.count(), 1);
        assert!(calls.enter().is_some());
    }
}
