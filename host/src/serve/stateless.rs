//! One request that stands for itself, from the envelope to the reply (2026-07-28 H-12).

use super::Server;
use super::listen::Subscription;
use super::round::{Conversation, Round};
use super::server::{Asked, Reply, guarded, refusal, span_of};
use crate::call::{Call, Deadline, Peer, Principal, Teller};
use crate::dispatch::{self, Outcome, Resolution};
use crate::outlet::Outlet;
use crate::protocol::{Claims, Dialect, Fault, Method, RequestMeta};
use crate::registry::Callee;
use crate::replay::{Beginning, ReplayPeer, Subject};
use crate::rt::InFlight;
use crate::wire::Request;
use serde_json::Value;
use serde_json::value::RawValue;
use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// A request that stands for itself, and what is known beside its body.
#[derive(Clone, Copy)]
pub struct StatelessRequest<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// What it says of itself.
    pub meta: &'a RequestMeta<'a>,
    /// Who asks.
    pub principal: &'a Principal,
    /// What is repeated of it outside; nothing where the transport has no place for that.
    pub mirror: Option<&'a dyn Mirror>,
}

/// What a transport repeats of a request, so that others can route by it. Each check names what does not fit.
pub trait Mirror {
    /// Holds the repeated revision to the request's.
    ///
    /// # Errors
    /// [`Fault::HeaderMismatch`], as in the other checks.
    fn check_revision(&self, revision: &str) -> Result<(), Fault>;

    /// Holds the repeated method to the request's.
    ///
    /// # Errors
    /// [`Fault::HeaderMismatch`].
    fn check_method(&self, method: &str) -> Result<(), Fault>;

    /// Holds the repeated name or URI to the request's.
    ///
    /// # Errors
    /// [`Fault::HeaderMismatch`].
    fn check_subject(&self, subject: &str) -> Result<(), Fault>;

    /// Holds a repeated argument to the request's, if that is there.
    ///
    /// # Errors
    /// [`Fault::HeaderMismatch`].
    fn check_argument(&self, header: &str, argument: Option<&Value>) -> Result<(), Fault>;
}

/// What a request gets.
pub enum StatelessAnswer {
    /// The reply.
    Now(Reply),
    /// The reply, later; nothing when the client has cancelled. Dropping the future cancels the call: a client that does
    /// not follow the answer does not want it (2026-07-28 H-17).
    Later(Pin<Box<dyn Future<Output = Option<Reply>> + Send>>, Cancel),
    /// Changes, as they happen.
    Listen(Subscription),
}

/// Cancels a call at its client's word. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cancel {
    token: CancellationToken,
    /// Cancelled by the client alone: a call's own token is cancelled for other reasons too.
    client: CancellationToken,
}

impl Cancel {
    pub(super) fn new(token: CancellationToken) -> Self {
        Self { token, client: CancellationToken::new() }
    }

    /// Resolves when the client wants no answer.
    pub(super) async fn cancelled(&self) {
        self.client.cancelled().await;
    }

    /// The client wants no answer.
    pub fn cancel(&self) {
        self.client.cancel();
        self.token.cancel();
    }
}

impl Server {
    /// Answers a request that stands for itself. What belongs to it leaves by `outlet`.
    #[must_use]
    pub fn stateless(self: &Arc<Self>, asked: StatelessRequest<'_>, outlet: &Arc<dyn Outlet>) -> StatelessAnswer {
        self.admit(asked, outlet)
            .unwrap_or_else(|(dialect, fault)| StatelessAnswer::Now(refusal(dialect, &asked.request.id, &fault)))
    }

    /// The checks, in the order of 2026-07-28 H-12: what the request says of itself, what is repeated of it, its method.
    fn admit(
        self: &Arc<Self>,
        asked: StatelessRequest<'_>,
        outlet: &Arc<dyn Outlet>,
    ) -> Result<StatelessAnswer, (&'static Dialect, Fault)> {
        let StatelessRequest { request, meta, mirror, .. } = asked;
        let newest = Dialect::newest_stateless();
        let claims = match meta.claims() {
            Ok(claims) => claims,
            // A client of the other era is to learn which revisions are left (2026-07-28 V-06).
            Err(_) if !self.protocols().has_sessions() && &*request.method == "initialize" => {
                let requested = requested_revision(request.params);
                return Err((newest, Fault::UnsupportedRevision { requested }));
            }
            Err(fault) => return Err((newest, fault)),
        };
        if let Some(mirror) = mirror {
            mirror.check_revision(&claims.revision).map_err(|fault| (newest, fault))?;
        }
        let dialect = claims.dialect().map_err(|fault| (newest, fault))?;
        let method = self.method(dialect, &request.method);
        if let Some(mirror) = mirror {
            mirror.check_method(&request.method).map_err(|fault| (dialect, fault))?;
            if let Some(subject) = method.and_then(Method::subject).and_then(|key| meta.subject(key)) {
                mirror.check_subject(&subject).map_err(|fault| (dialect, fault))?;
            }
        }
        let Some(method) = method else {
            let method = request.method.chars().take(100).collect();
            return Err((dialect, Fault::UnknownMethod { method }));
        };
        if method.is_of_tasks() {
            self.check_task_client(method, &claims.client).map_err(|fault| (dialect, fault))?;
        }
        if self.is_draining() {
            return Err((dialect, Fault::ShuttingDown));
        }
        if method == Method::Listen {
            let listener = (asked.principal, &claims.client);
            let subscription = self.listen(&request.id, request.params, listener).map_err(|fault| (dialect, fault))?;
            return Ok(StatelessAnswer::Listen(subscription));
        }
        if method.is_of_tasks() {
            return Ok(self.stateless_task(asked, dialect, method, &claims));
        }
        Ok(self.answer(asked, dialect, method, claims, outlet))
    }

    fn answer(
        self: &Arc<Self>,
        asked: StatelessRequest<'_>,
        dialect: &'static Dialect,
        method: Method,
        claims: Claims<'_>,
        outlet: &Arc<dyn Outlet>,
    ) -> StatelessAnswer {
        let StatelessRequest { request, meta, principal, mirror } = asked;
        let Some(permit) = InFlight::enter(&self.calls) else {
            return StatelessAnswer::Now(refusal(dialect, &request.id, &Fault::Busy));
        };
        let span = span_of(dialect, request);
        if let Some(trace) = claims.trace.as_ref().and_then(|trace| trace.traceparent.as_deref()) {
            span.record("trace", trace);
        }
        // No child of the host's: every call would take the lock of that one, and most are over at once.
        let token = CancellationToken::new();
        let wish = self.stateless_wish(&claims.client);
        let claims = Cell::new(Some(claims));
        let conversation = OnceLock::new();
        let begin = |beginning: dispatch::Beginning<'_>| {
            check_arguments(mirror, &beginning)?;
            let callee = beginning.callee;
            let subject = || Subject::of(&request.method, request.params.map(RawValue::get));
            let retry = self.rounds.retry(meta, of(callee, principal, beginning.single_use), subject)?;
            // A handler begins one call.
            let claims = claims.take().ok_or_else(|| Fault::HostFailed { reason: "a second call".to_owned() })?;
            let teller = Arc::new(Teller::new(Arc::clone(outlet), claims.progress_token.as_ref()));
            let peer = ReplayPeer::new(dialect, claims, Arc::clone(&teller), retry.answers.clone());
            let peer = Arc::new(peer.before_task(beginning.before_task));
            let deadline = Deadline::new(beginning.timeouts.call, beginning.timeouts.max_call);
            let call = Call::new(Arc::clone(&peer) as Arc<dyn Peer>, deadline, token.clone());
            let call = Arc::new(call.with_recorded(retry.recorded.clone()));
            if meta.is_retry() {
                // The result of a retry is for whoever answered (2026-07-28 R-11).
                call.set_personal();
            }
            let _ = conversation.set(Conversation {
                call: Arc::clone(&call),
                peer,
                teller,
                retry,
                callee: Arc::clone(callee.plugin()),
                version: Arc::clone(callee.version()),
                single_use: beginning.single_use,
            });
            Ok(call)
        };
        let outcome = self.run(request, Asked { dialect, method, meta, tasks: wish }, &span, &begin);
        let round = || Round {
            dialect,
            id: request.id.clone(),
            method,
            method_name: request.method.to_string(),
            params: request.params.map(RawValue::to_owned),
            principal: principal.clone(),
        };
        match outcome {
            // The common case needs nothing of the round.
            Outcome::Now(result @ (Ok(Resolution::Complete(_)) | Err(_)))
                if !matches!(result, Err(Fault::UrlRequired { .. })) =>
            {
                if let Some(conversation) = conversation.get() {
                    conversation.teller.end();
                    self.give_back(conversation, &result);
                }
                StatelessAnswer::Now(self.reply(dialect, &request.id, result))
            }
            Outcome::Now(Ok(Resolution::Task(due))) => {
                let (server, round) = (Arc::clone(self), round());
                let cancel = Cancel::new(token);
                let cancelled = cancel.clone();
                let begun = async move {
                    let reply = server.begin_unless(&cancelled, round, conversation.into_inner(), due).await;
                    drop(permit);
                    reply
                };
                StatelessAnswer::Later(Box::pin(begun.instrument(span)), cancel)
            }
            Outcome::Now(result) => StatelessAnswer::Now(self.end_round(round(), conversation.into_inner(), result)),
            Outcome::Later(outcome) => {
                let (server, round) = (Arc::clone(self), round());
                let cancel = Cancel::new(token.clone());
                let (cancelled, on_drop) = (cancel.clone(), token.drop_guard());
                let later = async move {
                    let result = with_the_host(&server, &cancelled, guarded(outcome)).await;
                    drop((on_drop, permit));
                    // A client that has cancelled is told nothing more (2026-07-28 S-02).
                    if cancelled.client.is_cancelled() {
                        conversation.get().inspect(|it| it.teller.end());
                        return None;
                    }
                    if let Ok(Resolution::Task(due)) = result {
                        return server.begin_unless(&cancelled, round, conversation.into_inner(), due).await;
                    }
                    Some(server.end_round(round, conversation.into_inner(), result))
                };
                StatelessAnswer::Later(Box::pin(later.instrument(span)), cancel)
            }
        }
    }
}

/// Waits for an outcome; the end of the host's grace cancels its call.
async fn with_the_host<T>(server: &Server, cancel: &Cancel, outcome: impl Future<Output = T>) -> T {
    let mut outcome = std::pin::pin!(outcome);
    tokio::select! {
        biased;
        result = &mut outcome => result,
        () = server.drain().cancellation().cancelled() => {
            cancel.token.cancel();
            outcome.await
        }
    }
}

/// The revision that a handshake asks for.
fn requested_revision(params: Option<&RawValue>) -> String {
    let params: Option<Value> = params.and_then(|params| serde_json::from_str(params.get()).ok());
    let requested = params.as_ref().and_then(|params| params["protocolVersion"].as_str());
    requested.unwrap_or_default().chars().take(100).collect()
}

fn of<'a>(callee: &'a dyn Callee, principal: &'a Principal, single_use: bool) -> Beginning<'a> {
    Beginning { principal, plugin: callee.plugin(), version: callee.version(), single_use }
}

/// Holds repeated arguments to those of the body (2026-07-28 X-04).
fn check_arguments(mirror: Option<&dyn Mirror>, beginning: &dispatch::Beginning<'_>) -> Result<(), Fault> {
    let Some(mirror) = mirror.filter(|_| !beginning.mirrored.is_empty()) else {
        return Ok(());
    };
    // A tool may be called without any.
    let arguments = if beginning.arguments.is_empty() { "{}" } else { beginning.arguments };
    let arguments: Value = serde_json::from_str(arguments)
        .map_err(|_| Fault::invalid_params("invalid params: 'arguments' cannot be read whole"))?;
    beginning.mirrored.iter().try_for_each(|param| mirror.check_argument(&param.header, param.value(&arguments)))
}
