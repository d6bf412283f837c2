//! What became of each file that was opened once in a process of its own, kept over restarts: a file that ended that process
//! is never opened in this one.

use super::Digest;
use super::known::Identity;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It opened.
    Sound,
    /// It is not opened again. Why.
    Quarantined(String),
}

/// A verdict, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// This very program has opened the file before.
    pub(super) own: Option<OwnCheck>,
}

/// This very program has opened a file before, in whatever process, and found that the layout of its objects fits: it would find
/// the same again. Made here only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnCheck(());

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    /// The plugin of the file.
    plugin: String,
    /// The version of the host that has seen it: another one may see something else.
    host: String,
    /// The program that has seen it, where the system tells one from every other.
    #[serde(default)]
    program: Option<Identity>,
    /// Seconds since 1970.
    at: u64,
    verdict: Verdict,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Book {
    format: u32,
    verdicts: BTreeMap<String, Kept>,
}

/// The book of verdicts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verdicts {
    path: PathBuf,
    /// The program that opens files for a verdict, where that is this one.
    program: Option<Identity>,
    /// Held while the book is read and written again.
    writing: Arc<Mutex<()>>,
    last: Arc<Mutex<Option<LastRead>>>,
}

/// The book as it was read last.
#[derive(Debug)]
struct LastRead {
    file: Identity,
    book: Arc<Book>,
}

/// The version of the book's form.
const FORMAT: u32 = 1;

/// Verdicts that are kept; the oldest go first.
const MAX_VERDICTS: usize = 1000;

impl Verdicts {
    /// The book in a folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        let path = folder.join("verdicts.json");
        Self { path, program: None, writing: Arc::default(), last: Arc::default() }
    }

    /// The same book for the program that opens files, if that is this one.
    #[must_use]
    pub(super) fn of_program(self, program: Option<Identity>) -> Self {
        Self { program, ..self }
    }

    /// The verdict on a file; nothing where this version of the host has seen none.
    ///
    /// # Blocking
    /// Reads the book, which is small, where it has changed.
    #[must_use]
    pub(super) fn on(&self, digest: &Digest) -> Option<Judged> {
        let book = self.read(SystemTime::now());
        let kept = book.verdicts.get(&digest.to_string()).filter(|kept| kept.host == env!("CARGO_PKG_VERSION"))?;
        let own = if self.program == kept.program { self.own_check() } else { None };
        Some(Judged { verdict: kept.verdict.clone(), own })
    }

    /// What a probe that has found a file sound says of its layout: nothing where another program is run for it.
    #[must_use]
    pub(super) fn own_check(&self) -> Option<OwnCheck> {
        self.program.as_ref().map(|_| OwnCheck(()))
    }

    /// Keeps a verdict. Where that is not possible, the file is probed again at the next start.
    ///
    /// # Blocking
    /// Waits for others who write the book.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn keep(&self, digest: &Digest, plugin: &str, verdict: Verdict) -> io::Result<()> {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.change(|book| {
            let (plugin, host) = (plugin.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
            let kept = Kept { plugin, host, program: self.program.clone(), at, verdict };
            book.verdicts.insert(digest.to_string(), kept);
            while book.verdicts.len() > MAX_VERDICTS {
                let oldest = book.verdicts.iter().min_by_key(|(_, kept)| kept.at).map(|(digest, _)| digest.clone());
                oldest.and_then(|digest| book.verdicts.remove(&digest));
            }
        })
    }

    /// This program has opened a file too that another found sound. A verdict that has changed since stays as it is.
    ///
    /// # Blocking
    /// Waits for others who write the book.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub(super) fn share(&self, digest: &Digest) -> io::Result<()> {
        self.change(|book| {
            if let Some(kept) = book.verdicts.get_mut(&digest.to_string())
                && kept.verdict == Verdict::Sound
            {
                kept.program.clone_from(&self.program);
            }
        })
    }

    /// Forgets all verdicts on a plugin's files. How many there were.
    ///
    /// # Errors
    /// When the book cannot be written.
    pub fn clear(&self, plugin: &str) -> io::Result<usize> {
        let mut cleared = 0;
        self.change(|book| {
            let before = book.verdicts.len();
            book.verdicts.retain(|_, kept| kept.plugin != plugin);
            cleared = before - book.verdicts.len();
        })?;
        Ok(cleared)
    }

    fn change(&self, change: impl FnOnce(&mut Book)) -> io::Result<()> {
        let _writing = self.writing.lock();
        // Another host, or `mcp-host plugins clear`, may write too.
        let lock = fs::File::create(self.path.with_extension("lock"))?;
        lock.lock()?;
        let mut book = Arc::unwrap_or_clone(self.read(SystemTime::now()));
        change(&mut book);
        book.format = FORMAT;
        let draft = self.path.with_extension(format!("{}.draft", std::process::id()));
        fs::write(&draft, serde_json::to_vec_pretty(&book)?)?;
        fs::rename(draft, &self.path)
    }

    /// What cannot be read, or is of another form, says nothing: files are probed again.
    fn read(&self, now: SystemTime) -> Arc<Book> {
        let looks = fs::metadata(&self.path).ok().and_then(|metadata| Identity::of(&metadata));
        let mut last = self.last.lock();
        if let Some(read) = last.as_ref().filter(|read| Some(&read.file) == looks.as_ref()) {
            return Arc::clone(&read.book);
        }
        let book = fs::read(&self.path).ok().and_then(|bytes| serde_json::from_slice::<Book>(&bytes).ok());
        let book = Arc::new(book.filter(|book| book.format == FORMAT).unwrap_or_default());
        let file = looks.filter(|file| file.is_settled(now));
        *last = file.map(|file| LastRead { file, book: Arc::clone(&book) });
        book
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn verdicts_outlive_the_process_until_they_are_cleared_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let bad = Verdict::Quarantined("it hung".to_owned());
        let verdicts = Verdicts::in_folder(folder.path());
        assert_eq!(verdict(&verdicts, &one), None);
        verdicts.keep(&one, "a", bad.clone()).unwrap();
        verdicts.keep(&other, "b", Verdict::Sound).unwrap();
        let again = Verdicts::in_folder(folder.path());
        assert_eq!((verdict(&again, &one), verdict(&again, &other)), (Some(bad), Some(Verdict::Sound)));
        assert_eq!((again.clear("a").unwrap(), again.clear("a").unwrap()), (1, 0));
        assert_eq!((verdict(&verdicts, &one), verdict(&verdicts, &other)), (None, Some(Verdict::Sound)));
    }

    fn verdict(verdicts: &Verdicts, digest: &Digest) -> Option<Verdict> {
        verdicts.on(digest).map(|judged| judged.verdict)
    }

    #[cfg(unix)]
    #[test]
    fn a_verdict_is_a_programs_own_as_long_as_nothing_of_its_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let of_program = || {
            let looks = fs::metadata(&program).ok().and_then(|metadata| Identity::of(&metadata));
            Verdicts::in_folder(folder.path()).of_program(looks)
        };
        let digest = Digest::of(b"one");
        let is_own = |verdicts: &Verdicts| verdicts.on(&digest).unwrap().own.is_some();
        fs::write(&program, "a").unwrap();
        of_program().keep(&digest, "a", Verdict::Sound).unwrap();
        assert!(is_own(&of_program()));
        assert!(!is_own(&Verdicts::in_folder(folder.path())), "another program is run as a worker");
        fs::rename(&program, folder.path().join("before")).unwrap();
        fs::write(&program, "b").unwrap();
        assert!(!is_own(&of_program()), "it was built anew");
        of_program().share(&digest).unwrap();
        assert!(is_own(&of_program()));
        let harmful = Verdict::Quarantined("it hung".to_owned());
        Verdicts::in_folder(folder.path()).keep(&digest, "a", harmful.clone()).unwrap();
        of_program().share(&digest).unwrap();
        assert_eq!(of_program().on(&digest), Some(Judged { verdict: harmful, own: None }), "it has changed since");
        Verdicts::in_folder(folder.path()).keep(&digest, "a", Verdict::Sound).unwrap();
        assert!(!is_own(&of_program()) && !is_own(&Verdicts::in_folder(folder.path())), "nobody knows whose it is");
    }

    #[cfg(unix)]
    #[test]
    fn the_book_is_read_again_when_its_file_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (one, verdicts) = (Digest::of(b"one"), Verdicts::in_folder(folder.path()));
        verdicts.keep(&one, "a", Verdict::Sound).unwrap();
        let now = fs::metadata(&verdicts.path).unwrap().modified().unwrap();
        assert_eq!(verdicts.read(now).verdicts.len(), 1);
        assert!(verdicts.last.lock().is_none(), "within a tick of the clock a change would not show");
        verdicts.read(now + Duration::from_secs(10));
        verdicts.last.lock().as_mut().unwrap().book = Arc::default();
        assert_eq!(verdict(&verdicts, &one), None, "an unchanged file is not read again");
        Verdicts::in_folder(folder.path()).keep(&one, "a", Verdict::Quarantined("it hung".to_owned())).unwrap();
        assert_eq!(verdict(&verdicts, &one), Some(Verdict::Quarantined("it hung".to_owned())));
    }

    #[test]
    fn a_broken_book_says_nothing_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("verdicts.json"), "{\"format\": 1, \"verd").unwrap();
        let verdicts = Verdicts::in_folder(folder.path());
        assert_eq!(verdict(&verdicts, &Digest::of(b"x")), None);
        verdicts.keep(&Digest::of(b"x"), "x", Verdict::Sound).unwrap();
        assert_eq!(verdict(&verdicts, &Digest::of(b"x")), Some(Verdict::Sound));
    }
}
