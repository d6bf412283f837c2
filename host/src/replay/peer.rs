//! The client of a stateless request, as its call sees it: it has answered already, or will with the next request.

use crate::call::{AskError, AskFuture, Asked, LogMessage, OpenAsks, Peer, Progress, SuspendFuture, Teller};
use crate::protocol::{Ask, AskRefused, AskRequest, Claims, ClientProfile, Dialect, LogLevel, TraceContext};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The client's side of one stateless call.
pub struct ReplayPeer {
    dialect: &'static Dialect,
    client: ClientProfile,
    log_level: Option<LogLevel>,
    trace: Option<TraceContext>,
    teller: Arc<Teller>,
    answers: BTreeMap<String, Box<RawValue>>,
    asked: Mutex<State>,
    changed: Notify,
    withdrawn: CancellationToken,
}

#[derive(Default)]
struct State {
    open: OpenAsks,
    /// When the last question came.
    last: Option<Instant>,
    /// The function has said that it waits since then.
    waits: bool,
}

/// How long a function that does not say that it waits is given to ask more: one that asks from a task of its own, say.
const SETTLE: Duration = Duration::from_millis(50);

impl ReplayPeer {
    /// The client of a request, with what it has answered in this round and earlier ones.
    #[must_use]
    pub fn new(
        dialect: &'static Dialect,
        claims: Claims,
        teller: Arc<Teller>,
        answers: BTreeMap<String, Box<RawValue>>,
    ) -> Self {
        let Claims { client, log_level, trace, .. } = claims;
        let (asked, changed, withdrawn) = (Mutex::default(), Notify::new(), CancellationToken::new());
        Self { dialect, client, log_level, trace, teller, answers, asked, changed, withdrawn }
    }

    /// The answers that the call has used or could use.
    #[must_use]
    pub fn answers(&self) -> &BTreeMap<String, Box<RawValue>> {
        &self.answers
    }

    /// Puts a question as the client's revision writes it; nothing if the client cannot be asked this.
    ///
    /// # Errors
    /// Why the client cannot be asked.
    pub fn request(&self, ask: Ask) -> Result<AskRequest, AskError> {
        ask.request(self.dialect, &self.client).map_err(|refused| match refused {
            AskRefused::MissingCapability(capability) => AskError::MissingCapability(capability.to_owned()),
            other => AskError::Refused(other.to_string()),
        })
    }
}

impl Peer for ReplayPeer {
    fn client(&self) -> &ClientProfile {
        &self.client
    }

    fn wants_progress(&self) -> bool {
        self.teller.wants_progress()
    }

    fn progress(&self, progress: Progress) {
        self.teller.progress(progress);
    }

    fn log(&self, message: LogMessage) {
        // Without a level in the request itself, nothing is told (2026-07-28 N-07).
        if self.log_level.is_some_and(|least| message.level >= least) {
            self.teller.log(message);
        }
    }

    fn release(&self, _retry: Duration) {
        // Nothing can be resumed (2026-07-28 H-14).
    }

    fn elicitation_done(&self, _id: &str) {
        // The client comes again by itself (2026-07-28 R-13).
    }

    fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    fn consult(&self, key: &str, ask: Ask) -> Asked {
        if self.teller.is_over() {
            return Asked::Answered(Err(AskError::Cancelled));
        }
        // Judged anew in every round: another client may bring the answers of the first (2026-07-28 R-05).
        let request = match self.request(ask) {
            Ok(request) => request,
            Err(error) => return Asked::Answered(Err(error)),
        };
        // An answer that does not fit is none, and is asked for again (2026-07-28 R-08).
        let rule = request.answer_rule();
        if let Some(answer) = self.answers.get(key).filter(|answer| rule.check(answer).is_ok()) {
            return Asked::Answered(Ok(answer.clone()));
        }
        let mut asked = self.asked.lock();
        if asked.open.iter().any(|(open, other)| open == key && *other != request) {
            let reason = format!("two questions have the key '{key}'; give each one of its own");
            return Asked::Answered(Err(AskError::Refused(reason)));
        }
        if !asked.open.iter().any(|(open, _)| open == key) {
            asked.open.push((key.to_owned(), request));
        }
        asked.last = Some(Instant::now());
        asked.waits = false;
        drop(asked);
        self.changed.notify_waiters();
        Asked::Suspended(self.withdrawn.clone())
    }

    fn ask(&self, _request: AskRequest) -> AskFuture<'_> {
        // `consult` never gives a live question.
        Box::pin(std::future::ready(Err(AskError::Gone)))
    }

    fn waits(&self) {
        self.asked.lock().waits = true;
        self.changed.notify_waiters();
    }

    fn suspended(&self) -> Option<SuspendFuture<'_>> {
        Some(Box::pin(async {
            loop {
                let changed = self.changed.notified();
                let settled_at = {
                    let asked = self.asked.lock();
                    match asked.last {
                        Some(_) if asked.waits => return asked.open.clone(),
                        Some(last) if last.elapsed() >= SETTLE => return asked.open.clone(),
                        last => last.map(|last| last + SETTLE),
                    }
                };
                match settled_at {
                    None => changed.await,
                    Some(at) => tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = changed => {}
                    },
                }
            }
        }))
    }

    fn withdraw(&self) {
        self.withdrawn.cancel();
    }
}
