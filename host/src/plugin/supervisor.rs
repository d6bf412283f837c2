//! From folders and their configuration to a published catalogue, and back to silence.
//!
//! One broken plugin never hides the healthy ones: every file ends as an instance, or as a [`Trouble`] with its reason.

use super::ffi::{self, HostSide, Library};
use super::news::{News, NewsSender, PluginEvent, news};
use super::{
    Candidate, DiscoverError, InspectError, Inspected, Instance, InstanceLimits, StageDirectory, StageError, Staged,
    discover, inspect,
};
use crate::registry::{Callee as _, Change, Offer, Registry, Selection, TimeoutRule, build};
use crate::rt::{Blocking, BlockingError, Drain};
use crate::telemetry::chain;
use mcp_plugin_api::abi::Metadata;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// What the operator says of one plugin.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// Whether it is loaded.
    pub enabled: bool,
    /// Whether the host is not ready without it.
    pub required: bool,
    /// What of it clients see.
    pub selection: Selection,
    /// Its own table.
    pub config: Value,
    /// Calls of it under way at a time.
    pub limits: InstanceLimits,
    /// How long they may take.
    pub timeouts: TimeoutRule,
}

/// What the supervisor runs on.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// Folders of plugins, in order.
    pub folders: Vec<PathBuf>,
    /// The folder of staged copies.
    pub stage: PathBuf,
    /// How long a plugin may take to load and start.
    pub start_timeout: Duration,
    /// What holds for a plugin that has no entry of its own.
    pub defaults: PluginConfig,
    /// What the operator says of plugins, by name.
    pub plugins: BTreeMap<String, PluginConfig>,
}

/// Why a plugin is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its file is not usable.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// No private copy of it can be made.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Its library cannot be opened.
    #[error(transparent)]
    Open(#[from] ffi::OpenError),
    /// It did not start.
    #[error("it did not start: {0}")]
    Start(String),
    /// What it offers cannot be read.
    #[error("what it offers cannot be read")]
    Manifest(#[source] serde_json::Error),
    /// Another file has a plugin of its name.
    #[error("{first} has a plugin of this name already")]
    SameName {
        /// The file that keeps the name.
        first: PathBuf,
    },
    /// It hung or could not be run.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

/// What became of a file.
#[derive(Debug)]
pub enum PluginState {
    /// It is served.
    Ready,
    /// The operator has disabled it.
    Disabled,
    /// A library that is no plugin.
    NotAPlugin,
    /// It is not served, for a reason.
    Refused(LoadError),
}

/// What became of a file, and what is known of it.
#[derive(Debug)]
pub struct PluginReport {
    /// The file.
    pub path: PathBuf,
    /// What it says of itself, as far as that could be read.
    pub metadata: Option<Metadata>,
    /// What became of it.
    pub state: PluginState,
    /// Whether the host is not ready without it.
    pub required: bool,
}

/// Something that the operator should know.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A folder, or a file in it, is not looked at.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// The folder of private copies is not usable.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A required plugin is not there.
    #[error("the required plugin '{0}' is not in any plugin folder")]
    RequiredMissing(String),
    /// Something that is served beside the plugins is left out.
    #[error("{0}")]
    Beside(String),
}

/// Loads plugins, keeps the catalogue up to date, and ends them.
pub struct Supervisor {
    config: SupervisorConfig,
    registry: Registry,
    /// What is offered beside the plugins.
    beside: Vec<Offer>,
    state: Mutex<State>,
    /// Held while a catalogue is built and published, so that an older one never replaces a newer.
    publishing: Mutex<()>,
}

/// One lock, because the catalogue is built from all of it.
#[derive(Default)]
struct State {
    instances: Vec<Arc<Instance>>,
    reports: Vec<PluginReport>,
    troubles: Vec<Trouble>,
    clashes: Vec<String>,
}

impl Supervisor {
    /// A supervisor that publishes into `registry`: the plugins' offers, and those of `beside`.
    #[must_use]
    pub fn new(config: SupervisorConfig, registry: Registry, beside: Vec<Offer>) -> Self {
        Self { config, registry, beside, state: Mutex::default(), publishing: Mutex::default() }
    }

    /// Reports something beside the plugins that is left out.
    pub fn report_beside(&self, problem: &(dyn std::error::Error + 'static)) {
        report_chain("left out", problem);
        self.state.lock().troubles.push(Trouble::Beside(chain(problem)));
    }

    /// Loads all plugins, side by side, and publishes what they offer.
    pub async fn load_all(self: &Arc<Self>, drain: &Drain) {
        let (candidates, troubles) = self.candidates();
        self.state.lock().troubles.extend(troubles);
        let stage = match StageDirectory::open(self.config.stage.clone()) {
            Ok(stage) => stage,
            Err(error) => {
                report_chain("plugins cannot be loaded", &error);
                self.state.lock().troubles.push(error.into());
                self.check_required();
                self.publish();
                return;
            }
        };
        let inspecting: Vec<_> = candidates
            .into_iter()
            .map(|candidate| {
                let reading = Blocking { name: "plugin-inspect", deadline: self.config.start_timeout };
                (candidate.path.clone(), tokio::spawn(reading.run(move || inspect(candidate))))
            })
            .collect();
        let mut loading = Vec::new();
        let mut owners: BTreeMap<String, PathBuf> = BTreeMap::new();
        // In the order of the files, so that of two plugins of one name always the same is kept.
        for (path, task) in inspecting {
            let inspected = match flatten(task.await) {
                Ok(inspected) => inspected,
                Err(error) => {
                    self.settle(path, None, Err(error));
                    continue;
                }
            };
            let metadata = inspected.metadata.clone();
            if !self.config_of(&metadata.name).enabled {
                self.settle(path, Some(metadata), Ok(None));
            } else if let Some(first) = owners.get(&metadata.name) {
                self.settle(path, Some(metadata), Err(LoadError::SameName { first: first.clone() }));
            } else {
                owners.insert(metadata.name.clone(), path.clone());
                let (this, stage, drain) = (Arc::clone(self), stage.clone(), drain.clone());
                let task = tokio::spawn(async move { this.load(inspected, stage, drain).await });
                loading.push((path, metadata, task));
            }
        }
        for (path, metadata, task) in loading {
            let outcome = task.await.unwrap_or(Err(LoadError::Blocking(BlockingError::Panicked)));
            self.settle(path, Some(metadata), outcome.map(Some));
        }
        self.check_required();
        self.publish();
    }

    fn candidates(&self) -> (Vec<Candidate>, Vec<Trouble>) {
        let mut candidates = Vec::new();
        let mut troubles: Vec<Trouble> = Vec::new();
        for folder in &self.config.folders {
            match discover(folder) {
                Ok((found, refused)) => {
                    candidates.extend(found);
                    troubles.extend(refused.into_iter().map(Trouble::from));
                }
                Err(error) => troubles.push(error.into()),
            }
        }
        troubles.iter().for_each(|trouble| report_chain("not looked at", trouble));
        (candidates, troubles)
    }

    /// The stages of one file, from its bytes to an instance.
    async fn load(
        self: Arc<Self>,
        inspected: Inspected,
        stage: StageDirectory,
        drain: Drain,
    ) -> Result<Arc<Instance>, LoadError> {
        let config = self.config_of(&inspected.metadata.name).clone();
        let staging = Blocking { name: "plugin-stage", deadline: self.config.start_timeout };
        let staged = staging.run(move || stage.stage(inspected)).await??;
        let (events, news) = news();
        let runtime = Handle::current();
        let starting = Blocking { name: "plugin-start", deadline: self.config.start_timeout };
        let instance = Arc::new(starting.run(move || start(&staged, &config, events, runtime)).await??);
        drain.spawn(listen(Arc::clone(&self), Arc::clone(&instance), news, drain.clone()));
        Ok(instance)
    }

    fn config_of(&self, plugin: &str) -> &PluginConfig {
        self.config.plugins.get(plugin).unwrap_or(&self.config.defaults)
    }

    /// Takes in what became of a file: an instance, nothing because it is disabled, or an error.
    fn settle(&self, path: PathBuf, metadata: Option<Metadata>, outcome: Result<Option<Arc<Instance>>, LoadError>) {
        let name = metadata.as_ref().map(|metadata| metadata.name.clone());
        let mut state = self.state.lock();
        let plugin_state = match outcome {
            Ok(Some(instance)) => {
                tracing::info!(plugin = name, version = &**instance.version(), file = %path.display(), "plugin loaded");
                state.instances.push(instance);
                PluginState::Ready
            }
            Ok(None) => PluginState::Disabled,
            Err(LoadError::Inspect(InspectError::NotAPlugin)) => {
                tracing::info!(file = %path.display(), "passed over: a library, but no plugin");
                PluginState::NotAPlugin
            }
            Err(error) => {
                tracing::error!(file = %path.display(), plugin = name, reason = chain(&error), "plugin refused");
                PluginState::Refused(error)
            }
        };
        let required = name.as_ref().is_some_and(|name| self.config_of(name).required);
        state.reports.push(PluginReport { path, metadata, state: plugin_state, required });
    }

    fn check_required(&self) {
        let mut state = self.state.lock();
        let found = |name: &String| {
            state.reports.iter().any(|report| report.metadata.as_ref().is_some_and(|metadata| metadata.name == *name))
        };
        let required = self.config.plugins.iter().filter(|(_, config)| config.required && config.enabled);
        let missing: Vec<Trouble> =
            required.filter(|(name, _)| !found(name)).map(|(name, _)| Trouble::RequiredMissing(name.clone())).collect();
        missing.iter().for_each(|trouble| tracing::error!("{trouble}"));
        state.troubles.extend(missing);
    }

    /// Builds the catalogue of all instances, and publishes it.
    fn publish(&self) {
        let _publishing = self.publishing.lock();
        let plugins = self.instances().into_iter().map(|instance| Offer {
            manifest: instance.manifest(),
            selection: self.config_of(crate::registry::Callee::plugin(&*instance)).selection.clone(),
            timeouts: self.config_of(crate::registry::Callee::plugin(&*instance)).timeouts.clone(),
            callee: instance,
        });
        let (snapshot, clashes) = build(plugins.chain(self.beside.iter().cloned()).collect());
        let clashes: Vec<String> = clashes.iter().map(ToString::to_string).collect();
        clashes.iter().for_each(|clash| tracing::error!("{clash}"));
        self.state.lock().clashes = clashes;
        self.registry.publish(snapshot);
    }

    /// All plugins that are served.
    #[must_use]
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.state.lock().instances.clone()
    }

    /// Reads what became of all files, and what the operator should know.
    pub fn report<T>(&self, read: impl FnOnce(&[PluginReport], &[Trouble], &[String]) -> T) -> T {
        let state = self.state.lock();
        read(&state.reports, &state.troubles, &state.clashes)
    }

    /// Whether everything that config requires is served.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.state.lock();
        let missing = state.troubles.iter().any(|trouble| matches!(trouble, Trouble::RequiredMissing(_)));
        let refused = state.reports.iter().any(|report| report.required && !matches!(report.state, PluginState::Ready));
        !missing && !refused
    }

    /// Ends all plugins, side by side, within `grace`.
    pub async fn stop_all(&self, grace: Duration) {
        /// How long calls that were cancelled may take to return before their plugin is ended under them.
        const RETURN: Duration = Duration::from_millis(500);
        const PAUSE: Duration = Duration::from_millis(5);
        let instances = std::mem::take(&mut self.state.lock().instances);
        let returned = async {
            while instances.iter().any(|instance| instance.calls() > 0) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _ = tokio::time::timeout(RETURN, returned).await;
        let stopping: Vec<_> = instances
            .into_iter()
            .map(|instance| {
                let blocking = Blocking { name: "plugin-stop", deadline: grace + Duration::from_millis(200) };
                tokio::spawn(blocking.run(move || instance.stop(grace)))
            })
            .collect();
        for stopped in stopping {
            if let Ok(Err(error)) = stopped.await {
                tracing::warn!(%error, "a plugin did not stop in time");
            }
        }
    }
}

/// What a task that reads a file came to.
fn flatten(
    task: Result<Result<Result<Inspected, InspectError>, BlockingError>, tokio::task::JoinError>,
) -> Result<Inspected, LoadError> {
    Ok(task.map_err(|_| BlockingError::Panicked)???)
}

/// Opens and starts a staged plugin. Runs on a thread that may hang.
fn start(staged: &Staged, config: &PluginConfig, events: NewsSender, runtime: Handle) -> Result<Instance, LoadError> {
    let name: Arc<str> = staged.metadata.name.as_str().into();
    let library = Library::open(staged)?;
    tracing::debug!(plugin = &*name, digest = %staged.digest, level = library.level(), file = %staged.origin.display(), "opened");
    let host = HostSide::new(Arc::clone(&name), events);
    let table = config.config.to_string();
    let plugin = library
        .start(host.clone(), table.as_bytes())
        .map_err(|failure| LoadError::Start(failure.message.into_string()))?;
    Instance::new(staged, plugin, host, runtime, config.limits).map_err(LoadError::Manifest)
}

/// Listens to the news of a plugin.
async fn listen(supervisor: Arc<Supervisor>, instance: Arc<Instance>, mut news: News, drain: Drain) {
    loop {
        let event = tokio::select! {
            () = drain.draining() => return,
            event = news.next() => event,
        };
        match event {
            None => return,
            Some(PluginEvent::ResourceUpdated(uri)) => {
                supervisor.registry.events().announce(Change::Resource(uri));
            }
            Some(PluginEvent::ManifestChanged) => {
                let reading = Blocking { name: "plugin-manifest", deadline: supervisor.config.start_timeout };
                let (changed, publisher) = (Arc::clone(&instance), Arc::clone(&supervisor));
                let read = reading.run(move || {
                    changed.refresh();
                    publisher.publish();
                });
                if let Err(error) = read.await {
                    tracing::warn!(%error, "a changed manifest could not be read");
                }
            }
        }
    }
}

fn report_chain(what: &str, error: &dyn std::error::Error) {
    tracing::error!(reason = chain(error), "{what}");
}
