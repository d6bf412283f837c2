//! Messages between a host and its worker processes: one shape for all of them, bounded, read without copying.
//!
//! A frame is its length (`u32`, of what follows), its kind (`u8`), the call (`u64`) and the request (`u32`) that it is about,
//! two words with their lengths (`u16`, `u32`), and a payload that fills the rest. All numbers are little-endian. What a
//! frame of a kind has in its fields stands beside the kind; a field that has no meaning there is zero or empty.

use std::str;

/// What a frame says. Numbers are never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Host, first: how the worker is to confine itself, and what it is to open. Payload: `Opening`, as JSON.
    Open = 1,
    /// Worker: the library is mapped and fits. Payload: `Opened`, as JSON.
    Opened = 2,
    /// Host: start the plugin. Request: the levels that are logged; payload: its configuration.
    Start = 3,
    /// Worker: the plugin has started. Payload: what it offers.
    Started = 4,
    /// Worker: it cannot do what it was told last. Word: a kind of failure; name: why.
    Refused = 5,
    /// Host: a call. Word: the operation; name: the name; payload: the payload.
    Call = 6,
    /// Worker: the answer to a call. Request: 1 if the call is over with it.
    Reply = 7,
    /// Worker: why a call has no answer. Request: as of a reply; word: a kind of failure; name: the message; payload: data.
    Failed = 8,
    /// Worker: an answered call is truly over now.
    Over = 9,
    /// Host: nobody waits for the call's answer any more.
    Cancel = 10,
    /// Worker: a notification of a call, or of the plugin where the call is 0. Word: the operation.
    Notify = 11,
    /// Worker: a request of a call. Request: its number; word: the operation.
    Request = 12,
    /// Worker: a query of a call. Request: its number; word: the operation.
    Query = 13,
    /// Worker: nobody waits for the answer to a request any more.
    Withdraw = 14,
    /// Host: the answer to a request or a query.
    Answer = 15,
    /// Host: why a request has no answer, as of a failed call; or that a query has none.
    NoAnswer = 16,
    /// Worker: an event of the log. Request: its level.
    Log = 17,
    /// Host: what does the plugin offer now?
    Manifest = 18,
    /// Worker: what it offers, in the payload.
    Offers = 19,
    /// Host: end the plugin. Request: its grace in milliseconds.
    Stop = 20,
    /// Worker: the plugin has ended. Name: why not as it should, or nothing.
    Stopped = 21,
}

impl Kind {
    const ALL: [Self; 21] = [
        Self::Open,
        Self::Opened,
        Self::Start,
        Self::Started,
        Self::Refused,
        Self::Call,
        Self::Reply,
        Self::Failed,
        Self::Over,
        Self::Cancel,
        Self::Notify,
        Self::Request,
        Self::Query,
        Self::Withdraw,
        Self::Answer,
        Self::NoAnswer,
        Self::Log,
        Self::Manifest,
        Self::Offers,
        Self::Stop,
        Self::Stopped,
    ];

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// A message. What it borrows is a buffer, or what is about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it says.
    pub kind: Kind,
    /// The call that it is about.
    pub call: u64,
    /// The request that it is about, or a number.
    pub request: u32,
    /// A word.
    pub word: &'a str,
    /// A name or a text.
    pub name: &'a str,
    /// Bytes.
    pub payload: &'a [u8],
}

/// Why bytes are not frames. The other side is broken, and nothing after them can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is longer than allowed.
    #[error("a frame of {found} bytes, {MAX_FRAME_BYTES} are allowed")]
    TooLong {
        /// How long it says it is.
        found: usize,
    },
    /// Its parts do not fit into it.
    #[error("a frame that ends too soon")]
    TooShort,
    /// A number that no kind has.
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
    /// A word that is not UTF-8.
    #[error("a frame with a word that is not UTF-8")]
    NotText,
}

/// Bytes of a frame, its length left out. A plugin's result may be larger than its client is shown: so the client is told why.
pub(super) const MAX_FRAME_BYTES: usize = 128 << 20;

/// Bytes before the words.
const HEAD: usize = 1 + 8 + 4 + 2 + 4;

impl<'a> Frame<'a> {
    /// A frame of a kind, about a call.
    #[must_use]
    pub fn of(kind: Kind, call: u64) -> Self {
        Self { kind, call, request: 0, word: "", name: "", payload: b"" }
    }

    /// Appends the frame to `out`. Words that are too long for their lengths are cut.
    pub fn write(&self, out: &mut Vec<u8>) {
        let word = &self.word.as_bytes()[..self.word.len().min(usize::from(u16::MAX))];
        let length = HEAD + word.len() + self.name.len() + self.payload.len();
        out.reserve(4 + length);
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.push(self.kind as u8);
        out.extend_from_slice(&self.call.to_le_bytes());
        out.extend_from_slice(&self.request.to_le_bytes());
        out.extend_from_slice(&(word.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.name.len() as u32).to_le_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(self.payload);
    }

    /// Whether the other side takes it.
    #[must_use]
    pub fn fits(&self) -> bool {
        HEAD + self.word.len() + self.name.len() + self.payload.len() <= MAX_FRAME_BYTES
    }

    /// The first frame of `bytes` and how many of them it takes; nothing where it is not all there yet.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn read(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong { found: length });
        }
        if length < HEAD {
            return Err(FrameError::TooShort);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let mut parts = Parts(body);
        let number = u8::from_le_bytes(parts.array()?);
        let kind = Kind::of(number).ok_or(FrameError::UnknownKind(number))?;
        let call = u64::from_le_bytes(parts.array()?);
        let request = u32::from_le_bytes(parts.array()?);
        let word_length = usize::from(u16::from_le_bytes(parts.array()?));
        let name_length = u32::from_le_bytes(parts.array()?) as usize;
        let (word, name) = (parts.text(word_length)?, parts.text(name_length)?);
        Ok(Some((Self { kind, call, request, word, name, payload: parts.0 }, 4 + length)))
    }
}

/// What is left of a frame.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(FrameError::TooShort)?;
        self.0 = rest;
        Ok(*array)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, FrameError> {
        let (text, rest) = self.0.split_at_checked(length).ok_or(FrameError::TooShort)?;
        self.0 = rest;
        str::from_utf8(text).map_err(|_| FrameError::NotText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Frame<'static> {
        Frame { request: 7, word: "tool", name: "echo", payload: b"{\"text\":\"hi\"}", ..Frame::of(Kind::Call, 42) }
    }

    #[test]
    fn a_frame_is_read_as_it_was_written_and_not_before_all_of_it_is_there() {
        let mut bytes = Vec::new();
        call().write(&mut bytes);
        Frame::of(Kind::Cancel, 42).write(&mut bytes);
        let (first, taken) = Frame::read(&bytes).unwrap().unwrap();
        assert_eq!((first, taken), (call(), 4 + HEAD + "toolecho".len() + 13));
        assert_eq!(Frame::read(&bytes[taken..]), Ok(Some((Frame::of(Kind::Cancel, 42), 4 + HEAD))));
        for end in 0..taken {
            assert_eq!(Frame::read(&bytes[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn every_kind_has_its_number() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!((kind as usize, Kind::of(kind as u8)), (index + 1, Some(kind)));
        }
        assert_eq!((Kind::of(0), Kind::of(22)), (None, None));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert_eq!(Frame::read(&u32::MAX.to_le_bytes()), Err(FrameError::TooLong { found: u32::MAX as usize }));
        assert_eq!(Frame::read(&3u32.to_le_bytes()), Err(FrameError::TooShort));
        let mut bytes = Vec::new();
        call().write(&mut bytes);
        let with = |at: usize, value: u8| {
            let mut spoilt = bytes.clone();
            spoilt[at] = value;
            Frame::read(&spoilt).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(4, 99), FrameError::UnknownKind(99));
        assert_eq!(with(4 + 1 + 8 + 4 + 1, 0xff), FrameError::TooShort, "a word that is longer than the frame");
        assert_eq!(with(4 + HEAD, 0xff), FrameError::NotText);
    }
}
