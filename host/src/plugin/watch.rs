//! Changes of folders and files, as they happen: whoever waits hears that there were some, not which.

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// Watches folders. It ends when this is dropped.
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
    plugins: Arc<Notify>,
    config: Arc<Notify>,
}

/// What is watched.
pub(super) struct Watched {
    /// Folders, of which libraries and their signatures count.
    pub(super) folders: Vec<PathBuf>,
    /// Files that say what of them is served.
    pub(super) files: Vec<PathBuf>,
    /// The configuration.
    pub(super) config: Option<PathBuf>,
}

impl Watch {
    /// Watches from now on. What is not there is not watched.
    ///
    /// # Errors
    /// When the system cannot watch.
    pub(super) fn start(watched: &Watched) -> notify::Result<Self> {
        let (plugins, config) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (on_plugins, on_config) = (Arc::clone(&plugins), Arc::clone(&config));
        let (files, config_file) = (watched.files.clone(), watched.config.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error is most often an overflow: something was missed.
            let Ok(event) = event else {
                on_plugins.notify_one();
                return;
            };
            // Whoever reads a file changes nothing.
            if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
                return;
            }
            if event.need_rescan() || event.paths.iter().any(|path| is_library(path) || files.contains(path)) {
                on_plugins.notify_one();
            }
            if config_file.as_ref().is_some_and(|file| event.paths.contains(file)) {
                on_config.notify_one();
            }
        })?;
        let parents = watched.files.iter().chain(&watched.config).filter_map(|file| file.parent());
        let mut folders: Vec<&Path> = watched.folders.iter().map(PathBuf::as_path).chain(parents).collect();
        folders.sort_unstable();
        folders.dedup();
        for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher, plugins, config })
    }

    /// Resolves when libraries, signatures or the files have changed since it did last.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn plugins_changed(&self) {
        self.plugins.notified().await;
    }

    /// Resolves when the configuration has changed since it did last.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn config_changed(&self) {
        self.config.notified().await;
    }
}

fn is_library(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension == std::env::consts::DLL_EXTENSION || extension == "minisig"
}
