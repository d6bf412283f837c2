//! One client over one channel in each direction: what standard input and the oldest HTTP transport have in common.
//!
//! Framed bytes come in one by one; replies leave by a [`Replies`], everything else by an [`Outlet`].

use crate::call::Principal;
use crate::outlet::Outlet;
use crate::protocol::{Around, Batches, CancelledParams, EraOf, Protocols, RequestMeta, read_params};
use crate::rt::Phase;
use crate::serve::{Answer, Cancel, Channel, OpenError, Server, StatelessAnswer, StatelessRequest, Subscription};
use crate::session::Session;
use crate::transport::gather::gather;
use crate::wire::{self, Id, Incoming, Message, ParseError, Request, code};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where replies leave. May wait where the client does not read fast enough.
pub(super) trait Replies: Clone + Send + Sync + 'static {
    /// Sends a reply.
    fn reply(&self, reply: Bytes) -> impl Future<Output = ()> + Send;
}

/// What is spoken over a channel, and by whom.
pub(super) struct Spoken {
    /// The eras.
    pub(super) protocols: Protocols,
    /// Who speaks.
    pub(super) principal: Principal,
    /// How deep JSON may nest.
    pub(super) max_depth: usize,
}

/// A client and its session, once it has one. Requests that stand for themselves may come at any time between those of the
/// session, and know nothing of it (dual-era D-20, D-21).
pub(super) struct Duplex<R> {
    server: Arc<Server>,
    spoken: Spoken,
    outlet: Arc<dyn Outlet>,
    replies: R,
    /// Calls of this client that are under way; the host's end waits for them too.
    calls: TaskTracker,
    session: Option<Arc<Session>>,
    /// Stateless requests that are under way. Both eras share the client's ids (dual-era D-24).
    stateless: Arc<Mutex<UnderWay>>,
}

/// Stateless requests that are under way, each with a number of its own: an id is free again as soon as it is cancelled.
#[derive(Default)]
struct UnderWay {
    requests: HashMap<Id, (u64, Running)>,
    next: u64,
}

impl UnderWay {
    /// Cancels a request. False where there is none.
    fn cancel(&mut self, id: &Id) -> bool {
        self.requests.remove(id).inspect(|(_, running)| running.cancel()).is_some()
    }
}

/// A stateless request that is under way.
enum Running {
    Call(Cancel),
    Subscription(CancellationToken),
}

impl Running {
    fn cancel(&self) {
        match self {
            Self::Call(cancel) => cancel.cancel(),
            Self::Subscription(cancel) => cancel.cancel(),
        }
    }
}

/// Takes a stateless request out when it is over.
struct Registered {
    under_way: Arc<Mutex<UnderWay>>,
    id: Id,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock();
        if under_way.requests.get(&self.id).is_some_and(|(number, _)| *number == self.number) {
            under_way.requests.remove(&self.id);
        }
    }
}

/// What is to be done for a message.
enum Due {
    Nothing,
    Answer(Answer),
    Changes(Registered, Subscription, CancellationToken),
}

impl<R: Replies> Duplex<R> {
    /// A client without a session.
    pub(super) fn new(server: Arc<Server>, spoken: Spoken, outlet: Arc<dyn Outlet>, replies: R) -> Self {
        let (calls, stateless) = (TaskTracker::new(), Arc::default());
        Self { server, spoken, outlet, replies, calls, session: None, stateless }
    }

    /// Who speaks.
    pub(super) fn principal(&self) -> &Principal {
        &self.spoken.principal
    }

    /// Sends a reply.
    pub(super) async fn reply(&self, reply: Bytes) {
        self.replies.reply(reply).await;
    }

    /// Takes what came in one frame.
    pub(super) async fn take(&mut self, bytes: &[u8]) {
        match wire::parse(bytes, self.spoken.max_depth) {
            Ok(Incoming::One(message)) => match self.message(message) {
                Due::Nothing => {}
                Due::Answer(Answer::Now(reply)) => self.reply(reply).await,
                Due::Answer(Answer::Later(answer)) => self.spawn(answer),
                Due::Changes(registered, subscription, cancel) => self.tell_changes(registered, subscription, cancel),
            },
            Ok(Incoming::Batch(messages)) => self.batch(messages).await,
            Err(error) => self.reply(parse_error_reply(&error)).await,
        }
    }

    /// The client says nothing more: lets what is under way finish within `grace`, and ends the session.
    pub(super) async fn finish(&mut self, grace: Duration) {
        let drain = self.server.drain().clone();
        self.calls.close();
        if let Some(session) = &self.session {
            session.abandon_asks();
        }
        // While the host goes on, changes would be told for ever; when it ends, each stream has its farewell.
        if drain.phase() == Phase::Running {
            let under_way = self.stateless.lock();
            let running = under_way.requests.values().map(|(_, running)| running);
            running.filter(|it| matches!(it, Running::Subscription(_))).for_each(Running::cancel);
        }
        tokio::select! {
            () = drain.cancellation().cancelled() => {}
            _ = tokio::time::timeout(grace, self.calls.wait()) => {}
        }
        self.close();
    }

    /// Ends the session at once: its calls are cancelled.
    pub(super) fn close(&mut self) {
        self.stateless.lock().requests.values().for_each(|(_, running)| running.cancel());
        if let Some(session) = self.session.take() {
            session.close();
        }
    }

    /// Takes one message.
    fn message(&mut self, message: Message<'_>) -> Due {
        match &message {
            Message::Request(request) => {
                let meta = RequestMeta::of(request.params);
                match self.era(&request.method, &meta) {
                    EraOf::Stateless => self.stateless(request, &meta),
                    EraOf::Stateful => self.stateful(message),
                }
            }
            // Of either era: what it names decides (dual-era D-24).
            Message::Notification(notification) if &*notification.method == "notifications/cancelled" => {
                let params = read_params::<CancelledParams<'_>>(notification.params).ok();
                let running = params.and_then(|params| Id::from_raw(params.request_id));
                let is_stateless = running.is_some_and(|id| self.stateless.lock().cancel(&id));
                if is_stateless { Due::Nothing } else { self.stateful(message) }
            }
            _ => self.stateful(message),
        }
    }

    fn era(&self, method: &str, meta: &RequestMeta<'_>) -> EraOf {
        self.spoken.protocols.era(method, meta, Around { revision: None, session: self.session.is_some() })
    }

    /// Takes a request that stands for itself.
    fn stateless(&self, request: &Request<'_>, meta: &RequestMeta<'_>) -> Due {
        let of_session = self.session.as_ref().is_some_and(|session| session.has_under_way(&request.id));
        if of_session || self.stateless.lock().requests.contains_key(&request.id) {
            return Due::Answer(Answer::Now(in_use(&request.id)));
        }
        let asked = StatelessRequest { request, meta, principal: &self.spoken.principal, mirror: None };
        match self.server.stateless(asked, &self.outlet) {
            StatelessAnswer::Now(reply) => Due::Answer(Answer::Now(reply.bytes)),
            StatelessAnswer::Later(answer, cancel) => {
                let registered = self.register(&request.id, Running::Call(cancel));
                Due::Answer(Answer::Later(Box::pin(async move {
                    let reply = answer.await;
                    drop(registered);
                    reply.map(|reply| reply.bytes)
                })))
            }
            StatelessAnswer::Listen(subscription) => {
                let cancel = CancellationToken::new();
                let registered = self.register(&request.id, Running::Subscription(cancel.clone()));
                Due::Changes(registered, subscription.over(Channel::Shared), cancel)
            }
        }
    }

    fn register(&self, id: &Id, running: Running) -> Registered {
        let mut under_way = self.stateless.lock();
        under_way.next += 1;
        let number = under_way.next;
        under_way.requests.insert(id.clone(), (number, running));
        Registered { under_way: Arc::clone(&self.stateless), id: id.clone(), number }
    }

    /// Takes a message of the session.
    fn stateful(&mut self, message: Message<'_>) -> Due {
        let Some(session) = &self.session else {
            return self.before_session(message).map_or(Due::Nothing, Due::Answer);
        };
        match message {
            Message::Request(request) if self.stateless.lock().requests.contains_key(&request.id) => {
                Due::Answer(Answer::Now(in_use(&request.id)))
            }
            Message::Request(request) => {
                let meta = RequestMeta::of(request.params);
                Due::Answer(self.server.request(session, &request, &meta, &self.outlet))
            }
            Message::Notification(notification) => {
                self.server.notification(session, &notification);
                Due::Nothing
            }
            Message::Response(response) => {
                self.server.response(session, &response);
                Due::Nothing
            }
        }
    }

    fn before_session(&mut self, message: Message<'_>) -> Option<Answer> {
        let Message::Request(request) = message else {
            return None;
        };
        if &*request.method != "initialize" {
            return Some(Answer::Now(self.server.request_without_session(&request)));
        }
        match self.server.open_over_pipe(&request, &self.spoken.principal, Arc::clone(&self.outlet)) {
            Ok((session, reply)) => {
                self.session = Some(session);
                Some(Answer::Now(reply))
            }
            Err(OpenError::Refused(reply) | OpenError::Unavailable(reply)) => Some(Answer::Now(reply)),
        }
    }

    /// Takes an array of messages (2025-era J-06, J-07).
    async fn batch(&mut self, messages: Vec<Result<Message<'_>, ParseError>>) {
        let accepts = self.session.as_ref().is_some_and(|it| it.dialect.features.batches != Batches::Refused);
        if !accepts {
            let reply = wire::error_reply(None, code::INVALID_REQUEST, "this revision has no batches", None);
            return self.reply(reply).await;
        }
        let mut answers = Vec::new();
        for message in messages {
            match message {
                // An array belongs to a session (2026-07-28 M-12).
                Ok(Message::Request(request))
                    if self.era(&request.method, &RequestMeta::of(request.params)) == EraOf::Stateless =>
                {
                    answers.push(Answer::Now(in_batch(&request.id)));
                }
                Ok(message) => {
                    if let Due::Answer(answer) = self.message(message) {
                        answers.push(answer);
                    }
                }
                Err(error) => answers.push(Answer::Now(parse_error_reply(&error))),
            }
        }
        if !answers.is_empty() {
            self.spawn(gather(answers));
        }
    }

    /// Tells of changes until the client wants no more, or the host ends.
    fn tell_changes(&self, registered: Registered, mut subscription: Subscription, cancel: CancellationToken) {
        let replies = self.replies.clone();
        self.server.drain().spawn(self.calls.track_future(async move {
            loop {
                let told = tokio::select! {
                    biased;
                    () = cancel.cancelled() => None,
                    told = subscription.next() => told,
                };
                match told {
                    Some(told) => replies.reply(told).await,
                    None => break,
                }
            }
            drop(registered);
        }));
    }

    /// Runs a call, which the host's end waits for.
    fn spawn(&self, answer: impl Future<Output = Option<Bytes>> + Send + 'static) {
        let replies = self.replies.clone();
        self.server.drain().spawn_work(self.calls.track_future(async move {
            if let Some(reply) = answer.await {
                replies.reply(reply).await;
            }
        }));
    }
}

/// The reply to a request whose id another one has that is under way (2025-era J-02, 2026-07-28 M-07).
fn in_use(id: &Id) -> Bytes {
    wire::error_reply(Some(id), code::INVALID_REQUEST, "a request with this id is under way", None)
}

/// The reply to a request that stands for itself and came in an array.
fn in_batch(id: &Id) -> Bytes {
    wire::error_reply(Some(id), code::INVALID_REQUEST, "this request cannot be part of a batch", None)
}

/// The reply to bytes that are no message (2025-era J-01, J-03).
pub(super) fn parse_error_reply(error: &ParseError) -> Bytes {
    match error {
        ParseError::NotJson(_) => wire::error_reply(None, code::PARSE_ERROR, &error.to_string(), None),
        ParseError::NotMessage { id, .. } => {
            wire::error_reply(id.as_ref(), code::INVALID_REQUEST, &error.to_string(), None)
        }
    }
}
