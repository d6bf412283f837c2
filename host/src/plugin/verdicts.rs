//! What became of each file that was opened once in a process of its own, kept over restarts: a file that ended that process
//! is never opened in this one.

use super::Digest;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
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

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    /// The plugin of the file.
    plugin: String,
    /// The version of the host that has seen it: another one may see something else.
    host: String,
    /// Seconds since 1970.
    at: u64,
    verdict: Verdict,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    format: u32,
    verdicts: BTreeMap<String, Kept>,
}

/// The book of verdicts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verdicts {
    path: PathBuf,
    /// Held while the book is read and written again.
    writing: std::sync::Arc<Mutex<()>>,
}

/// The version of the book's form.
const FORMAT: u32 = 1;

/// Verdicts that are kept; the oldest go first.
const MAX_VERDICTS: usize = 1000;

impl Verdicts {
    /// The book in a folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("verdicts.json"), writing: std::sync::Arc::default() }
    }

    /// The verdict on a file; nothing where this version of the host has seen none.
    ///
    /// # Blocking
    /// Reads the book, which is small.
    #[must_use]
    pub fn on(&self, digest: &Digest) -> Option<Verdict> {
        let kept = self.read().verdicts.remove(&digest.to_string())?;
        (kept.host == env!("CARGO_PKG_VERSION")).then_some(kept.verdict)
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
            let kept = Kept { plugin: plugin.to_owned(), host: env!("CARGO_PKG_VERSION").to_owned(), at, verdict };
            book.verdicts.insert(digest.to_string(), kept);
            while book.verdicts.len() > MAX_VERDICTS {
                let oldest = book.verdicts.iter().min_by_key(|(_, kept)| kept.at).map(|(digest, _)| digest.clone());
                oldest.and_then(|digest| book.verdicts.remove(&digest));
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
        let mut book = self.read();
        change(&mut book);
        book.format = FORMAT;
        let draft = self.path.with_extension(format!("{}.draft", std::process::id()));
        fs::write(&draft, serde_json::to_vec_pretty(&book)?)?;
        fs::rename(draft, &self.path)
    }

    /// What cannot be read, or is of another form, says nothing: files are probed again.
    fn read(&self) -> Book {
        let book = fs::read(&self.path).ok().and_then(|bytes| serde_json::from_slice::<Book>(&bytes).ok());
        book.filter(|book| book.format == FORMAT).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_outlive_the_process_until_they_are_cleared_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let bad = Verdict::Quarantined("it hung".to_owned());
        let verdicts = Verdicts::in_folder(folder.path());
        assert_eq!(verdicts.on(&one), None);
        verdicts.keep(&one, "a", bad.clone()).unwrap();
        verdicts.keep(&other, "b", Verdict::Sound).unwrap();
        let again = Verdicts::in_folder(folder.path());
        assert_eq!((again.on(&one), again.on(&other)), (Some(bad), Some(Verdict::Sound)));
        assert_eq!((again.clear("a").unwrap(), again.clear("a").unwrap()), (1, 0));
        assert_eq!((verdicts.on(&one), verdicts.on(&other)), (None, Some(Verdict::Sound)));
    }

    #[test]
    fn a_broken_book_says_nothing_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("verdicts.json"), "{\"format\": 1, \"verd").unwrap();
        let verdicts = Verdicts::in_folder(folder.path());
        assert_eq!(verdicts.on(&Digest::of(b"x")), None);
        verdicts.keep(&Digest::of(b"x"), "x", Verdict::Sound).unwrap();
        assert_eq!(verdicts.on(&Digest::of(b"x")), Some(Verdict::Sound));
    }
}
