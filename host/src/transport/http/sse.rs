//! Streams of events: a reader of a session's stream, written as Server-Sent Events.

use crate::outlet::{Read, Reader};
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use std::time::Duration;

/// How a stream is written.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// How an event looks.
    pub(super) form: Form,
    /// What comes before all events.
    pub(super) opening: Option<Bytes>,
    /// How often an idle stream gets a comment.
    pub(super) keep_alive: Duration,
}

/// How an event looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// With an id, `<stream>-<event>`, from which the client can resume (2025-era H-17).
    Resumable {
        /// The number of the stream.
        stream: u64,
    },
    /// With a name and without an id (2025-era HS-03).
    Plain,
}

/// The empty event that comes first, so that the client can resume (2025-era H-09).
pub(super) fn priming(stream: u64) -> Bytes {
    Bytes::from(format!("id: {stream}-0\ndata: \n\n"))
}

/// A response that follows a stream to its end.
pub(super) fn response(reader: Reader, style: Style) -> Response<Body> {
    response_with(reader, style, ())
}

/// As [`response`]; `guard` is dropped when the response is no longer written.
pub(super) fn response_with(reader: Reader, mut style: Style, guard: impl Send + 'static) -> Response<Body> {
    let state = Writer { reader: Some(reader), opening: style.opening.take(), style, _guard: guard };
    let chunks = stream::unfold(state, |mut writer| async move {
        let chunk = writer.next().await?;
        Some((Ok::<_, Infallible>(chunk), writer))
    });
    event_stream(Body::from_stream(chunks))
}

/// A stream without events, for a request that was cancelled.
pub(super) fn ended() -> Response<Body> {
    event_stream(Body::empty())
}

/// A response whose body is a stream of events.
pub(super) fn event_stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Proxies that buffer would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Writer<G> {
    /// Gone when nothing follows any more.
    reader: Option<Reader>,
    opening: Option<Bytes>,
    style: Style,
    _guard: G,
}

impl<G> Writer<G> {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(opening) = self.opening.take() {
            return Some(opening);
        }
        let reader = self.reader.as_mut()?;
        let Ok(read) = tokio::time::timeout(self.style.keep_alive, reader.next()).await else {
            return Some(keep_alive());
        };
        match read {
            Read::Message(number, message) => Some(event(self.style.form, number, &message)),
            Read::Release(retry) => {
                self.reader = None;
                Some(Bytes::from(format!("retry: {}\n\n", retry.as_millis())))
            }
            Read::Finished | Read::Replaced => None,
            Read::TooSlow => {
                tracing::info!("a client was too slow for its stream and was disconnected");
                None
            }
        }
    }
}

/// What keeps an idle stream alive: a comment.
pub(super) fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

/// One message as an event without an id: nothing can be resumed (2026-07-28 H-14).
pub(super) fn unnumbered(message: &[u8]) -> Bytes {
    [b"data: ", message, b"\n\n"].concat().into()
}

/// One message as an event. Messages of ours have no line breaks.
fn event(form: Form, number: u64, message: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(message.len() + 48);
    match form {
        Form::Resumable { stream } => event.extend_from_slice(format!("id: {stream}-{number}\ndata: ").as_bytes()),
        Form::Plain => event.extend_from_slice(b"event: message\ndata: "),
    }
    event.extend_from_slice(message);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// The stream and the event that an event id names.
pub(super) fn parse_event_id(id: &str) -> Option<(u64, u64)> {
    let (stream, event) = id.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(stream) || !digits(event) {
        return None;
    }
    Some((stream.parse().ok()?, event.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_name_stream_and_event() {
        assert_eq!(parse_event_id("3-14"), Some((3, 14)));
        for id in ["", "3", "3-", "-3", "3-x", "+3-1", "3-1-1", "99999999999999999999-1"] {
            assert_eq!(parse_event_id(id), None, "{id}");
        }
    }
}
