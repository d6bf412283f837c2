//! The status, as `git status` tells it.

use crate::repository::{branch, detached, head, told};
use git2::{IndexConflict, Repository, RepositoryState, Status, StatusEntry, StatusOptions};
use mcp_plugin_api::Result;
use std::collections::HashMap;
use std::fmt::Write as _;

/// The status of a working tree.
pub(crate) fn tell(repository: &Repository) -> Result<String> {
    let mut text = match branch(repository)? {
        Some(branch) => format!("On branch {branch}\n"),
        None => format!("{}\n", detached(repository)?),
    };
    let is_new = head(repository)?.is_none();
    if is_new {
        text.push_str("\nNo commits yet\n\n");
    } else {
        text.push_str(&upstream(repository)?);
    }
    let mut options = StatusOptions::new();
    options.include_untracked(true).renames_head_to_index(true).renames_index_to_workdir(false);
    let statuses = repository.statuses(Some(&mut options)).map_err(told)?;
    let mut sections = Sections { conflicts: conflicts(repository)?, ..Sections::default() };
    for entry in statuses.iter() {
        sections.take(&entry);
    }
    let Sections { staged, unmerged, changed, untracked, has_deleted, .. } = sections;
    text.push_str(&merging(repository, &unmerged));
    let unstage = if repository.state() != RepositoryState::Clean {
        // In the middle of something git gives no hint.
        ""
    } else if is_new {
        "  (use \"git rm --cached <file>...\" to unstage)"
    } else {
        "  (use \"git restore --staged <file>...\" to unstage)"
    };
    let add = if has_deleted { "add/rm" } else { "add" };
    let update = format!(
        "  (use \"git {add} <file>...\" to update what will be committed)\n  (use \"git restore <file>...\" to discard \
         changes in working directory)"
    );
    let is_gone = unmerged.iter().any(|line| line.starts_with("deleted by") || line.starts_with("both deleted"));
    let resolve = if is_gone {
        "  (use \"git add/rm <file>...\" as appropriate to mark resolution)"
    } else {
        "  (use \"git add <file>...\" to mark resolution)"
    };
    let include = "  (use \"git add <file>...\" to include in what will be committed)";
    let parts = [
        ("Changes to be committed:", unstage, &staged),
        ("Unmerged paths:", resolve, &unmerged),
        ("Changes not staged for commit:", &update, &changed),
        ("Untracked files:", include, &untracked),
    ];
    for (heading, hint, lines) in parts.into_iter().filter(|(_, _, lines)| !lines.is_empty()) {
        let _ = writeln!(text, "{heading}");
        if !hint.is_empty() {
            let _ = writeln!(text, "{hint}");
        }
        for line in lines {
            let _ = writeln!(text, "\t{line}");
        }
        text.push('\n');
    }
    if !staged.is_empty() {
        // Git's last line break is not part of what is said.
        text.pop();
    } else if !changed.is_empty() || !unmerged.is_empty() {
        text.push_str("no changes added to commit (use \"git add\" and/or \"git commit -a\")");
    } else if !untracked.is_empty() {
        text.push_str("nothing added to commit but untracked files present (use \"git add\" to track)");
    } else if is_new {
        text.push_str("nothing to commit (create/copy files and use \"git add\" to track)");
    } else if repository.state() == RepositoryState::Clean {
        text.push_str("nothing to commit, working tree clean");
    } else {
        text.truncate(text.trim_end_matches('\n').len() + 1);
    }
    Ok(text)
}

/// How the branch stands to the one that it follows.
fn upstream(repository: &Repository) -> Result<String> {
    let Some(name) = branch(repository)? else {
        return Ok(String::new());
    };
    let Ok(own) = repository.find_branch(&name, git2::BranchType::Local) else {
        return Ok(String::new());
    };
    let Ok(other) = own.upstream() else {
        return Ok(String::new());
    };
    let (Some(own), Some(target)) = (own.get().target(), other.get().target()) else {
        return Ok(String::new());
    };
    let other = String::from_utf8_lossy(other.name_bytes().map_err(told)?).into_owned();
    let (ahead, behind) = repository.graph_ahead_behind(own, target).map_err(told)?;
    let commits = |count: usize| format!("{count} commit{}", if count == 1 { "" } else { "s" });
    Ok(match (ahead, behind) {
        (0, 0) => format!("Your branch is up to date with '{other}'.\n\n"),
        (ahead, 0) => format!(
            "Your branch is ahead of '{other}' by {}.\n  (use \"git push\" to publish your local commits)\n\n",
            commits(ahead)
        ),
        (0, behind) => format!(
            "Your branch is behind '{other}' by {}, and can be fast-forwarded.\n  (use \"git pull\" to update your local \
             branch)\n\n",
            commits(behind)
        ),
        (ahead, behind) => format!(
            "Your branch and '{other}' have diverged,\nand have {ahead} and {behind} different commits each, \
             respectively.\n  (use \"git pull\" if you want to integrate the remote branch with yours)\n\n"
        ),
    })
}

/// What is said of a merge, or of whatever else is under way.
fn merging(repository: &Repository, unmerged: &[String]) -> String {
    let what = match repository.state() {
        RepositoryState::Clean => return String::new(),
        RepositoryState::Merge if unmerged.is_empty() => {
            return "All conflicts fixed but you are still merging.\n  (use \"git commit\" to conclude merge)\n\n"
                .to_owned();
        }
        RepositoryState::Merge => {
            return "You have unmerged paths.\n  (fix conflicts and run \"git commit\")\n  (use \"git merge --abort\" to \
                    abort the merge)\n\n"
                .to_owned();
        }
        RepositoryState::Revert | RepositoryState::RevertSequence => "reverting a commit",
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => "cherry-picking a commit",
        RepositoryState::Bisect => "bisecting",
        RepositoryState::Rebase | RepositoryState::RebaseInteractive | RepositoryState::RebaseMerge => "rebasing",
        RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => "in the middle of an am session",
    };
    format!("You are currently {what}.\n\n")
}

/// Files by what there is to be said of them.
#[derive(Default)]
struct Sections {
    /// What happened to files that could not be merged, by their paths.
    conflicts: HashMap<Vec<u8>, &'static str>,
    staged: Vec<String>,
    unmerged: Vec<String>,
    changed: Vec<String>,
    untracked: Vec<String>,
    /// Whether something that is not staged is gone.
    has_deleted: bool,
}

impl Sections {
    fn take(&mut self, entry: &StatusEntry<'_>) {
        let (status, path) = (entry.status(), String::from_utf8_lossy(entry.path_bytes()).into_owned());
        if status.is_conflicted() {
            let what = self.conflicts.get(entry.path_bytes()).copied().unwrap_or("both modified:   ");
            self.unmerged.push(format!("{what}{path}"));
            return;
        }
        let renamed = entry.head_to_index().and_then(|delta| {
            let (old, new) = (delta.old_file().path()?, delta.new_file().path()?);
            Some(format!("{} -> {}", old.display(), new.display()))
        });
        let staged = [
            (Status::INDEX_NEW, "new file:   ", None),
            (Status::INDEX_MODIFIED, "modified:   ", None),
            (Status::INDEX_DELETED, "deleted:    ", None),
            (Status::INDEX_RENAMED, "renamed:    ", renamed),
            (Status::INDEX_TYPECHANGE, "typechange: ", None),
        ];
        for (kind, word, name) in staged {
            if status.contains(kind) {
                self.staged.push(format!("{word}{}", name.unwrap_or_else(|| path.clone())));
            }
        }
        let changed = [
            (Status::WT_MODIFIED, "modified:   "),
            (Status::WT_DELETED, "deleted:    "),
            (Status::WT_TYPECHANGE, "typechange: "),
        ];
        for (kind, word) in changed {
            if status.contains(kind) {
                self.has_deleted |= kind == Status::WT_DELETED;
                // A renamed file is where it was renamed to.
                let now = entry
                    .index_to_workdir()
                    .and_then(|delta| delta.new_file().path().map(|it| it.display().to_string()));
                self.changed.push(format!("{word}{}", now.unwrap_or_else(|| path.clone())));
            }
        }
        if status.contains(Status::WT_NEW) {
            self.untracked.push(path);
        }
    }
}

/// What happened to files that could not be merged: which of the three sides there are.
fn conflicts(repository: &Repository) -> Result<HashMap<Vec<u8>, &'static str>> {
    let index = repository.index().map_err(told)?;
    let mut found = HashMap::new();
    for conflict in index.conflicts().map_err(told)? {
        let IndexConflict { ancestor, our, their } = conflict.map_err(told)?;
        let what = match (&ancestor, &our, &their) {
            (Some(_), None, None) => "both deleted:    ",
            (None, Some(_), None) => "added by us:     ",
            (Some(_), Some(_), None) => "deleted by them: ",
            (None, None, Some(_)) => "added by them:   ",
            (Some(_), None, Some(_)) => "deleted by us:   ",
            (None, Some(_), Some(_)) => "both added:      ",
            _ => "both modified:   ",
        };
        if let Some(entry) = our.or(their).or(ancestor) {
            found.insert(entry.path, what);
        }
    }
    Ok(found)
}
