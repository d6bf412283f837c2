//! The socket to a worker process: frames are written by whoever sends them while the socket takes them, and by one task when
//! it did not.

use super::system::HostEnd;
use super::{Frame, FrameError, Kind};
use crate::call::Failure;
use bytes::{Buf as _, BytesMut};
use parking_lot::Mutex;
use std::io;
use tokio::sync::Notify;

/// A socket and what waits to be written to it.
pub(super) struct Pipe {
    stream: HostEnd,
    outgoing: Mutex<Outgoing>,
    /// There is room again, or something to write.
    to_write: Notify,
}

/// What goes to the worker.
#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    /// Taken to be written, as far as that went.
    begun: (Vec<u8>, usize),
    /// Somebody writes, or the writer does when there is room.
    is_written: bool,
    /// The worker is gone.
    is_closed: bool,
}

/// Bytes that may wait for a worker that does not read; calls beyond them are refused.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// Why a frame is not sent.
pub(super) enum Unsent {
    /// The worker is gone.
    Closed,
    /// Too much waits already.
    Full,
    /// The worker asks, and does not read the answers.
    Unread,
}

impl From<Unsent> for Failure {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Closed => Self::Stopped,
            Unsent::Full | Unsent::Unread => Self::Busy,
        }
    }
}

impl Pipe {
    pub(super) fn new(stream: HostEnd) -> Self {
        Self { stream, outgoing: Mutex::default(), to_write: Notify::new() }
    }

    /// Sends a frame: written here and now if the socket takes it, by [`Pipe::write_all`] otherwise.
    ///
    /// # Errors
    /// [`Unsent::Closed`] after [`Pipe::close`]. Where more than 64 MiB wait, [`Unsent::Full`] for a call, [`Unsent::Unread`]
    /// for an answer.
    pub(super) fn send(&self, frame: &Frame<'_>) -> Result<(), Unsent> {
        {
            let mut outgoing = self.outgoing.lock();
            if outgoing.is_closed {
                return Err(Unsent::Closed);
            }
            if outgoing.bytes.len() > MAX_WAITING_BYTES {
                match frame.kind {
                    Kind::Call => return Err(Unsent::Full),
                    Kind::Answer | Kind::NoAnswer => return Err(Unsent::Unread),
                    // The others are small, and one for each call at most.
                    _ => {}
                }
            }
            frame.write(&mut outgoing.bytes);
            if outgoing.is_written {
                return Ok(());
            }
            outgoing.is_written = true;
        }
        self.write();
        Ok(())
    }

    /// Nothing is sent any more.
    pub(super) fn close(&self) {
        self.outgoing.lock().is_closed = true;
    }

    /// Writes what waits, as far as the socket takes it. To be called by the one who writes.
    fn write(&self) {
        let (mut bytes, mut at) = std::mem::take(&mut self.outgoing.lock().begun);
        loop {
            while at < bytes.len() {
                match self.stream.try_write(&bytes[at..]) {
                    Ok(written) => at += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.outgoing.lock().begun = (bytes, at);
                        self.to_write.notify_one();
                        return;
                    }
                    // The reader sees the end, and tells it.
                    Err(_) => at = bytes.len(),
                }
            }
            bytes.clear();
            at = 0;
            let mut outgoing = self.outgoing.lock();
            if outgoing.bytes.is_empty() {
                outgoing.is_written = false;
                return;
            }
            // The room of the one is the other's from now on.
            std::mem::swap(&mut outgoing.bytes, &mut bytes);
        }
    }

    /// Writes what did not fit into the socket, whenever there is room. Ends when the socket is broken.
    ///
    /// # Cancel safety
    /// When the future is dropped, what did not fit may wait for ever: the process is given up then.
    pub(super) async fn write_all(&self) {
        loop {
            self.to_write.notified().await;
            if self.stream.writable().await.is_err() {
                return;
            }
            self.write();
        }
    }

    /// Reads frames, of which the first bytes are in `received` already, until the worker ends.
    ///
    /// # Errors
    /// What is no frame.
    ///
    /// # Cancel safety
    /// Frames that came whole were taken; the others are in `received`.
    pub(super) async fn read_all(
        &self,
        received: &mut BytesMut,
        mut take: impl FnMut(&Frame<'_>),
    ) -> Result<(), FrameError> {
        loop {
            while let Some((frame, taken)) = Frame::read(received)? {
                take(&frame);
                received.advance(taken);
            }
            match self.stream.read_some(received).await {
                Ok(0) | Err(_) => return Ok(()),
                Ok(_) => {}
            }
        }
    }
}
