//! One session: its client, its requests in both directions, its streams.

mod asks;
mod guards;

pub use guards::Admitted;

use super::SessionId;
use crate::call::{AskError, Principal};
use crate::outlet::{Delivery, EventStream, Outlet, Position, Reader, StreamLimits};
use crate::protocol::{AnswerRule, ClientProfile, Dialect, LogLevel};
use crate::wire::Id;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What one session may hold.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Requests of the client under way at a time.
    pub max_calls: usize,
    /// Requests to the client under way at a time.
    pub max_asks: usize,
    /// How long the client may take to answer one.
    pub ask_timeout: Duration,
    /// Resources that the client hears of.
    pub max_subscriptions: usize,
    /// Ended streams that can still be resumed.
    pub max_ended_streams: usize,
    /// How long they can be resumed.
    pub resume_for: Duration,
    /// What one stream holds.
    pub stream: StreamLimits,
}

/// A session. Shared by everything that speaks for its client.
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// What both sides speak.
    pub dialect: &'static Dialect,
    /// Who the client is.
    pub client: ClientProfile,
    /// Whose session it is.
    pub principal: Principal,
    /// Cancelled when the session ends; all calls of it are children.
    pub closed: CancellationToken,
    limits: SessionLimits,
    standalone: Standalone,
    state: Mutex<State>,
}

/// Where messages leave that belong to no request.
enum Standalone {
    /// A pipe that everything goes through.
    Pipe(Arc<dyn Outlet>),
    /// A stream of its own, which the client follows or not.
    Stream(EventStream),
}

/// One lock, because requests, answers and the end of the session must change together.
struct State {
    used: Instant,
    initialized: bool,
    /// Changes announced before the client was ready, each once.
    held_back: Vec<Bytes>,
    log_level: LogLevel,
    subscriptions: HashSet<String>,
    calls: HashMap<Id, Running>,
    /// Questions that wait, with what their answers must be.
    asks: HashMap<u64, (Option<AnswerRule>, AnswerSender)>,
    next_ask: u64,
    streams: HashMap<u64, EventStream>,
    next_stream: u64,
}

/// A request of the client that is under way.
struct Running {
    cancel: CancellationToken,
    cancelled_by_client: bool,
}

/// Where a client's answer goes.
type AnswerSender = oneshot::Sender<Result<Box<RawValue>, AskError>>;

/// Changes that wait for a client that is not ready; what comes beyond them is not told.
const MAX_HELD_BACK: usize = 64;

/// The number of the stream that belongs to no request.
const STANDALONE: u64 = 0;

impl Session {
    /// A session over one pipe.
    #[must_use]
    pub fn over_pipe(
        id: SessionId,
        dialect: &'static Dialect,
        client: ClientProfile,
        principal: Principal,
        limits: SessionLimits,
        host: &CancellationToken,
        pipe: Arc<dyn Outlet>,
    ) -> Self {
        Self::new(id, dialect, client, principal, limits, host, Standalone::Pipe(pipe))
    }

    /// A session over resumable streams.
    #[must_use]
    pub fn over_streams(
        id: SessionId,
        dialect: &'static Dialect,
        client: ClientProfile,
        principal: Principal,
        limits: SessionLimits,
        host: &CancellationToken,
    ) -> Self {
        let stream = EventStream::new(limits.stream);
        Self::new(id, dialect, client, principal, limits, host, Standalone::Stream(stream))
    }

    fn new(
        id: SessionId,
        dialect: &'static Dialect,
        client: ClientProfile,
        principal: Principal,
        limits: SessionLimits,
        host: &CancellationToken,
        standalone: Standalone,
    ) -> Self {
        let state = State {
            used: Instant::now(),
            initialized: false,
            held_back: Vec::new(),
            log_level: LogLevel::Info,
            subscriptions: HashSet::new(),
            calls: HashMap::new(),
            asks: HashMap::new(),
            next_ask: 1,
            streams: HashMap::new(),
            next_stream: STANDALONE + 1,
        };
        Self {
            id,
            dialect,
            client,
            principal,
            closed: host.child_token(),
            limits,
            standalone,
            state: Mutex::new(state),
        }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// Nothing can be said of the reason but which: see [`Refused`].
    pub fn admit(self: &Arc<Self>, id: &Id) -> Result<Admitted, Refused> {
        let mut state = self.state.lock();
        state.used = Instant::now();
        if self.closed.is_cancelled() {
            return Err(Refused::Closed);
        }
        if state.calls.len() >= self.limits.max_calls {
            return Err(Refused::TooMany);
        }
        match state.calls.entry(id.clone()) {
            Entry::Occupied(_) => Err(Refused::IdInUse),
            Entry::Vacant(free) => {
                let cancel = self.closed.child_token();
                free.insert(Running { cancel: cancel.clone(), cancelled_by_client: false });
                Ok(Admitted { session: Arc::clone(self), id: id.clone(), cancel })
            }
        }
    }

    /// How long a stream that broke can be resumed.
    #[must_use]
    pub fn resume_for(&self) -> Duration {
        self.limits.resume_for
    }

    /// Whether a request of this id is under way.
    #[must_use]
    pub fn has_under_way(&self, id: &Id) -> bool {
        self.state.lock().calls.contains_key(id)
    }

    /// Something has happened: the session is not idle.
    pub fn touch(&self) {
        self.state.lock().used = Instant::now();
    }

    /// Whether the client has said that it is ready.
    #[must_use]
    pub fn is_initialized(&self) -> bool {
        self.state.lock().initialized
    }

    /// The client is ready: what was held back goes out.
    pub fn initialized(&self) {
        let held_back = {
            let mut state = self.state.lock();
            state.initialized = true;
            std::mem::take(&mut state.held_back)
        };
        for message in held_back {
            let _ = self.standalone().send(message, Delivery::MustKeep);
        }
    }

    /// Sends a change that belongs to no request; before the client is ready it waits (2025-era L-06).
    pub fn announce(&self, message: Bytes) {
        {
            let mut state = self.state.lock();
            if !state.initialized {
                if state.held_back.len() < MAX_HELD_BACK && !state.held_back.contains(&message) {
                    state.held_back.push(message);
                }
                return;
            }
        }
        let _ = self.standalone().send(message, Delivery::MustKeep);
    }

    /// The way for messages that belong to no request.
    #[must_use]
    pub fn standalone(&self) -> &dyn Outlet {
        match &self.standalone {
            Standalone::Pipe(pipe) => &**pipe,
            Standalone::Stream(stream) => stream,
        }
    }

    /// The same way, for a call whose own response has no room for messages.
    #[must_use]
    pub fn standalone_outlet(&self) -> Arc<dyn Outlet> {
        match &self.standalone {
            Standalone::Pipe(pipe) => Arc::clone(pipe),
            Standalone::Stream(stream) => Arc::new(stream.clone()),
        }
    }

    /// The least level of log messages that the client wants.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        self.state.lock().log_level
    }

    /// Sets the least level of log messages that the client wants.
    pub fn set_log_level(&self, level: LogLevel) {
        self.state.lock().log_level = level;
    }

    /// Lets the client hear of a resource's updates. False when it hears of too many.
    #[must_use]
    pub fn subscribe(&self, uri: &str) -> bool {
        let mut state = self.state.lock();
        if state.subscriptions.len() >= self.limits.max_subscriptions && !state.subscriptions.contains(uri) {
            return false;
        }
        state.subscriptions.insert(uri.to_owned());
        true
    }

    /// Ends that.
    pub fn unsubscribe(&self, uri: &str) {
        self.state.lock().subscriptions.remove(uri);
    }

    /// Whether the client hears of a resource: of itself, or of one that it is part of (2025-era R-07).
    #[must_use]
    pub fn hears_of(&self, uri: &str) -> bool {
        let state = self.state.lock();
        state.subscriptions.contains(uri)
            || state.subscriptions.iter().any(|wanted| {
                uri.strip_prefix(wanted.as_str()).is_some_and(|rest| wanted.ends_with('/') || rest.starts_with('/'))
            })
    }

    /// Cancels a request of the client. Unknown and finished ones are ignored (2025-era U-03).
    pub fn cancel(&self, id: &Id) {
        let cancel = self.state.lock().calls.get_mut(id).map(|call| {
            call.cancelled_by_client = true;
            call.cancel.clone()
        });
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
    }

    /// A stream for one request, not yet known to the client.
    #[must_use]
    pub fn new_stream(&self) -> EventStream {
        EventStream::new(self.limits.stream)
    }

    /// Makes a request's stream resumable, and follows it. Gives its number.
    #[must_use]
    pub fn publish_stream(&self, stream: &EventStream) -> (u64, Option<Reader>) {
        let mut state = self.state.lock();
        state.forget_ended_streams(&self.limits);
        let number = state.next_stream;
        state.next_stream += 1;
        state.streams.insert(number, stream.clone());
        (number, stream.read_from(Position(0)))
    }

    /// Follows a published stream from behind a position. Nothing when the stream or the position is gone.
    #[must_use]
    pub fn resume(&self, stream: u64, position: Position) -> Option<Reader> {
        let mut state = self.state.lock();
        state.used = Instant::now();
        state.forget_ended_streams(&self.limits);
        match (&self.standalone, stream) {
            (Standalone::Stream(standalone), STANDALONE) => standalone.read_from(position),
            _ => state.streams.get(&stream)?.read_from(position),
        }
    }

    /// Follows the messages that belong to no request, those that wait included. Nothing when someone does already.
    #[must_use]
    pub fn follow_standalone(&self) -> Option<Reader> {
        let mut state = self.state.lock();
        state.used = Instant::now();
        match &self.standalone {
            Standalone::Stream(stream) if !stream.is_attached() => stream.follow(),
            _ => None,
        }
    }

    /// Ends the session: calls are cancelled, streams end.
    pub fn close(&self) {
        self.closed.cancel();
        let streams: Vec<EventStream> = {
            let mut state = self.state.lock();
            state.asks.clear();
            state.streams.drain().map(|(_, stream)| stream).collect()
        };
        for stream in streams {
            stream.finish(None);
        }
        if let Standalone::Stream(stream) = &self.standalone {
            stream.finish(None);
        }
    }

    /// How long nothing has happened; nothing while something is under way.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        state.forget_ended_streams(&self.limits);
        let follows = matches!(&self.standalone, Standalone::Stream(stream) if stream.is_attached());
        let busy = follows || !state.calls.is_empty() || state.streams.values().any(EventStream::is_attached);
        if busy {
            state.used = Instant::now();
            return None;
        }
        Some(state.used.elapsed())
    }
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The session has ended.
    Closed,
    /// Too many are under way.
    TooMany,
    /// One with this id is under way (2025-era J-02).
    IdInUse,
}

impl State {
    /// Forgets ended streams that are too old, or too many.
    fn forget_ended_streams(&mut self, limits: &SessionLimits) {
        self.streams.retain(|_, stream| {
            stream.is_attached() || stream.finished_at().is_none_or(|at| at.elapsed() < limits.resume_for)
        });
        let mut ended: Vec<(Instant, u64)> = self
            .streams
            .iter()
            .filter(|(_, stream)| !stream.is_attached())
            .filter_map(|(number, stream)| Some((stream.finished_at()?, *number)))
            .collect();
        if ended.len() > limits.max_ended_streams {
            ended.sort_unstable();
            for (_, number) in &ended[..ended.len() - limits.max_ended_streams] {
                self.streams.remove(number);
            }
        }
    }
}
