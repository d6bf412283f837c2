//! What lies in the plugin folders now: each file that is new or has changed is inspected and staged, the others are as before.

use super::known::{Identity, KnownFile, KnownFiles};
use super::load::LoadError;
use super::report::Trouble;
use super::{Candidate, DiscoverError, InspectError, StageDirectory, Staged, discover, inspect};
use crate::rt::{Blocking, BlockingError};
use mcp_plugin_api::abi::Metadata;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A file, as it was read last.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) outcome: Outcome,
    /// The plugin that it was before it was refused: one whose new version cannot be read is not gone.
    pub(super) former: Option<Plugin>,
}

/// What a file is.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// A plugin.
    Plugin(Plugin),
    /// A library, but no plugin.
    NotAPlugin,
    /// It is not usable.
    Refused(Arc<LoadError>),
}

/// A plugin's file.
#[derive(Debug, Clone)]
pub(super) struct Plugin {
    pub(super) staged: Arc<Staged>,
    /// The text of the signature beside it.
    pub(super) signature: Option<String>,
}

/// What lies in the folders.
pub(super) struct Found {
    /// In the order of folders and names.
    pub(super) files: Vec<File>,
    pub(super) troubles: Vec<Trouble>,
    /// Some file is still being written: look again soon.
    pub(super) is_unsettled: bool,
}

/// How a file looks from outside. Who changes its bytes changes this.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    file: Option<Stat>,
    signature: Option<Stat>,
}

type Stat = (Option<Identity>, u64, Option<SystemTime>);

/// Reads folders again and again.
#[derive(Default)]
pub(super) struct Scanner {
    known: HashMap<PathBuf, Known>,
    /// The first look is over, at which what was known at the end of the last one counts.
    has_looked: bool,
}

struct Known {
    look: Look,
    /// The outcome is that of a file that looked so.
    is_settled: bool,
    /// What it was when it was read last; nothing where it never was.
    outcome: Option<Outcome>,
    /// The last plugin that it was.
    former: Option<Plugin>,
}

/// When a changed file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// At once.
    Now,
    /// All files at once, and what was refused is tried again.
    Asked,
    /// When it looks as it did the last time.
    Settled,
}

impl Scanner {
    /// What lies in the folders.
    ///
    /// A plugin that is not `fit` for where it is to run counts as refused.
    pub(super) async fn scan(
        &mut self,
        folders: &[PathBuf],
        stage: &StageDirectory,
        time: Duration,
        when: When,
        fit: impl Fn(&Metadata) -> Result<(), InspectError>,
    ) -> Found {
        let (candidates, troubles) = self.candidates(folders);
        let kept = (!std::mem::replace(&mut self.has_looked, true)).then(|| KnownFiles::read(stage));
        let mut before = std::mem::take(&mut self.known);
        let mut reading = Vec::new();
        let mut is_unsettled = false;
        for Candidate { path } in &candidates {
            let look = look(path);
            let known = before.remove(path);
            let looks_the_same = known.as_ref().is_some_and(|known| known.look == look);
            let is_settled = looks_the_same && known.as_ref().is_some_and(|known| known.is_settled);
            if when == When::Asked || !is_settled && (looks_the_same || when == When::Now) {
                let (path, stage) = (path.clone(), stage.clone());
                let blocking = Blocking { name: "plugin-inspect", deadline: time };
                let kept = kept.as_ref().and_then(|kept| kept.get(&path)).cloned();
                reading.push((path.clone(), tokio::spawn(blocking.run(move || read(path, &stage, kept)))));
            }
            is_unsettled |= !looks_the_same && when == When::Settled;
            // What a file was is served until it is something else.
            let (outcome, former) = known.map_or((None, None), |known| (known.outcome, known.former));
            self.known.insert(path.clone(), Known { look, is_settled, outcome, former });
        }
        let mut known_files = BTreeMap::new();
        for (path, task) in reading {
            let (outcome, known_file) = flatten(task.await);
            known_files.extend(known_file.map(|known| (path.clone(), known)));
            if let Some(known) = self.known.get_mut(&path) {
                // Changed while it was read, it is read again.
                known.is_settled = look(&path) == known.look;
                is_unsettled |= !known.is_settled;
                if known.is_settled || known.outcome.is_none() {
                    known.outcome = Some(outcome);
                }
            }
        }
        if let Some(kept) = kept {
            kept.replace(known_files, folders, stage);
        }
        let files = candidates.into_iter().filter_map(|Candidate { path }| {
            let known = self.known.get_mut(&path)?;
            let outcome = match known.outcome.clone()? {
                Outcome::Plugin(plugin) => match fit(&plugin.staged.metadata) {
                    Ok(()) => Outcome::Plugin(plugin),
                    Err(unfit) => Outcome::Refused(Arc::new(unfit.into())),
                },
                other => other,
            };
            known.former = match &outcome {
                Outcome::Plugin(plugin) => Some(plugin.clone()),
                Outcome::NotAPlugin | Outcome::Refused(_) => known.former.take(),
            };
            Some(File { outcome, former: known.former.clone(), path })
        });
        Found { files: files.collect(), troubles, is_unsettled }
    }

    /// Every file once, however often its folder is named. Files of a folder that cannot be read for a moment are as before.
    fn candidates(&self, folders: &[PathBuf]) -> (Vec<Candidate>, Vec<Trouble>) {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut troubles: Vec<Trouble> = Vec::new();
        let mut seen = HashSet::new();
        for folder in folders {
            if !seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone())) {
                continue;
            }
            match discover(folder) {
                Ok((found, refused)) => {
                    candidates.extend(found);
                    troubles.extend(refused.into_iter().map(Trouble::from));
                }
                Err(error) => {
                    if matches!(&error, DiscoverError::Unreadable { source, .. } if source.kind() != ErrorKind::NotFound)
                    {
                        let mut paths: Vec<_> =
                            self.known.keys().filter(|path| path.parent() == Some(folder)).cloned().collect();
                        paths.sort();
                        candidates.extend(paths.into_iter().map(|path| Candidate { path }));
                    }
                    troubles.push(error.into());
                }
            }
        }
        (candidates, troubles)
    }
}

/// The signature of a file lies beside it.
fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

fn look(path: &Path) -> Look {
    Look { file: stat(path), signature: stat(&signature_of(path)) }
}

fn stat(path: &Path) -> Option<Stat> {
    let metadata = fs::metadata(path).ok()?;
    Some((Identity::of(&metadata), metadata.len(), metadata.modified().ok()))
}

/// Inspects and stages a file, unless it is known. Gives what is to be known of it.
fn read(path: PathBuf, stage: &StageDirectory, kept: Option<KnownFile>) -> (Outcome, Option<KnownFile>) {
    /// A signature has four short lines.
    const MAX_SIGNATURE_BYTES: u64 = 4096;
    let beside = signature_of(&path);
    let is_short = fs::metadata(&beside).is_ok_and(|metadata| metadata.len() <= MAX_SIGNATURE_BYTES);
    let signature = is_short.then(|| fs::read_to_string(&beside).ok()).flatten();
    let looks = fs::metadata(&path).ok().and_then(|metadata| Identity::of(&metadata));
    let found = kept.as_ref().and_then(|known| stage.find(&path, known, SystemTime::now()));
    if let Some(staged) = found {
        let known = staged.known(looks, SystemTime::now());
        return (Outcome::Plugin(Plugin { staged: Arc::new(staged), signature }), known);
    }
    let staged = inspect(Candidate { path }).map_err(LoadError::from).and_then(|it| Ok(stage.stage(it)?));
    match staged {
        Ok(staged) => {
            let known = staged.known(looks, SystemTime::now());
            (Outcome::Plugin(Plugin { staged: Arc::new(staged), signature }), known)
        }
        Err(LoadError::Inspect(InspectError::NotAPlugin)) => (Outcome::NotAPlugin, None),
        Err(error) => (Outcome::Refused(Arc::new(error)), None),
    }
}

type Task<T> = Result<Result<T, BlockingError>, tokio::task::JoinError>;

fn flatten(task: Task<(Outcome, Option<KnownFile>)>) -> (Outcome, Option<KnownFile>) {
    match task {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => (Outcome::Refused(Arc::new(error.into())), None),
        Err(_) => (Outcome::Refused(Arc::new(BlockingError::Panicked.into())), None),
    }
}
