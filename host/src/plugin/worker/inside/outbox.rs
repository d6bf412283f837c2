//! What goes to the host: written by whoever has something to say, many frames at a time where many say something.

use crate::plugin::worker::Frame;
use crate::plugin::worker::system::Outgoing;
use parking_lot::Mutex;
use std::io::Write as _;

/// Frames on their way to the host.
pub(super) struct Outbox {
    stream: Outgoing,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Somebody writes; what is added meanwhile is written by them.
    is_written: bool,
}

/// Bytes that may wait for a host that does not read. What is told beyond them, and not asked for, is lost.
const MAX_TOLD_BYTES: usize = 8 << 20;

impl Outbox {
    pub(super) fn new(stream: Outgoing) -> Self {
        Self { stream, waiting: Mutex::default() }
    }

    /// Adds a frame, to be written with the next that is sent.
    pub(super) fn add(&self, frame: &Frame<'_>) {
        let mut waiting = self.waiting.lock();
        if frame.fits() {
            frame.write(&mut waiting.bytes);
        } else {
            // What it was about is still told: detail and words may be lost, answers may not.
            Frame { name: "it is too large", payload: b"", ..*frame }.write(&mut waiting.bytes);
        }
    }

    /// Sends a frame. Blocks while the host does not read.
    pub(super) fn send(&self, frame: &Frame<'_>) {
        self.add(frame);
        self.flush();
    }

    /// Sends a frame that may be lost when too much waits.
    pub(super) fn tell(&self, frame: &Frame<'_>) {
        {
            let mut waiting = self.waiting.lock();
            if waiting.bytes.len() > MAX_TOLD_BYTES || !frame.fits() {
                return;
            }
            frame.write(&mut waiting.bytes);
        }
        self.flush();
    }

    /// Writes what waits, unless somebody does.
    pub(super) fn flush(&self) {
        loop {
            let mut bytes = {
                let mut waiting = self.waiting.lock();
                if waiting.is_written || waiting.bytes.is_empty() {
                    return;
                }
                waiting.is_written = true;
                std::mem::take(&mut waiting.bytes)
            };
            if (&self.stream).write_all(&bytes).is_err() {
                // The host is gone, and with it the reason for this process.
                std::process::exit(0);
            }
            bytes.clear();
            let mut waiting = self.waiting.lock();
            waiting.is_written = false;
            if waiting.bytes.is_empty() {
                // Kept, so that the next frames need no room of their own.
                waiting.bytes = bytes;
                return;
            }
        }
    }
}
