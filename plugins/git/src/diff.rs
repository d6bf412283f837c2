//! Differences, as `git diff` writes them, and what a revision names.

use crate::history::written;
use crate::repository::{commit, head, object, told};
use git2::{Diff, DiffFindOptions, DiffFormat, DiffLine, DiffLineType, DiffOptions, ObjectType, Repository};
use mcp_plugin_api::{Error, Result};
use std::fmt::Write as _;

/// Bytes of a difference. More would fill a model's window and say nothing.
const MAX_BYTES: usize = 4 * 1024 * 1024;

fn options(context_lines: u32) -> DiffOptions {
    /// Larger files are told to differ, and not read whole for that.
    const MAX_FILE_BYTES: i64 = 16 * 1024 * 1024;
    let mut options = DiffOptions::new();
    options.context_lines(context_lines).max_size(MAX_FILE_BYTES);
    options
}

/// What is in the working tree and not in the index.
pub(crate) fn unstaged(repository: &Repository, context_lines: u32) -> Result<String> {
    let diff = repository.diff_index_to_workdir(None, Some(&mut options(context_lines)));
    patch(diff.map_err(told)?)
}

/// What is in the index and not in the last commit.
pub(crate) fn staged(repository: &Repository, context_lines: u32) -> Result<String> {
    let tree = head(repository)?.map(|commit| commit.tree()).transpose().map_err(told)?;
    let diff = repository.diff_tree_to_index(tree.as_ref(), None, Some(&mut options(context_lines)));
    patch(diff.map_err(told)?)
}

/// What is in the working tree and not in a revision; of `A..B`, what is in B and not in A.
pub(crate) fn with(repository: &Repository, target: &str, context_lines: u32) -> Result<String> {
    let mut options = options(context_lines);
    let diff = if let Some((from, to)) = target.split_once("..") {
        let or_head = |name: &str| if name.is_empty() { "HEAD".to_owned() } else { name.to_owned() };
        // Three dots: since they parted.
        let (since_parting, to) = to.strip_prefix('.').map_or((false, to), |to| (true, to));
        let (mut from, to) = (commit(repository, &or_head(from))?, commit(repository, &or_head(to))?);
        if since_parting {
            let base = repository.merge_base(from.id(), to.id()).map_err(told)?;
            from = repository.find_commit(base).map_err(told)?;
        }
        let (from, to) = (from.tree().map_err(told)?, to.tree().map_err(told)?);
        repository.diff_tree_to_tree(Some(&from), Some(&to), Some(&mut options))
    } else {
        let tree = object(repository, target)?.peel_to_tree().map_err(told)?;
        repository.diff_tree_to_workdir_with_index(Some(&tree), Some(&mut options))
    };
    patch(diff.map_err(told)?)
}

/// A commit with what it changed; or a file or folder in one.
pub(crate) fn show(repository: &Repository, revision: &str) -> Result<String> {
    let found = repository.revparse_single(revision).map_err(|_| match revision.rsplit_once(':') {
        Some((_, path)) if !path.ends_with('}') => Error::new(format!("Blob or Tree named '{path}' not found")),
        _ => Error::new(format!("Ref '{revision}' did not resolve to an object")),
    })?;
    // A colon may also stand in a date, or in words of a message: what counts is what was found.
    if matches!(found.kind(), Some(ObjectType::Blob | ObjectType::Tree)) {
        return match found.kind() {
            Some(ObjectType::Blob) => {
                let blob = found.peel_to_blob().map_err(told)?;
                Ok(String::from_utf8_lossy(bounded(blob.content())?).into_owned())
            }
            _ => {
                let tree = found.peel_to_tree().map_err(told)?;
                let names = tree.iter().map(|entry| {
                    let end = if entry.kind() == Some(ObjectType::Tree) { "/" } else { "" };
                    format!("{}{end}", String::from_utf8_lossy(entry.name_bytes()))
                });
                Ok(names.collect::<Vec<_>>().join("\n"))
            }
        };
    }
    let commit = commit(repository, revision)?;
    let author = commit.author();
    let mut text = format!(
        "commit {}\nAuthor: {} <{}>\nDate:   {}\n\n",
        commit.id(),
        String::from_utf8_lossy(author.name_bytes()),
        String::from_utf8_lossy(author.email_bytes()),
        written(author.when(), "%Y-%m-%d %H:%M:%S %z")?,
    );
    for line in String::from_utf8_lossy(commit.message_bytes()).trim_end_matches('\n').split('\n') {
        let _ = writeln!(text, "    {line}");
    }
    let before = commit.parents().next().map(|parent| parent.tree()).transpose().map_err(told)?;
    let after = commit.tree().map_err(told)?;
    let mut diff = repository.diff_tree_to_tree(before.as_ref(), Some(&after), Some(&mut options(3))).map_err(told)?;
    find_renames(&mut diff)?;
    print(&diff, &mut text, Heads::Short)?;
    Ok(text)
}

/// How a file's part of a difference begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heads {
    /// As git writes it.
    Whole,
    /// With an empty line and the two names.
    Short,
}

fn patch(mut diff: Diff<'_>) -> Result<String> {
    find_renames(&mut diff)?;
    let mut text = String::new();
    print(&diff, &mut text, Heads::Whole)?;
    // Git's last line break is not part of what is said.
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn find_renames(diff: &mut Diff<'_>) -> Result<()> {
    diff.find_similar(Some(DiffFindOptions::new().renames(true))).map_err(told)
}

fn print(diff: &Diff<'_>, text: &mut String, heads: Heads) -> Result<()> {
    let mut is_whole = true;
    let mut take = |delta: git2::DiffDelta<'_>, line: DiffLine<'_>| {
        match line.origin_value() {
            DiffLineType::FileHeader if heads == Heads::Short => {
                let name = |side: char, file: git2::DiffFile<'_>| match file.path() {
                    Some(path) if file.exists() => format!("{side}/{}", path.display()),
                    _ => "/dev/null".to_owned(),
                };
                let (old, new) = (name('a', delta.old_file()), name('b', delta.new_file()));
                let _ = write!(text, "\n--- {old}\n+++ {new}\n");
                return true;
            }
            DiffLineType::Addition | DiffLineType::Deletion | DiffLineType::Context => text.push(line.origin()),
            _ => {}
        }
        text.push_str(&String::from_utf8_lossy(line.content()));
        is_whole = text.len() <= MAX_BYTES;
        is_whole
    };
    let printed = diff.print(DiffFormat::Patch, |delta, _, line| take(delta, line));
    if !is_whole {
        return Err(Error::new(format!("this difference has more than {MAX_BYTES} bytes; look at less of it")));
    }
    printed.map_err(told)
}

fn bounded(bytes: &[u8]) -> Result<&[u8]> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::new(format!("this file has {} bytes, {MAX_BYTES} are shown at most", bytes.len())));
    }
    Ok(bytes)
}
