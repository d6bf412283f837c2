//! A client's file, replaced whole, with a copy of what was there.

use super::edit::{put, read};
use super::{Client, Edit, EditError, Server, ServerName, find, install, remove};
use crate::rt::make_private;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What is to be done to a client's file.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Put a server in.
    Install(&'a ServerName, &'a Server),
    /// Take a server out.
    Remove(&'a ServerName),
}

/// Why a file is not changed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// It cannot be written.
    #[error("{} cannot be written", .0.display())]
    Unwritable(PathBuf, #[source] io::Error),
    /// What is in it cannot be changed.
    #[error("{}", .0.display())]
    NotChanged(PathBuf, #[source] EditError),
}

/// A change of a file that is worked out and not made.
#[derive(Debug)]
pub struct Pending {
    /// The file.
    pub file: PathBuf,
    /// What is in it; nothing where there is none.
    pub before: Option<String>,
    /// What is to be in it; nothing where it is to go.
    pub after: Option<String>,
    /// What is in it then keeps the server from being used.
    pub objection: Option<String>,
    /// What the change does to copies.
    copies: Copies,
}

/// What is done about a copy of what was there.
#[derive(Debug, PartialEq, Eq)]
enum Copies {
    /// One is made.
    Make,
    /// There is one already that `remove` goes back to.
    Keep,
    /// This one is gone back to, and needed no more.
    Use(PathBuf),
}

/// Works a change out. A link is followed: the file that it leads to is the one that changes.
///
/// # Errors
/// See [`FileError`].
pub fn apply(client: Client, file: &Path, change: Change<'_>) -> Result<Pending, FileError> {
    let file = followed(file);
    let before = read_text(&file)?;
    let text = before.as_deref().unwrap_or_default();
    let failed = |error| FileError::NotChanged(file.clone(), error);
    let mut copies = Copies::Make;
    let after = match change {
        Change::Install(name, server) => match install(client, text, name, server).map_err(failed)? {
            Edit::Unchanged => before.clone(),
            Edit::Changed(changed) => {
                // What was there before the first time is what `remove` goes back to, and not what is there now.
                if original(client, &file, text, name)?.is_some() {
                    copies = Copies::Keep;
                }
                Some(changed)
            }
        },
        Change::Remove(name) => match remove(client, text, name).map_err(failed)? {
            Edit::Unchanged => before.clone(),
            Edit::Changed(without) => match original(client, &file, text, name)? {
                Some((copy, original)) => {
                    copies = Copies::Use(copy);
                    original
                }
                None => Some(without),
            },
        },
    };
    let objection = match (&after, change) {
        (Some(text), Change::Install(name, _)) => client.objection(&read(client, text).map_err(failed)?, name),
        _ => None,
    };
    Ok(Pending { file, before, after, objection, copies })
}

/// The file that a link leads to, even if that is not there yet.
fn followed(file: &Path) -> PathBuf {
    if let Ok(whole) = fs::canonicalize(file) {
        return whole;
    }
    match fs::read_link(file) {
        Ok(target) => file.parent().map_or_else(|| target.clone(), |folder| folder.join(&target)),
        Err(_) => file.to_owned(),
    }
}

/// What was in a file before a server was put in, if nothing has been changed since: then it comes back as it was. The inner
/// nothing is a file that was not there. With the copy that says so.
fn original(client: Client, file: &Path, text: &str, name: &ServerName) -> Result<Option<Original>, FileError> {
    let failed = |error| FileError::NotChanged(file.to_owned(), error);
    let servers = find(client, text).map_err(failed)?;
    let Some(entry) = servers.into_iter().find(|found| found.name == name.as_str()).map(|found| found.entry) else {
        return Ok(None);
    };
    let leads_here = |copy: &str, entry: &Value| {
        let is_without = find(client, copy).is_ok_and(|all| all.iter().all(|found| found.name != name.as_str()));
        is_without && put(client, copy, name, entry).is_ok_and(|edit| edit == Edit::Changed(text.to_owned()))
    };
    // A copy that cannot be read is as good as none.
    let copies = [last_backup(file), backup(file)].map(|copy| (read_text(&copy).ok().flatten(), copy));
    let is_first = copies.iter().all(|(text, _)| text.is_none());
    for (copy, place) in copies {
        match copy {
            Some(copy) if leads_here(&copy, &entry) => return Ok(Some((place, Some(copy)))),
            None if is_first && leads_here("", &entry) => return Ok(Some((place, None))),
            _ => {}
        }
    }
    Ok(None)
}

/// A copy, and what is in it.
type Original = (PathBuf, Option<String>);

impl Pending {
    /// Whether anything is to change.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.before != self.after
    }

    /// The difference, as a patch; empty where nothing is to change.
    #[must_use]
    pub fn difference(&self) -> String {
        let (before, after) = (self.before.as_deref().unwrap_or_default(), self.after.as_deref().unwrap_or_default());
        let name = |text: &Option<String>| match text {
            Some(_) => self.file.display().to_string(),
            None => "/dev/null".to_owned(),
        };
        let lines = similar::TextDiff::from_lines(before, after);
        lines.unified_diff().header(&name(&self.before), &name(&self.after)).to_string()
    }

    /// Makes the change; gives the copy of what was there, if there is one.
    ///
    /// # Errors
    /// See [`FileError`]. The file is as it was then.
    ///
    /// # Blocking
    /// Reads and writes files.
    pub fn make(&self) -> Result<Option<PathBuf>, FileError> {
        let failed = |path: &Path, error| FileError::Unwritable(path.to_owned(), error);
        if !self.is_change() {
            return Ok(None);
        }
        let first = backup(&self.file);
        // What was there before the first change is not written over; what was there before the last one lies beside it.
        let copy = if first.exists() { last_backup(&self.file) } else { first };
        let mut kept = None;
        if let Some(before) = &self.before
            && self.copies == Copies::Make
        {
            let half = written(&copy, before, &self.file).map_err(|error| failed(&copy, error))?;
            half.persist(&copy).map_err(|error| failed(&copy, error.error))?;
            kept = Some(copy.clone());
        }
        let after = self.after.as_ref().map(|after| written(&self.file, after, &self.file)).transpose();
        let after = after.map_err(|error| failed(&self.file, error))?;
        // Clients write this file too, at any time. Looked at last, the moment is short in which that could be lost.
        if read_text(&self.file)? != self.before {
            let error = io::Error::other("it has just been changed by somebody else; try again");
            return Err(failed(&self.file, error));
        }
        match after {
            Some(half) => drop(half.persist(&self.file).map_err(|error| failed(&self.file, error.error))?),
            None => fs::remove_file(&self.file).map_err(|error| failed(&self.file, error))?,
        }
        if let Copies::Use(copy) = &self.copies {
            // Nothing is left to go back to. Where it stays, it does no harm.
            let _ = fs::remove_file(copy);
            if *copy == backup(&self.file) {
                let _ = fs::remove_file(last_backup(&self.file));
            }
        }
        Ok(kept)
    }
}

/// The text of a file; nothing where there is none.
fn read_text(file: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::Unreadable(file.to_owned(), error)),
    }
}

/// Where the copy of a file lies.
fn backup(file: &Path) -> PathBuf {
    let mut name: OsString = file.file_name().unwrap_or_default().to_owned();
    name.push(".before-mcp-host");
    file.with_file_name(name)
}

/// Where the copy of what was there before the last change lies.
fn last_backup(file: &Path) -> PathBuf {
    let mut name = backup(file).into_os_string();
    name.push("-last");
    name.into()
}

/// A text, written beside where it is to be put in one step. It may be read by whom `like` may be read by: there may be secrets
/// in it.
fn written(file: &Path, text: &str, like: &Path) -> io::Result<NamedTempFile> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut half = tempfile::Builder::new().prefix(".mcp-host-").tempfile_in(folder)?;
    half.write_all(text.as_bytes())?;
    match fs::metadata(like) {
        Ok(known) => half.as_file().set_permissions(known.permissions())?,
        Err(_) => make_private(half.as_file())?,
    }
    half.as_file().sync_all()?;
    Ok(half)
}
