//! Bodies, read whole: bounded in bytes and in time.

use super::refusal::Refusal;
use crate::outlet::StreamLimits;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use std::time::Duration;

/// Bounds of HTTP.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Bytes of a body.
    pub max_body_bytes: usize,
    /// How deep a body's JSON may nest.
    pub max_depth: usize,
    /// Headers of a request.
    pub max_headers: usize,
    /// Bytes of all headers of a request.
    pub max_header_bytes: usize,
    /// How long a client may take to send the headers of its next request; an idle connection is closed after it.
    pub header_timeout: Duration,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// How long a client may leave what we write unread; then the connection is closed.
    pub write_timeout: Duration,
    /// Connections at a time.
    pub max_connections: usize,
    /// After this a call without an answer gets a stream, so that its answer is not lost with the connection.
    pub stream_after: Duration,
    /// What one stream of a stateless request holds for a client that reads slowly.
    pub stateless_stream: StreamLimits,
    /// How often an idle stream gets a comment, so that a dead connection is noticed.
    pub keep_alive: Duration,
}

/// Reads a body.
///
/// # Errors
/// A refusal when it is too large, too slow or broken.
pub(super) async fn read(headers: &HeaderMap, body: Body, limits: &HttpLimits) -> Result<Bytes, Refusal> {
    let too_large = || {
        let reason = format!("the body has more than {} bytes", limits.max_body_bytes);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, &reason)
    };
    let announced =
        headers.get(axum::http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.max_body_bytes as u64) {
        return Err(too_large());
    }
    let whole = Limited::new(body, limits.max_body_bytes).collect();
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}
