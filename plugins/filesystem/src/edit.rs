//! Replacing pieces of a text.

use mcp_plugin_api::prelude::*;
use similar::TextDiff;
use std::borrow::Cow;
use std::time::Duration;

/// One piece to replace.
#[model]
#[derive(Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Edit {
    /// The piece as it is in the file, with enough around it to be there only once.
    old_text: String,
    /// What stands there afterwards.
    new_text: String,
}

/// The text with all pieces replaced. Nothing is guessed: a piece that is missing, or there twice, is an error.
pub(crate) fn apply(text: &str, edits: &[Edit]) -> Result<String> {
    let mut text = text.to_owned();
    for (index, edit) in edits.iter().enumerate() {
        let number = index + 1;
        if edit.old_text.is_empty() {
            return Err(Error::invalid_arguments(format!("edit {number}: 'oldText' is empty")));
        }
        // Files with other line ends are met half-way, and keep their own; one that names them means them.
        let is_exact = edit.old_text.contains('\r');
        let lines = if is_exact { Cow::Borrowed(text.as_str()) } else { Cow::Owned(text.replace("\r\n", "\n")) };
        let at = match places(&lines, &edit.old_text) {
            Some((at, 1)) => at,
            None => return Err(Error::new(format!("Could not find exact match for edit:\n{}", edit.old_text))),
            Some((_, many)) => {
                return Err(Error::new(format!(
                    "edit {number}: the file has this text {many} times; give more around it"
                )));
            }
        };
        let end = at + edit.old_text.len();
        if is_exact {
            text.replace_range(at..end, &edit.new_text);
        } else {
            let (at, end) = (with_line_ends(&text, at), with_line_ends(&text, end));
            let new = edit.new_text.replace("\r\n", "\n");
            let new = if ends_in_crlf(&text, at) { new.replace('\n', "\r\n") } else { new };
            text.replace_range(at..end, &new);
        }
    }
    Ok(text)
}

/// Where a place is in a text that it was counted in without the CR of line ends: before that of a line end that begins there.
fn with_line_ends(text: &str, place: usize) -> usize {
    let line_ends = text.match_indices("\r\n").map(|(at, _)| at).enumerate();
    place + line_ends.take_while(|(before, at)| at - before < place).count()
}

/// Where a piece is first, and in how many places it is. Two that have a part in common are two.
fn places(text: &str, piece: &str) -> Option<(usize, usize)> {
    let first = text.find(piece)?;
    let step = piece.chars().next().map_or(1, char::len_utf8);
    let is_only = text.get(first + step..).is_none_or(|rest| !rest.contains(piece));
    Some((first, if is_only { 1 } else { text.matches(piece).count().max(2) }))
}

/// Whether the line ends in CR LF that ends at this place or behind it, or else the one before it.
fn ends_in_crlf(text: &str, at: usize) -> bool {
    let line_end = text[at..].find('\n').map(|found| at + found).or_else(|| text[..at].rfind('\n'));
    line_end.is_some_and(|found| text[..found].ends_with('\r'))
}

/// The difference, as `diff -u` writes it, fenced for whoever shows Markdown.
pub(crate) fn difference(path: &str, before: &str, after: &str) -> String {
    const CONTEXT_LINES: usize = 4;
    const MAX_TIME: Duration = Duration::from_secs(1);
    // What ends a line is no part of what a model edits.
    let (before, after) = (before.replace("\r\n", "\n"), after.replace("\r\n", "\n"));
    // What differs in very much is told less shortly.
    let difference = TextDiff::configure().timeout(MAX_TIME).diff_lines(&before, &after);
    let hunks = difference.unified_diff().context_radius(CONTEXT_LINES).to_string();
    let line = "=".repeat(67);
    let text = format!("Index: {path}\n{line}\n--- {path}\toriginal\n+++ {path}\tmodified\n{hunks}");
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}diff\n{text}{fence}\n\n")
}
