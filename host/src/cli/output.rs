//! The real standard output, for results: plain where a program reads, with colours and as wide as the window where a person
//! does.

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};

/// Where results are printed.
pub(super) struct Output {
    to: File,
    is_terminal: bool,
    is_coloured: bool,
    /// Columns of the window; nothing where there is none.
    width: Option<u16>,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    /// A name that a section begins with.
    Heading,
    /// Something is as it should be.
    Good,
    /// Something is not.
    Bad,
}

impl Output {
    pub(super) fn new(stdout: File) -> Self {
        let is_terminal = stdout.is_terminal();
        // https://no-color.org: set, and not empty.
        let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let width = is_terminal.then(|| terminal_size::terminal_size_of(&stdout)).flatten();
        Self {
            to: stdout,
            is_terminal,
            is_coloured: is_terminal && is_wanted && !is_dumb,
            width: width.map(|(width, _)| width.0),
        }
    }

    pub(super) fn into_file(self) -> File {
        self.to
    }

    /// Whether a person reads it.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// A text in its tone, where there are colours.
    pub(super) fn toned(&self, tone: Tone, text: &str) -> String {
        if !self.is_coloured {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Heading => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    /// Prints a text and a line break.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// Prints rows in columns, indented.
    pub(super) fn rows<const N: usize>(&mut self, rows: impl IntoIterator<Item = [String; N]>) -> io::Result<()> {
        let text = columns(rows, self.width);
        self.raw(text.as_bytes())
    }

    /// Prints JSON for people and programs alike.
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.line(&serde_json::to_string_pretty(value)?)
    }

    /// Prints bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }
}

/// Rows in columns, indented by two; with a width, the last column wraps within it.
pub(super) fn columns<const N: usize>(rows: impl IntoIterator<Item = [String; N]>, width: Option<u16>) -> String {
    const INDENT: u16 = 2;
    // Narrower, and words are letters.
    const NARROWEST: u16 = 40;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(NARROWEST) - INDENT);
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| format!("  {}", line.trim_end()).trim_end().to_owned() + "\n");
    lines.collect()
}
