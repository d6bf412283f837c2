//! The verbs of the endpoint.

use super::Health;
use super::body::{self, HttpLimits};
use super::headers::{self, PROTOCOL_VERSION, SESSION_ID};
use super::oldest::{self, Connections};
use super::refusal::{Refusal, json};
use crate::admit::{HostRule, IdentityRule};
use crate::call::Principal;
use crate::protocol::{Around, EraOf, RequestMeta};
use crate::serve::Server;
use crate::transport::duplex::parse_error_reply;
use crate::wire::{self, Incoming, Message, ParseError};
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
    identity: IdentityRule,
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
        .route("/metrics", get(metrics))
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

async fn metrics(State(endpoint): State<Arc<Endpoint>>, request: http::Request<Body>) -> Response<Body> {
    if let Err(refusal) = endpoint.check_origin(request.headers(), request.uri().authority()) {
        return refusal.into_response();
    }
    let mut response = Response::new(Body::from(endpoint.health.metrics()));
    let form = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, form);
    response
}

async fn mcp(State(endpoint): State<Arc<Endpoint>>, request: http::Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if let Err(refusal) = endpoint.check_origin(&parts.headers, parts.uri.authority()) {
        return refusal.into_response();
    }
    let handled = match parts.method {
        Method::POST => endpoint.post(parts.headers, body).await,
        // There is no stream and no end of a session without sessions (2026-07-28 H-01).
        Method::GET | Method::DELETE if !endpoint.server.protocols().has_sessions() => {
            Err(Refusal::verb("POST", "use POST"))
        }
        Method::GET => endpoint.principal(&parts.headers).and_then(|who| endpoint.get(&parts.headers, &who)),
        Method::DELETE => endpoint.principal(&parts.headers).and_then(|who| endpoint.delete(&parts.headers, &who)),
        _ => Err(Refusal::verb(VERBS, "use POST, GET or DELETE")),
    };
    handled.unwrap_or_else(Refusal::into_response)
}

impl Endpoint {
    /// An endpoint of a server: who answers, who is let in, bounds, and the word for operators.
    #[must_use]
    pub fn new(
        server: Arc<Server>,
        hosts: HostRule,
        identity: IdentityRule,
        limits: HttpLimits,
        health: Arc<dyn Health>,
    ) -> Self {
        Self { server, limits, oldest: Connections::default(), hosts, identity, health }
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
        let principal = self.principal(&headers)?;
        let accepts = headers::accepts(&headers)?;
        headers::check_content_type(&headers)?;
        let bytes = body::read(&headers, body, &self.limits).await?;
        let bad = |error: &ParseError| Refusal::with_reply(StatusCode::BAD_REQUEST, parse_error_reply(error));
        let message = match wire::parse(&bytes, self.limits.max_depth).map_err(|error| bad(&error))? {
            Incoming::One(message) => message,
            // Only sessions of one revision have arrays (dual-era D-08).
            Incoming::Batch(messages) => {
                if !self.server.protocols().has_sessions() {
                    return Err(Refusal::new(StatusCode::BAD_REQUEST, "this revision has no batches"));
                }
                let session = self.session(&headers, &principal)?;
                return self.batch(&session, messages).await;
            }
        };
        let (method, params) = match &message {
            Message::Request(request) => (&*request.method, request.params),
            Message::Notification(notification) => (&*notification.method, notification.params),
            Message::Response(_) => ("", None),
        };
        let meta = RequestMeta::of(params);
        let revision = headers.get(PROTOCOL_VERSION).and_then(|value| value.to_str().ok());
        let around = Around { revision, session: headers.contains_key(SESSION_ID) };
        match self.server.protocols().era(method, &meta, around) {
            EraOf::Stateless => self.stateless(&headers, message, &meta, &principal, accepts).await,
            EraOf::Stateful => self.stateful(&headers, message, &meta, &principal, accepts).await,
        }
    }

    /// Who asks.
    pub(super) fn principal(&self, headers: &HeaderMap) -> Result<Principal, Refusal> {
        let values = self.identity.header().map(|name| headers.get_all(name).iter().map(HeaderValue::as_bytes));
        self.identity
            .principal(values.into_iter().flatten())
            .map_err(|error| Refusal::new(StatusCode::UNAUTHORIZED, &error.to_string()))
    }
}
