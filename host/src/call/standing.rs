//! How a call stands between whoever waits for its answer and whoever works on it: either may be the first to leave.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether anybody waits for a call, and whether it has returned. A call is made once; so this only goes forward.
#[derive(Debug, Default)]
pub struct Standing(AtomicU8);

/// Somebody waits for it, and it has not returned.
const WAITED: u8 = 0;
/// Nobody waits any more, and it has not returned.
const DEAF: u8 = 1;
/// It has returned.
const OVER: u8 = 2;

impl Standing {
    /// Whether it has returned.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire) == OVER
    }

    /// Nobody waits for it any more; whether it goes on all the same.
    pub fn leave(&self) -> bool {
        self.0.compare_exchange(WAITED, DEAF, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// It has returned; whether nobody waited for it any more.
    pub fn end(&self) -> bool {
        self.0.swap(OVER, Ordering::AcqRel) == DEAF
    }
}
