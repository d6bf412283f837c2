//! The client of a stateless request, as its call sees it: it has answered already, or will with the next request.

use crate::call::{
    AskError, AskFuture, Asked, LogMessage, OpenAsks, Peer, Progress, SuspendFuture, Suspension, Teller,
};
use crate::protocol::{Ask, AskRefused, AskRequest, Claims, ClientProfile, Dialect, LogLevel, TraceContext};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The client's side of one stateless call.
pub struct ReplayPeer {
    dialect: &'static Dialect,
    client: ClientProfile,
    log_level: Option<LogLevel>,
    trace: Option<TraceContext>,
    teller: Arc<Teller>,
    answers: BTreeMap<String, Box<RawValue>>,
    /// The function asks what comes before a task, and becomes one.
    before_task: bool,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Questions that wait, each with how often it is asked.
    open: Vec<(String, AskRequest, usize)>,
    /// Answers that were given to the function.
    used: BTreeSet<String>,
    /// Steps that are being done.
    steps: Vec<String>,
    /// When the last question came.
    last: Option<Instant>,
    /// The function has said that it waits since then.
    waits: bool,
    /// What comes before the task is over.
    task_due: bool,
}

/// How long a function that does not say that it waits is given to ask more: one that asks from a task of its own, say.
const SETTLE: Duration = Duration::from_millis(50);

impl State {
    fn asks(&self) -> OpenAsks {
        self.open.iter().map(|(key, request, _)| (key.clone(), request.clone())).collect()
    }
}

impl ReplayPeer {
    /// The client of a request, with what it has answered in this round and earlier ones.
    #[must_use]
    pub fn new(
        dialect: &'static Dialect,
        claims: Claims<'_>,
        teller: Arc<Teller>,
        answers: BTreeMap<String, Box<RawValue>>,
    ) -> Self {
        let Claims { client, log_level, trace, .. } = claims;
        let (state, changed) = (Mutex::default(), Notify::new());
        Self { dialect, client, log_level, trace, teller, answers, before_task: false, state, changed }
    }

    /// The same for a function that asks what comes before a task, and becomes one.
    #[must_use]
    pub fn before_task(self, before_task: bool) -> Self {
        Self { before_task, ..self }
    }

    /// The answers that the call has used. Others are not carried on: what nobody asked for is ignored.
    #[must_use]
    pub fn used_answers(&self) -> BTreeMap<String, Box<RawValue>> {
        let state = self.state.lock();
        let used = self.answers.iter().filter(|(key, _)| state.used.contains(*key));
        used.map(|(key, answer)| (key.clone(), answer.clone())).collect()
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
        let answer = self.answers.get(key).filter(|answer| rule.check(answer).is_ok());
        let mut state = self.state.lock();
        if let Some(answer) = answer {
            state.used.insert(key.to_owned());
            return Asked::Answered(Ok(answer.clone()));
        }
        match state.open.iter_mut().find(|(open, ..)| open == key) {
            Some((_, other, _)) if *other != request => {
                let reason = format!("two questions have the key '{key}'; give each one of its own");
                return Asked::Answered(Err(AskError::Refused(reason)));
            }
            Some((.., asked)) => *asked += 1,
            None => state.open.push((key.to_owned(), request, 1)),
        }
        state.last = Some(Instant::now());
        state.waits = false;
        drop(state);
        self.changed.notify_waiters();
        Asked::Suspended
    }

    fn begin_task(&self) -> bool {
        if !self.before_task {
            return true;
        }
        self.state.lock().task_due = true;
        self.changed.notify_waiters();
        false
    }

    fn ask(&self, _key: &str, _request: AskRequest) -> AskFuture<'_> {
        // `consult` never gives a live question.
        Box::pin(std::future::ready(Err(AskError::Gone)))
    }

    fn waits(&self) {
        self.state.lock().waits = true;
        self.changed.notify_waiters();
    }

    fn abandon(&self, key: &str) {
        let mut state = self.state.lock();
        if let Some(at) = state.open.iter().position(|(open, ..)| open == key) {
            state.open[at].2 -= 1;
            if state.open[at].2 == 0 {
                state.open.remove(at);
            }
        }
    }

    fn step_begins(&self, key: &str) {
        self.state.lock().steps.push(key.to_owned());
    }

    fn step_ends(&self, key: &str) {
        let mut state = self.state.lock();
        if let Some(at) = state.steps.iter().position(|step| step == key) {
            state.steps.remove(at);
            // What follows the step may ask more.
            state.last = state.last.map(|_| Instant::now());
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn suspended(&self) -> Option<SuspendFuture<'_>> {
        Some(Box::pin(async {
            loop {
                let changed = self.changed.notified();
                let settled_at = {
                    let state = self.state.lock();
                    if state.task_due && state.open.is_empty() && state.steps.is_empty() {
                        return Suspension::Task;
                    }
                    match state.last.filter(|_| !state.open.is_empty() && state.steps.is_empty()) {
                        Some(last) if state.waits || last.elapsed() >= SETTLE => {
                            return Suspension::Asks(state.asks());
                        }
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
}
