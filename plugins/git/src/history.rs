//! What was: commits, branches that lead to them, and where each line comes from.

use crate::BranchType;
use crate::repository::{check, commit, detached, told};
use git2::{BlameOptions, Branch, Oid, Repository, Sort, Time};
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, Zoned};
use mcp_plugin_api::{Context, Error, Result};
use std::fmt::Write as _;
use std::path::Path;

/// A time as it was written down, in the zone of whoever wrote it.
pub(crate) fn written(time: Time, format: &str) -> Result<String> {
    // What no calendar has is told as it was written: one odd commit hides no other.
    let offset = Offset::from_seconds(time.offset_minutes() * 60).unwrap_or(Offset::UTC);
    let Ok(moment) = Timestamp::from_second(time.seconds()) else {
        return Ok(format!("@{}", time.seconds()));
    };
    Ok(moment.to_zoned(TimeZone::fixed(offset)).strftime(format).to_string())
}

/// The moment that words name: in seconds since 1970.
pub(crate) fn moment(what: &str, words: &str) -> Result<i64> {
    check(what, words)?;
    let now = Zoned::now();
    let words = words.trim();
    let start_of = |date: Date| date.to_zoned(now.time_zone().clone()).ok().map(|it| it.timestamp());
    let found = match words {
        "now" => Some(now.timestamp()),
        "today" => start_of(now.date()),
        "yesterday" => now.date().yesterday().ok().and_then(start_of),
        _ => {
            let zoned = || words.parse::<Timestamp>().ok();
            let date = || words.parse::<Date>().ok().filter(|_| words.len() == "2026-01-31".len()).and_then(start_of);
            let local = || {
                let time: DateTime = words.parse().ok()?;
                time.to_zoned(now.time_zone().clone()).ok().map(|it| it.timestamp())
            };
            // Without "ago" it would be a time that is still to come.
            let span = || words.parse::<Span>().ok().filter(|span| span.is_negative());
            let ago = || now.checked_add(span()?).ok().map(|it| it.timestamp());
            zoned().or_else(date).or_else(local).or_else(ago)
        }
    };
    let unknown = || {
        Error::invalid_arguments(format!(
            "Invalid {what}: '{words}' - write '2026-01-31', '2026-01-31 14:30', an RFC 3339 time, or '2 weeks ago'"
        ))
    };
    found.map(Timestamp::as_second).ok_or_else(unknown)
}

/// The commits that lead to what is checked out, the last one first.
pub(crate) fn log(
    repository: &Repository,
    max_count: Option<usize>,
    since: Option<i64>,
    until: Option<i64>,
    ctx: &Context,
) -> Result<Vec<String>> {
    let mut walk = repository.revwalk().map_err(told)?;
    walk.set_sorting(Sort::TIME).map_err(told)?;
    walk.push_head().map_err(told)?;
    let mut entries = Vec::new();
    for id in walk {
        if ctx.is_cancelled() {
            return Err(Error::new("cancelled"));
        }
        if max_count.is_some_and(|max| entries.len() >= max) {
            break;
        }
        let commit = repository.find_commit(id.map_err(told)?).map_err(told)?;
        let seconds = commit.time().seconds();
        if since.is_some_and(|since| seconds < since) || until.is_some_and(|until| seconds > until) {
            continue;
        }
        entries.push(format!(
            "Commit: {}\nAuthor: {}\nDate: {}\nMessage: {}\n",
            commit.id(),
            String::from_utf8_lossy(commit.author().name_bytes()),
            written(commit.author().when(), "%Y-%m-%d %H:%M:%S%:z")?,
            String::from_utf8_lossy(commit.message_bytes()),
        ));
    }
    Ok(entries)
}

/// The branches, as `git branch` lists them.
pub(crate) fn branches(
    repository: &Repository,
    which: BranchType,
    contains: Option<&str>,
    not_contains: Option<&str>,
) -> Result<String> {
    let named = |name: Option<&str>| {
        let name = name.map(|name| {
            let malformed = |_| Error::new(format!("malformed object name {name}"));
            commit(repository, name).map(|commit| commit.id()).map_err(malformed)
        });
        name.transpose()
    };
    let (contains, not_contains) = (named(contains)?, named(not_contains)?);
    let has = |tip: Oid, commit: Oid| {
        Ok::<_, Error>(tip == commit || repository.graph_descendant_of(tip, commit).map_err(told)?)
    };
    let is_meant = |tip: Oid| {
        let has_it = contains.map_or(Ok(true), |commit| has(tip, commit))?;
        let lacks_it = not_contains.map_or(Ok(true), |commit| has(tip, commit).map(|it| !it))?;
        Ok::<_, Error>(has_it && lacks_it)
    };
    let mut lines = Vec::new();
    if which != BranchType::Remote {
        if repository.head_detached().map_err(told)? {
            let head = repository.head().map_err(told)?;
            if head.target().is_some_and(|tip| is_meant(tip).unwrap_or(false)) {
                lines.push(format!("* ({})", detached(repository)?));
            }
        }
        let mut own = Vec::new();
        for branch in repository.branches(Some(git2::BranchType::Local)).map_err(told)? {
            let (branch, _) = branch.map_err(told)?;
            let Some(tip) = branch.get().target() else {
                continue;
            };
            if is_meant(tip)? {
                own.push((name(&branch)?, if branch.is_head() { '*' } else { ' ' }));
            }
        }
        own.sort();
        lines.extend(own.into_iter().map(|(name, mark)| format!("{mark} {name}")));
    }
    if which != BranchType::Local {
        let before = if which == BranchType::All { "remotes/" } else { "" };
        let mut others = Vec::new();
        for branch in repository.branches(Some(git2::BranchType::Remote)).map_err(told)? {
            let (branch, _) = branch.map_err(told)?;
            // A name that leads to one that is gone is none.
            let Ok(tip) = branch.get().peel_to_commit() else {
                continue;
            };
            if !is_meant(tip.id())? {
                continue;
            }
            let leads = branch.get().symbolic_target().ok().flatten().and_then(|it| it.strip_prefix("refs/remotes/"));
            let leads = leads.map_or_else(String::new, |to| format!(" -> {to}"));
            others.push(format!("  {before}{}{leads}", name(&branch)?));
        }
        others.sort();
        lines.extend(others);
    }
    Ok(lines.join("\n"))
}

fn name(branch: &Branch<'_>) -> Result<String> {
    Ok(String::from_utf8_lossy(branch.name_bytes().map_err(told)?).into_owned())
}

/// Which commit each line of a file comes from, as `git blame` writes it.
pub(crate) fn blame(
    repository: &Repository,
    file: &str,
    revision: &str,
    first: usize,
    last: Option<usize>,
) -> Result<String> {
    let commit = commit(repository, revision)?;
    let missing = |_| Error::new(format!("no such path '{file}' in {revision}"));
    let entry = commit.tree().map_err(told)?.get_path(Path::new(file)).map_err(missing)?;
    let blob = entry.to_object(repository).and_then(|object| object.peel_to_blob());
    let blob = blob.map_err(|_| Error::new(format!("'{file}' is no file in {revision}")))?;
    if blob.is_binary() {
        return Err(Error::new(format!("'{file}' is not text")));
    }
    let text = String::from_utf8_lossy(blob.content()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let last = last.unwrap_or(lines.len()).min(lines.len());
    if first == 0 || first > last {
        return Err(Error::invalid_arguments(format!("file {file} has only {} lines", lines.len())));
    }
    let mut options = BlameOptions::new();
    options.newest_commit(commit.id()).min_line(first).max_line(last);
    let blame = repository.blame_file(Path::new(file), Some(&mut options)).map_err(told)?;
    let width = last.to_string().len();
    let mut told_lines = String::new();
    for number in first..=last {
        let Some(hunk) = blame.get_line(number) else {
            continue;
        };
        let from = repository.find_commit(hunk.final_commit_id()).map_err(told)?;
        let author = from.author();
        let _ = writeln!(
            told_lines,
            "{} ({} {} {number:>width$}) {}",
            &from.id().to_string()[..8],
            String::from_utf8_lossy(author.name_bytes()),
            written(author.when(), "%Y-%m-%d %H:%M:%S %z")?,
            lines[number - 1],
        );
    }
    Ok(told_lines)
}
