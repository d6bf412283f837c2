//! The real standard output, for results.

use serde_json::Value;
use std::fs::File;
use std::io::{self, Write as _};

/// Where results are printed.
pub(super) struct Output(File);

impl Output {
    pub(super) fn new(stdout: File) -> Self {
        Self(stdout)
    }

    pub(super) fn into_file(self) -> File {
        self.0
    }

    /// Prints a text and a line break.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.0, "{text}")
    }

    /// Prints JSON for people and programs alike.
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.line(&serde_json::to_string_pretty(value)?)
    }

    /// Prints bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}
