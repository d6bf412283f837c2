//! A resumable stream of messages: a bounded log that a reader follows, leaves and comes back to (2025-era H-09 to H-19).
//!
//! The idea: the writer appends events with growing numbers, whether anyone reads or not; a reader is a cursor. A
//! connection that breaks loses the reader, never the log. The newest reader wins; an older one ends. The log is bounded:
//! a reader that falls behind it is disconnected, and messages that may be dropped make room first.

use super::{Delivery, Outlet};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How much a stream holds.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// Events that are kept, delivered ones included.
    pub max_events: usize,
    /// Bytes that are kept; one event may be larger.
    pub max_bytes: usize,
}

/// A stream of messages to a client. Cheap to clone.
#[derive(Clone)]
pub struct EventStream {
    shared: Arc<Shared>,
}

struct Shared {
    limits: StreamLimits,
    state: Mutex<State>,
    changed: Notify,
}

/// One lock, because events, end and reader must change together.
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// The number of the next event. Events count from 1; 0 is the empty event that primes a stream.
    next: u64,
    /// Numbers below this are gone, and readers that have not got there are too slow.
    lost_below: u64,
    finished_at: Option<Instant>,
    release: Option<Duration>,
    reader: u64,
    attached: bool,
    /// When the last reader left.
    left_at: Option<Instant>,
    /// The last message that any reader took.
    delivered: Position,
}

struct Event {
    number: u64,
    message: Bytes,
    delivery: Delivery,
}

/// Where a reader begins: behind the event of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// What a reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// A message and its number.
    Message(u64, Bytes),
    /// The connection is to be freed; the client comes back after this time.
    Release(Duration),
    /// The stream has ended, and all of it was read.
    Finished,
    /// Another reader has come.
    Replaced,
    /// The reader was too slow: messages it had not read are gone.
    TooSlow,
}

impl EventStream {
    /// An empty stream.
    #[must_use]
    pub fn new(limits: StreamLimits) -> Self {
        let state = State {
            events: VecDeque::new(),
            bytes: 0,
            next: 1,
            lost_below: 0,
            finished_at: None,
            release: None,
            reader: 0,
            attached: false,
            left_at: None,
            delivered: Position(0),
        };
        Self { shared: Arc::new(Shared { limits, state: Mutex::new(state), changed: Notify::new() }) }
    }

    /// Appends the last message and ends the stream, at once: nobody sees the one without the other.
    pub fn finish(&self, last: Option<Bytes>) {
        {
            let mut state = self.shared.state.lock();
            if let Some(last) = last
                && state.finished_at.is_none()
            {
                state.append(last, Delivery::MustKeep, self.shared.limits);
            }
            state.finished_at.get_or_insert_with(Instant::now);
        }
        self.shared.changed.notify_waiters();
    }

    /// When it ended.
    #[must_use]
    pub fn finished_at(&self) -> Option<Instant> {
        self.shared.state.lock().finished_at
    }

    /// Whether a reader follows it now.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.shared.state.lock().attached
    }

    /// Follows the stream from behind `position`; an earlier reader ends.
    #[must_use]
    pub fn read_from(&self, position: Position) -> Option<Reader> {
        let mut state = self.shared.state.lock();
        let known = position.0 < state.next && position.0 + 1 >= state.lost_below;
        if !known {
            return None;
        }
        if state.reader > 0 {
            // Whoever comes back wants the rest, not to be sent away again.
            state.release = None;
        }
        state.reader += 1;
        state.attached = true;
        let reader = Reader { stream: self.clone(), generation: state.reader, read: position.0 };
        drop(state);
        self.shared.changed.notify_waiters();
        Some(reader)
    }

    /// Follows the stream from its oldest message that is still there and was never read.
    #[must_use]
    pub fn follow(&self) -> Option<Reader> {
        let position = self.shared.state.lock().delivered;
        self.read_from(position).or_else(|| {
            let oldest = self.shared.state.lock().lost_below;
            self.read_from(Position(oldest.saturating_sub(1)))
        })
    }

    /// Takes the only event of a stream that has ended with it: an answer that needs no stream.
    #[must_use]
    pub fn take_only_answer(&self) -> Option<Bytes> {
        let state = self.shared.state.lock();
        match (state.finished_at, state.next, state.events.front()) {
            (Some(_), 2, Some(only)) => Some(only.message.clone()),
            _ => None,
        }
    }

    /// Whether nothing was ever sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.state.lock().next == 1
    }

    /// Resolves when the stream has ended.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn finished(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.finished_at().is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Resolves when there is something to read, the stream has ended, or it is to be released.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn readable(&self) {
        loop {
            let changed = self.shared.changed.notified();
            {
                let state = self.shared.state.lock();
                if state.next > 1 || state.finished_at.is_some() || state.release.is_some() {
                    return;
                }
            }
            changed.await;
        }
    }
}

impl Outlet for EventStream {
    fn send(&self, message: Bytes, delivery: Delivery) -> Result<(), Bytes> {
        let mut state = self.shared.state.lock();
        if state.finished_at.is_some() {
            return Err(message);
        }
        state.append(message, delivery, self.shared.limits);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(())
    }

    fn release(&self, retry: Duration) {
        let mut state = self.shared.state.lock();
        if state.finished_at.is_none() {
            state.release = Some(retry);
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    fn unfollowed_for(&self) -> Option<Duration> {
        let state = self.shared.state.lock();
        state.left_at.filter(|_| !state.attached).map(|left| left.elapsed())
    }
}

impl State {
    /// Appends an event, and makes room for it.
    fn append(&mut self, message: Bytes, delivery: Delivery, limits: StreamLimits) {
        let number = self.next;
        self.next += 1;
        self.bytes += message.len();
        self.events.push_back(Event { number, message, delivery });
        while self.events.len() > 1 && (self.events.len() > limits.max_events || self.bytes > limits.max_bytes) {
            self.make_room();
        }
    }

    /// Removes the oldest event that may be dropped, or else the oldest; never the newest.
    fn make_room(&mut self) {
        let older = self.events.len() - 1;
        let index = self.events.iter().take(older).position(|event| event.delivery == Delivery::MayDrop).unwrap_or(0);
        if let Some(event) = self.events.remove(index) {
            self.bytes -= event.message.len();
            // What may be dropped is not missed: a reader passes over its number.
            if event.delivery == Delivery::MustKeep {
                self.lost_below = event.number + 1;
            }
        }
    }
}

/// Follows a stream. Dropping it leaves the stream as it is.
pub struct Reader {
    stream: EventStream,
    generation: u64,
    read: u64,
}

impl Reader {
    /// The next thing to read.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken from the stream.
    pub async fn next(&mut self) -> Read {
        loop {
            let shared = Arc::clone(&self.stream.shared);
            let changed = shared.changed.notified();
            if let Some(read) = self.poll() {
                return read;
            }
            changed.await;
        }
    }

    fn poll(&mut self) -> Option<Read> {
        let mut state = self.stream.shared.state.lock();
        if state.reader != self.generation {
            return Some(Read::Replaced);
        }
        // Numbers that are missing inside the log were dropped on purpose; those before it were lost.
        if self.read + 1 < state.lost_below {
            return Some(Read::TooSlow);
        }
        let behind = state.events.partition_point(|event| event.number <= self.read);
        if let Some(event) = state.events.get(behind) {
            let read = Read::Message(event.number, event.message.clone());
            self.read = event.number;
            state.delivered = Position(state.delivered.0.max(self.read));
            return Some(read);
        }
        if state.finished_at.is_some() {
            return Some(Read::Finished);
        }
        state.release.take().map(Read::Release)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.stream.shared.state.lock();
        if state.reader == self.generation {
            state.attached = false;
            state.left_at = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(max_events: usize, max_bytes: usize) -> EventStream {
        EventStream::new(StreamLimits { max_events, max_bytes })
    }

    fn send(stream: &EventStream, text: &'static str, delivery: Delivery) {
        assert_eq!(stream.send(Bytes::from_static(text.as_bytes()), delivery), Ok(()));
    }

    fn message(number: u64, text: &'static str) -> Read {
        Read::Message(number, Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_reader_that_left_comes_back_behind_what_it_read() {
        let stream = stream(10, 1000);
        let mut reader = stream.read_from(Position(0)).unwrap();
        send(&stream, "a", Delivery::MayDrop);
        assert_eq!(reader.next().await, message(1, "a"));
        drop(reader);
        assert!(!stream.is_attached());
        send(&stream, "b", Delivery::MayDrop);
        stream.finish(Some(Bytes::from_static(b"end")));
        let mut reader = stream.read_from(Position(1)).unwrap();
        assert_eq!(reader.next().await, message(2, "b"));
        assert_eq!(reader.next().await, message(3, "end"));
        assert_eq!(reader.next().await, Read::Finished);
    }

    #[tokio::test]
    async fn a_second_reader_replaces_the_first() {
        let stream = stream(10, 1000);
        let mut first = stream.read_from(Position(0)).unwrap();
        let second = stream.read_from(Position(0)).unwrap();
        assert_eq!(first.next().await, Read::Replaced);
        drop(first);
        assert!(stream.is_attached());
        drop(second);
    }

    #[tokio::test]
    async fn a_reader_beyond_the_log_is_too_slow_and_one_at_its_edge_is_not() {
        let stream = stream(2, 1000);
        let mut slow = stream.read_from(Position(0)).unwrap();
        for text in ["a", "b"] {
            send(&stream, text, Delivery::MustKeep);
        }
        assert_eq!(slow.next().await, message(1, "a"));
        send(&stream, "c", Delivery::MustKeep);
        assert_eq!(slow.next().await, message(2, "b"));
        send(&stream, "d", Delivery::MustKeep);
        send(&stream, "e", Delivery::MustKeep);
        assert_eq!(slow.next().await, Read::TooSlow);
        assert!(stream.read_from(Position(2)).is_none());
        assert!(stream.read_from(Position(3)).is_some());
        assert!(stream.read_from(Position(6)).is_none());
    }

    #[tokio::test]
    async fn what_may_be_dropped_makes_room_for_what_must_be_kept() {
        let stream = stream(2, 1000);
        send(&stream, "ask", Delivery::MustKeep);
        send(&stream, "log", Delivery::MayDrop);
        send(&stream, "answer", Delivery::MustKeep);
        let mut reader = stream.read_from(Position(0)).unwrap();
        assert_eq!(reader.next().await, message(1, "ask"));
        assert_eq!(reader.next().await, message(3, "answer"));
    }

    #[tokio::test]
    async fn an_answer_that_drives_out_a_log_is_still_read() {
        let stream = stream(10, 8);
        let mut reader = stream.read_from(Position(0)).unwrap();
        send(&stream, "log", Delivery::MayDrop);
        stream.finish(Some(Bytes::from_static(b"a large answer")));
        assert_eq!(reader.next().await, message(2, "a large answer"));
        assert_eq!(stream.read_from(Position(0)).unwrap().next().await, message(2, "a large answer"));
    }

    #[tokio::test]
    async fn one_message_may_be_larger_than_the_log() {
        let stream = stream(10, 4);
        send(&stream, "small", Delivery::MayDrop);
        send(&stream, "much larger", Delivery::MustKeep);
        let mut reader = stream.read_from(Position(1)).unwrap();
        assert_eq!(reader.next().await, message(2, "much larger"));
    }

    #[tokio::test]
    async fn release_frees_the_reader_once() {
        let stream = stream(10, 1000);
        let mut reader = stream.read_from(Position(0)).unwrap();
        stream.release(Duration::from_millis(5));
        assert_eq!(reader.next().await, Read::Release(Duration::from_millis(5)));
        drop(reader);
        let mut reader = stream.read_from(Position(0)).unwrap();
        stream.finish(None);
        assert_eq!(reader.next().await, Read::Finished);
    }

    #[tokio::test]
    async fn a_release_before_the_first_reader_frees_that_one() {
        let stream = stream(10, 1000);
        stream.release(Duration::from_millis(5));
        let mut reader = stream.read_from(Position(0)).unwrap();
        assert_eq!(reader.next().await, Read::Release(Duration::from_millis(5)));
    }

    #[tokio::test]
    async fn an_answer_alone_needs_no_stream() {
        let alone = stream(10, 1000);
        alone.finish(Some(Bytes::from_static(b"answer")));
        assert_eq!(alone.take_only_answer(), Some(Bytes::from_static(b"answer")));
        let with_log = stream(10, 1000);
        send(&with_log, "log", Delivery::MayDrop);
        with_log.finish(Some(Bytes::from_static(b"answer")));
        assert_eq!(with_log.take_only_answer(), None);
        assert_eq!(with_log.send(Bytes::new(), Delivery::MayDrop), Err(Bytes::new()));
    }
}
