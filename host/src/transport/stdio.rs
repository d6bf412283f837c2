//! One client over standard input and output: a message on each line (2025-era S-01 to S-07, 2026-07-28 S-01 to S-05).

use super::duplex::{Duplex, Replies, Spoken};
use crate::call::Principal;
use crate::outlet::{Delivery, Outlet};
use crate::serve::Server;
use crate::wire::{self, Line, LineReader, code};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// Bounds of the pipe.
#[derive(Debug, Clone, Copy)]
pub struct StdioLimits {
    /// Bytes of one message.
    pub max_message_bytes: usize,
    /// How deep a message's JSON may nest.
    pub max_depth: usize,
    /// Messages that wait for a client that does not read; what comes beyond them is lost, but for replies, which wait.
    pub max_queue: usize,
    /// How long calls may finish when the input has ended.
    pub finish_timeout: Duration,
}

/// The way to the client.
#[derive(Clone)]
struct Pipe(mpsc::Sender<Bytes>);

impl Outlet for Pipe {
    fn send(&self, message: Bytes, delivery: Delivery) -> Result<(), Bytes> {
        match (self.0.try_send(message), delivery) {
            (Ok(()), _) | (Err(mpsc::error::TrySendError::Full(_)), Delivery::MayDrop) => Ok(()),
            (Err(error), _) => Err(error.into_inner()),
        }
    }
}

impl Replies for Pipe {
    async fn reply(&self, reply: Bytes) {
        // A full queue makes us wait, and the client's input with us; a closed one means that nobody reads.
        let _ = self.0.send(reply).await;
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
    let pipe = Pipe(send);
    let spoken = Spoken { protocols: server.protocols(), principal: Principal::Owner, max_depth: limits.max_depth };
    let mut client = Duplex::new(Arc::clone(&server), spoken, Arc::new(pipe.clone()), pipe);
    read(&server, &mut client, input, limits).await;
    client.finish(limits.finish_timeout).await;
    drop(client);
    // The writer ends when every sender is gone: calls that outlived the drain may hold some.
    let grace = Duration::from_millis(500);
    let _ = tokio::time::timeout(grace, writer).await;
}

/// Reads lines until the input ends or the work of the host is finished: while it drains, new work is refused, and answers
/// to questions are taken.
async fn read(server: &Server, client: &mut Duplex<Pipe>, mut input: impl AsyncRead + Unpin, limits: StdioLimits) {
    const CHUNK_BYTES: usize = 64 * 1024;
    let drain = server.drain().clone();
    let mut lines = LineReader::new(limits.max_message_bytes);
    loop {
        lines.buffer().reserve(CHUNK_BYTES);
        let read = tokio::select! {
            () = drain.work_finished() => return,
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
            take(client, line, limits).await;
        }
    }
    if let Some(line) = lines.last_line() {
        take(client, line, limits).await;
    }
}

async fn take(client: &mut Duplex<Pipe>, line: Line, limits: StdioLimits) {
    match line {
        Line::Message(bytes) => client.take(&bytes).await,
        Line::TooLong => {
            let message = format!("the message has more than {} bytes", limits.max_message_bytes);
            client.reply(wire::error_reply(None, code::INVALID_REQUEST, &message, None)).await;
        }
    }
}

/// Writes messages, as many at once as there are.
async fn write(mut output: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<Bytes>) {
    const MAX_AT_ONCE: usize = 256;
    const KEPT_BYTES: usize = 1 << 20;
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
        bytes.shrink_to(KEPT_BYTES);
    }
}
