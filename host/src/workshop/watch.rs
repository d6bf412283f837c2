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
    watched: Watched,
    changed: Arc<Notify>,
}

/// What is watched.
#[derive(Clone)]
pub(super) struct Watched {
    /// Folders of crates, with all that is in them but the outputs.
    pub(super) crates: BTreeSet<PathBuf>,
    /// Folders of workspaces, for their manifests.
    pub(super) roots: BTreeSet<PathBuf>,
    /// Where what is built comes.
    pub(super) outputs: BTreeSet<PathBuf>,
    /// Folders in which crates lie side by side.
    pub(super) shelves: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches from now on.
    pub(super) fn start(watched: Watched) -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let of = watched.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error is most often an overflow: something was missed.
            let matters = event.map_or(true, |event| {
                let is_read =
                    matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
                !is_read && (event.need_rescan() || event.paths.iter().any(|path| of.matters(path)))
            });
            if matters {
                told.notify_one();
            }
        })?;
        for root in watched.roots.difference(&watched.crates).filter(|root| root.is_dir()) {
            watcher.watch(root, RecursiveMode::NonRecursive)?;
        }
        let mut watch = Self { watcher, watched, changed };
        watch.follow()?;
        Ok(watch)
    }

    /// Watches all folders that are there now: one that was made again under its old name is another one.
    fn follow(&mut self) -> notify::Result<()> {
        let Watched { crates, outputs, shelves, .. } = self.watched.clone();
        for shelf in &shelves {
            // What is no crate is watched as well as that goes: it may be somebody else's.
            let _ = self.watch_anew(shelf, RecursiveMode::NonRecursive);
            for entry in fs::read_dir(shelf).into_iter().flatten().filter_map(Result::ok) {
                let path = entry.path();
                if !crates.contains(&path) && self.watched.may_become_crate(&path) {
                    for folder in [path.join("src"), path] {
                        if folder.is_dir() {
                            let _ = self.watch_anew(&folder, RecursiveMode::NonRecursive);
                        }
                    }
                }
            }
        }
        for folder in &crates {
            if folder.is_dir() {
                // Not with all that is in it: what cargo builds may lie there, and that is much.
                self.watch_anew(folder, RecursiveMode::NonRecursive)?;
            }
            for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                let path = entry.path();
                if path.is_dir() && is_source(&path, &crates, &outputs) {
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

impl Watched {
    /// Whether a change of this path can change what is built.
    fn matters(&self, path: &Path) -> bool {
        is_source(path, &self.crates, &self.outputs) || is_manifest(path, &self.roots) || self.may_become_crate(path)
    }

    /// Whether a path is a folder beside the crates, or what makes one a crate: its manifest and its sources.
    fn may_become_crate(&self, path: &Path) -> bool {
        let below = self.shelves.iter().find_map(|shelf| path.strip_prefix(shelf).ok());
        let mut words = below.into_iter().flat_map(Path::components).map(|word| word.as_os_str().to_string_lossy());
        let Some(folder) = words.next() else {
            return false;
        };
        let is_output = self.outputs.iter().any(|output| path.starts_with(output));
        let is_part = words.next().map_or_else(|| path.is_dir(), |part| part == "Cargo.toml" || part == "src");
        !folder.starts_with('.') && folder != "target" && !is_output && is_part
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
    use super::{Watched, is_manifest, is_source};
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
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("new")).unwrap();
        let shelves = BTreeSet::from([folder.path().to_owned()]);
        let outputs = BTreeSet::from([folder.path().join("out")]);
        let watched = Watched { crates: BTreeSet::new(), roots: BTreeSet::new(), outputs, shelves };
        let may = |path: &str| watched.matters(&folder.path().join(path));
        assert!(may("new") && may("new/Cargo.toml") && may("new/src") && may("new/src/lib.rs"));
        assert!(!may("a file") && !may("new/README.md") && !may(".git/src") && !may("target/src") && !may("out/src"));
        let roots = BTreeSet::from([PathBuf::from("/w")]);
        assert!(is_manifest(Path::new("/w/Cargo.toml"), &roots) && !is_manifest(Path::new("/w/Cargo.lock"), &roots));
    }
}
