//! What every message is served with, whatever its era: the catalogue, the bounds, and the one way from a request to a
//! reply.

use super::listen::Listeners;
use super::stateless::Cancel;
use super::tasks::Followers;
use crate::call::Call;
use crate::dispatch::{Beginning, Dispatcher, Incoming, Outcome, Resolution, TaskWish};
use crate::protocol::{Dialect, Encoder, Fault, Method, Owner, Protocols, RequestMeta, ServerInfo, Standing};
use crate::registry::Registry;
use crate::replay::Rounds;
use crate::rt::{Drain, InFlight, Phase};
use crate::runner::Runner;
use crate::session::{Session, SessionLimits, Store};
use crate::wire::{self, Id, Request};
use bytes::Bytes;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use tracing::Span;

/// Bounds of what is served.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Calls under way at a time, of all clients.
    pub max_calls: usize,
    /// What one session may hold.
    pub session: SessionLimits,
    /// Streams of changes that are open at a time, of all clients.
    pub max_subscriptions: usize,
    /// Resources that one of them hears of.
    pub max_subscribed_resources: usize,
}

/// What a server says and speaks.
#[derive(Debug, Clone)]
pub struct ServerFace {
    /// Who it is.
    pub info: ServerInfo,
    /// Whether stateless results say who it is (2026-07-28 M-05).
    pub stamped: bool,
    /// The eras that it serves.
    pub protocols: Protocols,
}

/// Everything that a transport needs.
pub struct Server {
    pub(super) dispatcher: Dispatcher,
    pub(super) face: ServerFace,
    pub(super) encoder: Encoder,
    pub(super) limits: ServerLimits,
    pub(super) calls: Arc<InFlight>,
    pub(super) store: Store,
    pub(super) rounds: Rounds,
    /// Nothing where the operator wants no tasks.
    pub(super) runner: Option<Arc<Runner>>,
    pub(super) followers: Followers,
    pub(super) listeners: Listeners,
    /// Sessions over pipes, which live as long as their pipe and are in no store.
    pub(super) pipes: Mutex<Vec<Weak<Session>>>,
    drain: Drain,
}

/// What a request asks for, as far as that is known before it is dispatched.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What its client speaks.
    pub(super) dialect: &'static Dialect,
    /// What it wants.
    pub(super) method: Method,
    /// What its params say beside that.
    pub(super) meta: &'a RequestMeta<'a>,
    /// Whether it may become a task.
    pub(super) tasks: TaskWish,
}

/// A reply, and how far its request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The message.
    pub bytes: Bytes,
    /// How far its request came.
    pub standing: Standing,
}

impl Server {
    /// A server over a catalogue.
    #[must_use]
    pub fn new(
        dispatcher: Dispatcher,
        face: ServerFace,
        limits: ServerLimits,
        store: Store,
        rounds: Rounds,
        runner: Option<Arc<Runner>>,
        drain: Drain,
    ) -> Self {
        Self {
            encoder: Encoder::new(&face.info, face.stamped),
            calls: Arc::new(InFlight::new(limits.max_calls)),
            listeners: Listeners::default(),
            pipes: Mutex::default(),
            dispatcher,
            face,
            limits,
            store,
            rounds,
            runner,
            followers: Followers::default(),
            drain,
        }
    }

    /// The sessions that are found by id.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The catalogue.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.dispatcher.registry()
    }

    /// The end of the host.
    #[must_use]
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// The eras that are served.
    #[must_use]
    pub fn protocols(&self) -> Protocols {
        self.face.protocols
    }

    /// Calls that are under way.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.count()
    }

    /// All sessions of this moment.
    #[must_use]
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let mut sessions = self.store.all();
        sessions.extend(self.pipes.lock().iter().filter_map(Weak::upgrade));
        sessions
    }

    /// Streams of changes that are open.
    #[must_use]
    pub fn subscriptions(&self) -> usize {
        self.listeners.count()
    }

    /// Ends sessions and streams of changes: nothing more is told.
    pub fn bid_farewell(&self) {
        self.store.close_all();
        self.listeners.end();
    }

    /// The method of a name; nothing where the revision, or this host, lacks it.
    pub(super) fn method(&self, dialect: &Dialect, name: &str) -> Option<Method> {
        dialect.method(name).filter(|method| self.runner.is_some() || !method.is_of_tasks())
    }

    /// Whether no new work is taken.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.phase() == Phase::Draining
    }

    /// Dispatches a request in a span of its own. Nothing there should panic; if it does, it is the fault of one call and
    /// not the end of the host.
    pub(super) fn run(
        &self,
        request: &Request<'_>,
        asked: Asked<'_>,
        span: &Span,
        begin: &dyn Fn(Beginning<'_>) -> Result<Arc<Call>, Fault>,
    ) -> Outcome {
        let begin = |beginning: Beginning<'_>| {
            span.record("plugin", tracing::field::display(beginning.callee.plugin()));
            let call = begin(beginning)?;
            span.record("call", tracing::field::display(call.id));
            Ok(call)
        };
        let Asked { dialect, method, meta, tasks } = asked;
        let incoming = Incoming { dialect, method, params: request.params, meta, tasks, begin: &begin };
        let _entered = span.enter();
        let dispatched = std::panic::catch_unwind(AssertUnwindSafe(|| self.dispatcher.dispatch(&incoming)));
        dispatched.unwrap_or_else(|_| Outcome::Now(Err(Fault::panicked())))
    }

    /// The reply to a request.
    pub(super) fn reply(&self, dialect: &Dialect, id: &Id, result: Result<Resolution, Fault>) -> Reply {
        match result {
            Ok(Resolution::Complete(body)) => {
                Reply { bytes: self.encoder.complete(dialect, id, &body), standing: Standing::Answered }
            }
            Ok(Resolution::InputRequired { .. } | Resolution::Task(_)) => {
                refusal(dialect, id, &Fault::HostFailed { reason: "a call was suspended that cannot be".to_owned() })
            }
            Err(fault) => refusal(dialect, id, &fault),
        }
    }
}

/// The span of one request; what is known later is recorded in it.
pub(super) fn span_of(dialect: &Dialect, request: &Request<'_>) -> Span {
    tracing::debug_span!(
        "request",
        era = dialect.era.name,
        method = %&*request.method,
        id = request.id.as_json(),
        plugin = tracing::field::Empty,
        call = tracing::field::Empty,
        trace = tracing::field::Empty,
    )
}

/// Waits for an outcome; a panic in it is a fault.
pub(super) async fn guarded(
    outcome: impl Future<Output = Result<Resolution, Fault>> + Send,
) -> Result<Resolution, Fault> {
    AssertUnwindSafe(outcome).catch_unwind().await.unwrap_or_else(|_| Err(Fault::panicked()))
}

/// Waits for an answer out of a store, unless its client wants none any more; a panic in it is a fault.
pub(super) async fn guarded_with<T>(
    cancelled: &Cancel,
    answer: impl Future<Output = Result<T, Fault>> + Send,
) -> Option<Result<T, Fault>> {
    let answer = AssertUnwindSafe(answer).catch_unwind();
    tokio::select! {
        biased;
        () = cancelled.cancelled() => None,
        answer = answer => Some(answer.unwrap_or_else(|_| Err(Fault::panicked()))),
    }
}

/// The reply to a request that failed.
pub(super) fn refusal(dialect: &Dialect, id: &Id, fault: &Fault) -> Reply {
    match fault.owner() {
        Owner::Client => tracing::debug!(%fault, "a request was refused"),
        Owner::Plugin | Owner::Host => tracing::warn!(%fault, "a request failed"),
    }
    let error = fault.on_the_wire(dialect);
    let data = error.data.map(|data| data.to_string());
    let bytes = wire::error_reply(Some(id), error.code, &error.message, data.as_deref().map(str::as_bytes));
    Reply { bytes, standing: fault.standing() }
}
