//! One message of a session, from the envelope to the reply.

use super::Server;
use super::server::{Asked, guarded, refusal, span_of};
use crate::call::{Call, Deadline, Principal, Teller};
use crate::dispatch::{Beginning, Outcome, Resolution};
use crate::outlet::Outlet;
use crate::protocol::{
    CancelledParams, Dialect, Fault, InitializeParams, Method, RequestMeta, ResultBody, STATEFUL_ERA, SetLevelParams,
    UriParams, initialize_result, read_params,
};
use crate::rt::InFlight;
use crate::session::{Refused, Session, SessionId, SessionPeer};
use crate::wire::{self, Id, Notification, Request, Response};
use bytes::Bytes;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use tracing::Instrument as _;

/// What a request of a session gets.
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
    /// Opens a session over resumable streams, and gives the reply to its `initialize`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_over_streams(
        &self,
        request: &Request<'_>,
        principal: &Principal,
    ) -> Result<(Arc<Session>, Bytes), OpenError> {
        let (id, params) = self.opening(request)?;
        let host = self.drain().cancellation();
        let session =
            Session::over_streams(id, params.dialect, params.client, principal.clone(), self.limits.session, host);
        let session = Arc::new(session);
        if let Err(full) = self.store.insert(&session) {
            tracing::warn!(%full, "a client was turned away");
            return Err(OpenError::Unavailable(refusal(params.dialect, &request.id, &Fault::Busy).bytes));
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
        principal: &Principal,
        pipe: Arc<dyn Outlet>,
    ) -> Result<(Arc<Session>, Bytes), OpenError> {
        let (id, params) = self.opening(request)?;
        let host = self.drain().cancellation();
        let session =
            Session::over_pipe(id, params.dialect, params.client, principal.clone(), self.limits.session, host, pipe);
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
        let refuse = |fault: &Fault| refusal(newest, &request.id, fault).bytes;
        if self.is_draining() {
            return Err(OpenError::Unavailable(refuse(&Fault::ShuttingDown)));
        }
        let params = InitializeParams::read(request.params).map_err(|fault| OpenError::Refused(refuse(&fault)))?;
        let id = SessionId::random().map_err(|_| {
            let fault = Fault::HostFailed { reason: "no random bits".to_owned() };
            OpenError::Unavailable(refuse(&fault))
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
        let tasks = self.offered_tasks(&session.principal);
        let result = initialize_result(session.dialect, &self.face.info, snapshot.offered(tasks));
        wire::result_reply(&request.id, result.to_string().as_bytes())
    }

    /// Answers a request of a session, whose params say `meta`. What belongs to it leaves by `outlet`.
    #[must_use]
    pub fn request(
        self: &Arc<Self>,
        session: &Arc<Session>,
        request: &Request<'_>,
        meta: &RequestMeta<'_>,
        outlet: &Arc<dyn Outlet>,
    ) -> Answer {
        let dialect = session.dialect;
        let Some(method) = self.method(dialect, &request.method) else {
            let method = request.method.chars().take(100).collect();
            return self.now(dialect, &request.id, Err(Fault::UnknownMethod { method }));
        };
        match method {
            Method::Initialize => self.now(dialect, &request.id, Err(Fault::AlreadyInitialized)),
            Method::SetLogLevel | Method::Subscribe | Method::Unsubscribe => {
                self.now(dialect, &request.id, self.remember(session, method, request))
            }
            _ => self.call(session, method, request, meta, outlet),
        }
    }

    /// The methods that only change the session.
    fn remember(&self, session: &Session, method: Method, request: &Request<'_>) -> Result<Resolution, Fault> {
        let done = || Ok(ResultBody::from(Bytes::from_static(b"{}")).into());
        if method == Method::SetLogLevel {
            let params: SetLevelParams = read_params(request.params)?;
            session.set_log_level(params.level);
            return done();
        }
        let params: UriParams<'_> = read_params(request.params)?;
        params.checked_uri()?;
        if method == Method::Unsubscribe {
            session.unsubscribe(&params.uri);
        } else if self.registry().snapshot().reading(&params.uri).is_none() {
            return Err(Fault::ResourceNotFound { uri: params.uri.to_string(), suggestion: None });
        } else if !session.subscribe(&params.uri) {
            return Err(Fault::InvalidRequest { reason: "too many subscriptions in this session".to_owned() });
        }
        done()
    }

    /// The methods that are answered out of the catalogue.
    fn call(
        self: &Arc<Self>,
        session: &Arc<Session>,
        method: Method,
        request: &Request<'_>,
        meta: &RequestMeta<'_>,
        outlet: &Arc<dyn Outlet>,
    ) -> Answer {
        let dialect = session.dialect;
        if self.is_draining() {
            return self.now(dialect, &request.id, Err(Fault::ShuttingDown));
        }
        let Some(permit) = InFlight::enter(&self.calls) else {
            return self.now(dialect, &request.id, Err(Fault::Busy));
        };
        let admitted = match session.admit(&request.id) {
            Ok(admitted) => admitted,
            Err(Refused::Closed) => return self.now(dialect, &request.id, Err(Fault::ShuttingDown)),
            Err(Refused::TooMany) => return self.now(dialect, &request.id, Err(Fault::Busy)),
            Err(Refused::IdInUse) => {
                let reason = "a request with this id is under way".to_owned();
                return self.now(dialect, &request.id, Err(Fault::InvalidRequest { reason }));
            }
        };
        if method.is_of_tasks() {
            return self.stateful_task(session, method, request, outlet, (permit, admitted));
        }
        let (wish, wanted) = match self.wish(session, method, meta) {
            Ok(wish) => wish,
            Err(fault) => return self.now(dialect, &request.id, Err(fault)),
        };
        let span = span_of(dialect, request);
        let teller = OnceLock::new();
        let begin = |beginning: Beginning<'_>| {
            let told = Arc::new(Teller::new(Arc::clone(outlet), meta.progress_token()?.as_ref()));
            let peer = SessionPeer::new(Arc::clone(session), Arc::clone(&told));
            let _ = teller.set(told);
            let deadline = Deadline::new(beginning.timeouts.call, beginning.timeouts.max_call);
            Ok(Arc::new(Call::new(Arc::new(peer), deadline, admitted.cancel.clone())))
        };
        match self.run(request, Asked { dialect, method, meta, tasks: wish }, &span, &begin) {
            Outcome::Now(Ok(Resolution::Task(due))) => {
                self.begin_stateful(session, request, meta, (due, wanted), (permit, admitted))
            }
            Outcome::Now(result) => {
                teller.get().inspect(|teller| teller.end());
                self.now(dialect, &request.id, result)
            }
            Outcome::Later(outcome) => {
                let (server, id) = (Arc::clone(self), request.id.clone());
                let later = async move {
                    let result = guarded(outcome).await;
                    teller.get().inspect(|teller| teller.end());
                    let by_client = admitted.is_cancelled_by_client();
                    drop((admitted, permit));
                    match result {
                        Err(Fault::Cancelled) if by_client => None,
                        result => Some(server.reply(dialect, &id, result).bytes),
                    }
                };
                Answer::Later(Box::pin(later.instrument(span)))
            }
        }
    }

    pub(super) fn now(&self, dialect: &Dialect, id: &Id, result: Result<Resolution, Fault>) -> Answer {
        Answer::Now(self.reply(dialect, id, result).bytes)
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
            // A probe of the stateless era that says nothing of itself (dual-era D-22).
            None if &*request.method == "server/discover" => {
                let reason = "'_meta' lacks 'io.modelcontextprotocol/protocolVersion'".to_owned();
                refusal(newest, &request.id, &Fault::InvalidMeta { reason }).bytes
            }
            _ => refusal(newest, &request.id, &Fault::NotInitialized).bytes,
        }
    }
}
