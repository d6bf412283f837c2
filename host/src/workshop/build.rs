//! One build: cargo's words go where cargo's words go, its libraries onto the shelf.

use super::Profile;
use super::crates::{Group, cargo};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

/// What came of one plugin.
#[derive(Debug, PartialEq, Eq)]
pub struct Built {
    /// Its package.
    pub name: String,
    /// Whether there is a new library on the shelf.
    pub is_new: bool,
    /// Where on the shelf it lies.
    pub(super) place: PathBuf,
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
}

/// What a build came to: what could be built is on the shelf, whatever else failed.
#[derive(Debug, Default)]
pub struct Report {
    /// What came of each plugin that could be built.
    pub built: Vec<Built>,
    /// The first thing that failed.
    pub failed: Option<BuildError>,
}

/// A cargo that runs; it can be ended from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<Option<Child>>>);

impl Running {
    /// Ends the build that is under way, if one is.
    pub fn stop(&self) {
        if let Some(cargo) = self.0.lock().as_mut() {
            // It may have ended by itself.
            let _ = cargo.kill();
        }
    }
}

/// Which libraries lie on the shelf: where each came from, with its size and the time of its last change.
pub(super) type Shelved = HashMap<PathBuf, (PathBuf, u64, Option<SystemTime>)>;

/// Builds the plugins of one workspace.
pub(super) fn build(group: &Group, shelf: &Path, shelved: &mut Shelved, profile: Profile, running: &Running) -> Report {
    let mut report = Report::default();
    let mut cargo = cargo();
    // One plugin that does not compile keeps no other from being built.
    cargo.args(["build", "--lib", "--keep-going", "--message-format=json-render-diagnostics"]).current_dir(&group.root);
    for package in &group.packages {
        cargo.args(["--package", &package.id]);
    }
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    // Standard input may be a client's; standard error is where cargo shows how far it is, and what does not compile.
    cargo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    match run(cargo, running) {
        Ok((artifacts, is_whole)) => {
            if !is_whole {
                report.failed = Some(BuildError::Failed);
            }
            for package in &group.packages {
                let own = artifacts.iter().filter(|artifact| artifact.package_id == package.id);
                let Some(library) = own.filter_map(library).next() else {
                    continue;
                };
                let place = shelf.join(library.file_name().unwrap_or_default());
                match shelve(library, &place, shelved) {
                    Ok(is_new) => report.built.push(Built { name: package.name.clone(), is_new, place }),
                    Err(source) => {
                        report.failed = Some(BuildError::Unshelved { library: library.to_owned(), source });
                    }
                }
            }
        }
        Err(error) => report.failed = Some(BuildError::NoCargo(error)),
    }
    report
}

/// Runs cargo to its end; gives what it has made, and whether that is all.
fn run(mut cargo: Command, running: &Running) -> io::Result<(Vec<Artifact>, bool)> {
    let mut child = cargo.spawn()?;
    let stdout = child.stdout.take();
    *running.0.lock() = Some(child);
    let mut artifacts = Vec::new();
    for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        // Only messages of products have these fields.
        artifacts.extend(serde_json::from_str::<Artifact>(&line?).ok().filter(|it| it.reason == "compiler-artifact"));
    }
    let ended = running.0.lock().take();
    let is_whole = ended.map(|mut child| child.wait()).transpose()?.is_some_and(|status| status.success());
    Ok((artifacts, is_whole))
}

fn library(artifact: &Artifact) -> Option<&Path> {
    let is_library = |file: &&PathBuf| file.extension().is_some_and(|it| it == std::env::consts::DLL_EXTENSION);
    artifact.filenames.iter().find(is_library).map(PathBuf::as_path)
}

/// Puts a library onto the shelf, in one step; whether that changed anything. What cargo calls fresh may have been built by
/// somebody else meanwhile, so what counts is the file.
fn shelve(library: &Path, place: &Path, shelved: &mut Shelved) -> io::Result<bool> {
    let metadata = fs::metadata(library)?;
    let now = (library.to_owned(), metadata.len(), metadata.modified().ok());
    if shelved.get(place) == Some(&now) {
        return Ok(false);
    }
    // Not one of the names that are looked at.
    let mut half = place.to_owned();
    half.set_extension("half");
    fs::copy(library, &half)?;
    fs::rename(&half, place)?;
    shelved.insert(place.to_owned(), now);
    Ok(true)
}
