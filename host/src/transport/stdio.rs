//! One client over standard input and output: a message on each line (2025-era S-01 to S-07).

use crate::protocol::Batches;
use crate::serve::{Answer, OpenError, Server};
use crate::session::{Delivery, Outlet, Session};
use crate::wire::{self, Incoming, Line, LineReader, Message, ParseError, code};
use bytes::Bytes;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Bounds of the pipe.
#[derive(Debug, Clone, Copy)]
pub struct StdioLimits {
    /// Bytes of one message.
    pub max_message_bytes: usize,
    /// How deep a message's JSON may nest.
    pub max_depth: usize,
    /// Messages that wait for a client that does not read; then it is taken for dead.
    pub max_queue: usize,
}

/// The way to the client.
struct Pipe(mpsc::Sender<Bytes>);

impl Outlet for Pipe {
    fn send(&self, message: Bytes, delivery: Delivery) -> Result<(), Bytes> {
        match (self.0.try_send(message), delivery) {
            (Ok(()), _) | (Err(mpsc::error::TrySendError::Full(_)), Delivery::MayDrop) => Ok(()),
            (Err(error), _) => Err(error.into_inner()),
        }
    }
}

/// Serves a client until its input ends or the host drains; what is under way is answered first.
pub async fn serve(
    server: Arc<Server>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    limits: StdioLimits,
) {
    let (send, receive) = mpsc::channel(limits.max_queue);
    let writer = tokio::spawn(write(output, receive));
    let mut client = Client {
        pipe: Arc::new(Pipe(send.clone())),
        replies: send,
        calls: TaskTracker::new(),
        session: None,
        server: Arc::clone(&server),
        limits,
    };
    client.read(input).await;
    client.finish().await;
    drop(client);
    // The writer ends when every sender is gone: sessions and calls that outlived the drain may hold some.
    let grace = std::time::Duration::from_millis(500);
    let _ = tokio::time::timeout(grace, writer).await;
}

/// Writes messages, as many at once as there are.
async fn write(mut output: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<Bytes>) {
    const MAX_AT_ONCE: usize = 256;
    let mut batch = Vec::with_capacity(MAX_AT_ONCE);
    let mut bytes = Vec::new();
    while messages.recv_many(&mut batch, MAX_AT_ONCE).await > 0 {
        for message in batch.drain(..) {
            bytes.extend_from_slice(&message);
            bytes.push(b'\n');
        }
        let written = async {
            output.write_all(&bytes).await?;
            output.flush().await
        };
        if let Err(error) = written.await {
            tracing::info!(%error, "the client reads no more");
            return;
        }
        bytes.clear();
        bytes.shrink_to(1 << 20);
    }
}

struct Client {
    server: Arc<Server>,
    limits: StdioLimits,
    pipe: Arc<dyn Outlet>,
    replies: mpsc::Sender<Bytes>,
    /// Calls of this client that are under way; the host's end waits for them too.
    calls: TaskTracker,
    session: Option<Arc<Session>>,
}

impl Client {
    async fn read(&mut self, mut input: impl AsyncRead + Unpin) {
        const CHUNK_BYTES: usize = 64 * 1024;
        let drain = self.server.drain().clone();
        let mut lines = LineReader::new(self.limits.max_message_bytes);
        loop {
            lines.buffer().reserve(CHUNK_BYTES);
            let read = tokio::select! {
                () = drain.draining() => return,
                read = input.read_buf(lines.buffer()) => read,
            };
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the client's input broke");
                    break;
                }
            }
            while let Some(line) = lines.next_line() {
                self.take(line).await;
            }
        }
        if let Some(line) = lines.last_line() {
            self.take(line).await;
        }
    }

    /// Waits for what is under way: as long as the host would at its end.
    async fn finish(&mut self) {
        let drain = self.server.drain().clone();
        self.calls.close();
        tokio::select! {
            () = drain.cancellation().cancelled() => {}
            () = self.calls.wait() => {}
        }
        if let Some(session) = self.session.take() {
            session.close();
        }
    }

    async fn reply(&self, reply: Bytes) {
        // A full queue makes us wait, and the client's input with us; a closed one means that nobody reads.
        let _ = self.replies.send(reply).await;
    }

    async fn take(&mut self, line: Line) {
        let bytes = match line {
            Line::Message(bytes) => bytes,
            Line::TooLong => {
                let max = self.limits.max_message_bytes;
                let message = format!("the message has more than {max} bytes");
                return self.reply(wire::error_reply(None, code::INVALID_REQUEST, &message, None)).await;
            }
        };
        match wire::parse(&bytes, self.limits.max_depth) {
            Ok(Incoming::One(message)) => {
                if let Some(answer) = self.message(message).await {
                    self.deliver(answer).await;
                }
            }
            Ok(Incoming::Batch(messages)) => self.batch(messages).await,
            Err(error) => self.reply(parse_error_reply(&error)).await,
        }
    }

    /// Takes one message, and gives the answer to a request.
    async fn message(&mut self, message: Message<'_>) -> Option<Answer> {
        let Some(session) = &self.session else {
            return self.before_session(message);
        };
        match message {
            Message::Request(request) => Some(self.server.request(session, &request, &self.pipe)),
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
        match self.server.open_over_pipe(&request, Arc::clone(&self.pipe)) {
            Ok((session, reply)) => {
                self.session = Some(session);
                Some(Answer::Now(reply))
            }
            Err(OpenError::Refused(reply) | OpenError::Unavailable(reply)) => Some(Answer::Now(reply)),
        }
    }

    fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        self.server.drain().spawn_work(self.calls.track_future(call));
    }

    async fn deliver(&mut self, answer: Answer) {
        match answer {
            Answer::Now(reply) => self.reply(reply).await,
            Answer::Later(answer) => {
                let replies = self.replies.clone();
                self.spawn(async move {
                    if let Some(reply) = answer.await {
                        let _ = replies.send(reply).await;
                    }
                });
            }
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
                Ok(message) => answers.extend(self.message(message).await),
                Err(error) => answers.push(Answer::Now(parse_error_reply(&error))),
            }
        }
        if answers.is_empty() {
            return;
        }
        let replies = self.replies.clone();
        self.spawn(async move {
            if let Some(batch) = super::http::gather(answers).await {
                let _ = replies.send(batch).await;
            }
        });
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
