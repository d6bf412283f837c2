//! Requests that are turned away: a status, and a JSON-RPC error without id that says why.

use crate::wire::{self, code};
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;

/// A request that is turned away.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Bytes,
    allow: Option<&'static str>,
    retry: bool,
}

impl Refusal {
    /// With a status and the reason.
    pub(super) fn new(status: StatusCode, reason: &str) -> Self {
        Self { status, body: wire::error_reply(None, code::INVALID_REQUEST, reason, None), allow: None, retry: false }
    }

    /// With a status and a reply that is written already.
    pub(super) fn with_reply(status: StatusCode, body: Bytes) -> Self {
        Self { status, body, allow: None, retry: status == StatusCode::SERVICE_UNAVAILABLE }
    }

    /// A verb that is not served here, and those that are.
    pub(super) fn verb(allow: &'static str, reason: &str) -> Self {
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, reason) }
    }

    /// Something that will be served again in a moment.
    pub(super) fn unavailable(reason: &str) -> Self {
        Self { retry: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, reason) }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = json(self.status, self.body);
        if let Some(allow) = self.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A response of one JSON text.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
