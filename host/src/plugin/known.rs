//! What files were when they were staged last, kept over restarts: one that has not changed since is not read again.
//!
//! That a file has not changed is what the system says of it. Where the operator demands certain bytes, the copy is hashed
//! before it is opened, whatever is written here.

use super::Digest;
use super::stage::StageDirectory;
use mcp_plugin_api::abi::Metadata;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What tells a file from every other, and from itself with other bytes: who changes these changes its times, of which the
/// last cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    number: u64,
    bytes: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// Of what is said of a file.
    #[cfg(unix)]
    pub(super) fn of(metadata: &fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        Some(Self {
            device: metadata.dev(),
            number: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Here nothing tells of every change.
    #[cfg(not(unix))]
    pub(super) fn of(_metadata: &fs::Metadata) -> Option<Self> {
        None
    }

    #[cfg(test)]
    pub(super) fn changed_at(&self) -> (i64, i64) {
        self.changed
    }

    /// Whether it has been so for long enough at this time that a later change shows: clocks of files are coarse.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        const LONG_ENOUGH: Duration = Duration::from_secs(2);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let limit = now.saturating_sub(LONG_ENOUGH).as_secs();
        [self.modified.0, self.changed.0].into_iter().all(|at| u64::try_from(at).is_ok_and(|at| at < limit))
    }
}

/// A file that was staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownFile {
    /// The file.
    origin: Identity,
    /// Its copy.
    copy: Identity,
    digest: String,
    metadata: Metadata,
}

impl KnownFile {
    /// What is known of a file that looked so before it was read and staged.
    pub(super) fn new(origin: Identity, copy: Identity, digest: Digest, metadata: &Metadata) -> Self {
        Self { origin, copy, digest: digest.to_string(), metadata: metadata.clone() }
    }

    /// The digest and the metadata, if this is still the file.
    pub(super) fn of(&self, origin: Option<&Identity>) -> Option<(Digest, &Metadata)> {
        let is_same = origin == Some(&self.origin);
        is_same.then(|| Some((Digest::parse(&self.digest)?, &self.metadata))).flatten()
    }

    /// Whether the copy is the one that was made.
    pub(super) fn is_copy(&self, copy: Option<&Identity>) -> bool {
        copy == Some(&self.copy)
    }
}

/// The files of the last start.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownFiles {
    /// The version of the host that has judged them.
    host: String,
    files: BTreeMap<PathBuf, KnownFile>,
}

impl KnownFiles {
    /// What is written beside the copies; nothing where it cannot be read, or another version of the host has written it.
    ///
    /// # Blocking
    /// Reads a small file.
    pub(super) fn read(stage: &StageDirectory) -> Self {
        let written = fs::read(place(stage)).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        written.filter(|files| files.host == env!("CARGO_PKG_VERSION")).unwrap_or_default()
    }

    /// What is known of a file.
    pub(super) fn get(&self, path: &Path) -> Option<&KnownFile> {
        self.files.get(path)
    }

    /// Writes these files, if they are others than before. Where that is not possible they are read again at the next start.
    ///
    /// # Blocking
    /// Writes a small file.
    pub(super) fn replace(self, files: BTreeMap<PathBuf, KnownFile>, stage: &StageDirectory) {
        if self.files == files {
            return;
        }
        let files = Self { host: env!("CARGO_PKG_VERSION").to_owned(), files };
        let draft = place(stage).with_extension(format!("{}.draft", std::process::id()));
        let written =
            serde_json::to_vec(&files).map_err(std::io::Error::from).and_then(|bytes| fs::write(&draft, bytes));
        if let Err(error) = written.and_then(|()| fs::rename(draft, place(stage))) {
            tracing::warn!(%error, "what plugin files are is not kept: they are read again at the next start");
        }
    }
}

fn place(stage: &StageDirectory) -> PathBuf {
    stage.path().join("files.json")
}
