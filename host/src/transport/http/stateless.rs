//! Requests that stand for themselves: one POST each, answered as JSON or as a stream (2026-07-28 H-01 to H-18).

use super::Endpoint;
use super::headers::Accepts;
use super::mirror::HeaderMirror;
use super::refusal::{Refusal, empty, json};
use super::sse;
use crate::call::Principal;
use crate::outlet::{EventStream, Outlet, Position, Read, Reader};
use crate::protocol::{RequestMeta, Standing};
use crate::serve::{Reply, StatelessAnswer, StatelessRequest, Subscription};
use crate::wire::{Message, Request};
use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

type Later = Pin<Box<dyn Future<Output = Option<Reply>> + Send>>;

impl Endpoint {
    /// Takes a message that stands for itself.
    pub(super) async fn stateless(
        &self,
        headers: &HeaderMap,
        message: Message<'_>,
        meta: &RequestMeta<'_>,
        principal: &Principal,
        accepts: Accepts,
    ) -> Result<Response<Body>, Refusal> {
        match message {
            Message::Request(request) => Ok(self.stateless_request(headers, &request, meta, principal, accepts).await),
            // None has a meaning here: a client cancels by leaving (2026-07-28 H-03).
            Message::Notification(_) => Ok(empty(StatusCode::ACCEPTED)),
            Message::Response(_) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, "this server asks nothing that is answered in this way"))
            }
        }
    }

    async fn stateless_request(
        &self,
        headers: &HeaderMap,
        request: &Request<'_>,
        meta: &RequestMeta<'_>,
        principal: &Principal,
        accepts: Accepts,
    ) -> Response<Body> {
        let stream = EventStream::new(self.limits.stateless_stream);
        let outlet: Arc<dyn Outlet> = Arc::new(stream.clone());
        let mirror = HeaderMirror(headers);
        let asked = StatelessRequest { request, meta, principal, mirror: Some(&mirror) };
        match self.server.stateless(asked, &outlet) {
            // A refusal has its status, whatever its client accepts; so has a reply that nothing else can be told with.
            StatelessAnswer::Now(reply)
                if reply.standing != Standing::Answered
                    || accepts == Accepts::Json
                    || (accepts == Accepts::Both && stream.is_empty()) =>
            {
                plain(reply)
            }
            StatelessAnswer::Now(reply) => {
                stream.finish(Some(reply.bytes));
                self.streamed(&stream, None)
            }
            StatelessAnswer::Later(answer, _) => {
                // A task of its own, which ends with the response: a client that does not read holds up its stream, not the
                // call, whose deadline goes on.
                let call = AbortOnDropHandle::new(tokio::spawn(self.server.drain().track_work(answer)));
                self.later(async { call.await.ok().flatten() }, &stream, accepts).await
            }
            StatelessAnswer::Listen(_) if accepts == Accepts::Json => {
                Refusal::new(StatusCode::NOT_ACCEPTABLE, "accept text/event-stream to hear of changes").into_response()
            }
            StatelessAnswer::Listen(subscription) => changes(subscription, self.limits.keep_alive),
        }
    }

    /// Waits for what a call says first: an answer alone has a status of its own, anything else is a stream. The response
    /// holds the call, so that a client that leaves cancels it (2026-07-28 H-17).
    async fn later(
        &self,
        answer: impl Future<Output = Option<Reply>> + Send + 'static,
        stream: &EventStream,
        accepts: Accepts,
    ) -> Response<Body> {
        let mut answer: Later = Box::pin(answer);
        // What comes before the answer has no place in it.
        if accepts == Accepts::Json {
            return match answer.await {
                Some(reply) => plain(reply),
                None => empty(StatusCode::ACCEPTED),
            };
        }
        let is_plain = |reply: &Reply| accepts == Accepts::Both || reply.standing != Standing::Answered;
        tokio::select! {
            biased;
            reply = &mut answer => match reply {
                Some(reply) if stream.is_empty() && is_plain(&reply) => plain(reply),
                reply => {
                    stream.finish(reply.map(|reply| reply.bytes));
                    self.streamed(stream, None)
                }
            },
            () = stream.readable() => self.streamed(stream, Some(answer)),
            // With nothing to say, a stream shows both sides that the other is still there.
            () = tokio::time::sleep(self.limits.keep_alive) => self.streamed(stream, Some(answer)),
        }
    }

    /// A response that follows what a call says, and holds the call while it does.
    fn streamed(&self, stream: &EventStream, answer: Option<Later>) -> Response<Body> {
        let Some(reader) = stream.read_from(Position(0)) else {
            return sse::ended();
        };
        let writer = Writer { reader, stream: stream.clone(), answer, keep_alive: self.limits.keep_alive };
        let chunks = stream::unfold(writer, |mut writer| async move {
            let chunk = writer.next().await?;
            Some((Ok::<_, Infallible>(chunk), writer))
        });
        sse::event_stream(Body::from_stream(chunks))
    }
}

/// A reply with the status of its standing (2026-07-28 H-11).
fn plain(reply: Reply) -> Response<Body> {
    let status = match reply.standing {
        Standing::Answered => StatusCode::OK,
        Standing::Unacceptable => StatusCode::BAD_REQUEST,
        Standing::UnknownMethod => StatusCode::NOT_FOUND,
        Standing::Unavailable => {
            return Refusal::with_reply(StatusCode::SERVICE_UNAVAILABLE, reply.bytes).into_response();
        }
    };
    json(status, reply.bytes)
}

/// Writes what a call says, and holds it.
struct Writer {
    reader: Reader,
    stream: EventStream,
    answer: Option<Later>,
    keep_alive: Duration,
}

impl Writer {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let (reader, answer) = (&mut self.reader, &mut self.answer);
            let ended = async {
                match answer {
                    Some(answer) => answer.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                read = reader.next() => {
                    return match read {
                        Read::Message(_, message) => Some(sse::unnumbered(&message)),
                        Read::TooSlow => {
                            tracing::info!("a client was too slow for its stream and was disconnected");
                            None
                        }
                        Read::Release(_) | Read::Finished | Read::Replaced => None,
                    };
                }
                reply = ended => {
                    self.answer = None;
                    self.stream.finish(reply.map(|reply| reply.bytes));
                }
                () = tokio::time::sleep(self.keep_alive) => return Some(sse::keep_alive()),
            }
        }
    }
}

/// A response that tells of changes until the client leaves or the host ends.
fn changes(subscription: Subscription, keep_alive: Duration) -> Response<Body> {
    let chunks = stream::unfold(subscription, move |mut subscription| async move {
        let chunk = match tokio::time::timeout(keep_alive, subscription.next()).await {
            Ok(message) => sse::unnumbered(&message?),
            Err(_) => sse::keep_alive(),
        };
        Some((Ok::<_, Infallible>(chunk), subscription))
    });
    sse::event_stream(Body::from_stream(chunks))
}
