//! From folders and their configuration to a published catalogue, as long as the host lives.
//!
//! Every plugin has one task (`life`). This one looks at the folders, tells each task what lies there and what the operator
//! says of it, builds the catalogue from what they serve, and ends them all. One broken plugin never hides the healthy ones.

use super::board::Board;
use super::definitions::DefinitionLock;
use super::life::{Life, Order};
use super::load::Loader;
use super::report::{PluginReport, PluginState, Trouble};
use super::scan::{Found, Scanner, When};
use super::settings::SupervisorConfig;
use super::stage::private_folder;
use super::verdicts::Verdicts;
use super::wanted::{Sorted, Wanted, fit, missing, sort};
use super::watch::{Heard, Watch, Watched};
use super::{Instance, StageDirectory, StageError};
use crate::registry::{Offer, Registry};
use crate::rt::Drain;
use crate::telemetry::chain;
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
    pub(super) config: RwLock<Arc<SupervisorConfig>>,
    pub(super) registry: Registry,
    pub(super) loader: Loader,
    pub(super) board: Board,
    /// What is offered beside the plugins.
    pub(super) beside: Vec<Offer>,
    /// Approved definitions; nothing is approved where they cannot be read.
    pub(super) lock: RwLock<DefinitionLock>,
    /// Held while a catalogue is built and published, so that an older one never replaces a newer.
    pub(super) publishing: Mutex<()>,
    /// Nothing is published before all plugins have been tried once.
    pub(super) is_open: AtomicBool,
    /// Cancelled when the plugins end.
    pub(super) stopping: CancellationToken,
}

/// What one look at the folders leaves for the next.
#[derive(Default)]
struct Scanning {
    scanner: Scanner,
    orders: BTreeMap<String, mpsc::UnboundedSender<Order>>,
    /// Plugins whose files were gone at the last look, while others were being written.
    missed: BTreeSet<String>,
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
            verdicts: Verdicts::in_folder(&config.state).of_program(config.program.identity()),
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

    /// Loads all plugins, side by side, and publishes what they offer. Returns when each is served or refused.
    ///
    /// # Cancel safety
    /// When the future is dropped, plugins go on loading, and nothing is published. It may be called again.
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
    /// of `config_file`; `asked` is notified when somebody asks for a look at everything. To be called once, after all were
    /// loaded.
    ///
    /// # Cancel safety
    /// When the future is dropped, what was told to plugins is done, and further changes are not seen.
    pub async fn follow(&self, reread: Reread, config_file: Option<PathBuf>, asked: Arc<Notify>, drain: Drain) {
        let heard = Heard::default();
        let mut watch = self.watch(config_file.clone(), &heard);
        // What has changed since all was loaded was not watched yet.
        let mut next = self.shared.config().settle.map(|settle| Instant::now() + settle);
        loop {
            let settle = self.shared.config().settle;
            let soon = settle.map(|settle| Instant::now() + settle);
            tokio::select! {
                () = drain.draining() => return,
                () = asked.notified() => {
                    self.reread(&reread);
                    watch = self.watch(config_file.clone(), &heard);
                    self.scan(When::Asked).await;
                    next = None;
                }
                () = heard.config_changed() => {
                    // A file that is being written is not half of one.
                    tokio::time::sleep(settle.unwrap_or_default()).await;
                    self.reread(&reread);
                    watch = self.watch(config_file.clone(), &heard);
                    self.scan(When::Settled).await;
                    next = soon;
                }
                // A file that is written all the time holds nobody else up.
                () = heard.plugins_changed() => next = next.or(soon),
                () = until(next) => {
                    if heard.is_stale() {
                        // Before it is looked, so that what comes meanwhile is heard of. What cannot be watched anew is as it was.
                        watch = self.watch(config_file.clone(), &heard).or(watch);
                    }
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
                self.shared.board.set_reread(None);
            }
            Err(reason) => {
                let trouble = Trouble::Reread(reason);
                report_chain("plugins need attention", &trouble);
                self.shared.board.set_reread(Some(trouble));
            }
        }
    }

    fn watch(&self, config: Option<PathBuf>, heard: &Heard) -> Option<Watch> {
        let settings = self.shared.config();
        settings.settle?;
        let files = vec![settings.lock.clone(), settings.state.join("verdicts.json")];
        match Watch::start(&Watched { folders: settings.folders.clone(), files, config }, heard) {
            Ok(watch) => {
                self.shared.board.set_watch(None);
                Some(watch)
            }
            Err(error) => {
                let trouble = Trouble::Watch(error);
                report_chain("plugins need attention", &trouble);
                self.shared.board.set_watch(Some(trouble));
                None
            }
        }
    }

    /// Looks at the folders, and tells every plugin's task what lies there. What resolves when each has done what it was
    /// told, and whether to look again soon.
    async fn scan(&self, when: When) -> (Vec<oneshot::Receiver<()>>, bool) {
        let mut scanning = self.scanning.lock().await;
        let scanning = &mut *scanning;
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
        // What is gone while others are being written may be one of them, under another name: it is looked for once more.
        let missed = std::mem::take(&mut scanning.missed);
        for (name, orders) in scanning.orders.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
            if is_unsettled && !found.contains(name) && !missed.contains(name) {
                scanning.missed.insert(name.clone());
            } else {
                let _ = orders.send(Order::Retire);
            }
        }
        let mut waiting = Vec::new();
        for (name, wanted) in wanted {
            waiting.push(self.tell(scanning, name, wanted, &config, when));
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

    /// Ends all plugins, side by side: their stop hooks have `grace`, and what they need beyond it is cut off. For good.
    ///
    /// # Cancel safety
    /// When the future is dropped, workers are killed when this is, and stop hooks may not run.
    pub async fn stop_all(&self, grace: Duration) {
        /// How long calls that were cancelled may take to return before their plugin is ended under them.
        const RETURN: Duration = Duration::from_millis(500);
        const PAUSE: Duration = Duration::from_millis(5);
        self.shared.stopping.cancel();
        // First the tasks, so that nothing is served any more that they were about to; with what they had retired.
        // A look at slow folders may go on; what it finds is not served any more.
        let tasks = match tokio::time::timeout(RETURN, self.scanning.lock()).await {
            Ok(mut scanning) => std::mem::take(&mut scanning.tasks),
            Err(_) => JoinSet::new(),
        };
        let ended = tokio::time::timeout(grace + RETURN, join(tasks));
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
    pub(super) fn config(&self) -> Arc<SupervisorConfig> {
        Arc::clone(&self.config.read())
    }
}

/// Waits for all tasks. One that has failed is the others' loss in nothing.
async fn join(mut tasks: JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
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
