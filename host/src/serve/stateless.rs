//! One request that stands for itself, from the envelope to the reply (2026-07-28 H-12).

use super::Server;
use super::listen::Subscription;
use super::server::{Reply, guarded, refusal, span_of};
use crate::call::{AskError, Call, Deadline, OpenAsks, Peer, Principal, Teller};
use crate::dispatch::{self, Outcome, Resolution};
use crate::outlet::Outlet;
use crate::protocol::{Ask, Claims, Dialect, Fault, Method, RequestMeta, Standing, tool_error};
use crate::registry::Callee;
use crate::replay::{Beginning, ReplayPeer, Retry, Subject};
use crate::wire::{Id, Request};
use serde_json::Value;
use serde_json::value::RawValue;
use std::cell::Cell;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
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
    by_client: Arc<AtomicBool>,
}

impl Cancel {
    fn new(token: CancellationToken) -> Self {
        Self { token, by_client: Arc::default() }
    }

    /// The client wants no answer.
    pub fn cancel(&self) {
        self.by_client.store(true, Ordering::Release);
        self.token.cancel();
    }
}

/// A call that may end with questions.
struct Conversation {
    call: Arc<Call>,
    peer: Arc<ReplayPeer>,
    teller: Arc<Teller>,
    retry: Retry,
    callee: Arc<str>,
    version: String,
    single_use: bool,
}

/// What the next round is sealed with.
struct Round {
    dialect: &'static Dialect,
    id: Id,
    method: Method,
    method_name: String,
    params: Option<Box<RawValue>>,
    principal: Principal,
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
        let method = dialect.era.method(&request.method);
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
        if self.is_draining() {
            return Err((dialect, Fault::ShuttingDown));
        }
        if method == Method::Listen {
            let subscription = self.listen(&request.id, request.params).map_err(|fault| (dialect, fault))?;
            return Ok(StatelessAnswer::Listen(subscription));
        }
        Ok(self.answer(asked, dialect, method, claims, outlet))
    }

    fn answer(
        self: &Arc<Self>,
        asked: StatelessRequest<'_>,
        dialect: &'static Dialect,
        method: Method,
        claims: Claims,
        outlet: &Arc<dyn Outlet>,
    ) -> StatelessAnswer {
        let StatelessRequest { request, meta, principal, mirror } = asked;
        let Some(permit) = self.calls.enter() else {
            return StatelessAnswer::Now(refusal(dialect, &request.id, &Fault::Busy));
        };
        let span = span_of(dialect, request);
        if let Some(trace) = claims.trace.as_ref().and_then(|trace| trace.traceparent.as_deref()) {
            span.record("trace", trace);
        }
        let cancel = Cancel::new(self.drain().cancellation().child_token());
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
            let peer = Arc::new(ReplayPeer::new(dialect, claims, Arc::clone(&teller), retry.answers.clone()));
            let deadline = Deadline::after(self.dispatcher.limits().call_timeout);
            let call = Call::new(Arc::clone(&peer) as Arc<dyn Peer>, deadline, cancel.token.clone());
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
                version: callee.version().to_owned(),
                single_use: beginning.single_use,
            });
            Ok(call)
        };
        let outcome = self.run(dialect, method, request, meta, &span, &begin);
        let round = |dialect| Round {
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
            Outcome::Now(result) => {
                StatelessAnswer::Now(self.end_round(round(dialect), conversation.into_inner(), result))
            }
            Outcome::Later(outcome) => {
                let (server, round) = (Arc::clone(self), round(dialect));
                let (cancelled, on_drop) = (cancel.clone(), cancel.token.clone().drop_guard());
                let later = async move {
                    let result = guarded(outcome).await;
                    drop((on_drop, permit));
                    // A client that has cancelled is told nothing more (2026-07-28 S-02).
                    if cancelled.by_client.load(Ordering::Acquire) {
                        conversation.get().inspect(|it| it.teller.end());
                        return None;
                    }
                    Some(server.end_round(round, conversation.into_inner(), result))
                };
                StatelessAnswer::Later(Box::pin(later.instrument(span)), cancel)
            }
        }
    }

    /// The reply at the end of a call, or the questions for which it will be run again.
    fn end_round(&self, round: Round, conversation: Option<Conversation>, result: Result<Resolution, Fault>) -> Reply {
        let (dialect, id) = (round.dialect, round.id.clone());
        let Some(conversation) = conversation else {
            return self.reply(dialect, &id, result);
        };
        conversation.teller.end();
        self.give_back(&conversation, &result);
        let asked = match result {
            Ok(Resolution::InputRequired { asks, recorded }) => Ok((asks, recorded)),
            // The function cannot go on before the user was at a URL: the client is sent there, and comes again.
            Err(Fault::UrlRequired { data, .. }) => {
                if let Some(message) = url_refused(&conversation, &data) {
                    let result = match round.method {
                        Method::CallTool => Ok(Resolution::Complete(tool_error(message).into())),
                        _ => Err(Fault::AskFailed { message: message.to_owned() }),
                    };
                    return self.reply(dialect, &id, result);
                }
                url_asks(&conversation, &data).map(|asks| (asks, conversation.call.all_recorded()))
            }
            result => return self.reply(dialect, &id, result),
        };
        let input_required = asked.and_then(|(asks, recorded)| self.next_round(&round, &conversation, &asks, recorded));
        match input_required {
            Ok(bytes) => Reply { bytes, standing: Standing::Answered },
            Err(fault) => refusal(dialect, &id, &fault),
        }
    }

    /// What was used up for a call that did not begin after all can be used again.
    fn give_back(&self, conversation: &Conversation, result: &Result<Resolution, Fault>) {
        if result.as_ref().is_err_and(Fault::is_before_the_call) {
            self.rounds.give_back(&conversation.retry);
        }
    }

    fn next_round(
        &self,
        round: &Round,
        conversation: &Conversation,
        asks: &OpenAsks,
        recorded: HashMap<String, Value>,
    ) -> Result<bytes::Bytes, Fault> {
        let Conversation { peer, callee, version, single_use, retry, .. } = conversation;
        // 2026-07-28 R-01.
        if !matches!(round.method, Method::CallTool | Method::GetPrompt | Method::ReadResource) {
            let reason = "it asked the client where nothing can be asked".to_owned();
            return Err(Fault::PluginFailed { plugin: callee.to_string(), reason });
        }
        let beginning = Beginning { principal: &round.principal, plugin: callee, version, single_use: *single_use };
        let subject = Subject::of(&round.method_name, round.params.as_deref().map(RawValue::get))?;
        let state = self.rounds.next_state(beginning, subject, retry.round, asks, peer.used_answers(), recorded)?;
        Ok(self.encoder.input_required(&round.id, asks, &state))
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

/// Why a function that needs the user at a URL is not run again: the user said no (2026-07-28 R-09).
fn url_refused(conversation: &Conversation, data: &Value) -> Option<&'static str> {
    #[derive(serde::Deserialize)]
    struct Answer {
        action: String,
    }
    let elicitations = data["elicitations"].as_array()?;
    let answers = elicitations.iter().filter_map(|it| conversation.retry.answers.get(it["elicitationId"].as_str()?));
    let mut actions = answers.filter_map(|answer| serde_json::from_str::<Answer>(answer.get()).ok());
    actions.find_map(|answer| match answer.action.as_str() {
        "decline" => Some("the user declined to open the URL that this needs"),
        "cancel" => Some("the user dismissed the URL that this needs"),
        _ => None,
    })
}

/// The questions of a function that cannot go on before the user was at a URL.
fn url_asks(conversation: &Conversation, data: &Value) -> Result<OpenAsks, Fault> {
    let mut asks = OpenAsks::new();
    for elicitation in data["elicitations"].as_array().into_iter().flatten() {
        let text = |key: &str| elicitation[key].as_str().unwrap_or_default().to_owned();
        let (id, url) = (text("elicitationId"), text("url"));
        if id.is_empty() || url.is_empty() {
            let reason = "it wants the user at a URL, but lacks 'elicitationId' or 'url'".to_owned();
            return Err(Fault::PluginFailed { plugin: conversation.callee.to_string(), reason });
        }
        let ask = Ask::Url { id: id.clone(), message: text("message"), url };
        let request = conversation.peer.request(ask).map_err(|error| match error {
            AskError::MissingCapability(capability) => Fault::MissingCapability { capability },
            other => Fault::AskFailed { message: other.to_string() },
        })?;
        asks.push((id, request));
    }
    if asks.is_empty() {
        let reason = "it wants the user at a URL, but names none".to_owned();
        return Err(Fault::PluginFailed { plugin: conversation.callee.to_string(), reason });
    }
    Ok(asks)
}
