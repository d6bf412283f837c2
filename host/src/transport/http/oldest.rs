//! The transport of 2024-11-05 (2025-era HS-01 to HS-07): messages to the client on one stream, messages from it by POST.
//!
//! A connection is a session: there is no resuming, and when the stream breaks everything of it ends. Off unless the
//! operator turns it on.

use super::refusal::{Refusal, empty};
use super::sse;
use super::{Endpoint, body, headers};
use crate::outlet::{Delivery, EventStream, Outlet as _, Position, StreamLimits};
use crate::protocol::Protocols;
use crate::rt::Phase;
use crate::session::SessionId;
use crate::transport::duplex::{Duplex, Replies, Spoken};
use axum::body::Body;
use axum::extract::State;
use axum::http::{self, Response, StatusCode};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The connections that are open, by the id in their address.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<SessionId, Connection>>);

/// Messages that wait for a client that does not read; then it is disconnected.
const MAX_EVENTS: usize = 4096;

/// Bytes of them.
const MAX_BYTES: usize = 64 << 20;

/// A connection's client. The lock is held while a message is taken, so messages keep their order.
type Connection = Arc<tokio::sync::Mutex<Duplex<EventStream>>>;

impl Replies for EventStream {
    async fn reply(&self, reply: Bytes) {
        // A stream that has ended has no reader.
        let _ = self.send(reply, Delivery::MustKeep);
    }
}

/// Ends a connection when its stream is no longer written.
struct Open {
    endpoint: Arc<Endpoint>,
    id: SessionId,
    stream: EventStream,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stream.finish(None);
        let connection = self.endpoint.oldest.0.lock().remove(&self.id);
        if let Some(connection) = connection {
            self.endpoint.server.drain().spawn(async move { connection.lock().await.close() });
        }
    }
}

/// GET: opens a connection.
pub(super) async fn open(State(endpoint): State<Arc<Endpoint>>, request: http::Request<Body>) -> Response<Body> {
    opened(&endpoint, &request).unwrap_or_else(Refusal::into_response)
}

fn opened(endpoint: &Arc<Endpoint>, request: &http::Request<Body>) -> Result<Response<Body>, Refusal> {
    endpoint.check_origin(request.headers(), request.uri().authority())?;
    if !headers::accepts_stream(request.headers()) {
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "accept text/event-stream"));
    }
    if endpoint.server.drain().phase() == Phase::Draining {
        return Err(Refusal::unavailable("the host is shutting down; try again later"));
    }
    let principal = endpoint.principal(request.headers())?;
    let mut connections = endpoint.oldest.0.lock();
    if connections.len() >= endpoint.limits.max_connections {
        return Err(Refusal::unavailable("too many connections; try again later"));
    }
    let id = SessionId::random().map_err(|_| Refusal::unavailable("no random bits"))?;
    let stream = EventStream::new(StreamLimits { max_events: MAX_EVENTS, max_bytes: MAX_BYTES });
    // This transport is older than the stateless era.
    let spoken = Spoken { protocols: Protocols::Stateful, principal, max_depth: endpoint.limits.max_depth };
    let client = Duplex::new(Arc::clone(&endpoint.server), spoken, Arc::new(stream.clone()), stream.clone());
    connections.insert(id.clone(), Arc::new(tokio::sync::Mutex::new(client)));
    drop(connections);
    let Some(reader) = stream.read_from(Position(0)) else {
        return Err(Refusal::unavailable("the stream cannot be read"));
    };
    let address = format!("event: endpoint\ndata: /messages?sessionId={}\n\n", String::from_utf8_lossy(id.as_bytes()));
    let style =
        sse::Style { form: sse::Form::Plain, opening: Some(address.into()), keep_alive: endpoint.limits.keep_alive };
    let open = Open { endpoint: Arc::clone(endpoint), id, stream };
    // The host's end closes the stream, so that the connection does not hold it up.
    let (drain, ended) = (endpoint.server.drain().clone(), open.stream.clone());
    endpoint.server.drain().spawn(async move {
        tokio::select! {
            () = drain.work_finished() => ended.finish(None),
            () = ended.finished() => {}
        }
    });
    Ok(sse::response_with(reader, style, open))
}

/// POST: takes a message; what it is answered with leaves by the stream.
pub(super) async fn message(State(endpoint): State<Arc<Endpoint>>, request: http::Request<Body>) -> Response<Body> {
    taken(&endpoint, request).await.unwrap_or_else(Refusal::into_response)
}

async fn taken(endpoint: &Endpoint, request: http::Request<Body>) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    endpoint.check_origin(&parts.headers, parts.uri.authority())?;
    headers::check_content_type(&parts.headers)?;
    let id = parts.uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sessionId=")));
    let id = id.and_then(|id| SessionId::from_header(id.as_bytes()));
    let connection = id.and_then(|id| endpoint.oldest.0.lock().get(&id).cloned());
    let connection =
        connection.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "this connection does not exist any more"))?;
    let principal = endpoint.principal(&parts.headers)?;
    if *connection.lock().await.principal() != principal {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "this connection does not exist any more"));
    }
    let bytes = body::read(&parts.headers, body, &endpoint.limits).await?;
    connection.lock().await.take(&bytes).await;
    Ok(empty(StatusCode::ACCEPTED))
}
