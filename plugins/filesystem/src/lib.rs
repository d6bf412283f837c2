//! Files in folders that the operator allows, and nowhere else.
//!
//! `..` is taken out of a path's text. What is left is resolved inside a capability for one of the allowed folders: symbolic links
//! that lead out of it are refused by the file system calls themselves, not by comparing text.

mod edit;
mod find;
mod roots;

use edit::Edit;
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

/// What is known of a file.
#[model]
#[derive(Debug)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// Its size in bytes.
    size: u64,
    /// When it was made, as an RFC 3339 time; nothing where the system does not keep that.
    created: Option<String>,
    /// When it was last changed.
    modified: Option<String>,
    /// When it was last read.
    accessed: Option<String>,
    /// Whether it is a folder.
    is_directory: bool,
    /// Whether it is a file.
    is_file: bool,
    /// Who may do what with it: three octal digits.
    permissions: String,
    /// Whether it may be changed here.
    writable: bool,
}

/// By what a list is sorted.
#[model]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SortBy {
    /// Its names.
    Name,
    /// Its sizes, the largest first.
    Size,
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
        let lines: Vec<&str> = text.lines().collect();
        Ok(match (head, tail) {
            (Some(_), Some(_)) => {
                let both = "Cannot specify both head and tail parameters simultaneously";
                return Err(Error::invalid_arguments(both));
            }
            (Some(head), None) => lines[..head.min(lines.len())].join("\n"),
            (None, Some(tail)) => lines[lines.len().saturating_sub(tail)..].join("\n"),
            (None, None) => text,
        })
    }

    /// # Read text
    /// The old name of read_text_file.
    #[tool(read_only, open_world = false)]
    fn read_file(
        &self,
        /** The file. */
        path: String,
        /** Only this many lines from its start. */
        head: Option<usize>,
        /** Only this many lines from its end. */
        tail: Option<usize>,
    ) -> Result<String> {
        self.read_text_file(path, head, tail)
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
    ) -> Result<Structured<ReadMany>> {
        let mut left = self.max_bytes;
        let mut read = |path: String| {
            let text = self.roots.locate(&path).and_then(|at| self.read_text_within(&at, left));
            left -= text.as_ref().map_or(0, |text| text.len() as u64);
            match text {
                Ok(text) => ReadOne { path, text: Some(text), error: None },
                Err(error) => ReadOne { path, text: None, error: Some(error.message().to_owned()) },
            }
        };
        let files: Vec<ReadOne> = paths.into_iter().map(&mut read).collect();
        let told = files.iter().map(|ReadOne { path, text, error }| match text {
            Some(text) => format!("{path}:\n{text}\n"),
            None => format!("{path}: Error - {}", error.as_deref().unwrap_or_default()),
        });
        Structured::new(told.collect::<Vec<_>>().join("\n---\n"), &ReadMany { files })
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
        Ok(format!("Successfully wrote to {path}"))
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
        #[serde(rename = "dryRun")]
        dry_run: bool,
    ) -> Result<String> {
        let at = if dry_run { self.roots.locate(&path)? } else { self.roots.locate_to_change(&path)? };
        let changing = self.changing.lock();
        let before = self.read_text(&at)?;
        let after = edit::apply(&before, &edits)?;
        if !dry_run {
            at.replace(after.as_bytes())?;
        }
        drop(changing);
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
        at.folder().create_dir_all(at.path()).map_err(|error| at.told(error))?;
        Ok(format!("Successfully created directory {path}"))
    }

    /// # List
    /// Lists the entries of a folder, each marked as `[DIR]` or `[FILE]`.
    #[tool(read_only, open_world = false)]
    fn list_directory(
        &self,
        /** The folder. */
        path: String,
    ) -> Result<String> {
        let entries = find::entries(&self.roots.locate(&path)?)?;
        let lines = entries.iter().map(|entry| format!("{} {}", entry.mark(), entry.name));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// # List with sizes
    /// Lists the entries of a folder with their sizes, and all of them together.
    #[tool(read_only, open_world = false)]
    fn list_directory_with_sizes(
        &self,
        /** The folder. */
        path: String,
        /** By what. */
        #[default(SortBy::Name)]
        #[serde(rename = "sortBy")]
        sort_by: SortBy,
    ) -> Result<String> {
        let mut entries = find::entries(&self.roots.locate(&path)?)?;
        if sort_by == SortBy::Size {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.size.unwrap_or(0)));
        }
        let lines = entries.iter().flat_map(|entry| {
            let is_folder = entry.kind == "directory";
            let size = if is_folder { String::new() } else { find::written_size(entry.size.unwrap_or(0)) };
            [format!("{} {:<30} {size:>10}", entry.mark(), entry.name).trim_end().to_owned(), "\n".to_owned()]
        });
        let folders = entries.iter().filter(|entry| entry.kind == "directory").count();
        let total: u64 = entries.iter().filter_map(|entry| entry.size).sum();
        Ok(format!(
            "{}\nTotal: {} files, {folders} directories\nCombined size: {}",
            lines.collect::<String>(),
            entries.len() - folders,
            find::written_size(total)
        ))
    }

    /// # Tree
    /// Gives everything below a folder as a tree: JSON with name, type and children.
    #[tool(read_only, open_world = false)]
    fn directory_tree(
        &self,
        /** The folder. */
        path: String,
        /** Globs of what is left out: of names, or of paths below the folder. */
        #[default([])]
        #[serde(rename = "excludePatterns")]
        exclude_patterns: Vec<String>,
        ctx: &Context,
    ) -> Result<String> {
        let tree = find::tree(&self.roots.locate(&path)?, &find::globs(&exclude_patterns)?, ctx)?;
        Ok(mcp_plugin_api::serde_json::to_string_pretty(&tree)?)
    }

    /// # Search
    /// Finds files and folders by a glob of their paths: '*.rs' finds those in the folder itself, '**/*.rs' those below it too.
    #[tool(read_only, open_world = false)]
    fn search_files(
        &self,
        /** Where to begin. */
        path: String,
        /** The glob, as seen from there. */
        pattern: String,
        /** Globs of what is left out: of names, or of paths below the beginning. */
        #[default([])]
        #[serde(rename = "excludePatterns")]
        exclude_patterns: Vec<String>,
        ctx: &Context,
    ) -> Result<String> {
        let at = self.roots.locate(&path)?;
        let found = find::search(&at, &pattern, &find::globs(&exclude_patterns)?, ctx)?;
        Ok(if found.is_empty() { "No matches found".to_owned() } else { found.join("\n") })
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
        Ok(format!("Successfully moved {source} to {destination}"))
    }

    /// # Information
    /// Tells size, times and rights of a file or folder.
    #[tool(read_only, open_world = false)]
    fn get_file_info(
        &self,
        /** The file or folder. */
        path: String,
    ) -> Result<Structured<Info>> {
        let at = self.roots.locate(&path)?;
        let metadata = at.folder().metadata(at.path()).map_err(|error| at.told(error))?;
        let time = |time: std::io::Result<cap_std::time::SystemTime>| {
            let moment = jiff::Timestamp::try_from(time.ok()?.into_std()).ok()?;
            Some(moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        };
        let info = Info {
            size: metadata.len(),
            created: time(metadata.created()),
            modified: time(metadata.modified()),
            accessed: time(metadata.accessed()),
            is_directory: metadata.is_dir(),
            is_file: metadata.is_file(),
            permissions: permissions(&metadata),
            writable: self.roots.may_change() && !metadata.permissions().readonly(),
        };
        let word = |time: &Option<String>| time.clone().unwrap_or_else(|| "unknown".to_owned());
        let text = format!(
            "size: {}\ncreated: {}\nmodified: {}\naccessed: {}\nisDirectory: {}\nisFile: {}\npermissions: {}",
            info.size,
            word(&info.created),
            word(&info.modified),
            word(&info.accessed),
            info.is_directory,
            info.is_file,
            info.permissions
        );
        Structured::new(text, &info)
    }

    /// # Allowed folders
    /// Lists the folders that may be used.
    #[tool(read_only, idempotent, open_world = false)]
    fn list_allowed_directories(&self) -> String {
        format!("Allowed directories:\n{}", self.roots.names().join("\n"))
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

/// Who may do what, in octal digits; where a system has none of these, what its one switch says.
fn permissions(metadata: &cap_std::fs::Metadata) -> String {
    #[cfg(unix)]
    let mode = cap_std::fs::MetadataExt::mode(metadata) & 0o777;
    #[cfg(not(unix))]
    let mode = if metadata.permissions().readonly() { 0o444 } else { 0o666 };
    format!("{mode:03o}")
}

#[cfg(test)]
mod tests;
