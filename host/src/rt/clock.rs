//! The time of day, which never runs backwards while a process lives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This much later; at the end of time, if that is sooner.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// As the standard library has it.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        /// The last moment of the year 9999, beyond which dates have no common form.
        const LAST: u64 = 253_402_300_799_999;
        UNIX_EPOCH + Duration::from_millis(self.0.min(LAST))
    }
}

/// The time of day: the system's at the start, and then what has passed since. Whoever sets the system's clock meanwhile
/// neither ends nor prolongs anything. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Millis,
    began: Instant,
}

impl Clock {
    /// A clock that shows the system's time now.
    #[must_use]
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(Millis(0).after(since))
    }

    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Millis) -> Self {
        Self { origin: now, began: Instant::now() }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.origin.after(self.began.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_shows_what_has_passed_since_its_start() {
        let clock = Clock::at(Millis(1000));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now(), Millis(6000));
    }

    #[test]
    fn no_date_is_beyond_what_can_be_written() {
        assert_eq!(
            humantime::format_rfc3339_millis(Millis(u64::MAX).to_system_time()).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
    }
}
