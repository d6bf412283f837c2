//! Plugins while they are written: folders of crates come in, built libraries lie on a shelf, again after each change.
//!
//! Cargo finds, builds and complains, on standard error and in its own words. A library comes onto the shelf whole, in one
//! step, and only when it was built: whoever serves the shelf has the last good version of each. This room loads nothing.

mod build;
mod crates;
mod watch;

pub use build::{BuildError, Built, Report, Running};
pub use watch::Watch;

use watch::Watched;

use build::Shelved;
use crates::{Group, Manifests};
use std::io;
use std::path::{Path, PathBuf};

/// Crates of plugins, and the shelf for what is built of them.
#[derive(Debug)]
pub struct Workshop {
    folders: Vec<PathBuf>,
    groups: Vec<Group>,
    /// The manifests as they were when the crates were found.
    manifests: Manifests,
    shelf: PathBuf,
    shelved: Shelved,
    profile: Profile,
    running: Running,
}

/// How crates are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Fast.
    Dev,
    /// To be fast.
    Release,
}

/// Why there is nothing to build.
#[derive(Debug, thiserror::Error)]
pub enum WorkshopError {
    /// Cargo is not there.
    #[error("cargo cannot be run: is Rust installed?")]
    NoCargo(#[source] io::Error),
    /// A folder has no crate.
    #[error("{} has no Cargo.toml, and no folder in it has one; `mcp-host new NAME` makes a plugin", .0.display())]
    NoCrate(PathBuf),
    /// Cargo cannot read a crate.
    #[error("{}: cargo cannot read it: {told}", manifest.display())]
    Unreadable {
        /// The manifest.
        manifest: PathBuf,
        /// What cargo said.
        told: String,
    },
    /// There are crates, and none is a plugin.
    #[error("no crate in {} is a plugin: a plugin has `crate-type = [\"cdylib\"]` and depends on mcp-plugin-api", .0.display())]
    NoPlugin(PathBuf),
    /// The sources cannot be watched.
    #[error("changes of the sources cannot be watched")]
    Unwatchable(#[source] notify::Error),
}

impl Workshop {
    /// Finds the crates of plugins in these folders; `shelf` is where their libraries come.
    ///
    /// # Errors
    /// See [`WorkshopError`].
    ///
    /// # Blocking
    /// Runs cargo.
    pub fn find(folders: &[PathBuf], shelf: &Path, profile: Profile) -> Result<Self, WorkshopError> {
        let groups = crates::find(folders)?;
        Ok(Self {
            folders: folders.to_vec(),
            manifests: Manifests::of(&groups, folders),
            groups,
            shelf: shelf.to_owned(),
            shelved: Shelved::default(),
            profile,
            running: Running::default(),
        })
    }

    /// The names of the plugins' packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flat_map(|group| group.packages.iter().map(|package| package.name.as_str()))
    }

    /// What ends a build from elsewhere.
    #[must_use]
    pub fn running(&self) -> Running {
        self.running.clone()
    }

    /// Finds the crates again, if a manifest has changed; whether there was anything to find. Where one cannot be read, all stays as it
    /// is until it can.
    ///
    /// # Errors
    /// See [`WorkshopError`].
    ///
    /// # Blocking
    /// Runs cargo.
    pub fn refresh(&mut self) -> Result<bool, WorkshopError> {
        if Manifests::of(&self.groups, &self.folders) == self.manifests {
            return Ok(false);
        }
        let groups = crates::find(&self.folders)?;
        (self.manifests, self.groups) = (Manifests::of(&groups, &self.folders), groups);
        Ok(true)
    }

    /// Builds all crates, and puts what is new onto the shelf. What does not compile keeps nothing else from being built.
    ///
    /// # Blocking
    /// Runs cargo, which takes its time.
    pub fn build(&mut self) -> Report {
        let mut whole = Report::default();
        for group in &self.groups {
            let report = build::build(group, &self.shelf, &mut self.shelved, self.profile, &self.running);
            whole.built.extend(report.built);
            whole.failed = whole.failed.or(report.failed);
        }
        if whole.failed.is_none() {
            // What nobody builds any more has another name now, or is gone.
            self.shelved.retain(|place, _| {
                whole.built.iter().any(|built| built.place == *place) || std::fs::remove_file(place).is_err()
            });
        }
        whole
    }

    /// Watches the sources from now on: those of the plugins, and of the crates on this machine that they depend on; and the folders
    /// in which crates lie side by side, where more may come.
    ///
    /// # Errors
    /// See [`WorkshopError`].
    pub fn watch(&self) -> Result<Watch, WorkshopError> {
        let folders = self.groups.iter().flat_map(|group| group.sources.iter().cloned()).collect();
        let manifests = self.groups.iter().map(|group| group.root.clone()).collect();
        let outputs = self.groups.iter().map(|group| group.target.clone()).collect();
        // By the names that the system tells changes with.
        let whole = self.folders.iter().map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        let shelves = whole.filter(|folder| !folder.join("Cargo.toml").is_file()).collect();
        Watch::start(Watched { crates: folders, roots: manifests, outputs, shelves })
            .map_err(WorkshopError::Unwatchable)
    }
}
