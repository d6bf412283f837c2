//! Where systems differ about files: who else may read or write one, and what tells it from every other.
//!
//! On Windows a file has the rights of its folder, and nothing is set or asked here: usual folders are below the user's own, of
//! others the operator sees to the rights.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// A file that is made with these options nobody else can read.
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes a folder that nobody else can enter, and those above it, where they are missing.
///
/// # Errors
/// When it cannot be made.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Takes a file from everybody else.
///
/// # Errors
/// When its rights cannot be changed.
pub fn make_private(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Whether others may read or write it.
#[must_use]
pub fn is_exposed(metadata: &Metadata) -> bool {
    has_mode(metadata, 0o077)
}

/// Whether everybody may write to it.
#[must_use]
pub fn is_writable_for_all(metadata: &Metadata) -> bool {
    has_mode(metadata, 0o002)
}

/// Whether a folder is this user's, and nobody else may write to it.
#[must_use]
pub fn is_own_folder(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::uid(metadata) != rustix::process::geteuid().as_raw() {
        return false;
    }
    metadata.is_dir() && !has_mode(metadata, 0o022)
}

#[cfg(unix)]
fn has_mode(metadata: &Metadata, any_of: u32) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & any_of != 0
}

#[cfg(not(unix))]
fn has_mode(_metadata: &Metadata, _any_of: u32) -> bool {
    false
}

/// Whether an open file is still the one at a path. On Windows, where files have no number that could be asked for here, one of
/// the same length is taken for it: its bytes are judged by whoever opens it.
///
/// # Errors
/// When nothing is there.
pub fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = std::fs::metadata(path)?;
    #[cfg(unix)]
    return Ok(std::os::unix::fs::MetadataExt::ino(&there) == std::os::unix::fs::MetadataExt::ino(&file.metadata()?));
    #[cfg(not(unix))]
    return Ok(there.len() == file.metadata()?.len());
}

/// What a system says of a file that changes with every change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLooks {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub number: u64,
    /// Its length.
    pub bytes: u64,
    /// Seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    /// The same of a time that nobody can set.
    pub changed: (i64, i64),
}

impl FileLooks {
    /// Of what is said of a file; nothing where no time tells of every change, as on Windows.
    #[cfg(unix)]
    #[must_use]
    pub fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        Some(Self {
            device: metadata.dev(),
            number: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Of what is said of a file; nothing where no time tells of every change, as on Windows.
    #[cfg(not(unix))]
    #[must_use]
    pub fn of(_metadata: &Metadata) -> Option<Self> {
        None
    }
}
