//! Messages of sessions: opened by `initialize`, answered as JSON or as streams that can be resumed (2025-era H-01 to H-26).

use super::Endpoint;
use super::headers::{self, Accepts, LAST_EVENT_ID, PROTOCOL_VERSION, SESSION_ID};
use super::refusal::{Refusal, empty, json};
use super::sse;
use crate::call::Principal;
use crate::outlet::{EventStream, Outlet, Position};
use crate::protocol::{Batches, Dialect, RequestMeta};
use crate::rt::Phase;
use crate::serve::{Answer, OpenError};
use crate::session::{Session, SessionId};
use crate::transport::duplex::parse_error_reply;
use crate::transport::gather::gather;
use crate::wire::{Message, ParseError, Request};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::sync::Arc;

impl Endpoint {
    /// Takes a message of a session, or one that opens it.
    pub(super) async fn stateful(
        &self,
        headers: &HeaderMap,
        message: Message<'_>,
        meta: &RequestMeta<'_>,
        principal: &Principal,
        accepts: Accepts,
    ) -> Result<Response<Body>, Refusal> {
        match message {
            Message::Request(request) if &*request.method == "initialize" => {
                self.initialize(headers, &request, principal)
            }
            message => {
                let session = self.session(headers, principal)?;
                self.message(&session, message, meta, accepts).await
            }
        }
    }

    fn initialize(
        &self,
        headers: &HeaderMap,
        request: &Request<'_>,
        principal: &Principal,
    ) -> Result<Response<Body>, Refusal> {
        // A stale id is forgiven: its client is starting anew (2025-era L-12).
        if self.session(headers, principal).is_ok() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "this session is initialized already"));
        }
        match self.server.open_over_streams(request, principal) {
            Ok((session, reply)) => {
                let mut response = json(StatusCode::OK, reply);
                if let Ok(id) = HeaderValue::from_bytes(session.id.as_bytes()) {
                    response.headers_mut().insert(SESSION_ID, id);
                }
                Ok(response)
            }
            // A JSON-RPC error to a well-formed request has status 200 in this era (2025-era J-05).
            Err(OpenError::Refused(reply)) => Ok(json(StatusCode::OK, reply)),
            Err(OpenError::Unavailable(reply)) => Err(Refusal::with_reply(StatusCode::SERVICE_UNAVAILABLE, reply)),
        }
    }

    /// The session of a request, if its headers name one and speak its revision.
    pub(super) fn session(&self, headers: &HeaderMap, principal: &Principal) -> Result<Arc<Session>, Refusal> {
        let id = headers::single(headers, &SESSION_ID)?
            .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "no session: send 'initialize' first"))?;
        let revision = headers::single(headers, &PROTOCOL_VERSION)?;
        let session = SessionId::from_header(id.as_bytes()).and_then(|id| self.server.store().find(&id));
        let session = session.filter(|session| session.principal == *principal);
        // 404 means to a client that it must initialize anew, and nothing else may (2025-era H-22).
        let session = session.ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, "this session does not exist any more: initialize anew")
        })?;
        match revision {
            Some(revision) if Dialect::stateful(revision).is_none() => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, "this MCP-Protocol-Version is not supported"))
            }
            Some(revision) if revision != session.dialect.revision => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                &format!("this session speaks {}, not the MCP-Protocol-Version sent", session.dialect.revision),
            )),
            _ => {
                session.touch();
                Ok(session)
            }
        }
    }

    async fn message(
        &self,
        session: &Arc<Session>,
        message: Message<'_>,
        meta: &RequestMeta<'_>,
        accepts: Accepts,
    ) -> Result<Response<Body>, Refusal> {
        let request = match message {
            Message::Request(request) => request,
            Message::Notification(notification) => {
                self.server.notification(session, &notification);
                return Ok(empty(StatusCode::ACCEPTED));
            }
            Message::Response(response) => {
                self.server.response(session, &response);
                return Ok(empty(StatusCode::ACCEPTED));
            }
        };
        if self.server.drain().phase() == Phase::Draining {
            return Err(Refusal::unavailable("the host is shutting down; try again later"));
        }
        let stream = session.new_stream();
        // A client that takes no stream is told what comes before the answer on the session's own.
        let outlet: Arc<dyn Outlet> = match accepts {
            Accepts::Json => session.standalone_outlet(),
            _ => Arc::new(stream.clone()),
        };
        match self.server.request(session, &request, meta, &outlet) {
            Answer::Now(reply) if accepts != Accepts::Stream && stream.is_empty() => Ok(json(StatusCode::OK, reply)),
            Answer::Now(reply) => {
                stream.finish(Some(reply));
                Ok(self.follow(session, &stream))
            }
            Answer::Later(answer) => {
                // The call goes on when this connection breaks (2025-era H-12), so it is a task of its own.
                let finished = stream.clone();
                self.server.drain().spawn_work(async move { finished.finish(answer.await) });
                Ok(self.wait(session, &stream, accepts).await)
            }
        }
    }

    /// Waits for what a call says first: an answer alone is JSON, anything else is a stream (2025-era H-08).
    async fn wait(&self, session: &Arc<Session>, stream: &EventStream, accepts: Accepts) -> Response<Body> {
        let readable = stream.readable();
        match accepts {
            Accepts::Stream => return self.follow(session, stream),
            Accepts::Json => stream.finished().await,
            Accepts::Both if session.dialect.features.primed_streams => {
                // With a stream the answer survives a broken connection; without one it would be lost.
                if tokio::time::timeout(self.limits.stream_after, readable).await.is_err() {
                    return self.follow(session, stream);
                }
            }
            Accepts::Both => readable.await,
        }
        match stream.take_only_answer() {
            Some(reply) => json(StatusCode::OK, reply),
            None if accepts == Accepts::Json => empty(StatusCode::ACCEPTED),
            None if stream.is_empty() && stream.finished_at().is_some() => sse::ended(),
            None => self.follow(session, stream),
        }
    }

    fn follow(&self, session: &Session, stream: &EventStream) -> Response<Body> {
        let (number, reader) = session.publish_stream(stream);
        match reader {
            Some(reader) => sse::response(reader, self.style(session, number, true)),
            None => sse::ended(),
        }
    }

    fn style(&self, session: &Session, stream: u64, first: bool) -> sse::Style {
        let primed = first && session.dialect.features.primed_streams;
        sse::Style {
            form: sse::Form::Resumable { stream },
            opening: primed.then(|| sse::priming(stream)),
            keep_alive: self.limits.keep_alive,
        }
    }

    pub(super) async fn batch(
        &self,
        session: &Arc<Session>,
        messages: Vec<Result<Message<'_>, ParseError>>,
    ) -> Result<Response<Body>, Refusal> {
        if session.dialect.features.batches != Batches::Accepted {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "this session's revision has no batches"));
        }
        if self.server.drain().phase() == Phase::Draining {
            return Err(Refusal::unavailable("the host is shutting down; try again later"));
        }
        let stream = session.new_stream();
        let outlet: Arc<dyn Outlet> = Arc::new(stream.clone());
        let mut answers = Vec::new();
        for message in messages {
            match message {
                Ok(Message::Request(request)) => {
                    let meta = RequestMeta::of(request.params);
                    answers.push(self.server.request(session, &request, &meta, &outlet));
                }
                Ok(Message::Notification(notification)) => self.server.notification(session, &notification),
                Ok(Message::Response(response)) => self.server.response(session, &response),
                Err(error) => answers.push(Answer::Now(parse_error_reply(&error))),
            }
        }
        if answers.is_empty() {
            return Ok(empty(StatusCode::ACCEPTED));
        }
        let finished = stream.clone();
        self.server.drain().spawn_work(async move { finished.finish(gather(answers).await) });
        Ok(self.wait(session, &stream, Accepts::Both).await)
    }

    pub(super) fn get(&self, headers: &HeaderMap, principal: &Principal) -> Result<Response<Body>, Refusal> {
        if !headers::accepts_stream(headers) {
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "accept text/event-stream"));
        }
        if headers::single(headers, &SESSION_ID)?.is_none() {
            return Err(Refusal::verb("POST", "there is no stream without a session"));
        }
        let session = self.session(headers, principal)?;
        let gone = || Refusal::new(StatusCode::BAD_REQUEST, "this Last-Event-ID cannot be resumed");
        if let Some(last) = headers::single(headers, &LAST_EVENT_ID)? {
            let (stream, event) = sse::parse_event_id(last).ok_or_else(gone)?;
            let reader = session.resume(stream, Position(event)).ok_or_else(gone)?;
            return Ok(sse::response(reader, self.style(&session, stream, false)));
        }
        let reader = session
            .follow_standalone()
            .ok_or_else(|| Refusal::new(StatusCode::CONFLICT, "this session's stream is open already"))?;
        Ok(sse::response(reader, self.style(&session, 0, true)))
    }

    pub(super) fn delete(&self, headers: &HeaderMap, principal: &Principal) -> Result<Response<Body>, Refusal> {
        let session = self.session(headers, principal)?;
        self.server.store().remove(&session.id);
        Ok(empty(StatusCode::NO_CONTENT))
    }
}
