//! Changes of folders and files, as they happen: whoever waits hears that there were some, not which.
//!
//! A folder is watched as what it is now: where another one takes its place, or it comes into being, its parent tells, and whoever
//! hears of that watches anew. What was heard before is not forgotten then.

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Watches folders. It ends when this is dropped.
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
}

/// What has changed since it was asked for last, whoever watched. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Changes>);

#[derive(Default)]
struct Changes {
    plugins: Notify,
    config: Notify,
    /// What is watched is not all of what is to be.
    is_stale: AtomicBool,
}

/// What is watched.
#[derive(Clone)]
pub(super) struct Watched {
    /// Folders, of which libraries and their signatures count.
    pub(super) folders: Vec<PathBuf>,
    /// Files that say what of them is served.
    pub(super) files: Vec<PathBuf>,
    /// The configuration.
    pub(super) config: Option<PathBuf>,
}

impl Watch {
    /// Watches from now on. What is not there is watched once it is, and somebody watches anew.
    ///
    /// # Errors
    /// When the system cannot watch.
    pub(super) fn start(watched: &Watched, heard: &Heard) -> notify::Result<Self> {
        // What comes from now on makes it stale again, and so does that it cannot be.
        heard.0.is_stale.store(false, Ordering::Release);
        Self::begin(watched, heard).inspect_err(|_| heard.0.is_stale.store(true, Ordering::Release))
    }

    fn begin(watched: &Watched, heard: &Heard) -> notify::Result<Self> {
        let (hears, of) = (heard.clone(), watched.clone());
        let mut watcher = notify::recommended_watcher(move |event| hears.take(event, &of))?;
        let needed = watched.all_folders();
        for folder in &needed {
            unless_missing(watcher.watch(folder, RecursiveMode::NonRecursive))?;
        }
        let parents: BTreeSet<&Path> = needed.iter().filter_map(|folder| folder.parent()).collect();
        for parent in parents.difference(&needed) {
            // Not everyone may look into those: then a folder is followed for as long as it is there.
            let _ = watcher.watch(parent, RecursiveMode::NonRecursive);
        }
        if RecommendedWatcher::kind() == WatcherKind::Kqueue {
            // There a folder tells which files are in it, and only a file that it is written.
            let libraries = watched.folders.iter().flat_map(|folder| libraries(folder));
            for file in libraries.chain(watched.files.iter().chain(&watched.config).cloned()) {
                unless_missing(watcher.watch(&file, RecursiveMode::NonRecursive))?;
            }
        }
        Ok(Self { _watcher: watcher })
    }
}

impl Watched {
    /// The folders themselves, and those of the files.
    fn all_folders(&self) -> BTreeSet<&Path> {
        let of_files = self.files.iter().chain(&self.config).filter_map(|file| file.parent());
        self.folders.iter().map(PathBuf::as_path).chain(of_files).collect()
    }
}

impl Heard {
    /// Resolves when libraries, signatures or the files have changed since it did last.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn plugins_changed(&self) {
        self.0.plugins.notified().await;
    }

    /// Resolves when the configuration has changed since it did last.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn config_changed(&self) {
        self.0.config.notified().await;
    }

    /// Whether something has come or gone that is to be watched: then another watch is to take the place of the one there is.
    pub(super) fn is_stale(&self) -> bool {
        self.0.is_stale.load(Ordering::Acquire)
    }

    fn take(&self, event: notify::Result<Event>, of: &Watched) {
        let Changes { plugins, config, is_stale } = &*self.0;
        let all = || {
            is_stale.store(true, Ordering::Release);
            plugins.notify_one();
            config.notify_one();
        };
        // An error is most often an overflow: something was missed.
        let Ok(event) = event else { return all() };
        // Whoever reads a file changes nothing.
        if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
            return;
        }
        // A folder itself: it has come, gone or been moved, or, with kqueue, what is in it has.
        let folders = of.all_folders();
        if event.need_rescan() || event.paths.iter().any(|path| folders.contains(path.as_path())) {
            return all();
        }
        if event.paths.iter().any(|path| is_library(path) || of.files.contains(path)) {
            plugins.notify_one();
        }
        if of.config.as_ref().is_some_and(|file| event.paths.contains(file)) {
            config.notify_one();
        }
    }
}

/// What has gone in this moment is not watched, and its parent tells of it.
fn unless_missing(watched: notify::Result<()>) -> notify::Result<()> {
    let is_missing = |error: &notify::Error| match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    };
    watched.or_else(|error| if is_missing(&error) { Ok(()) } else { Err(error) })
}

fn libraries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_library(path))
}

fn is_library(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension == std::env::consts::DLL_EXTENSION || extension == "minisig"
}
