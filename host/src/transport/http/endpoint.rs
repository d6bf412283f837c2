//! The verbs of the endpoint.

use super::body::{self, HttpLimits};
use super::headers::{self, Accepts, LAST_EVENT_ID, PROTOCOL_VERSION, SESSION_ID};
use super::oldest::{self, Connections};
use super::refusal::{Refusal, empty, json};
use super::{Health, sse};
use crate::admit::HostRule;
use crate::protocol::{Batches, Dialect};
use crate::rt::Phase;
use crate::serve::{Answer, OpenError, Server};
use crate::session::{EventStream, Outlet, Position, Session, SessionId};
use crate::transport::duplex::parse_error_reply;
use crate::transport::gather::gather;
use crate::wire::{self, Incoming, Message, ParseError, Request};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{self, HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::routing::{any, get, post};
use std::sync::Arc;

/// What the endpoint needs.
pub struct Endpoint {
    pub(super) server: Arc<Server>,
    pub(super) limits: HttpLimits,
    pub(super) oldest: Connections,
    hosts: HostRule,
    health: Arc<dyn Health>,
}

/// Whether the transport of 2024-11-05 is served too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldestTransport {
    /// At `/sse` and `/messages`.
    Served,
    /// It is deprecated since 2025-03-26 (2025-era HS-07).
    Off,
}

/// The verbs that are served.
const VERBS: &str = "POST, GET, DELETE";

/// The paths of the host: the endpoint and the word for operators.
pub fn router(endpoint: Arc<Endpoint>, oldest_transport: OldestTransport) -> Router {
    let router = match oldest_transport {
        OldestTransport::Off => Router::new(),
        OldestTransport::Served => {
            Router::new().route("/sse", get(oldest::open)).route("/messages", post(oldest::message))
        }
    };
    router
        .route("/mcp", any(mcp))
        .route("/health", get(|| async { "ok\n" }))
        .route("/health/ready", get(ready))
        .route("/health/detailed", get(detailed))
        .with_state(endpoint)
}

async fn ready(State(endpoint): State<Arc<Endpoint>>) -> Response<Body> {
    let status = if endpoint.health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = if status == StatusCode::OK { "ready\n" } else { "not ready\n" };
    let mut response = Response::new(Body::from(word));
    *response.status_mut() = status;
    response
}

async fn detailed(State(endpoint): State<Arc<Endpoint>>, request: http::Request<Body>) -> Response<Body> {
    if let Err(refusal) = endpoint.check_origin(request.headers(), request.uri().authority()) {
        return refusal.into_response();
    }
    let detail = serde_json::to_vec(&endpoint.health.detail()).unwrap_or_default();
    json(StatusCode::OK, detail.into())
}

async fn mcp(State(endpoint): State<Arc<Endpoint>>, request: http::Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = endpoint.check_origin(&parts.headers, parts.uri.authority()) {
        return refusal.into_response();
    }
    let handled = match parts.method {
        Method::POST => endpoint.post(parts.headers, body).await,
        Method::GET => endpoint.get(&parts.headers),
        Method::DELETE => endpoint.delete(&parts.headers),
        _ => Err(Refusal::verb(VERBS, "use POST, GET or DELETE")),
    };
    handled.unwrap_or_else(Refusal::into_response)
}

impl Endpoint {
    /// An endpoint of a server: who answers, who is let in, bounds, and the word for operators.
    #[must_use]
    pub fn new(server: Arc<Server>, hosts: HostRule, limits: HttpLimits, health: Arc<dyn Health>) -> Self {
        Self { server, limits, oldest: Connections::default(), hosts, health }
    }

    /// Host and Origin, before anything is read (2025-era H-02). HTTP/2 has its host in the URI.
    pub(super) fn check_origin(
        &self,
        headers: &HeaderMap,
        authority: Option<&http::uri::Authority>,
    ) -> Result<(), Refusal> {
        let in_headers = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
        let in_uri = authority.filter(|_| !headers.contains_key(header::HOST)).map(|it| it.as_str().as_bytes());
        let origins = headers.get_all(header::ORIGIN).iter().map(HeaderValue::as_bytes);
        self.hosts.check(in_headers.chain(in_uri), origins).map_err(|refused| {
            tracing::info!(%refused, "a request was turned away");
            Refusal::new(StatusCode::FORBIDDEN, &refused.to_string())
        })
    }

    async fn post(&self, headers: HeaderMap, body: Body) -> Result<Response<Body>, Refusal> {
        let accepts = headers::accepts(&headers)?;
        headers::check_content_type(&headers)?;
        let bytes = body::read(&headers, body, &self.limits).await?;
        let bad = |error: &ParseError| Refusal::with_reply(StatusCode::BAD_REQUEST, parse_error_reply(error));
        match wire::parse(&bytes, self.limits.max_depth).map_err(|error| bad(&error))? {
            Incoming::One(Message::Request(request)) if &*request.method == "initialize" => {
                self.initialize(&headers, &request)
            }
            Incoming::One(message) => {
                let session = self.session(&headers)?;
                self.message(&session, message, accepts).await
            }
            Incoming::Batch(messages) => {
                let session = self.session(&headers)?;
                self.batch(&session, messages).await
            }
        }
    }

    fn initialize(&self, headers: &HeaderMap, request: &Request<'_>) -> Result<Response<Body>, Refusal> {
        // A stale id is forgiven: its client is starting anew (2025-era L-12).
        if self.session(headers).is_ok() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "this session is initialized already"));
        }
        match self.server.open_over_streams(request) {
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
    fn session(&self, headers: &HeaderMap) -> Result<Arc<Session>, Refusal> {
        let id = headers::single(headers, &SESSION_ID)?
            .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "no session: send 'initialize' first"))?;
        let revision = headers::single(headers, &PROTOCOL_VERSION)?;
        let session = SessionId::from_header(id.as_bytes()).and_then(|id| self.server.store().find(&id));
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
        match self.server.request(session, &request, &outlet) {
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

    async fn batch(
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
                Ok(Message::Request(request)) => answers.push(self.server.request(session, &request, &outlet)),
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

    fn get(&self, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
        if !headers::accepts_stream(headers) {
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "accept text/event-stream"));
        }
        if headers::single(headers, &SESSION_ID)?.is_none() {
            return Err(Refusal::verb("POST", "there is no stream without a session"));
        }
        let session = self.session(headers)?;
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

    fn delete(&self, headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
        let session = self.session(headers)?;
        self.server.store().remove(&session.id);
        Ok(empty(StatusCode::NO_CONTENT))
    }
}
