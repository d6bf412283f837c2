//! From folders and their configuration to a published catalogue, as long as the host lives.
//!
//! Every plugin has one task (`life`). This one looks at the folders, tells each task what lies there and what the operator
//! says of it, builds the catalogue from what they serve, and ends them all. One broken plugin never hides the healthy ones.

use super::board::{Board, Served};
use super::definitions::{DefinitionLock, Definitions, Withheld};
use super::life::{Life, Order};
use super::load::{LoadError, Loader};
use super::report::{PluginReport, PluginState, Trouble};
use super::scan::{File, Found, Outcome, Plugin, Scanner, When};
use super::settings::{Isolation, SupervisorConfig};
use super::stage::private_folder;
use super::verdicts::Verdicts;
use super::watch::{Watch, Watched};
use super::{InspectError, Instance, StageDirectory, StageError};
use crate::registry::{Callee as _, Offer, Registry, build};
use crate::rt::Drain;
use crate::telemetry::chain;
use mcp_plugin_api::abi::{Metadata, PanicMode};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Loads plugins, keeps the catalogue up to date, and ends them.
pub struct Supervisor {
    shared: Arc<Shared>,
    /// Held while the folders are looked at.
    scanning: tokio::sync::Mutex<Scanning>,
    stage: Result<StageDirectory, Arc<StageError>>,
}

/// What the plugins' tasks and the supervisor have in common.
pub(super) struct Shared {
    config: RwLock<Arc<SupervisorConfig>>,
    pub(super) registry: Registry,
    pub(super) loader: Loader,
    pub(super) board: Board,
    /// What is offered beside the plugins.
    beside: Vec<Offer>,
    /// Approved definitions; nothing is approved where they cannot be read.
    lock: RwLock<DefinitionLock>,
    /// Held while a catalogue is built and published, so that an older one never replaces a newer.
    publishing: Mutex<()>,
    /// Nothing is published before all plugins have been tried once.
    is_open: AtomicBool,
    /// Cancelled when the plugins end.
    pub(super) stopping: CancellationToken,
}

/// What one look at the folders leaves for the next.
#[derive(Default)]
struct Scanning {
    scanner: Scanner,
    orders: BTreeMap<String, mpsc::UnboundedSender<Order>>,
    tasks: JoinSet<()>,
}

/// Reads what the operator says now.
pub type Reread = Arc<dyn Fn() -> Result<SupervisorConfig, String> + Send + Sync>;

impl Supervisor {
    /// A supervisor that publishes into `registry`: the plugins' offers, and those of `beside`.
    #[must_use]
    pub fn new(config: SupervisorConfig, registry: Registry, beside: Vec<Offer>) -> Self {
        let loader = Loader {
            program: config.program.clone(),
            verdicts: Verdicts::in_folder(&config.state),
            start_timeout: config.start_timeout,
            mapped: Arc::default(),
        };
        let stage = StageDirectory::open(config.stage.clone());
        // What is known of plugins is nobody else's to write either.
        let stage = stage.and_then(|stage| private_folder(&config.state).map(|()| stage));
        let shared = Shared {
            config: RwLock::new(Arc::new(config)),
            registry,
            loader,
            board: Board::default(),
            beside,
            lock: RwLock::default(),
            publishing: Mutex::default(),
            is_open: AtomicBool::new(false),
            stopping: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared), scanning: tokio::sync::Mutex::default(), stage: stage.map_err(Arc::new) }
    }

    /// Reports something beside the plugins that is left out.
    pub fn report_beside(&self, problem: &(dyn std::error::Error + 'static)) {
        report_chain("left out", problem);
        self.shared.board.add(Trouble::Beside(chain(problem)));
    }

    /// Loads all plugins, side by side, and publishes what they offer.
    pub async fn load_all(&self) {
        let (waiting, _) = self.scan(When::Now).await;
        for done in waiting {
            // One whose task has ended has nothing more to say.
            let _ = done.await;
        }
        self.shared.is_open.store(true, Ordering::Release);
        self.shared.publish();
        self.clean_stage();
    }

    /// Follows what lies in the folders and what the operator says, until the host drains. `reread` reads the configuration
    /// of `config_file`; `asked` is notified when somebody
    /// asks for a look at everything.
    pub async fn follow(&self, reread: Reread, config_file: Option<PathBuf>, asked: Arc<Notify>, drain: Drain) {
        let mut watch = self.watch(config_file.clone());
        // What has changed since all was loaded was not watched yet.
        let mut next = self.shared.config().settle.map(|settle| Instant::now() + settle);
        loop {
            let settle = self.shared.config().settle;
            let soon = settle.map(|settle| Instant::now() + settle);
            tokio::select! {
                () = drain.draining() => return,
                () = asked.notified() => {
                    self.reread(&reread);
                    watch = self.watch(config_file.clone());
                    self.scan(When::Asked).await;
                    next = None;
                }
                () = changed(watch.as_ref(), Watch::config_changed) => {
                    // A file that is being written is not half of one.
                    tokio::time::sleep(settle.unwrap_or_default()).await;
                    self.reread(&reread);
                    watch = self.watch(config_file.clone());
                    self.scan(When::Settled).await;
                    next = soon;
                }
                // A file that is written all the time holds nobody else up.
                () = changed(watch.as_ref(), Watch::plugins_changed) => next = next.or(soon),
                () = until(next) => {
                    let (_, is_unsettled) = self.scan(When::Settled).await;
                    next = self.shared.config().settle.filter(|_| is_unsettled).map(|settle| Instant::now() + settle);
                }
            }
        }
    }

    /// Takes over what the operator says now. What cannot be is told, and changes nothing.
    fn reread(&self, reread: &Reread) {
        match reread() {
            Ok(config) => {
                tracing::info!("the configuration of plugins was read again");
                *self.shared.config.write() = Arc::new(config);
                self.shared.board.set_following([]);
            }
            Err(reason) => {
                let trouble = Trouble::Reread(reason);
                report_chain("plugins need attention", &trouble);
                self.shared.board.set_following([trouble]);
            }
        }
    }

    fn watch(&self, config: Option<PathBuf>) -> Option<Watch> {
        let settings = self.shared.config();
        settings.settle?;
        let files = vec![settings.lock.clone(), settings.state.join("verdicts.json")];
        match Watch::start(&Watched { folders: settings.folders.clone(), files, config }) {
            Ok(watch) => Some(watch),
            Err(error) => {
                let trouble = Trouble::Watch(error);
                report_chain("plugins need attention", &trouble);
                self.shared.board.set_following([trouble]);
                None
            }
        }
    }

    /// Looks at the folders, and tells every plugin's task what lies there. What resolves when each has done what it was
    /// told, and whether to look again soon.
    async fn scan(&self, when: When) -> (Vec<oneshot::Receiver<()>>, bool) {
        let mut scanning = self.scanning.lock().await;
        let config = self.shared.config();
        let stage = match &self.stage {
            Ok(stage) => stage,
            Err(error) => {
                let missing = missing(&config, &BTreeSet::new());
                let trouble = Trouble::Stage(Arc::clone(error));
                self.shared.board.set_files(Vec::new(), missing.into_iter().chain([trouble]));
                return (Vec::new(), false);
            }
        };
        let Found { files, troubles, is_unsettled } =
            scanning.scanner.scan(&config.folders, stage, config.start_timeout, when, |it| fit(it, &config)).await;
        let lock = self.shared.read_lock(&config);
        let Sorted { wanted, reports } = sort(files, &config);
        let found: BTreeSet<String> = wanted
            .keys()
            .cloned()
            .chain(reports.iter().filter_map(|report| Some(report.metadata.as_ref()?.name.clone())))
            .collect();
        let missing = missing(&config, &found);
        self.shared.board.set_files(reports, troubles.into_iter().chain(missing).chain(lock));
        // What is gone may be on its way under another name, and is looked for again soon.
        if !is_unsettled {
            for (_, orders) in scanning.orders.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                let _ = orders.send(Order::Retire);
            }
        }
        let mut waiting = Vec::new();
        for (name, wanted) in wanted {
            waiting.push(self.tell(&mut scanning, name, wanted, &config, when));
        }
        while let Some(ended) = scanning.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "the task of a plugin failed; it is begun anew at the next change");
            }
        }
        // What was approved meanwhile.
        self.shared.publish();
        (waiting, is_unsettled)
    }

    /// Tells a plugin's task what lies in the folder.
    fn tell(
        &self,
        scanning: &mut Scanning,
        name: String,
        wanted: Wanted,
        config: &SupervisorConfig,
        when: When,
    ) -> oneshot::Receiver<()> {
        let (done, wait) = oneshot::channel();
        let Wanted { plugin, problem } = wanted;
        let config = Box::new(config.of(&name).clone());
        let order = Order::Serve { plugin, config, problem, is_asked: when == When::Asked, done };
        let Scanning { orders, tasks, .. } = scanning;
        // One whose task has failed gets another.
        orders.retain(|_, sender| !sender.is_closed());
        let sender = orders.entry(name.clone()).or_insert_with(|| {
            let (send, receive) = mpsc::unbounded_channel();
            tasks.spawn(Life::new(name, Arc::clone(&self.shared), receive).run());
            send
        });
        let _ = sender.send(order);
        wait
    }

    /// Removes copies that nothing has used for long: other hosts may use the others.
    fn clean_stage(&self) {
        const LONG: Duration = Duration::from_secs(24 * 3600);
        if let Ok(stage) = &self.stage {
            let served: BTreeSet<_> = self
                .shared
                .board
                .read(|plugins, _, _| plugins.iter().filter_map(|(report, _)| report.digest).collect());
            stage.clean(&served, LONG);
        }
    }

    /// All plugins that are served.
    #[must_use]
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.shared.board.served().into_iter().map(|served| served.instance).collect()
    }

    /// Reads what became of all files, and what the operator should know.
    pub fn report<T>(
        &self,
        read: impl FnOnce(&[(PluginReport, Option<Arc<Instance>>)], &[Trouble], &[String]) -> T,
    ) -> T {
        self.shared.board.read(read)
    }

    /// How often plugins came into their states.
    #[must_use]
    pub fn transitions(&self) -> Vec<(String, PluginState, u64)> {
        self.shared.board.transitions()
    }

    /// Whether everything that config requires is served.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.board.read(|plugins, troubles, _| {
            let missing = troubles.iter().any(|trouble| matches!(trouble, Trouble::RequiredMissing(_)));
            let is_up = |instance: &Option<Arc<Instance>>| instance.as_ref().is_some_and(|instance| instance.is_up());
            let is_there = |(report, instance): &(PluginReport, Option<Arc<Instance>>)| {
                report.state == PluginState::Ready && is_up(instance)
            };
            !missing && plugins.iter().filter(|(report, _)| report.required).all(is_there)
        })
    }

    /// Ends all plugins, side by side, within `grace`.
    pub async fn stop_all(&self, grace: Duration) {
        /// How long calls that were cancelled may take to return before their plugin is ended under them.
        const RETURN: Duration = Duration::from_millis(500);
        const PAUSE: Duration = Duration::from_millis(5);
        self.shared.stopping.cancel();
        // First the tasks, so that nothing is served any more that they were about to; with what they had retired.
        let tasks = std::mem::take(&mut self.scanning.lock().await.tasks);
        let ended = tokio::time::timeout(grace + RETURN, tasks.join_all());
        let instances = self.shared.board.take_all();
        let ended = tokio::spawn(async move { ended.await.is_ok() });
        let returned = async {
            while instances.iter().any(|instance| instance.calls() > 0) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _ = tokio::time::timeout(RETURN, returned).await;
        let stopped = futures_util::future::join_all(instances.iter().map(|instance| instance.stop(grace)));
        let (_, ended) = tokio::join!(stopped, ended);
        if !ended.unwrap_or(false) {
            tracing::warn!("a plugin that was retired before did not stop in time");
        }
        // What a task had begun to serve meanwhile.
        let late = self.shared.board.take_all();
        futures_util::future::join_all(late.iter().map(|instance| instance.stop(grace))).await;
    }
}

impl Shared {
    fn config(&self) -> Arc<SupervisorConfig> {
        Arc::clone(&self.config.read())
    }

    /// Builds the catalogue of all that is served, and publishes it.
    pub(super) fn publish(&self) {
        if !self.is_open.load(Ordering::Acquire) {
            return;
        }
        let _publishing = self.publishing.lock();
        let config = self.config();
        let mut left_out = Vec::new();
        let mut offers: Vec<Offer> = Vec::new();
        for Served { instance, out } in self.board.served() {
            if out.all {
                continue;
            }
            let plugin = config.of(instance.plugin());
            let manifest = instance.manifest();
            let mut withheld = out.tools;
            if plugin.definitions == Definitions::Locked {
                let lock = self.lock.read();
                for tool in &manifest.tools {
                    if let Some(why) = lock.withholds(instance.plugin(), tool) {
                        left_out.push(withheld_text(instance.plugin(), &tool.name, why));
                        withheld.insert(tool.name.clone());
                    }
                }
            }
            let (selection, timeouts) = (plugin.selection.clone(), plugin.timeouts.clone());
            offers.push(Offer { manifest, selection, timeouts, withheld, callee: instance });
        }
        let (snapshot, clashes) = build(offers.into_iter().chain(self.beside.iter().cloned()).collect());
        left_out.extend(clashes.iter().map(ToString::to_string));
        let known: BTreeSet<String> = self.board.read(|_, _, left_out| left_out.iter().cloned().collect());
        left_out.iter().filter(|text| !known.contains(*text)).for_each(|text| tracing::error!("{text}"));
        self.board.set_left_out(left_out);
        self.registry.publish(snapshot);
    }

    /// Reads the approved definitions, where any plugin is held to them.
    fn read_lock(&self, config: &SupervisorConfig) -> Option<Trouble> {
        let is_locked = |plugin: &super::PluginConfig| plugin.definitions == Definitions::Locked;
        if !config.plugins.values().chain([&config.defaults]).any(is_locked) {
            return None;
        }
        let (lock, trouble) = match DefinitionLock::read(&config.lock) {
            Ok(lock) => (lock, None),
            Err(error) => (DefinitionLock::default(), Some(Trouble::from(error))),
        };
        *self.lock.write() = lock;
        trouble
    }
}

fn withheld_text(plugin: &str, tool: &str, why: Withheld) -> String {
    let why = match why {
        Withheld::New => "nobody has approved it",
        Withheld::Changed => "its definition is not the one that was approved",
    };
    format!("tool '{tool}' of plugin '{plugin}' is withheld: {why}; `mcp-host approve {plugin}` shows and approves it")
}

/// Whether a plugin can run where it is to run.
fn fit(metadata: &Metadata, config: &SupervisorConfig) -> Result<(), InspectError> {
    let of = config.of(&metadata.name);
    if of.enabled && of.isolation == Isolation::InProcess && metadata.panic == PanicMode::Abort {
        return Err(InspectError::PanicAborts);
    }
    Ok(())
}

/// A plugin to be served.
struct Wanted {
    plugin: Plugin,
    /// Why it is what lay in the folder before, and not what lies there now.
    problem: Option<String>,
}

/// What lies in the folders, by what is done with it.
struct Sorted {
    /// Plugins to be served, by name.
    wanted: BTreeMap<String, Wanted>,
    /// What is said of the other files.
    reports: Vec<PluginReport>,
}

/// In the order of the files, so that of two plugins of one name always the same is kept.
fn sort(files: Vec<File>, config: &SupervisorConfig) -> Sorted {
    let mut sorted = Sorted { wanted: BTreeMap::new(), reports: Vec::new() };
    for File { path, outcome, former } in files {
        let (plugin, problem) = match outcome {
            Outcome::Plugin(plugin) => (plugin, None),
            Outcome::NotAPlugin => {
                sorted.reports.push(PluginReport::new(path, None, PluginState::NotAPlugin));
                continue;
            }
            Outcome::Refused(error) => match former {
                Some(former) => (former, Some(chain(&*error))),
                None => {
                    sorted.refuse(path, None, &error);
                    continue;
                }
            },
        };
        let metadata = plugin.staged.metadata.clone();
        let of = config.of(&metadata.name);
        if !of.enabled {
            let mut report = PluginReport::new(path, Some(metadata), PluginState::Disabled);
            report.required = of.required;
            sorted.reports.push(report);
        } else if let Some(first) = sorted.wanted.get(&metadata.name) {
            let error = LoadError::SameName { first: first.plugin.staged.origin.clone() };
            sorted.refuse(path, Some(metadata), &error);
        } else {
            sorted.wanted.insert(metadata.name, Wanted { plugin, problem });
        }
    }
    sorted
}

impl Sorted {
    fn refuse(&mut self, path: PathBuf, metadata: Option<Metadata>, error: &LoadError) {
        let mut report = PluginReport::new(path, metadata, PluginState::Refused);
        report.refused = Some(chain(error));
        self.reports.push(report);
    }
}

/// What the operator requires and no folder has.
fn missing(config: &SupervisorConfig, found: &BTreeSet<String>) -> Vec<Trouble> {
    let required = config.plugins.iter().filter(|(_, plugin)| plugin.required && plugin.enabled);
    let missing =
        required.filter(|(name, _)| !found.contains(*name)).map(|(name, _)| Trouble::RequiredMissing(name.clone()));
    missing.collect()
}

/// Resolves at a change; never where nothing is watched.
async fn changed<'a, F: Future<Output = ()>>(watch: Option<&'a Watch>, change: impl FnOnce(&'a Watch) -> F) {
    match watch {
        Some(watch) => change(watch).await,
        None => std::future::pending().await,
    }
}

/// Resolves then; never where there is no then.
pub(super) async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn report_chain(what: &str, error: &dyn std::error::Error) {
    tracing::error!(reason = chain(error), "{what}");
}
