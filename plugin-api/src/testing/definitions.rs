//! What a plugin tells clients of itself, held against a file.

use super::Kit;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The variable that has definitions written instead of compared.
const UPDATE: &str = "UPDATE_DEFINITIONS";

impl Kit {
    /// Compares what the plugin offers with a JSON file, whose path counts from the package's folder. With
    /// `UPDATE_DEFINITIONS=1` in the environment the file is written instead.
    ///
    /// # Panics
    /// Where they differ, line by line; where the file is missing or cannot be read or written.
    #[track_caller]
    pub fn assert_definitions(&self, file: impl AsRef<Path>) {
        let folder = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
        let path = folder.join(file);
        let now = self.definitions();
        if std::env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
            let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, &now));
            return written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        let kept = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; {UPDATE}=1 cargo test writes it", path.display()));
        // What a checkout does to line ends is no change.
        let kept = kept.replace("\r\n", "\n");
        assert!(
            kept == now,
            "{}: the plugin's definitions have changed; {UPDATE}=1 cargo test writes them\n{}",
            path.display(),
            difference(&kept, &now)
        );
    }

    /// What the plugin offers, as JSON in a stable form.
    fn definitions(&self) -> String {
        let mut value = serde_json::to_value(self.manifest()).unwrap_or_default();
        prune(&mut value);
        serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
    }
}

/// Leaves out what says nothing.
fn prune(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null() && member.as_array().is_none_or(|items| !items.is_empty()));
    }
}

/// The lines between the first and the last that differ.
fn difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let same = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let rest = (before[same..].iter().rev()).zip(after[same..].iter().rev());
    let tail = rest.take_while(|(one, other)| one == other).count();
    let mut told = String::new();
    for (sign, lines) in [('-', &before[same..before.len() - tail]), ('+', &after[same..after.len() - tail])] {
        for line in lines {
            let _ = writeln!(told, "{sign}{line}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn only_what_differs_is_told() {
        assert_eq!(difference("a\nb\nc\n", "a\nB\nc\n"), "-b\n+B\n");
        assert_eq!(difference("a\nc\n", "a\nb\nc\n"), "+b\n");
        assert_eq!(difference("a\nb\n", "a\n"), "-b\n");
        assert_eq!(difference("a\na\n", "a\n"), "-a\n");
        assert_eq!(difference("a\n", "a\n"), "");
    }
}
