//! Counted work with a bound.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts work that is under way, up to a bound. It may be part of what the work needs anyway: see [`InFlight::enter`].
#[derive(Debug)]
pub struct InFlight {
    count: AtomicUsize,
    max: usize,
}

/// A piece of counted work; it ends when this is dropped. It leads to what its count is part of.
#[derive(Debug)]
pub struct InFlightGuard<O: AsRef<InFlight> = InFlight>(Arc<O>);

impl InFlight {
    /// At most `max` pieces at a time.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { count: AtomicUsize::new(0), max }
    }

    /// How many there are now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// One more, unless the bound is reached. The owner of the count stays as long as the work.
    #[must_use]
    pub fn enter<O: AsRef<Self>>(owner: &Arc<O>) -> Option<InFlightGuard<O>> {
        let Self { count, max } = (**owner).as_ref();
        let entered =
            count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < *max).then_some(count + 1));
        entered.ok().map(|_| InFlightGuard(Arc::clone(owner)))
    }
}

impl AsRef<Self> for InFlight {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl<O: AsRef<InFlight>> Deref for InFlightGuard<O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.0
    }
}

impl<O: AsRef<InFlight>> Drop for InFlightGuard<O> {
    fn drop(&mut self) {
        (*self.0).as_ref().count.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_kept_and_ended_work_makes_room() {
        let calls = Arc::new(InFlight::new(2));
        let first = InFlight::enter(&calls);
        let second = InFlight::enter(&calls);
        assert!(first.is_some() && second.is_some());
        assert!(InFlight::enter(&calls).is_none());
        drop(first);
        assert_eq!(calls.count(), 1);
        assert!(InFlight::enter(&calls).is_some());
    }
}
