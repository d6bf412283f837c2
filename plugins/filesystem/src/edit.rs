//! Replacing pieces of a text.

use mcp_plugin_api::prelude::*;
use similar::TextDiff;

/// One piece to replace.
#[model]
#[derive(Debug)]
#[serde(deny_unknown_fields)]
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
            return Err(Error::invalid_arguments(format!("edit {number}: 'old_text' is empty")));
        }
        // Files with other line ends are met half-way: the file's own are kept.
        let crlf = text.contains("\r\n") && !edit.old_text.contains('\r');
        let own = |piece: &str| if crlf { piece.replace("\r\n", "\n").replace('\n', "\r\n") } else { piece.to_owned() };
        let old = own(&edit.old_text);
        match text.matches(&old).count() {
            1 => text = text.replacen(&old, &own(&edit.new_text), 1),
            0 => return Err(Error::new(format!("edit {number}: the file does not have this text; read it again"))),
            many => {
                return Err(Error::new(format!(
                    "edit {number}: the file has this text {many} times; give more around it"
                )));
            }
        }
    }
    Ok(text)
}

/// The difference, as `diff -u` writes it.
pub(crate) fn difference(path: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().header(path, path).to_string()
}
