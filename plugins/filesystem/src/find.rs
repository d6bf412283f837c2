//! Walking folders: entries, trees, searches. A walk is bounded, and ends when its call is cancelled.

use crate::roots::Located;
use cap_std::fs::{Dir, FileType};
use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use mcp_plugin_api::prelude::*;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Entries that one walk may meet.
const MAX_ENTRIES: usize = 100_000;

/// Folders in folders that one walk may enter.
const MAX_DEPTH: usize = 64;

/// The media type of bytes that are nothing in particular.
pub(crate) const BYTES: &str = "application/octet-stream";

/// A file or folder, and what is in it.
#[model]
#[derive(Debug, PartialEq)]
pub(crate) struct Tree {
    /// Its name.
    name: String,
    /// `file`, `directory`, `symlink` or `other`.
    #[serde(rename = "type")]
    kind: String,
    /// What is in it, of a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<Vec<Tree>>,
}

pub(crate) fn kind(file_type: FileType) -> &'static str {
    if file_type.is_symlink() {
        "symlink"
    } else if file_type.is_dir() {
        "directory"
    } else if file_type.is_file() {
        "file"
    } else {
        "other"
    }
}

/// One entry of a folder.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// Its size in bytes, of a file.
    pub(crate) size: Option<u64>,
}

impl Entry {
    /// What stands before its name in lists.
    pub(crate) fn mark(&self) -> &'static str {
        if self.kind == "directory" { "[DIR]" } else { "[FILE]" }
    }
}

/// The entries of a folder, sorted by name.
pub(crate) fn entries(at: &Located<'_>) -> Result<Vec<Entry>> {
    let told = |error| at.told(error);
    let mut entries = Vec::new();
    for entry in at.folder().read_dir(at.path()).map_err(told)? {
        let entry = entry.map_err(told)?;
        let kind = kind(entry.file_type().map_err(told)?);
        // Of a link, what it leads to, if that is inside.
        let metadata = || at.folder().metadata(at.path().join(entry.file_name())).ok();
        let size = if kind == "directory" { None } else { metadata().map(|metadata| metadata.len()) };
        entries.push(Entry { name: entry.file_name().to_string_lossy().into_owned(), kind, size });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

/// A size for people: in steps of 1024.
pub(crate) fn written_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let step = (1..UNITS.len()).rev().find(|step| bytes >> (10 * step) > 0).unwrap_or(0);
    match step {
        0 => format!("{bytes} B"),
        _ => format!("{:.2} {}", bytes as f64 / 1024f64.powi(step as i32), UNITS[step]),
    }
}

/// What a walk meets: its name as text and as it is, and its path below the beginning.
struct Met {
    name: String,
    path: PathBuf,
    own: OsString,
    file_type: FileType,
}

/// One walk: what it leaves out, and how far it may still go.
struct Walk<'a> {
    exclude: &'a GlobSet,
    ctx: &'a Context,
    left: usize,
}

impl Walk<'_> {
    /// The entries of a folder that are not left out, sorted. Symbolic links are told, and never followed.
    fn step(&mut self, folder: &Dir, below: &Path) -> Result<Vec<Met>> {
        let mut entries = Vec::new();
        for entry in folder.entries()? {
            let entry = entry?;
            if self.ctx.is_cancelled() {
                return Err(Error::new("cancelled"));
            }
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                Error::new(format!("there are more than {MAX_ENTRIES} files here; begin further down"))
            })?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = below.join(&name);
            if !self.exclude.is_match(&path) && !self.exclude.is_match(&name) {
                entries.push(Met { name, path, own: entry.file_name(), file_type: entry.file_type()? });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn tree(&mut self, folder: &Dir, below: &Path, depth: usize) -> Result<Vec<Tree>> {
        let mut tree = Vec::new();
        for Met { name, path, own, file_type } in self.step(folder, below)? {
            let children = match file_type.is_dir() && depth < MAX_DEPTH {
                true => Some(self.tree(&folder.open_dir(&own)?, &path, depth + 1)?),
                false => None,
            };
            tree.push(Tree { name, kind: kind(file_type).to_owned(), children });
        }
        Ok(tree)
    }

    fn search(&mut self, folder: &Dir, below: &Path, depth: usize, wanted: &mut dyn FnMut(&Path)) -> Result<()> {
        for Met { path, own, file_type, .. } in self.step(folder, below)? {
            wanted(&path);
            // A folder that cannot be entered does not stop the search.
            if file_type.is_dir()
                && depth < MAX_DEPTH
                && let Ok(inner) = folder.open_dir(&own)
            {
                self.search(&inner, &path, depth + 1, wanted)?;
            }
        }
        Ok(())
    }
}

/// Everything below a folder.
pub(crate) fn tree(at: &Located<'_>, exclude: &GlobSet, ctx: &Context) -> Result<Vec<Tree>> {
    let folder = at.folder().open_dir(at.path()).map_err(|error| at.told(error))?;
    Walk { exclude, ctx, left: MAX_ENTRIES }.tree(&folder, Path::new(""), 0)
}

/// The paths below a folder that fit a glob, as they are seen from it.
pub(crate) fn search(at: &Located<'_>, pattern: &str, exclude: &GlobSet, ctx: &Context) -> Result<Vec<String>> {
    let pattern: GlobMatcher = glob(pattern)?.compile_matcher();
    let folder = at.folder().open_dir(at.path()).map_err(|error| at.told(error))?;
    let mut found = Vec::new();
    let mut wanted = |path: &Path| {
        if pattern.is_match(path) {
            found.push(at.absolute(path));
        }
    };
    Walk { exclude, ctx, left: MAX_ENTRIES }.search(&folder, Path::new(""), 0, &mut wanted)?;
    Ok(found)
}

fn glob(pattern: &str) -> Result<Glob> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map_err(|error| Error::invalid_arguments(format!("this is no glob: {}", error.kind())))
}

/// A set of globs.
pub(crate) fn globs(patterns: &[String]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(glob(pattern)?);
    }
    Ok(set.build()?)
}

/// The media type of a file by its ending.
pub(crate) fn media_type(path: &str) -> &'static str {
    let ending = Path::new(path).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "bmp" => "image/bmp",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "json" => "application/json",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "css" => "text/css",
        "csv" => "text/csv",
        "txt" | "log" => "text/plain",
        "pdf" => "application/pdf",
        _ => BYTES,
    }
}
