//! Plugins while they are written: folders of crates come in, built libraries lie on a shelf, again after each change.
//!
//! Cargo finds, builds and complains, on standard error and in its own words. A library comes onto the shelf whole, in one
//! step, and only when it was built: whoever serves the shelf has the last good version of each. This room loads nothing.

mod build;
mod crates;
mod watch;

pub use build::{BuildError, Built};
pub use watch::Watch;

use crates::Group;
use std::io;
use std::path::{Path, PathBuf};

/// Crates of plugins, and the shelf for what is built of them.
#[derive(Debug)]
pub struct Workshop {
    groups: Vec<Group>,
    shelf: PathBuf,
    profile: Profile,
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
        Ok(Self { groups, shelf: shelf.to_owned(), profile })
    }

    /// The names of the plugins' packages.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flat_map(|group| group.packages.iter().map(|package| package.name.as_str()))
    }

    /// Builds all crates, and puts what is new onto the shelf. A crate that cannot be built keeps those of another workspace
    /// from nothing.
    ///
    /// # Errors
    /// The first error; what could be built is on the shelf nevertheless.
    ///
    /// # Blocking
    /// Runs cargo, which takes its time.
    pub fn build(&self) -> Result<Vec<Built>, BuildError> {
        let mut all = Vec::new();
        let mut failed = None;
        for group in &self.groups {
            match build::build(group, &self.shelf, self.profile) {
                Ok(built) => all.extend(built),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// Watches the sources from now on: those of the plugins, and of the crates on this machine that they depend on.
    ///
    /// # Errors
    /// See [`WorkshopError`].
    pub fn watch(&self) -> Result<Watch, WorkshopError> {
        let folders = self.groups.iter().flat_map(|group| group.sources.iter().cloned()).collect();
        let manifests = self.groups.iter().map(|group| group.root.clone()).collect();
        Watch::start(folders, manifests).map_err(WorkshopError::Unwatchable)
    }
}
