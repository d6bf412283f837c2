//! Which files of a folder may be plugins.

use crate::rt::is_writable_for_all;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file whose name is that of a native library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub path: PathBuf,
}

/// Why a folder, or a file in it, is not looked at.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The folder cannot be read.
    #[error("the plugin folder {path} cannot be read")]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Anyone could put a plugin there.
    #[error("the plugin folder {path} is writable for everyone: `chmod o-w` it")]
    WorldWritable {
        /// The folder.
        path: PathBuf,
    },
    /// The file is elsewhere, where this folder's permissions do not protect it.
    #[error("{path} is a symbolic link: put the file itself into the folder")]
    SymbolicLink {
        /// The link.
        path: PathBuf,
    },
}

/// The candidates of a folder, sorted by name, and the files that were refused.
///
/// # Errors
/// When the folder itself is refused.
pub fn discover(folder: &Path) -> Result<(Vec<Candidate>, Vec<DiscoverError>), DiscoverError> {
    let unreadable = |source| DiscoverError::Unreadable { path: folder.to_owned(), source };
    let metadata = fs::metadata(folder).map_err(unreadable)?;
    if is_writable_for_all(&metadata) {
        return Err(DiscoverError::WorldWritable { path: folder.to_owned() });
    }
    let mut entries: Vec<fs::DirEntry> =
        fs::read_dir(folder).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut candidates = Vec::new();
    let mut refused = Vec::new();
    for entry in entries {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != std::env::consts::DLL_EXTENSION) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() => refused.push(DiscoverError::SymbolicLink { path }),
            Ok(kind) if kind.is_file() => candidates.push(Candidate { path }),
            Ok(_) => {}
            Err(source) => refused.push(DiscoverError::Unreadable { path, source }),
        }
    }
    Ok((candidates, refused))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn libraries_are_found_sorted_and_links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.so", "a.so", "readme.txt", "c.so.bak"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.so")).unwrap();
        fs::create_dir(folder.path().join("folder.so")).unwrap();
        let (candidates, refused) = discover(folder.path()).unwrap();
        let names: Vec<_> = candidates.iter().map(|it| it.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.so", "b.so"]);
        assert_eq!(refused.len(), 1);
        assert!(matches!(&refused[0], DiscoverError::SymbolicLink { path } if path.ends_with("link.so")));
    }

    #[test]
    fn a_folder_that_everyone_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(discover(folder.path()), Err(DiscoverError::WorldWritable { .. })));
    }

    #[test]
    fn a_missing_folder_is_named() {
        assert!(matches!(discover(Path::new("/no/such/folder")), Err(DiscoverError::Unreadable { .. })));
    }
}
