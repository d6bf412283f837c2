//! What changes a repository: staging, commits, branches.

use crate::repository::{branch, head, object, told};
use git2::build::CheckoutBuilder;
use git2::{CheckoutNotificationType, Oid, Repository, RepositoryState, StatusOptions, StatusShow};
use mcp_plugin_api::{Error, Result};
use std::cell::RefCell;
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// Stages files, also those that are gone; whether anything was new.
pub(crate) fn add(repository: &Repository, files: &[String]) -> Result<bool> {
    let root = repository.workdir().ok_or_else(|| Error::new("this repository has no files: it is bare"))?;
    let mut index = repository.index().map_err(told)?;
    let before: Vec<_> = index.iter().map(|entry| (entry.path, entry.id, entry.mode, entry.flags)).collect();
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).show(StatusShow::Workdir);
    let statuses = repository.statuses(Some(&mut options)).map_err(told)?;
    // Without the slash that stands behind the name of a repository within this one.
    let new: Vec<PathBuf> = statuses.iter().map(|entry| as_path(entry.path_bytes()).components().collect()).collect();
    let is_behind_link =
        |path: &Path| path.ancestors().skip(1).any(|it| !it.as_os_str().is_empty() && root.join(it).is_symlink());
    for file in files {
        let outside = || Error::new(format!("Path '{file}' is outside the repository '{}'", root.display()));
        let path = Path::new(file);
        let path = if path.is_absolute() { path.strip_prefix(root).map_err(|_| outside())? } else { path };
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(outside());
        }
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        let is_known = index.iter().any(|entry| as_path(&entry.path).starts_with(&path));
        if !is_known && root.join(&path).symlink_metadata().is_err() {
            return Err(Error::new(format!("pathspec '{file}' did not match any files")));
        }
        if is_behind_link(&path) {
            return Err(Error::new(format!("pathspec '{file}' is beyond a symbolic link")));
        }
        for found in new.iter().filter(|found| found.starts_with(&path)) {
            // A file whose folder has become a link is gone: what the link leads to is another one.
            if root.join(found).symlink_metadata().is_ok() && !is_behind_link(found) {
                // A repository within this one is left out, and keeps nothing else from being staged.
                let is_within = root.join(found).is_dir();
                match index.add_path(found) {
                    Err(error) if !is_within => {
                        return Err(Error::new(format!("{}: {}", found.display(), error.message())));
                    }
                    _ => {}
                }
            } else {
                index.remove_path(found).map_err(told)?;
            }
        }
    }
    index.write().map_err(told)?;
    let after: Vec<_> = index.iter().map(|entry| (entry.path, entry.id, entry.mode, entry.flags)).collect();
    Ok(before != after)
}

/// A path as git has it: bytes, where the system has such names.
fn as_path(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    let path = std::ffi::OsStr::from_bytes(bytes).into();
    #[cfg(not(unix))]
    let path = PathBuf::from(String::from_utf8_lossy(bytes).into_owned());
    path
}

/// Takes back what was staged.
pub(crate) fn reset(repository: &Repository) -> Result<()> {
    match head(repository)? {
        // Not by the library's own reset, which would forget a rebase that is under way.
        Some(head) => {
            let mut index = repository.index().map_err(told)?;
            let tree = head.tree().map_err(told)?;
            index.read_tree(&tree).and_then(|()| index.write()).map_err(told)
        }
        None => {
            let mut index = repository.index().map_err(told)?;
            index.clear().and_then(|()| index.write()).map_err(told)
        }
    }
}

/// Commits what is staged; gives the commit.
pub(crate) fn commit(repository: &Repository, message: &str) -> Result<Oid> {
    let mut index = repository.index().map_err(told)?;
    if index.has_conflicts() {
        return Err(Error::new("there are conflicts: resolve them and stage the files first; git_status names them"));
    }
    let tree = index.write_tree_to(repository).map_err(told)?;
    let parent = head(repository)?;
    let merged = merged(repository)?;
    if !merged.is_empty() && repository.path().join("MERGE_AUTOSTASH").exists() {
        return Err(Error::new(
            "this merge has put changes aside (--autostash) that come back when git itself ends it: run git commit",
        ));
    }
    let is_same = parent.as_ref().map_or_else(|| index.is_empty(), |parent| parent.tree_id() == tree);
    if is_same && merged.is_empty() {
        return Err(Error::new(
            "No changes staged for commit. Use git_add to stage changes first; git_status shows what is currently staged.",
        ));
    }
    let message = git2::message_prettify(message, None).map_err(told)?;
    if message.is_empty() {
        return Err(Error::invalid_arguments("the message is empty"));
    }
    let author = repository.signature().map_err(|_| {
        Error::new("git does not know who commits: set user.name and user.email in the configuration of git")
    })?;
    let tree = repository.find_tree(tree).map_err(told)?;
    let merged =
        merged.into_iter().map(|id| repository.find_commit(id)).collect::<Result<Vec<_>, _>>().map_err(told)?;
    let parents: Vec<_> = parent.iter().chain(&merged).collect();
    let id = repository.commit(Some("HEAD"), &author, &author, &message, &tree, &parents).map_err(told)?;
    // The merge is over. What else is under way, such as a rebase, goes on.
    for name in ["MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "AUTO_MERGE"] {
        let _ = std::fs::remove_file(repository.path().join(name));
    }
    Ok(id)
}

/// What is being merged.
fn merged(repository: &Repository) -> Result<Vec<Oid>> {
    if repository.state() != RepositoryState::Merge {
        return Ok(Vec::new());
    }
    let heads = std::fs::read_to_string(repository.path().join("MERGE_HEAD"))?;
    heads.lines().map(|line| Oid::from_str(line.trim()).map_err(told)).collect()
}

/// Creates a branch; gives the name of where it begins.
pub(crate) fn create_branch(repository: &Repository, name: &str, base: Option<&str>) -> Result<String> {
    let base = match base {
        Some(base) => base.to_owned(),
        None => branch(repository)?.ok_or_else(|| {
            Error::new("HEAD is detached, so there is no current branch to branch from; pass base_branch")
        })?,
    };
    let commit = object(repository, &base)?.peel_to_commit().map_err(told)?;
    if repository.find_branch(name, git2::BranchType::Local).is_ok() {
        return Err(Error::new(format!("Cannot create branch '{name}': refs/heads/{name} already exists")));
    }
    repository.branch(name, &commit, false).map_err(told)?;
    Ok(base)
}

/// Checks a branch or revision out. What is changed and not committed stays, or keeps it from happening.
pub(crate) fn checkout(repository: &Repository, name: &str) -> Result<String> {
    if repository.state() != RepositoryState::Clean {
        let told =
            "something is under way here, such as a merge or a rebase: end it before you switch; git_status tells what";
        return Err(Error::new(told));
    }
    let before = head(repository)?;
    let (object, reference) =
        repository.revparse_ext(name).map_err(|_| Error::new(format!("Ref '{name}' did not resolve to an object")))?;
    let commit = object.peel_to_commit().map_err(told)?;
    let in_the_way = RefCell::new(Vec::new());
    let mut how = CheckoutBuilder::new();
    how.safe().notify_on(CheckoutNotificationType::CONFLICT).notify(|_, path, _, _, _| {
        in_the_way.borrow_mut().extend(path.map(|path| path.display().to_string()));
        true
    });
    let done = repository.checkout_tree(commit.as_object(), Some(&mut how));
    drop(how);
    let in_the_way = in_the_way.into_inner();
    if !in_the_way.is_empty() {
        return Err(Error::new(format!(
            "Your local changes to the following files would be overwritten by checkout:\n\t{}\nPlease commit your changes \
             before you switch branches.",
            in_the_way.join("\n\t")
        )));
    }
    done.map_err(told)?;
    let branch = reference.as_ref().filter(|it| it.is_branch()).and_then(|it| it.name().ok());
    match branch {
        Some(full) => {
            if let Err(error) = repository.set_head(full) {
                // Checked out by another working tree, say. The files are brought back to where the branch still is: those that
                // differ, which had nothing in them that was not committed.
                if let Some(before) = before {
                    let (old, new) = (before.tree().map_err(told)?, commit.tree().map_err(told)?);
                    let differ = repository.diff_tree_to_tree(Some(&new), Some(&old), None).map_err(told)?;
                    let mut back = CheckoutBuilder::new();
                    back.force().remove_untracked(true).disable_pathspec_match(true);
                    for delta in differ.deltas() {
                        let paths = [delta.old_file().path(), delta.new_file().path()];
                        for path in paths.into_iter().flatten() {
                            back.path(path);
                        }
                    }
                    repository.checkout_tree(before.as_object(), Some(&mut back)).map_err(told)?;
                }
                return Err(told(error));
            }
            Ok(format!("Switched to branch '{name}'"))
        }
        None => {
            // What was asked for is written down, and told by the status.
            match &reference {
                Some(reference) => {
                    let named = repository.reference_to_annotated_commit(reference).map_err(told)?;
                    repository.set_head_detached_from_annotated(named).map_err(told)?;
                }
                None => repository.set_head_detached(commit.id()).map_err(told)?,
            }
            Ok(format!("HEAD is now detached at {}", &commit.id().to_string()[..7]))
        }
    }
}
