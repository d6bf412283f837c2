//! States that may be taken once: who takes one first has it, across tasks, restarts and hosts that share the folder.

use crate::rt::private;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What was taken.
#[derive(Debug)]
pub struct Ledger {
    id: String,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    /// A file for each, whose name is its id: making a file is atomic.
    Folder(PathBuf),
    /// Here, with the second in which it ends.
    Memory(Mutex<BTreeMap<String, u64>>),
}

/// Where a ledger says who it is.
const ID_FILE: &str = "id";

impl Ledger {
    /// A ledger in a folder, which is made if it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn of_folder(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(ID_FILE);
        if !path.exists() {
            make_whole(&path, fresh_id()?.as_bytes())?;
        }
        let id = std::fs::read_to_string(&path)?.chars().take(64).collect();
        Ok(Self { id, kept: Kept::Folder(folder.to_owned()) })
    }

    /// A ledger that lives as long as this process.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn in_memory() -> io::Result<Self> {
        Ok(Self { id: fresh_id()?, kept: Kept::Memory(Mutex::default()) })
    }

    /// Names the ledger in states: another one does not know what was taken here.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Takes a state, by an id of its own, until it ends. False when it was taken before.
    ///
    /// # Errors
    /// When that cannot be known: then it is not taken.
    ///
    /// # Blocking
    /// Makes one empty file.
    pub fn take(&self, state: &str, ends: u64) -> io::Result<bool> {
        let name = name_of(state);
        match &self.kept {
            Kept::Memory(taken) => {
                let mut taken = taken.lock();
                let now = seconds(SystemTime::now());
                taken.retain(|_, ends| *ends >= now);
                Ok(taken.insert(name, ends).is_none())
            }
            Kept::Folder(folder) => match std::fs::File::create_new(folder.join(file_name(&name, ends))) {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// Lets a state be taken again.
    ///
    /// # Blocking
    /// Removes one empty file.
    pub fn give_back(&self, state: &str, ends: u64) {
        let name = name_of(state);
        match &self.kept {
            Kept::Memory(taken) => {
                taken.lock().remove(&name);
            }
            // One that stays is refused later: the safe side.
            Kept::Folder(folder) => drop(std::fs::remove_file(folder.join(file_name(&name, ends)))),
        }
    }

    /// Forgets what has ended long enough ago that no clock can disagree.
    ///
    /// # Blocking
    /// Reads the folder.
    pub fn sweep(&self) {
        const MARGIN: Duration = Duration::from_secs(300);
        let Kept::Folder(folder) = &self.kept else {
            return;
        };
        let before = seconds(SystemTime::now()).saturating_sub(MARGIN.as_secs());
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let ends =
                name.to_str().and_then(|name| name.split_once('-')).and_then(|(ends, _)| ends.parse::<u64>().ok());
            if ends.is_some_and(|ends| ends < before) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

fn name_of(state: &str) -> String {
    state.chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

/// The end is part of the name, so that sweeping needs to open nothing.
fn file_name(name: &str, ends: u64) -> String {
    format!("{ends:012}-{name}")
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Makes a file that only its owner can read, with all of its bytes or not at all: whoever looks finds a whole one, and of
/// several that make it at a time one wins.
pub(super) fn make_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension(format!("new-{}", fresh_id()?));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = private(&mut options).open(&aside)?;
    let linked = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| std::fs::hard_link(&aside, path));
    let _ = std::fs::remove_file(&aside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// 128 random bits in hexadecimal.
pub(super) fn fresh_id() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(bytes.iter().fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: u64 = 99_999_999_999;

    #[test]
    fn one_of_many_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        for ledger in [Ledger::of_folder(folder.path()).unwrap(), Ledger::in_memory().unwrap()] {
            let taken = std::thread::scope(|scope| {
                let takers: Vec<_> = (0..16).map(|_| scope.spawn(|| ledger.take("abc", LATER).unwrap())).collect();
                takers.into_iter().map(|taker| taker.join().unwrap()).filter(|taken| *taken).count()
            });
            assert_eq!(taken, 1);
            assert!(ledger.take("abd", LATER).unwrap());
        }
    }

    #[test]
    fn a_folder_is_one_ledger_whoever_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let one = Ledger::of_folder(folder.path()).unwrap();
        let other = Ledger::of_folder(folder.path()).unwrap();
        assert_eq!(one.id(), other.id());
        assert!(one.take("abc", LATER).unwrap());
        assert!(!other.take("abc", LATER).unwrap());
        assert_ne!(Ledger::in_memory().unwrap().id(), one.id());
    }

    #[test]
    fn many_that_start_at_once_share_one_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let ids: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
            let open = || Ledger::of_folder(folder.path()).unwrap().id().to_owned();
            let opened: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
            opened.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn what_was_given_back_can_be_taken_again() {
        let folder = tempfile::tempdir().unwrap();
        for ledger in [Ledger::of_folder(folder.path()).unwrap(), Ledger::in_memory().unwrap()] {
            assert!(ledger.take("abc", LATER).unwrap());
            ledger.give_back("abc", LATER);
            assert!(ledger.take("abc", LATER).unwrap());
        }
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::of_folder(folder.path()).unwrap();
        assert!(ledger.take("old", 1000).unwrap());
        assert!(ledger.take("new", LATER).unwrap());
        ledger.sweep();
        assert!(ledger.take("old", 1000).unwrap());
        assert!(!ledger.take("new", LATER).unwrap());
    }
}
