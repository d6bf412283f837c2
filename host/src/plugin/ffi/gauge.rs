//! Whether a function took long, told at next to no cost: on x86-64 the processor's own counter is read, in a quarter of the time
//! that a look at the clock takes. It tells for certain what did not take long, which is nearly everything; the rest is measured.

use std::time::Duration;
use tokio::time::Instant;

/// Relates the counter to the clock.
pub(in crate::plugin) struct Gauge {
    began: Instant,
    at: Reading,
}

/// What the counter has said.
#[derive(Clone, Copy)]
pub(in crate::plugin) struct Reading(u64);

/// The counter counts at least so much in a second, on every machine that has it.
const SLOWEST: u64 = 500_000_000;

impl Gauge {
    /// A gauge that is at its beginning.
    pub(in crate::plugin) fn start() -> Self {
        Self { began: Instant::now(), at: Self::count() }
    }

    /// Reads the counter.
    pub(in crate::plugin) fn read(&self) -> Reading {
        Self::count()
    }

    /// How much time has passed since the reading, where that is longer than the bound.
    pub(in crate::plugin) fn longer_since(&self, reading: Reading, bound: Duration) -> Option<Duration> {
        // Another processor's counter may be a little behind.
        let counted = Self::count().0.saturating_sub(reading.0);
        if u128::from(counted) * 1_000_000_000 <= u128::from(SLOWEST) * bound.as_nanos() {
            return None;
        }
        self.took(counted).filter(|took| *took > bound)
    }

    #[cold]
    fn took(&self, counted: u64) -> Option<Duration> {
        // It begins anew where the machine has slept.
        let since = Self::count().0.checked_sub(self.at.0).filter(|since| *since > 0)?;
        let nanos = u128::from(counted) * self.began.elapsed().as_nanos() / u128::from(since);
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }

    #[cfg(target_arch = "x86_64")]
    fn count() -> Reading {
        // SAFETY: every x86-64 processor has the instruction; it reads a counter and nothing else.
        Reading(unsafe { std::arch::x86_64::_rdtsc() })
    }

    /// Nanoseconds of the clock, elsewhere.
    #[cfg(not(target_arch = "x86_64"))]
    fn count() -> Reading {
        static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        Reading(u64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_told_and_what_did_not_is_not() {
        let gauge = Gauge::start();
        let reading = gauge.read();
        assert_eq!(gauge.longer_since(reading, Duration::from_secs(3600)), None);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let bound = Duration::from_millis(10);
        let took = gauge.longer_since(reading, bound).unwrap();
        assert!(took > bound && took < began.elapsed() * 2, "{took:?}");
    }
}
