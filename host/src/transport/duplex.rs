//! One client over one channel in each direction: what standard input and the oldest HTTP transport have in common.
//!
//! Framed bytes come in one by one; replies leave by a [`Replies`], everything else by an [`Outlet`].

use crate::protocol::Batches;
use crate::serve::{Answer, OpenError, Server};
use crate::session::{Outlet, Session};
use crate::transport::gather::gather;
use crate::wire::{self, Incoming, Message, ParseError, code};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Where replies leave. May wait where the client does not read fast enough.
pub(super) trait Replies: Clone + Send + Sync + 'static {
    /// Sends a reply.
    fn reply(&self, reply: Bytes) -> impl Future<Output = ()> + Send;
}

/// A client and its session, once it has one.
pub(super) struct Duplex<R> {
    server: Arc<Server>,
    max_depth: usize,
    outlet: Arc<dyn Outlet>,
    replies: R,
    /// Calls of this client that are under way; the host's end waits for them too.
    calls: TaskTracker,
    session: Option<Arc<Session>>,
}

impl<R: Replies> Duplex<R> {
    /// A client without a session. Its JSON may nest `max_depth` deep.
    pub(super) fn new(server: Arc<Server>, max_depth: usize, outlet: Arc<dyn Outlet>, replies: R) -> Self {
        Self { server, max_depth, outlet, replies, calls: TaskTracker::new(), session: None }
    }

    /// Sends a reply.
    pub(super) async fn reply(&self, reply: Bytes) {
        self.replies.reply(reply).await;
    }

    /// Takes what came in one frame.
    pub(super) async fn take(&mut self, bytes: &[u8]) {
        match wire::parse(bytes, self.max_depth) {
            Ok(Incoming::One(message)) => match self.message(message) {
                None => {}
                Some(Answer::Now(reply)) => self.reply(reply).await,
                Some(Answer::Later(answer)) => self.spawn(answer),
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
        tokio::select! {
            () = drain.cancellation().cancelled() => {}
            _ = tokio::time::timeout(grace, self.calls.wait()) => {}
        }
        self.close();
    }

    /// Ends the session at once: its calls are cancelled.
    pub(super) fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close();
        }
    }

    /// Takes one message, and gives the answer to a request.
    fn message(&mut self, message: Message<'_>) -> Option<Answer> {
        let Some(session) = &self.session else {
            return self.before_session(message);
        };
        match message {
            Message::Request(request) => Some(self.server.request(session, &request, &self.outlet)),
            Message::Notification(notification) => {
                self.server.notification(session, &notification);
                None
            }
            Message::Response(response) => {
                self.server.response(session, &response);
                None
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
        match self.server.open_over_pipe(&request, Arc::clone(&self.outlet)) {
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
                // Never inside a batch (2025-era L-09), where it would find its session open already.
                Ok(message) => answers.extend(self.message(message)),
                Err(error) => answers.push(Answer::Now(parse_error_reply(&error))),
            }
        }
        if !answers.is_empty() {
            self.spawn(gather(answers));
        }
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

/// The reply to bytes that are no message (2025-era J-01, J-03).
pub(super) fn parse_error_reply(error: &ParseError) -> Bytes {
    match error {
        ParseError::NotJson(_) => wire::error_reply(None, code::PARSE_ERROR, &error.to_string(), None),
        ParseError::NotMessage { id, .. } => {
            wire::error_reply(id.as_ref(), code::INVALID_REQUEST, &error.to_string(), None)
        }
    }
}
