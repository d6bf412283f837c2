//! What files were when they were staged last, kept over restarts: one that has not changed since is not read again.
//!
//! That a file has not changed is what the system says of it. Where the operator demands certain bytes, the copy is hashed
//! before it is opened, whatever is written here.

use super::Digest;
use super::stage::{StageDirectory, draft};
use crate::rt::FileLooks;
use mcp_plugin_api::abi::Metadata;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
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
    /// Of what is said of a file; nothing where the system does not tell of every change.
    pub(super) fn of(metadata: &fs::Metadata) -> Option<Self> {
        let FileLooks { device, number, bytes, modified, changed } = FileLooks::of(metadata)?;
        Some(Self { device, number, bytes, modified, changed })
    }

    #[cfg(all(test, unix))]
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
    /// The copy looked so for long enough that a later change shows.
    is_sure: bool,
    digest: String,
    metadata: Metadata,
}

impl KnownFile {
    /// What is known of a file that looked so before it was read and staged.
    pub(super) fn new(origin: Identity, copy: Identity, is_sure: bool, digest: Digest, metadata: &Metadata) -> Self {
        Self { origin, copy, is_sure, digest: digest.to_string(), metadata: metadata.clone() }
    }

    /// The digest and the metadata, if this is still the file.
    pub(super) fn of(&self, origin: Option<&Identity>) -> Option<(Digest, &Metadata)> {
        let is_same = origin == Some(&self.origin);
        is_same.then(|| Some((Digest::parse(&self.digest)?, &self.metadata))).flatten()
    }

    /// Whether every change of the copy shows.
    pub(super) fn is_sure(&self) -> bool {
        self.is_sure
    }

    /// Whether the copy is the one that was made.
    pub(super) fn is_copy(&self, copy: Option<&Identity>) -> bool {
        copy == Some(&self.copy)
    }
}

/// The files that were found last, in the folders of all hosts that share the copies.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownFiles {
    /// The host that has judged them.
    host: String,
    files: BTreeMap<PathBuf, KnownFile>,
}

/// Files that are known at most.
const MAX_FILES: usize = 1000;

/// Which hosts judge alike: those of one version, for one machine.
fn host() -> String {
    format!("{} {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS)
}

impl KnownFiles {
    /// What is written beside the copies; nothing where it cannot be read, or another kind of host has written it.
    ///
    /// # Blocking
    /// Reads a small file.
    pub(super) fn read(stage: &StageDirectory) -> Self {
        let written = fs::read(place(stage)).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        written.filter(|files| files.host == host()).unwrap_or_default()
    }

    /// What is known of a file.
    pub(super) fn get(&self, path: &Path) -> Option<&KnownFile> {
        self.files.get(path)
    }

    /// Writes what is known now of the files in these folders; of others as before. Where that is not possible they are read
    /// again at the next start.
    ///
    /// # Blocking
    /// Writes a small file.
    pub(super) fn replace(self, found: BTreeMap<PathBuf, KnownFile>, folders: &[PathBuf], stage: &StageDirectory) {
        let is_looked_at = |path: &PathBuf| folders.iter().any(|folder| path.parent() == Some(folder));
        let mut files = self.files.clone();
        files.retain(|path, _| !is_looked_at(path));
        while files.len() + found.len() > MAX_FILES && files.pop_first().is_some() {}
        // Names that are no text cannot be written down.
        files.extend(found.into_iter().filter(|(path, _)| path.to_str().is_some()));
        if self.files == files {
            return;
        }
        if let Err(error) = write(&Self { host: host(), files }, stage) {
            tracing::warn!(%error, "what plugin files are is not kept: they are read again at the next start");
        }
    }
}

fn write(files: &KnownFiles, stage: &StageDirectory) -> io::Result<()> {
    let bytes = serde_json::to_vec(files)?;
    let mut draft = draft(stage.path(), Digest::of(&bytes))?;
    let written = draft.file.write_all(&bytes).and_then(|()| fs::rename(&draft.path, place(stage)));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&draft.path);
    })
}

fn place(stage: &StageDirectory) -> PathBuf {
    stage.path().join("files.json")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::plugin::metadata::tests::metadata;

    fn known(root: &Path) -> KnownFile {
        let file = root.join("some");
        fs::write(&file, b"x").unwrap();
        let looks = || Identity::of(&fs::metadata(&file).unwrap()).unwrap();
        KnownFile::new(looks(), looks(), true, Digest::of(b"x"), &metadata())
    }

    #[test]
    fn what_is_known_is_kept_for_each_folder_by_itself() {
        let root = tempfile::tempdir().unwrap();
        let stage = StageDirectory::open(root.path().join("stage")).unwrap();
        let known = known(root.path());
        let [one, other] = ["/one", "/other"].map(PathBuf::from);
        let keep = |folder: &PathBuf, files: &[PathBuf]| {
            let found = files.iter().map(|file| (file.clone(), known.clone())).collect();
            KnownFiles::read(&stage).replace(found, std::slice::from_ref(folder), &stage);
        };
        keep(&one, &[one.join("a.so"), one.join("b.so")]);
        keep(&other, &[other.join("c.so")]);
        keep(&one, &[one.join("b.so")]);
        let files = KnownFiles::read(&stage);
        let is_known = [one.join("a.so"), one.join("b.so"), other.join("c.so")].map(|path| files.get(&path).is_some());
        assert_eq!(is_known, [false, true, true]);
        let drafts = fs::read_dir(stage.path()).unwrap().count();
        assert_eq!(drafts, 1, "no draft is left");
    }

    #[test]
    fn what_another_host_has_written_or_nobody_can_read_says_nothing() {
        let root = tempfile::tempdir().unwrap();
        let stage = StageDirectory::open(root.path().join("stage")).unwrap();
        let (path, known) = (PathBuf::from("/one/a.so"), known(root.path()));
        let write = || {
            let found = BTreeMap::from([(path.clone(), known.clone())]);
            KnownFiles::read(&stage).replace(found, &["/one".into()], &stage);
            fs::read_to_string(place(&stage)).unwrap()
        };
        let text = write();
        assert!(KnownFiles::read(&stage).get(&path).is_some());
        for spoilt in [text.replace(std::env::consts::ARCH, "another machine"), text[..text.len() / 2].to_owned()] {
            fs::write(place(&stage), &spoilt).unwrap();
            assert_eq!(KnownFiles::read(&stage), KnownFiles::default());
            assert_eq!(write(), text, "it is written anew");
        }
    }
}
