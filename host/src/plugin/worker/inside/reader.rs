//! What comes from the host.

use crate::plugin::worker::system::Incoming;
use crate::plugin::worker::{Frame, FrameError};
use std::io::{self, Read as _};

/// Frames of the host, in their order.
pub(super) struct Reader {
    stream: Incoming,
    buffer: Vec<u8>,
    /// Where what is not read yet begins.
    start: usize,
}

/// A frame that was read, with its own bytes.
pub(super) struct Received {
    bytes: Vec<u8>,
    /// More frames are here already.
    pub(super) has_more: bool,
}

impl Received {
    pub(super) fn frame(&self) -> Result<Frame<'_>, FrameError> {
        Frame::read(&self.bytes)?.map(|(frame, _)| frame).ok_or(FrameError::TooShort)
    }
}

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

impl Reader {
    pub(super) fn new(stream: Incoming) -> Self {
        Self { stream, buffer: Vec::new(), start: 0 }
    }

    /// The next frame; nothing when the host is gone.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub(super) fn next(&mut self) -> io::Result<Option<Received>> {
        loop {
            if let Some(taken) = self.complete()? {
                let bytes = self.buffer[self.start..self.start + taken].to_vec();
                self.start += taken;
                return Ok(Some(Received { bytes, has_more: self.complete()?.is_some() }));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// How many bytes the next frame has, if it is all here.
    fn complete(&self) -> io::Result<Option<usize>> {
        let read = Frame::read(&self.buffer[self.start..]);
        read.map(|frame| frame.map(|(_, taken)| taken)).map_err(|error| io::Error::other(error.to_string()))
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + CHUNK_BYTES, 0);
        let read = loop {
            match self.stream.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + read.as_ref().copied().unwrap_or(0));
        read
    }
}
