//! The private copy that is loaded: what was judged is what is mapped.
//!
//! A mapped file that is overwritten kills the process, and glibc takes two files under one path for the same library.
//! So every content gets a file of its own, named by its digest, in a folder that only this user may enter.

use super::known::{Identity, KnownFile};
use super::{Inspected, metadata};
use crate::rt::{is_own_folder, is_still_at, make_private_folder, private};
use mcp_plugin_api::abi::Metadata;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The SHA-256 of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of all that is read.
    ///
    /// # Errors
    /// When it cannot be read.
    ///
    /// # Blocking
    /// Reads to the end.
    pub fn of_reader(mut reader: impl io::Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut part = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut part) {
                Ok(0) => return Ok(Self(hasher.finalize().into())),
                Ok(read) => hasher.update(&part[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest that is written so: 64 hexadecimal digits, with or without `sha256:` before them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

/// The folder of staged copies.
#[derive(Debug, Clone)]
pub struct StageDirectory(PathBuf);

/// A copy that may be loaded.
#[derive(Debug)]
pub struct Staged {
    /// Where the operator put the file.
    pub origin: PathBuf,
    /// The copy.
    pub path: PathBuf,
    /// Of its bytes.
    pub digest: Digest,
    /// What it says of itself.
    pub metadata: Metadata,
    /// Held as long as it is in use, so that no host that shares the folder removes it.
    in_use: fs::File,
    /// How it looked when its bytes were known to be the ones; nothing where a change might not show.
    looked: Option<Identity>,
}

/// Why a file cannot be staged.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be made or used: plugins are kept there for this user alone")]
pub struct StageError {
    /// The copy.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl StageDirectory {
    /// Opens the folder, and makes it if it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or is not this user's alone.
    pub fn open(path: PathBuf) -> Result<Self, StageError> {
        private_folder(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The copy of a file that has not changed since it was made, held as one in use; nothing where it has, or is gone, or this
    /// host would not take it.
    ///
    /// # Blocking
    /// Asks the system, and hashes a copy whose last change might not show in what was written down.
    pub(super) fn find(&self, origin: &Path, known: &KnownFile, now: SystemTime) -> Option<Staged> {
        let looks = fs::metadata(origin).ok().and_then(|metadata| Identity::of(&metadata));
        let (digest, metadata) = known.of(looks.as_ref())?;
        metadata::check(metadata).ok()?;
        let path = self.copy_of(digest);
        let file = in_use(&path).ok().flatten()?;
        let copy = file.metadata().ok().and_then(|metadata| Identity::of(&metadata));
        let metadata = metadata.clone();
        let is_copy = known.is_copy(copy.as_ref());
        let looked = copy.filter(|copy| copy.is_settled(now));
        let staged =
            is_copy.then(|| Staged { origin: origin.to_owned(), path, digest, metadata, in_use: file, looked })?;
        (known.is_sure() || staged.check(&staged.path).is_ok()).then_some(staged)
    }

    fn copy_of(&self, digest: Digest) -> PathBuf {
        self.0.join(format!("{digest}.{}", std::env::consts::DLL_EXTENSION))
    }

    /// Makes the copy of a file, unless it is there already.
    ///
    /// # Errors
    /// See [`StageError`].
    ///
    /// # Blocking
    /// Hashes and writes the whole file.
    pub fn stage(&self, inspected: Inspected) -> Result<Staged, StageError> {
        let digest = Digest::of(&inspected.bytes);
        let path = self.copy_of(digest);
        let fail = |source| StageError { path: path.clone(), source };
        let in_use = loop {
            if !holds(&path, &inspected.bytes) {
                let mut draft = draft(&self.0, digest).map_err(fail)?;
                draft.file.write_all(&inspected.bytes).map_err(fail)?;
                draft.file.sync_data().map_err(fail)?;
                drop(draft.file);
                if let Err(error) = fs::rename(&draft.path, &path) {
                    let _ = fs::remove_file(&draft.path);
                    // Windows replaces no file that is open, as the same copy is that another has made meanwhile.
                    if !holds(&path, &inspected.bytes) {
                        return Err(fail(error));
                    }
                }
            }
            // Another host may remove it until it is locked; then it is made again.
            match in_use(&path) {
                Ok(Some(file)) => break file,
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(fail(error)),
            }
        };
        Ok(Staged { origin: inspected.path, path, digest, metadata: inspected.metadata, in_use, looked: None })
    }
}

impl StageDirectory {
    /// Removes files that are not among those `in_use`, and that nobody has written for this long.
    pub(super) fn clean(&self, in_use: &BTreeSet<Digest>, long: Duration) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| Digest::parse(name.split('.').next()?));
            let is_in_use = digest.is_some_and(|digest| in_use.contains(&digest));
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > long));
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == REMOVED) {
                // Its last user may have ended since.
                let _ = fs::remove_file(path);
            } else if digest.is_some() && !is_in_use && is_old {
                remove_unused(&path);
            }
        }
    }
}

/// The copy at a path, held so that nobody removes it; nothing where somebody just did. Where a file system has no locks,
/// nothing is ever removed.
fn in_use(path: &Path) -> io::Result<Option<fs::File>> {
    let file = fs::File::open(path)?;
    let _ = file.lock_shared();
    Ok(is_still_at(&file, path)?.then_some(file))
}

/// Removes a copy that no host uses.
pub(super) fn remove_unused(path: &Path) {
    let Ok(file) = fs::File::open(path) else {
        return;
    };
    if file.try_lock().is_ok() {
        remove(path);
    }
}

/// The ending of a copy that was to be removed when it could not be.
const REMOVED: &str = "removed";

/// Removes a copy. Windows removes no file that is mapped, and lets it be renamed: such a one goes with the next start of a host.
pub(super) fn remove(path: &Path) {
    if fs::remove_file(path).is_err()
        && let Ok(number) = getrandom::u64()
    {
        // Where that fails too, it is tried again when it has not been used for long.
        let _ = fs::rename(path, path.with_extension(format!("{number:016x}.{REMOVED}")));
    }
}

impl Staged {
    /// What is known of it from now on, whose file looked so before it was read; nothing where a change might not show.
    pub(super) fn known(&self, origin: Option<Identity>, now: SystemTime) -> Option<KnownFile> {
        let copy = Identity::of(&self.in_use.metadata().ok()?)?;
        let origin = origin.filter(|origin| origin.is_settled(now))?;
        let is_sure = copy.is_settled(now);
        Some(KnownFile::new(origin, copy, is_sure, self.digest, &self.metadata))
    }

    /// Removes the copy, which is not to be used.
    pub(super) fn discard(&self) {
        remove(&self.path);
    }

    /// Whether the copy has not changed since its bytes were hashed last, by what the system says of it.
    ///
    /// # Blocking
    /// Asks the system.
    pub(super) fn is_unchanged(&self) -> bool {
        let looks = fs::symlink_metadata(&self.path).ok().and_then(|metadata| Identity::of(&metadata));
        self.looked.is_some() && self.looked == looks
    }

    /// Holds a file, the copy or a further one, to have the bytes that were staged.
    ///
    /// # Errors
    /// When it cannot be read, or has others.
    ///
    /// # Blocking
    /// Reads and hashes the whole file.
    pub(super) fn check(&self, path: &Path) -> Result<(), StageError> {
        let fail = |source| StageError { path: path.to_owned(), source };
        let digest = fs::File::open(path).and_then(Digest::of_reader).map_err(fail)?;
        if digest == self.digest { Ok(()) } else { Err(changed(path)) }
    }

    /// The bytes of a file, the copy or a further one, which are those that were staged.
    ///
    /// # Errors
    /// When it cannot be read, or has others.
    ///
    /// # Blocking
    /// Reads and hashes the whole file.
    pub(super) fn bytes(&self, path: &Path) -> Result<Vec<u8>, StageError> {
        let fail = |source| StageError { path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(fail)?;
        if Digest::of(&bytes) == self.digest { Ok(bytes) } else { Err(changed(path)) }
    }

    /// A further copy, under a name of its own: the loader takes one path, and one file, for one library, and gives the
    /// image that it has. Whoever opens it removes it.
    ///
    /// # Errors
    /// See [`StageError`].
    ///
    /// # Blocking
    /// Copies the whole file.
    pub(super) fn copy(&self) -> Result<PathBuf, StageError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let fail = |source| StageError { path: self.path.clone(), source };
        let mut original = fs::File::open(&self.path).map_err(fail)?;
        let mut draft = draft(folder, self.digest).map_err(fail)?;
        io::copy(&mut original, &mut draft.file).map_err(fail)?;
        Ok(draft.path)
    }
}

fn changed(path: &Path) -> StageError {
    let source = io::Error::new(io::ErrorKind::InvalidData, "somebody has changed it since it was checked");
    StageError { path: path.to_owned(), source }
}

/// Whether a file is there already, with the same bytes.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes.len() as u64)
        && fs::read(path).is_ok_and(|found| found == bytes)
}

pub(super) struct Draft {
    pub(super) path: PathBuf,
    pub(super) file: fs::File,
}

/// A fresh file beside the copies: two hosts, or two files of the same content, do not write into each other's.
pub(super) fn draft(folder: &Path, digest: Digest) -> io::Result<Draft> {
    // Hosts in containers of their own may have one process number, and share the folder.
    let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let path = folder.join(format!("{digest}.{number:016x}.draft"));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    let file = private(&mut options).open(&path)?;
    Ok(Draft { path, file })
}

/// Makes a folder that nobody else may write to, if it is missing.
///
/// # Errors
/// When it cannot be made, or is not this user's alone.
pub(super) fn private_folder(path: &Path) -> Result<(), StageError> {
    let made = make_private_folder(path).and_then(|()| check_private(path));
    made.map_err(|source| StageError { path: path.to_owned(), source })
}

/// Whoever else may write there could swap a copy between judging and loading.
fn check_private(path: &Path) -> io::Result<()> {
    if is_own_folder(&fs::symlink_metadata(path)?) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "the folder must belong to this user, and nobody else may write to it",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(bytes: &[u8]) -> Inspected {
        let metadata = metadata::tests::metadata();
        Inspected { path: "x.so".into(), bytes: bytes.to_vec(), metadata }
    }

    #[test]
    fn copies_are_named_by_their_content_and_a_spoilt_copy_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let stage = StageDirectory::open(root.path().join("stage")).unwrap();
        let staged = stage.stage(inspected(b"abc")).unwrap();
        let name = staged.path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(name, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        fs::write(&staged.path, b"xyz").unwrap();
        stage.stage(inspected(b"abc")).unwrap();
        assert_eq!(fs::read(&staged.path).unwrap(), b"abc");
    }

    #[test]
    fn a_copy_that_was_changed_after_the_check_gives_no_bytes() {
        let root = tempfile::tempdir().unwrap();
        let stage = StageDirectory::open(root.path().join("stage")).unwrap();
        let staged = stage.stage(inspected(b"abc")).unwrap();
        assert_eq!(staged.bytes(&staged.path).unwrap(), b"abc");
        fs::write(&staged.path, b"abd").unwrap();
        let refused = staged.bytes(&staged.path).unwrap_err();
        assert_eq!(refused.source.to_string(), "somebody has changed it since it was checked");
    }

    #[cfg(unix)]
    #[test]
    fn a_known_file_is_found_until_it_or_its_copy_changes() {
        let root = tempfile::tempdir().unwrap();
        let stage = StageDirectory::open(root.path().join("stage")).unwrap();
        let origin = root.path().join("x.so");
        fs::write(&origin, b"abc").unwrap();
        let written = fs::metadata(&origin).unwrap().modified().unwrap();
        let looks = || Identity::of(&fs::metadata(&origin).unwrap());
        let now = SystemTime::now();
        let later = now + Duration::from_secs(10);
        let staged = stage.stage(inspected(b"abc")).unwrap();
        assert!(!staged.is_unchanged(), "a change within the tick of the clock would not show");
        assert_eq!(staged.known(looks(), now), None, "nor would it in the file");
        let known = staged.known(looks(), later).unwrap();
        let found = stage.find(&origin, &known, later).unwrap();
        assert_eq!((&found.path, found.digest, found.is_unchanged()), (&staged.path, staged.digest, true));
        assert!(!stage.find(&origin, &known, now).unwrap().is_unchanged(), "it may have changed since within a tick");
        // Other bytes of the same length, and the time of before set on them; in another tick of the clock.
        let probe = root.path().join("probe");
        let changed = |path: &Path| Identity::of(&fs::metadata(path).unwrap()).unwrap().changed_at();
        while fs::write(&probe, b"").map(|()| changed(&probe)).unwrap() <= changed(&staged.path) {}
        fs::write(&staged.path, b"abd").unwrap();
        fs::File::open(&staged.path).unwrap().set_modified(written).unwrap();
        assert!(!found.is_unchanged());
        assert!(stage.find(&origin, &known, later).is_none());
        let again = stage.stage(inspected(b"abc")).unwrap().known(looks(), later).unwrap();
        assert!(stage.find(&origin, &again, later).is_some());
        fs::write(&origin, b"abd").unwrap();
        fs::File::open(&origin).unwrap().set_modified(written).unwrap();
        assert!(stage.find(&origin, &again, later).is_none());
    }

    #[test]
    fn files_of_the_same_content_are_staged_side_by_side() {
        let root = tempfile::tempdir().unwrap();
        let stage = StageDirectory::open(root.path().join("stage")).unwrap();
        let bytes = vec![7; 1 << 20];
        let staged: Vec<_> = std::thread::scope(|scope| {
            let stage_one = || scope.spawn(|| stage.stage(inspected(&bytes)).unwrap().path);
            let threads = [stage_one(), stage_one(), stage_one(), stage_one()];
            threads.map(|thread| thread.join().unwrap()).into()
        });
        assert!(staged.iter().all(|path| *path == staged[0]));
        assert_eq!(fs::read_dir(root.path().join("stage")).unwrap().count(), 1, "no draft is left");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(StageDirectory::open(root.path().to_owned()).is_err());
    }
}
