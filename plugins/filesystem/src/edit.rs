//! Replacing pieces of a text.

use mcp_plugin_api::prelude::*;
use similar::TextDiff;
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
        // Files with other line ends are met half-way: the file's own are kept.
        let crlf = text.contains("\r\n") && !edit.old_text.contains('\r') && !text.contains(&edit.old_text);
        let own = |piece: &str| if crlf { piece.replace("\r\n", "\n").replace('\n', "\r\n") } else { piece.to_owned() };
        let old = own(&edit.old_text);
        match text.matches(&old).count() {
            1 => text = text.replacen(&old, &own(&edit.new_text), 1),
            0 => return Err(Error::new(format!("Could not find exact match for edit:\n{}", edit.old_text))),
            many => {
                return Err(Error::new(format!(
                    "edit {number}: the file has this text {many} times; give more around it"
                )));
            }
        }
    }
    Ok(text)
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
