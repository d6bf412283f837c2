//! Which crates are plugins, as cargo sees them.

use super::WorkshopError;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Plugins of one workspace, which are built together.
#[derive(Debug)]
pub(super) struct Group {
    /// The workspace's folder.
    pub(super) root: PathBuf,
    /// The plugins.
    pub(super) packages: Vec<Package>,
    /// The folders of all crates on this machine that they are made of.
    pub(super) sources: BTreeSet<PathBuf>,
    /// Where cargo puts what it builds.
    pub(super) target: PathBuf,
}

/// Manifests, as they were at a moment: each with its size and the time of its last change. Those of folders in which crates lie side
/// by side count before anybody has read them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifests(Vec<(PathBuf, Option<State>)>);

/// The size of a file, and the time of its last change.
type State = (u64, Option<SystemTime>);

impl Manifests {
    pub(super) fn of(groups: &[Group], folders: &[PathBuf]) -> Self {
        let known = groups.iter().flat_map(|group| group.sources.iter().chain([&group.root]));
        let known = known.map(|folder| folder.join("Cargo.toml"));
        let all = known.chain(folders.iter().flat_map(|folder| manifests(folder).unwrap_or_default()));
        let state = |file: &Path| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.len(), metadata.modified().ok()))
        };
        Self(all.map(|file| (file.clone(), state(&file))).collect())
    }
}

/// A plugin's package.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) name: String,
}

/// What `cargo metadata` prints, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    resolve: Option<Resolve>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    id: String,
    name: String,
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// How cargo is called: as it calls itself, where it runs this.
pub(super) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The plugins in these folders, by workspace.
pub(super) fn find(folders: &[PathBuf]) -> Result<Vec<Group>, WorkshopError> {
    let mut groups: Vec<Group> = Vec::new();
    for folder in folders {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let found: Vec<Group> = manifests(&folder)?.iter().map(|it| group(it, &folder)).collect::<Result<_, _>>()?;
        if found.iter().all(|group| group.packages.is_empty()) {
            return Err(WorkshopError::NoPlugin(folder));
        }
        for group in found.into_iter().filter(|group| !group.packages.is_empty()) {
            let Some(known) = groups.iter_mut().find(|known| known.root == group.root) else {
                groups.push(group);
                continue;
            };
            let is_new = |package: &Package| !known.packages.iter().any(|it| it.id == package.id);
            let new: Vec<Package> = group.packages.into_iter().filter(is_new).collect();
            known.packages.extend(new);
            known.sources.extend(group.sources);
        }
    }
    Ok(groups)
}

/// The manifest of a folder, or those of the folders in it.
fn manifests(folder: &Path) -> Result<Vec<PathBuf>, WorkshopError> {
    let own = folder.join("Cargo.toml");
    if own.is_file() {
        return Ok(vec![own]);
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path().join("Cargo.toml")).collect();
    found.retain(|manifest| manifest.is_file());
    found.sort();
    if found.is_empty() { Err(WorkshopError::NoCrate(folder.to_owned())) } else { Ok(found) }
}

/// The plugins of a manifest's workspace that lie in a folder.
fn group(manifest: &Path, folder: &Path) -> Result<Group, WorkshopError> {
    let unreadable = |told: String| WorkshopError::Unreadable { manifest: manifest.to_owned(), told };
    let mut cargo = cargo();
    cargo.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(manifest);
    // What cargo reads of its own configuration depends on where it runs.
    let output = cargo.current_dir(folder).output().map_err(WorkshopError::NoCargo)?;
    if !output.status.success() {
        return Err(unreadable(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|error| unreadable(error.to_string()))?;
    let is_plugin = |package: &&MetadataPackage| {
        package.source.is_none()
            && package.manifest_path.starts_with(folder)
            && package.targets.iter().any(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
            && package.dependencies.iter().any(|it| it.name == "mcp-plugin-api" && it.kind.is_none())
    };
    let packages: Vec<Package> = (metadata.packages.iter().filter(is_plugin))
        .map(|package| Package { id: package.id.clone(), name: package.name.clone() })
        .collect();
    let sources = sources(&metadata, &packages);
    Ok(Group { root: metadata.workspace_root, packages, sources, target: metadata.target_directory })
}

/// The folders of all crates without a registry or repository that these packages are made of.
fn sources(metadata: &Metadata, packages: &[Package]) -> BTreeSet<PathBuf> {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let needs: HashMap<&str, &[String]> = nodes.map(|node| (node.id.as_str(), node.dependencies.as_slice())).collect();
    let (mut seen, mut next) =
        (BTreeSet::new(), packages.iter().map(|package| package.id.as_str()).collect::<Vec<_>>());
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            next.extend(needs.get(id).into_iter().flat_map(|needed| needed.iter().map(String::as_str)));
        }
    }
    let local =
        metadata.packages.iter().filter(|package| package.source.is_none() && seen.contains(package.id.as_str()));
    local.filter_map(|package| package.manifest_path.parent().map(Path::to_owned)).collect()
}
