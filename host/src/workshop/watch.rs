//! Changes of sources, as they happen.

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Watches sources. It ends when this is dropped.
pub struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    outputs: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Watches the crates in `folders` with all that is in them but the `outputs`, and the manifests of the `roots`.
    pub(super) fn start(
        folders: BTreeSet<PathBuf>,
        roots: BTreeSet<PathBuf>,
        outputs: BTreeSet<PathBuf>,
    ) -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let (crates, workspaces, built) = (folders.clone(), roots.clone(), outputs.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error is most often an overflow: something was missed.
            let matters = event.map_or(true, |event| {
                let is_read =
                    matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
                let is_source = |path: &PathBuf| is_source(path, &crates, &built) || is_manifest(path, &workspaces);
                !is_read && (event.need_rescan() || event.paths.iter().any(is_source))
            });
            if matters {
                told.notify_one();
            }
        })?;
        for root in roots.difference(&folders).filter(|root| root.is_dir()) {
            watcher.watch(root, RecursiveMode::NonRecursive)?;
        }
        let mut watch = Self { watcher, folders, outputs, changed };
        watch.follow()?;
        Ok(watch)
    }

    /// Watches all folders that are there now: one that was made again under its old name is another one.
    fn follow(&mut self) -> notify::Result<()> {
        for folder in self.folders.clone() {
            if folder.is_dir() {
                // Not with all that is in it: what cargo builds may lie there, and that is much.
                self.watch_anew(&folder, RecursiveMode::NonRecursive)?;
            }
            for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
                let path = entry.path();
                if path.is_dir() && is_source(&path, &self.folders, &self.outputs) {
                    self.watch_anew(&path, RecursiveMode::Recursive)?;
                }
            }
        }
        Ok(())
    }

    fn watch_anew(&mut self, path: &Path, mode: RecursiveMode) -> notify::Result<()> {
        // It may not have been watched.
        let _ = self.watcher.unwatch(path);
        self.watcher.watch(path, mode)
    }

    /// Resolves when sources have changed since it did last, and nothing more has for a moment.
    ///
    /// # Cancel safety
    /// A change may be lost: only drop it to stop watching.
    pub async fn changed(&mut self) {
        /// How long an editor takes to save everything.
        const QUIET: Duration = Duration::from_millis(60);
        /// What changes all the time holds nobody else up.
        const LONGEST: Duration = Duration::from_secs(1);
        self.changed.notified().await;
        let quiet = async { while tokio::time::timeout(QUIET, self.changed.notified()).await.is_ok() {} };
        let _ = tokio::time::timeout(LONGEST, quiet).await;
        // A folder that went while it was looked at is no trouble. What changes in between is built all the same: it is
        // built after this.
        let _ = self.follow();
    }
}

/// Whether a path is one of a crate's sources: not hidden, not built, not an editor's own.
fn is_source(path: &Path, crates: &BTreeSet<PathBuf>, outputs: &BTreeSet<PathBuf>) -> bool {
    let is_output = outputs.iter().any(|output| path.starts_with(output));
    let inside = crates.iter().filter_map(|folder| path.strip_prefix(folder).ok());
    // The innermost crate knows best.
    let Some(inside) = inside.min_by_key(|inside| inside.components().count()) else {
        return false;
    };
    let mut words = inside.components().map(|part| part.as_os_str().to_string_lossy());
    let is_built = words.clone().next().is_some_and(|first| first == "target");
    !is_built && !is_output && words.all(|word| !word.starts_with('.') && !word.ends_with('~'))
}

/// Whether a path is the manifest of a workspace.
fn is_manifest(path: &Path, roots: &BTreeSet<PathBuf>) -> bool {
    path.file_name().is_some_and(|name| name == "Cargo.toml") && path.parent().is_some_and(|it| roots.contains(it))
}

#[cfg(test)]
mod tests {
    use super::{is_manifest, is_source};
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    #[test]
    fn only_sources_count() {
        let crates = BTreeSet::from([PathBuf::from("/w/a"), PathBuf::from("/w/target/b")]);
        let outputs = BTreeSet::from([PathBuf::from("/w/a/out")]);
        let is = |path: &str| is_source(Path::new(path), &crates, &outputs);
        assert!(is("/w/a/src/lib.rs") && is("/w/a/Cargo.toml") && is("/w/a/build.rs") && is("/w/a/src/target/x.rs"));
        assert!(is("/w/target/b/src/lib.rs"), "a crate may lie below a folder of that name");
        assert!(!is("/w/a/target/debug/x.d") && !is("/w/a/.git/HEAD") && !is("/w/a/src/.lib.rs.swp"));
        assert!(!is("/w/a/out/debug/x") && is("/w/a/output.rs"));
        assert!(!is("/w/a/src/lib.rs~") && !is("/w/b/src/lib.rs"));
        let roots = BTreeSet::from([PathBuf::from("/w")]);
        assert!(is_manifest(Path::new("/w/Cargo.toml"), &roots) && !is_manifest(Path::new("/w/Cargo.lock"), &roots));
    }
}
