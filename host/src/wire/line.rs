//! Newline frames (2025-era S-01): bytes go in as they come, whole lines come out.

use bytes::{Bytes, BytesMut};

/// Cuts a stream of bytes into lines. `\r\n` and blank lines are accepted; a line beyond the limit is skipped whole.
#[derive(Debug)]
pub struct LineReader {
    buffer: BytesMut,
    /// Bytes of `buffer` that are known to hold no newline.
    searched: usize,
    max_bytes: usize,
    skipping: bool,
}

/// What stands on a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A message, without its newline.
    Message(Bytes),
    /// More than the limit; its bytes are gone.
    TooLong,
}

impl LineReader {
    /// A reader of lines of at most `max_bytes`, without the newline.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, max_bytes, skipping: false }
    }

    /// The buffer to append bytes to.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole line, if there is one.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                if self.searched > self.max_bytes {
                    self.buffer.clear();
                    self.searched = 0;
                    self.skipping = true;
                }
                return None;
            };
            let mut line = self.buffer.split_to(self.searched + found + 1);
            self.searched = 0;
            line.truncate(line.len() - 1);
            if std::mem::take(&mut self.skipping) || line.len() > self.max_bytes {
                return Some(Line::TooLong);
            }
            if !line.trim_ascii().is_empty() {
                return Some(Line::Message(line.freeze()));
            }
        }
    }

    /// What is left when the stream ends: a last line without its newline.
    pub fn last_line(&mut self) -> Option<Line> {
        self.buffer.extend_from_slice(b"\n");
        self.next_line()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunks: &[&str], expected: &[Option<&str>]) {
        let mut reader = LineReader::new(8);
        let mut lines = Vec::new();
        for chunk in chunks {
            reader.buffer().extend_from_slice(chunk.as_bytes());
            while let Some(line) = reader.next_line() {
                lines.push(line);
            }
        }
        lines.extend(reader.last_line());
        let expected: Vec<Line> = expected
            .iter()
            .map(|line| line.map_or(Line::TooLong, |text| Line::Message(Bytes::copy_from_slice(text.as_bytes()))))
            .collect();
        assert_eq!(lines, expected, "{chunks:?}");
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        check(&["ab\ncd\n"], &[Some("ab"), Some("cd")]);
        check(&["a", "b\nc", "d"], &[Some("ab"), Some("cd")]);
        check(&["\n\n  \nab\r\n"], &[Some("ab\r")]);
    }

    #[test]
    fn a_line_at_the_limit_is_kept_and_a_longer_one_is_told_once() {
        check(&["12345678\n"], &[Some("12345678")]);
        check(&["123456789\nab\n"], &[None, Some("ab")]);
        check(&["12345", "6789", "0123456789", "\nab\n"], &[None, Some("ab")]);
    }
}
