//! The allowed folders, and paths inside them.

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use mcp_plugin_api::prelude::*;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Folders that may be used.
pub(crate) struct Roots {
    roots: Vec<Root>,
    read_only: bool,
}

struct Root {
    path: PathBuf,
    /// As the operator has written it, which may lead there by links.
    written: PathBuf,
    dir: Dir,
}

/// A path in an allowed folder. What it names may not exist.
pub(crate) struct Located<'a> {
    root: &'a Root,
    path: PathBuf,
}

impl Roots {
    pub(crate) fn open(paths: &[PathBuf], read_only: bool) -> Result<Self> {
        let open = |path: &PathBuf| {
            let unusable =
                |error| Error::invalid_params(format!("the root {} cannot be used: {error}", path.display()));
            let written = std::path::absolute(path).map_err(unusable)?;
            let path = path.canonicalize().map_err(unusable)?;
            let dir = Dir::open_ambient_dir(&path, ambient_authority()).map_err(unusable)?;
            Ok(Root { path, written, dir })
        };
        Ok(Self { roots: paths.iter().map(open).collect::<Result<_>>()?, read_only })
    }

    pub(crate) fn may_change(&self) -> bool {
        !self.read_only
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.roots.iter().map(|root| root.path.display().to_string()).collect()
    }

    /// The place that a path names. An absolute path must begin with an allowed folder.
    ///
    /// This only finds which folder is meant: whether the rest stays inside is decided by the folder's capability.
    pub(crate) fn locate(&self, path: &str) -> Result<Located<'_>> {
        let path = Path::new(path);
        let Some(first) = self.roots.first() else {
            return Err(Error::new(
                "no folder is allowed yet: the operator names some in plugins.filesystem.config.roots",
            ));
        };
        let located = if path.is_absolute() {
            plain(path).and_then(|plain| {
                let spellings = self.roots.iter().flat_map(|root| [(root, &root.path), (root, &root.written)]);
                let inside = spellings.filter(|(_, name)| plain.starts_with(name));
                let (root, name) = inside.max_by_key(|(_, name)| name.as_os_str().len())?;
                Some((root, plain.strip_prefix(name).ok()?.to_owned()))
            })
        } else {
            plain(path).map(|plain| (first, plain))
        };
        let Some((root, path)) = located else {
            return Err(Error::new(format!(
                "Access denied - path outside allowed directories: {} not in {}",
                path.display(),
                self.names().join(", ")
            )));
        };
        let path = if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
        Ok(Located { root, path })
    }

    /// As [`Roots::locate`], unless nothing may be changed.
    pub(crate) fn locate_to_change(&self, path: &str) -> Result<Located<'_>> {
        if self.read_only {
            return Err(Error::new("nothing may be changed here: the operator has set 'read_only'"));
        }
        self.locate(path)
    }
}

/// A path without `.` and `..`, which are taken out of its text; nothing where `..` leads above its beginning.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            // Above the root of everything is that root.
            Component::ParentDir if path.is_absolute() => {
                plain.pop();
            }
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            other => plain.push(other),
        }
    }
    Some(plain)
}

impl Located<'_> {
    /// The allowed folder.
    pub(crate) fn folder(&self) -> &Dir {
        &self.root.dir
    }

    /// The path below it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An error of the system, with the path that it is about.
    pub(crate) fn told(&self, error: std::io::Error) -> Error {
        let path = self.root.path.join(&self.path);
        let path = if self.path == Path::new(".") { &self.root.path } else { &path };
        Error::new(format!("{}: {error}", path.display()))
    }

    /// As a URI.
    pub(crate) fn uri(&self) -> String {
        let path = self.root.path.join(&self.path);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~');
        path.as_os_str().as_encoded_bytes().iter().fold("file://".to_owned(), |mut uri, byte| {
            if plain(*byte) {
                uri.push(char::from(*byte));
            } else {
                uri.push_str(&format!("%{byte:02X}"));
            }
            uri
        })
    }

    /// Reads a file of at most this many bytes, even if it grows meanwhile.
    pub(crate) fn read(&self, max_bytes: u64) -> Result<Vec<u8>> {
        // A pipe would be waited for when it is opened.
        let told = |error| self.told(error);
        if !self.folder().metadata(&self.path).map_err(told)?.is_file() {
            return Err(self.told(std::io::Error::other("this is not a file")));
        }
        let file = self.folder().open(&self.path).map_err(told)?;
        let length = file.metadata().map_err(told)?.len();
        let mut bytes = Vec::new();
        file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(told)?;
        if bytes.len() as u64 > max_bytes {
            return Err(Error::new(format!("the file has {length} bytes, {max_bytes} are allowed")));
        }
        Ok(bytes)
    }

    /// A path below this one, as clients write it.
    pub(crate) fn absolute(&self, below: &Path) -> String {
        let beginning = if self.path == Path::new(".") { Path::new("") } else { &self.path };
        let path: PathBuf = self.root.path.join(beginning).join(below).components().collect();
        path.display().to_string()
    }

    /// Replaces a file whole: who reads it meanwhile sees the old content or the new.
    pub(crate) fn replace(&self, bytes: &[u8]) -> Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (dir, told) = (self.folder(), |error| self.told(error));
        let permissions = match dir.symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_symlink() => {
                // The file that it leads to, if that is inside.
                let path = dir.canonicalize(&self.path).map_err(told)?;
                return Located { root: self.root, path }.replace(bytes);
            }
            Ok(metadata) if !metadata.is_file() => return Err(told(std::io::Error::other("this is not a file"))),
            Ok(metadata) if metadata.permissions().readonly() => {
                return Err(told(std::io::Error::other("this file is write-protected")));
            }
            Ok(metadata) => Some(metadata.permissions()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(told(error)),
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!(".{since:x}.{}.{}.draft", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let draft = self.path.with_file_name(name);
        let mut file = dir.open_with(&draft, OpenOptions::new().write(true).create_new(true)).map_err(told)?;
        let written = (|| {
            if let Some(permissions) = permissions {
                // Before the first byte: the draft is as secret as the file.
                file.set_permissions(permissions)?;
            }
            file.write_all(bytes)?;
            file.sync_all()?;
            dir.rename(&draft, dir, &self.path)
        })();
        if written.is_err() {
            let _ = dir.remove_file(&draft);
        }
        written.map_err(told)
    }

    /// Moves a file or folder to a place where nothing is.
    pub(crate) fn move_to(&self, to: &Located<'_>) -> Result<()> {
        match to.folder().symlink_metadata(&to.path) {
            Ok(_) => return Err(Error::new(format!("Destination already exists: {}", to.absolute(Path::new(""))))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(to.told(error)),
        }
        self.folder().rename(&self.path, to.folder(), &to.path).map_err(|error| self.told(error))
    }
}
