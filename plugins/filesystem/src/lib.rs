//! Files in folders that the operator allows, and nowhere else.
//!
//! Every path is resolved inside a capability for one of the allowed folders: `..`, absolute paths and symbolic links that
//! lead out of it are refused by the file system calls themselves, not by comparing text.

mod edit;
mod find;
mod roots;

use edit::Edit;
use find::Tree;
use mcp_plugin_api::prelude::*;
use parking_lot::Mutex;
use roots::{Located, Roots};
use std::path::PathBuf;

/// The allowed folders.
pub struct Filesystem {
    roots: Roots,
    max_bytes: u64,
    /// Held by whoever changes something: what was read must still be there when its change is written.
    changing: Mutex<()>,
}

/// The plugin's configuration.
#[model]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folders that may be used, whole. Without any, every tool says so.
    #[serde(default)]
    roots: Vec<PathBuf>,
    /// Nothing may be changed. Default: false.
    #[serde(default)]
    read_only: bool,
    /// Bytes of one file that is read. Default: 10 MiB.
    #[serde(default = "default_max_bytes")]
    max_bytes: u64,
}

fn default_max_bytes() -> u64 {
    10 * 1024 * 1024
}

/// One entry of a folder.
#[model]
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub(crate) name: String,
    /// `file`, `directory`, `symlink` or `other`.
    pub(crate) kind: String,
    /// Its size in bytes, of a file.
    pub(crate) size: Option<u64>,
}

/// What is known of a file.
#[model]
#[derive(Debug)]
pub struct Info {
    /// `file`, `directory`, `symlink` or `other`.
    kind: String,
    /// Its size in bytes.
    size: u64,
    /// When it was last changed, in seconds since 1970.
    modified: Option<u64>,
    /// Whether it may be written to.
    writable: bool,
}

/// The outcome of reading several files.
#[model]
pub struct ReadMany {
    /// One for each path, in order.
    files: Vec<ReadOne>,
}

/// One of several files.
#[model]
pub struct ReadOne {
    /// The path.
    path: String,
    /// Its text, if it could be read.
    text: Option<String>,
    /// Why it could not.
    error: Option<String>,
}

#[plugin(
    wants = ["read", "write"],
    instructions = "Paths are absolute, or relative to the first allowed folder. list_allowed_directories names the folders."
)]
impl Filesystem {
    #[start]
    fn start(config: Config) -> Result<Self> {
        let roots = Roots::open(&config.roots, config.read_only)?;
        Ok(Self { roots, max_bytes: config.max_bytes, changing: Mutex::default() })
    }

    /// # Read text
    /// Reads a text file; the first or last lines of it, if wanted.
    #[tool(read_only, open_world = false)]
    fn read_text_file(
        &self,
        /** The file. */
        path: String,
        /** Only this many lines from its start. */
        head: Option<usize>,
        /** Only this many lines from its end. */
        tail: Option<usize>,
    ) -> Result<String> {
        let text = self.read_text(&self.roots.locate(&path)?)?;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        Ok(match (head, tail) {
            (Some(_), Some(_)) => return Err(Error::invalid_arguments("give 'head' or 'tail', not both")),
            (Some(head), None) => lines.iter().take(head).copied().collect(),
            (None, Some(tail)) => lines[lines.len().saturating_sub(tail)..].concat(),
            (None, None) => text,
        })
    }

    /// # Read media
    /// Reads an image or sound file.
    #[tool(read_only, open_world = false)]
    fn read_media_file(
        &self,
        /** The file. */
        path: String,
    ) -> Result<Content> {
        let at = self.roots.locate(&path)?;
        let bytes = self.read_bytes(&at)?;
        let mime = find::media_type(&path);
        Ok(match mime.split('/').next() {
            Some("image") => Content::image(bytes, mime),
            Some("audio") => Content::audio(bytes, mime),
            _ => Content::resource(Contents::bytes(bytes).uri(at.uri()).mime_type(mime)),
        })
    }

    /// # Read several
    /// Reads several text files; one that cannot be read does not stop the others.
    #[tool(read_only, open_world = false)]
    fn read_multiple_files(
        &self,
        /** The files. */
        paths: Vec<String>,
    ) -> ReadMany {
        let mut left = self.max_bytes;
        let mut read = |path: String| {
            let text = self.roots.locate(&path).and_then(|at| self.read_text_within(&at, left));
            left -= text.as_ref().map_or(0, |text| text.len() as u64);
            match text {
                Ok(text) => ReadOne { path, text: Some(text), error: None },
                Err(error) => ReadOne { path, text: None, error: Some(error.message().to_owned()) },
            }
        };
        ReadMany { files: paths.into_iter().map(&mut read).collect() }
    }

    /// # Write
    /// Writes a text file, new or anew. The old content is gone.
    #[tool(destructive, idempotent, open_world = false)]
    fn write_file(
        &self,
        /** The file. */
        path: String,
        /** Its new text. */
        content: String,
    ) -> Result<String> {
        let at = self.roots.locate_to_change(&path)?;
        let _changing = self.changing.lock();
        at.replace(content.as_bytes())?;
        Ok(format!("wrote {} bytes to {path}", content.len()))
    }

    /// # Edit
    /// Replaces pieces of a text file, each of which must be there exactly once, and gives the difference.
    #[tool(destructive, open_world = false)]
    fn edit_file(
        &self,
        /** The file. */
        path: String,
        /** The pieces, replaced in order. */
        edits: Vec<Edit>,
        /** Only give the difference, change nothing. */
        #[default(false)]
        dry_run: bool,
    ) -> Result<String> {
        let at = if dry_run { self.roots.locate(&path)? } else { self.roots.locate_to_change(&path)? };
        let _changing = self.changing.lock();
        let before = self.read_text(&at)?;
        let after = edit::apply(&before, &edits)?;
        if !dry_run {
            at.replace(after.as_bytes())?;
        }
        Ok(edit::difference(&path, &before, &after))
    }

    /// # Create folder
    /// Creates a folder and those above it; one that is there already is fine.
    #[tool(destructive = false, idempotent, open_world = false)]
    fn create_directory(
        &self,
        /** The folder. */
        path: String,
    ) -> Result<String> {
        let at = self.roots.locate_to_change(&path)?;
        at.folder().create_dir_all(at.path())?;
        Ok(format!("created {path}"))
    }

    /// # List
    /// Lists the entries of a folder, with their kinds and sizes.
    #[tool(read_only, open_world = false)]
    fn list_directory(
        &self,
        /** The folder. */
        path: String,
    ) -> Result<Vec<Entry>> {
        find::entries(&self.roots.locate(&path)?)
    }

    /// # Tree
    /// Gives everything below a folder as a tree.
    #[tool(read_only, open_world = false)]
    fn directory_tree(
        &self,
        /** The folder. */
        path: String,
        /** Globs of what is left out. */
        #[default([])]
        exclude_patterns: Vec<String>,
        ctx: &Context,
    ) -> Result<Vec<Tree>> {
        find::tree(&self.roots.locate(&path)?, &find::globs(&exclude_patterns)?, ctx)
    }

    /// # Search
    /// Finds files and folders by a glob, such as '*.rs' or 'src/**/test_*'.
    #[tool(read_only, open_world = false)]
    fn search_files(
        &self,
        /** Where to begin. */
        path: String,
        /** The glob: of the name, or with '/' of the path below the beginning. */
        pattern: String,
        /** Globs of what is left out. */
        #[default([])]
        exclude_patterns: Vec<String>,
        ctx: &Context,
    ) -> Result<Vec<String>> {
        let at = self.roots.locate(&path)?;
        find::search(&at, &pattern, &find::globs(&exclude_patterns)?, ctx)
    }

    /// # Move
    /// Moves or renames a file or folder. What is at the destination already is never overwritten.
    #[tool(destructive = false, open_world = false)]
    fn move_file(
        &self,
        /** From. */
        source: String,
        /** To. */
        destination: String,
    ) -> Result<String> {
        let from = self.roots.locate_to_change(&source)?;
        let to = self.roots.locate_to_change(&destination)?;
        let _changing = self.changing.lock();
        from.move_to(&to)?;
        Ok(format!("moved {source} to {destination}"))
    }

    /// # Information
    /// Tells kind, size and times of a file or folder.
    #[tool(read_only, open_world = false)]
    fn get_file_info(
        &self,
        /** The file or folder. */
        path: String,
    ) -> Result<Info> {
        let at = self.roots.locate(&path)?;
        let metadata = at.folder().symlink_metadata(at.path())?;
        let modified = metadata.modified().ok().and_then(|time| {
            let since = time.into_std().duration_since(std::time::UNIX_EPOCH).ok()?;
            Some(since.as_secs())
        });
        Ok(Info {
            kind: find::kind(metadata.file_type()).to_owned(),
            size: metadata.len(),
            modified,
            writable: self.roots.may_change() && !metadata.permissions().readonly(),
        })
    }

    /// # Allowed folders
    /// Lists the folders that may be used.
    #[tool(read_only, idempotent, open_world = false)]
    fn list_allowed_directories(&self) -> Vec<String> {
        self.roots.names()
    }

    /// Any file in an allowed folder.
    #[resource("file:///{+path}")]
    fn file(&self, path: String) -> Result<Contents> {
        let text_path = format!("/{path}");
        let at = self
            .roots
            .locate(&text_path)
            .map_err(|_| Error::not_found("there is no such file in an allowed folder"))?;
        let bytes = self.read_bytes(&at).map_err(|_| Error::not_found("there is no such file in an allowed folder"))?;
        let mime = find::media_type(&path);
        Ok(match String::from_utf8(bytes) {
            Ok(text) => Contents::text(text).mime_type(if mime == find::BYTES { "text/plain" } else { mime }),
            Err(error) => Contents::bytes(error.into_bytes()).mime_type(mime),
        })
    }
}

impl Filesystem {
    fn read_bytes(&self, at: &Located<'_>) -> Result<Vec<u8>> {
        at.read(self.max_bytes)
    }

    fn read_text(&self, at: &Located<'_>) -> Result<String> {
        self.read_text_within(at, self.max_bytes)
    }

    fn read_text_within(&self, at: &Located<'_>, max_bytes: u64) -> Result<String> {
        String::from_utf8(at.read(max_bytes)?).map_err(|_| Error::new("this file is not text; use read_media_file"))
    }
}

#[cfg(test)]
mod tests;
