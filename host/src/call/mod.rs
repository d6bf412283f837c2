//! One request as it travels: who asked, until when, what it may ask back, and how it ends.
//!
//! A [`Call`] is made at the door and handed to whoever answers. Who that is, this room does not know; nor how a
//! revision writes any of it.

mod deadline;
mod failure;
mod peer;
mod principal;
mod standing;
mod teller;

pub use deadline::{Deadline, Pause, Timeouts};
pub use failure::{Crash, Failure};
pub use peer::{
    AskError, AskFuture, Asked, KeepFuture, Kept, LogMessage, NotKept, OpenAsks, Peer, Progress, SuspendFuture,
    Suspension, TaskOfCall,
};
pub use principal::Principal;
pub use standing::Standing;
pub use teller::Teller;

use crate::protocol::{Ask, AskRequest, ClientProfile, TraceContext};
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

/// Names a call in logs; unique in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(u64);

impl CallId {
    /// The next one.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Its number, under which another process knows it.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "c{}", self.0)
    }
}

/// Bytes of keys and values that the steps of one call may have, in JSON.
const MAX_RECORDED_BYTES: usize = 16 << 20;

/// Steps of one call that may be done at a time.
const MAX_STEPS: usize = 1024;

/// Why a step is not done, or not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It is being done already: then it would be done twice.
    #[error("two steps have the key '{0}'; give each one of its own")]
    InUse(String),
    /// Too many are being done.
    #[error("more than {MAX_STEPS} steps are being done at a time")]
    TooMany,
    /// The call has recorded too much.
    #[error(
        "the steps of a call may record {MAX_RECORDED_BYTES} bytes in all; record where a large value is, not the value"
    )]
    TooLarge,
}

/// One request on its way to an answer.
pub struct Call {
    /// Names it in logs.
    pub id: CallId,
    /// When it is given up.
    pub deadline: Deadline,
    /// Cancelled when nobody waits for the answer any more.
    pub cancel: CancellationToken,
    /// The client's side.
    pub peer: Arc<dyn Peer>,
    /// Whether anybody waits for it, and whether it has returned.
    pub standing: Standing,
    /// Values of steps that happen once, by key.
    once: Mutex<HashMap<String, Value>>,
    /// Bytes of those that this call has recorded.
    recorded_bytes: AtomicUsize,
    /// Steps that are being done.
    steps: Mutex<HashSet<String>>,
    /// Something of the client was looked at.
    personal: AtomicBool,
}

impl Call {
    /// A call of a client.
    #[must_use]
    pub fn new(peer: Arc<dyn Peer>, deadline: Deadline, cancel: CancellationToken) -> Self {
        Self {
            id: CallId::next(),
            deadline,
            cancel,
            peer,
            standing: Standing::default(),
            once: Mutex::default(),
            recorded_bytes: AtomicUsize::new(0),
            steps: Mutex::default(),
            personal: AtomicBool::new(false),
        }
    }

    /// The same call with values that earlier rounds recorded.
    #[must_use]
    pub fn with_recorded(mut self, recorded: HashMap<String, Value>) -> Self {
        self.once = Mutex::new(recorded);
        self
    }

    /// Takes a question; see [`Peer::consult`]. The outcome depends on who asks from now on.
    pub fn consult(&self, key: &str, ask: Ask) -> Asked {
        self.set_personal();
        self.peer.consult(key, ask)
    }

    /// Puts a live question to the client.
    ///
    /// # Errors
    /// See [`AskError`]; also when the call is cancelled meanwhile.
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question.
    pub async fn ask(&self, key: &str, request: AskRequest) -> Result<Box<RawValue>, AskError> {
        let _pause = self.deadline.pause();
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(AskError::Cancelled),
            answer = self.peer.ask(key, request) => answer,
        }
    }

    /// Tells how far the work is: to the client, and to the deadline.
    pub fn progress(&self, progress: Progress) {
        self.deadline.progress(progress.done);
        self.peer.progress(progress);
    }

    /// Who the client is. The outcome depends on who asks from now on.
    #[must_use]
    pub fn client(&self) -> &ClientProfile {
        self.set_personal();
        self.peer.client()
    }

    /// The trace that the call is part of. The outcome depends on who asks from now on.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.set_personal();
        self.peer.trace()
    }

    /// The outcome depends on who asks.
    pub fn set_personal(&self) {
        self.personal.store(true, Ordering::Relaxed);
    }

    /// Whether the outcome may depend on who asks: it must not be kept for others (2026-07-28 C-03).
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.personal.load(Ordering::Relaxed)
    }

    /// Looks a step up. Without a value it is about to be done: the call does not end with questions before it is over.
    ///
    /// # Errors
    /// [`StepError::InUse`] and [`StepError::TooMany`].
    pub fn begin_step(&self, key: &str) -> Result<Option<Value>, StepError> {
        if let Some(recorded) = self.recorded(key) {
            return Ok(Some(recorded));
        }
        let mut steps = self.steps.lock();
        if steps.contains(key) {
            return Err(StepError::InUse(key.to_owned()));
        }
        if steps.len() >= MAX_STEPS {
            return Err(StepError::TooMany);
        }
        steps.insert(key.to_owned());
        drop(steps);
        self.peer.step_begins(key);
        Ok(None)
    }

    /// A step is over, done or not.
    pub fn end_step(&self, key: &str) {
        if self.steps.lock().remove(key) {
            self.peer.step_ends(key);
        }
    }

    /// All recorded values.
    #[must_use]
    pub fn all_recorded(&self) -> HashMap<String, Value> {
        self.once.lock().clone()
    }

    /// The recorded value of a step.
    #[must_use]
    pub fn recorded(&self, key: &str) -> Option<Value> {
        self.once.lock().get(key).cloned()
    }

    /// Records the value of a step, which has so many bytes with its key.
    ///
    /// # Errors
    /// [`StepError::TooLarge`]: then it is not recorded.
    pub fn record(&self, key: String, value: Value, bytes: usize) -> Result<(), StepError> {
        let with = |before: usize| before.checked_add(bytes).filter(|after| *after <= MAX_RECORDED_BYTES);
        self.recorded_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with)
            .map_err(|_| StepError::TooLarge)?;
        self.once.lock().insert(key, value);
        Ok(())
    }
}

/// A call of a client of whom nothing comes, with five seconds, and a minute with all progress.
#[cfg(test)]
pub(crate) fn silent_call() -> Arc<Call> {
    use std::time::Duration;

    struct Silent(ClientProfile);

    impl Peer for Silent {
        fn client(&self) -> &ClientProfile {
            &self.0
        }

        fn wants_progress(&self) -> bool {
            false
        }

        fn progress(&self, _: Progress) {}

        fn log(&self, _: LogMessage) {}

        fn release(&self, _: Duration) {}

        fn elicitation_done(&self, _: &str) {}

        fn consult(&self, _: &str, _: Ask) -> Asked {
            Asked::Suspended
        }

        fn ask(&self, _: &str, _: AskRequest) -> AskFuture<'_> {
            Box::pin(async { Err(AskError::Gone) })
        }
    }

    let deadline = Deadline::new(Duration::from_secs(5), Duration::from_secs(60));
    Arc::new(Call::new(Arc::new(Silent(ClientProfile::default())), deadline, CancellationToken::new()))
}

#[cfg(test)]
mod tests {
    use super::{MAX_RECORDED_BYTES, MAX_STEPS, StepError, silent_call};
    use serde_json::json;

    #[test]
    fn a_call_has_so_many_steps_and_records_so_much() {
        let call = silent_call();
        for step in 0..MAX_STEPS {
            assert_eq!(call.begin_step(&step.to_string()), Ok(None));
        }
        assert_eq!(call.begin_step("0"), Err(StepError::InUse("0".to_owned())));
        assert_eq!(call.begin_step("another"), Err(StepError::TooMany));
        call.end_step("0");
        assert_eq!(call.begin_step("another"), Ok(None));
        assert_eq!(call.record("a".to_owned(), json!(1), MAX_RECORDED_BYTES), Ok(()));
        assert_eq!(call.record("b".to_owned(), json!(2), 1), Err(StepError::TooLarge));
        assert_eq!((call.recorded("a"), call.recorded("b")), (Some(json!(1)), None));
    }
}
