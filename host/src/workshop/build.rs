//! One build: cargo's words go where cargo's words go, its libraries onto the shelf.

use super::Profile;
use super::crates::{Group, cargo};
use serde::Deserialize;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What came of one plugin.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    /// Its package.
    pub name: String,
    /// Whether there is a new library on the shelf.
    pub is_new: bool,
}

/// Why there is nothing new.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo is not there, or not to be understood.
    #[error("cargo cannot be run")]
    NoCargo(#[source] io::Error),
    /// It does not compile; cargo has said why.
    #[error("the build failed")]
    Failed,
    /// A library cannot be put onto the shelf.
    #[error("{} cannot be copied", library.display())]
    Unshelved {
        /// The library.
        library: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What cargo says of one product.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    #[serde(default)]
    fresh: bool,
}

/// Builds the plugins of one workspace.
pub(super) fn build(group: &Group, shelf: &Path, profile: Profile) -> Result<Vec<Built>, BuildError> {
    let mut cargo = cargo();
    cargo.args(["build", "--lib", "--message-format=json-render-diagnostics"]).current_dir(&group.root);
    for package in &group.packages {
        cargo.args(["--package", &package.id]);
    }
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    // Standard input may be a client's; standard error is where cargo shows how far it is, and what does not compile.
    cargo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut running = cargo.spawn().map_err(BuildError::NoCargo)?;
    let mut artifacts = Vec::new();
    for line in running.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line.map_err(BuildError::NoCargo)?;
        // Only messages of products have these fields.
        artifacts.extend(serde_json::from_str::<Artifact>(&line).ok().filter(|it| it.reason == "compiler-artifact"));
    }
    if !running.wait().map_err(BuildError::NoCargo)?.success() {
        return Err(BuildError::Failed);
    }
    let mut all = Vec::new();
    for package in &group.packages {
        let mut own = artifacts.iter().filter(|artifact| artifact.package_id == package.id);
        let library = own.find_map(|artifact| Some((library(artifact)?, artifact.fresh)));
        let Some((library, is_fresh)) = library else {
            continue;
        };
        let is_new = shelve(library, shelf, is_fresh)
            .map_err(|source| BuildError::Unshelved { library: library.to_owned(), source })?;
        all.push(Built { name: package.name.clone(), is_new });
    }
    Ok(all)
}

fn library(artifact: &Artifact) -> Option<&Path> {
    let is_library = |file: &&PathBuf| file.extension().is_some_and(|it| it == std::env::consts::DLL_EXTENSION);
    artifact.filenames.iter().find(is_library).map(PathBuf::as_path)
}

/// Puts a library onto the shelf, in one step; whether that changed anything.
fn shelve(library: &Path, shelf: &Path, is_fresh: bool) -> io::Result<bool> {
    let name = library.file_name().unwrap_or_default();
    let place = shelf.join(name);
    if is_fresh && place.is_file() {
        return Ok(false);
    }
    // Not one of the names that are looked at.
    let mut half = place.clone();
    half.set_extension("half");
    fs::copy(library, &half)?;
    fs::rename(&half, &place)?;
    Ok(true)
}
