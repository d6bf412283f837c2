//! Changes of folders and files, as they happen: whoever waits hears that there were some, not which.
//!
//! A folder is watched as what it is now: where another one takes its place, or it comes into being, its parent tells, and whoever
//! hears of that watches anew.

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Watches folders. It ends when this is dropped.
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
    heard: Arc<Heard>,
}

/// What has changed since it was asked for last.
#[derive(Default)]
struct Heard {
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
    pub(super) fn start(watched: &Watched) -> notify::Result<Self> {
        let heard = Arc::new(Heard::default());
        let (hears, of) = (Arc::clone(&heard), watched.clone());
        let mut watcher = notify::recommended_watcher(move |event| hears.take(event, &of))?;
        let files = watched.files.iter().chain(&watched.config);
        let folders = watched.folders.iter().map(PathBuf::as_path);
        let needed: BTreeSet<&Path> = folders.clone().chain(files.clone().filter_map(|file| file.parent())).collect();
        for folder in needed.iter().filter(|folder| folder.is_dir()) {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        let parents: BTreeSet<&Path> = folders.filter_map(Path::parent).collect();
        for parent in parents.difference(&needed) {
            // Not everyone may look into those: then a folder is followed for as long as it is there.
            let _ = watcher.watch(parent, RecursiveMode::NonRecursive);
        }
        if RecommendedWatcher::kind() == WatcherKind::Kqueue {
            // There a folder tells which files are in it, and only a file that it is written.
            let libraries = watched.folders.iter().flat_map(|folder| libraries(folder));
            for file in libraries.chain(files.cloned()).filter(|file| file.is_file()) {
                watcher.watch(&file, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(Self { _watcher: watcher, heard })
    }

    /// Resolves when libraries, signatures or the files have changed since it did last.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn plugins_changed(&self) {
        self.heard.plugins.notified().await;
    }

    /// Resolves when the configuration has changed since it did last.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn config_changed(&self) {
        self.heard.config.notified().await;
    }

    /// Whether something has come or gone that is to be watched: then another watch is to take the place of this one.
    pub(super) fn is_stale(&self) -> bool {
        self.heard.is_stale.load(Ordering::Acquire)
    }
}

impl Heard {
    fn take(&self, event: notify::Result<Event>, of: &Watched) {
        // An error is most often an overflow: something was missed.
        let Ok(event) = event else {
            self.is_stale.store(true, Ordering::Release);
            self.plugins.notify_one();
            return;
        };
        // Whoever reads a file changes nothing.
        if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
            return;
        }
        let is_file = |path: &PathBuf| is_library(path) || of.files.contains(path);
        // A folder itself: it has come, gone or been moved, or, with kqueue, what is in it has.
        let is_folder = |path: &PathBuf| of.folders.contains(path);
        if event.need_rescan() || event.paths.iter().any(is_folder) {
            self.is_stale.store(true, Ordering::Release);
            self.plugins.notify_one();
        } else if event.paths.iter().any(is_file) {
            self.plugins.notify_one();
        }
        if of.config.as_ref().is_some_and(|file| event.paths.contains(file)) {
            self.config.notify_one();
        }
    }
}

fn libraries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_library(path))
}

fn is_library(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension == std::env::consts::DLL_EXTENSION || extension == "minisig"
}
