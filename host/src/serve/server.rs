//! One message of a session, from the envelope to the reply.

use crate::call::{Call, Deadline};
use crate::dispatch::{Dispatcher, Incoming, Outcome};
use crate::protocol::{
    CancelledParams, Dialect, Fault, InitializeParams, Meta, Method, Owner, STATEFUL_ERA, ServerInfo, SetLevelParams,
    UriParams, initialize_result, read_params,
};
use crate::registry::Registry;
use crate::rt::{Drain, InFlight, Phase};
use crate::session::{Outlet, Refused, Session, SessionId, SessionLimits, SessionPeer, Store};
use crate::wire::{self, Id, Notification, Request, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// Bounds of what is served.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Calls under way at a time, of all clients.
    pub max_calls: usize,
    /// What one session may hold.
    pub session: SessionLimits,
}

/// Everything that a transport needs.
pub struct Server {
    dispatcher: Dispatcher,
    info: ServerInfo,
    limits: ServerLimits,
    calls: InFlight,
    store: Store,
    /// Sessions over pipes, which live as long as their pipe and are in no store.
    pipes: Mutex<Vec<Weak<Session>>>,
    drain: Drain,
}

/// What a request gets.
pub enum Answer {
    /// The reply.
    Now(Bytes),
    /// The reply, later; nothing when the client has cancelled (2025-era U-03). The future is to be run to its end even
    /// when the client is gone (2025-era H-12); dropping it cancels the call.
    Later(Pin<Box<dyn Future<Output = Option<Bytes>> + Send>>),
}

/// Why a session cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The client's fault; the reply says which.
    Refused(Bytes),
    /// There is no room, or the host is stopping; the reply says so.
    Unavailable(Bytes),
}

impl Server {
    /// A server over a catalogue.
    #[must_use]
    pub fn new(dispatcher: Dispatcher, info: ServerInfo, limits: ServerLimits, store: Store, drain: Drain) -> Self {
        let calls = InFlight::new(limits.max_calls);
        Self { dispatcher, info, limits, calls, store, pipes: Mutex::default(), drain }
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

    /// Opens a session over resumable streams, and gives the reply to its `initialize`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_over_streams(&self, request: &Request<'_>) -> Result<(Arc<Session>, Bytes), OpenError> {
        let (id, params) = self.opening(request)?;
        let host = self.drain.cancellation();
        let session = Session::over_streams(id, params.dialect, params.client, self.limits.session, host);
        let session = Arc::new(session);
        if let Err(full) = self.store.insert(&session) {
            tracing::warn!(%full, "a client was turned away");
            return Err(OpenError::Unavailable(refuse(params.dialect, &request.id, &Fault::Busy)));
        }
        let reply = self.opened(&session, request);
        Ok((session, reply))
    }

    /// Opens the session of a pipe, and gives the reply to its `initialize`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_over_pipe(
        &self,
        request: &Request<'_>,
        pipe: Arc<dyn Outlet>,
    ) -> Result<(Arc<Session>, Bytes), OpenError> {
        let (id, params) = self.opening(request)?;
        let host = self.drain.cancellation();
        let session = Session::over_pipe(id, params.dialect, params.client, self.limits.session, host, pipe);
        let session = Arc::new(session);
        let mut pipes = self.pipes.lock();
        pipes.retain(|pipe| pipe.strong_count() > 0);
        pipes.push(Arc::downgrade(&session));
        drop(pipes);
        let reply = self.opened(&session, request);
        Ok((session, reply))
    }

    fn opening(&self, request: &Request<'_>) -> Result<(SessionId, InitializeParams), OpenError> {
        // Faults of the handshake are the same in every revision; the newest one writes them.
        let newest = Dialect::negotiate("");
        if self.drain.phase() == Phase::Draining {
            return Err(OpenError::Unavailable(refuse(newest, &request.id, &Fault::ShuttingDown)));
        }
        let params = InitializeParams::read(request.params)
            .map_err(|fault| OpenError::Refused(refuse(newest, &request.id, &fault)))?;
        let id = SessionId::random().map_err(|_| {
            let fault = Fault::HostFailed { reason: "no random bits".to_owned() };
            OpenError::Unavailable(refuse(newest, &request.id, &fault))
        })?;
        Ok((id, params))
    }

    fn opened(&self, session: &Session, request: &Request<'_>) -> Bytes {
        tracing::debug!(
            client = %session.client.name,
            version = %session.client.version,
            revision = session.dialect.revision,
            "session opened"
        );
        let snapshot = self.registry().snapshot();
        let result = initialize_result(session.dialect, &self.info, snapshot.instructions());
        wire::result_reply(&request.id, result.to_string().as_bytes())
    }

    /// Answers a request of a session. What belongs to it leaves by `outlet`.
    #[must_use]
    pub fn request(&self, session: &Arc<Session>, request: &Request<'_>, outlet: &Arc<dyn Outlet>) -> Answer {
        let dialect = session.dialect;
        let Some(method) = dialect.era.method(&request.method) else {
            let method = request.method.chars().take(100).collect();
            return now(dialect, &request.id, Err(Fault::UnknownMethod { method }));
        };
        match method {
            Method::Initialize => now(dialect, &request.id, Err(Fault::AlreadyInitialized)),
            Method::SetLogLevel | Method::Subscribe | Method::Unsubscribe => {
                now(dialect, &request.id, self.remember(session, method, request))
            }
            _ => self.call(session, method, request, outlet),
        }
    }

    /// The methods that only change the session.
    fn remember(&self, session: &Session, method: Method, request: &Request<'_>) -> Result<Bytes, Fault> {
        if method == Method::SetLogLevel {
            let params: SetLevelParams = read_params(request.params)?;
            session.set_log_level(params.level);
            return Ok(Bytes::from_static(b"{}"));
        }
        let params: UriParams<'_> = read_params(request.params)?;
        params.checked_uri()?;
        if method == Method::Unsubscribe {
            session.unsubscribe(&params.uri);
        } else if self.registry().snapshot().reader(&params.uri).is_none() {
            return Err(Fault::ResourceNotFound { uri: params.uri.to_string(), suggestion: None });
        } else if !session.subscribe(&params.uri) {
            return Err(Fault::InvalidRequest { reason: "too many subscriptions in this session".to_owned() });
        }
        Ok(Bytes::from_static(b"{}"))
    }

    /// The methods that are answered out of the catalogue.
    fn call(&self, session: &Arc<Session>, method: Method, request: &Request<'_>, outlet: &Arc<dyn Outlet>) -> Answer {
        let dialect = session.dialect;
        if self.drain.phase() == Phase::Draining {
            return now(dialect, &request.id, Err(Fault::ShuttingDown));
        }
        let Some(permit) = self.calls.enter() else {
            return now(dialect, &request.id, Err(Fault::Busy));
        };
        let admitted = match session.admit(&request.id) {
            Ok(admitted) => admitted,
            Err(Refused::Closed) => return now(dialect, &request.id, Err(Fault::ShuttingDown)),
            Err(Refused::TooMany) => return now(dialect, &request.id, Err(Fault::Busy)),
            Err(Refused::IdInUse) => {
                let reason = "a request with this id is under way".to_owned();
                return now(dialect, &request.id, Err(Fault::InvalidRequest { reason }));
            }
        };
        let over = Arc::new(AtomicBool::new(false));
        let begin = |meta: &Meta| {
            let token = meta.progress_token.as_ref();
            let peer = SessionPeer::new(Arc::clone(session), Arc::clone(outlet), token, Arc::clone(&over));
            let deadline = Deadline::after(self.dispatcher.limits().call_timeout);
            Arc::new(Call::new(Arc::new(peer), deadline, admitted.cancel.clone()))
        };
        let incoming = Incoming { dialect, method, params: request.params, begin: &begin };
        // Nothing here should panic; if it does, it is the fault of one call and not the end of the host.
        let dispatched = std::panic::catch_unwind(AssertUnwindSafe(|| self.dispatcher.dispatch(&incoming)));
        match dispatched.unwrap_or_else(|_| Outcome::Now(Err(panicked()))) {
            Outcome::Now(result) => {
                over.store(true, Ordering::Release);
                now(dialect, &request.id, result)
            }
            Outcome::Later(outcome) => {
                let id = request.id.clone();
                Answer::Later(Box::pin(async move {
                    let result = AssertUnwindSafe(outcome).catch_unwind().await;
                    over.store(true, Ordering::Release);
                    let by_client = admitted.is_cancelled_by_client();
                    drop((admitted, permit));
                    match result.unwrap_or_else(|_| Err(panicked())) {
                        Err(Fault::Cancelled) if by_client => None,
                        result => Some(reply(dialect, &id, result)),
                    }
                }))
            }
        }
    }

    /// Takes a notification of a session. Unknown and malformed ones are ignored (2025-era J-04, U-03).
    pub fn notification(&self, session: &Session, notification: &Notification<'_>) {
        match &*notification.method {
            "notifications/initialized" => session.initialized(),
            "notifications/cancelled" => {
                let params = read_params::<CancelledParams<'_>>(notification.params);
                if let Some(id) = params.ok().and_then(|params| Id::from_raw(params.request_id)) {
                    session.cancel(&id);
                }
            }
            // Roots are asked for anew by every call that needs them, so nothing has to be dropped here.
            other => tracing::trace!(method = %other.chars().take(100).collect::<String>(), "notification ignored"),
        }
    }

    /// Takes a client's answer to a question.
    pub fn response(&self, session: &Session, response: &Response<'_>) {
        session.answer(&response.id, &response.body);
    }

    /// Answers a request that comes before its session (2025-era L-01): a ping is answered, others are refused.
    #[must_use]
    pub fn request_without_session(&self, request: &Request<'_>) -> Bytes {
        let newest = Dialect::negotiate("");
        match STATEFUL_ERA.method(&request.method) {
            Some(Method::Ping) => wire::result_reply(&request.id, b"{}"),
            _ => refuse(newest, &request.id, &Fault::NotInitialized),
        }
    }
}

fn panicked() -> Fault {
    Fault::HostFailed { reason: "it panicked; please report this".to_owned() }
}

fn now(dialect: &Dialect, id: &Id, result: Result<Bytes, Fault>) -> Answer {
    Answer::Now(reply(dialect, id, result))
}

fn reply(dialect: &Dialect, id: &Id, result: Result<Bytes, Fault>) -> Bytes {
    match result {
        Ok(result) => wire::result_reply(id, &result),
        Err(fault) => {
            match fault.owner() {
                Owner::Client => tracing::debug!(%fault, "a request was refused"),
                Owner::Plugin | Owner::Host => tracing::warn!(%fault, "a request failed"),
            }
            refuse(dialect, id, &fault)
        }
    }
}

fn refuse(dialect: &Dialect, id: &Id, fault: &Fault) -> Bytes {
    let error = fault.on_the_wire(dialect);
    let data = error.data.map(|data| data.to_string());
    wire::error_reply(Some(id), error.code, &error.message, data.as_deref().map(str::as_bytes))
}
