//! The life of one plugin: one task, which alone decides what of it is served.
//!
//! It is told what lies in the folder, and hears what the served generation says. A new version is loaded beside the old one,
//! the catalogue is swapped, and the old one ends when its last call has. A version that cannot be loaded changes nothing.

use super::breaker::Out;
use super::load::LoadError;
use super::news::{News, PluginEvent};
use super::report::{PluginReport, PluginState};
use super::scan::Plugin;
use super::settings::{Isolation, PluginConfig};
use super::supervisor::Shared;
use super::{Instance, Staged, definitions};
use crate::registry::Change;
use crate::telemetry::chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a plugin's task is told.
pub(super) enum Order {
    /// This is what lies in the folder, and what the operator says of it.
    Serve {
        /// The file.
        plugin: Plugin,
        /// What the operator says.
        config: Box<PluginConfig>,
        /// Why the file is not what lies in the folder now, but what lay there before.
        problem: Option<String>,
        /// Somebody has asked: what was refused is tried again.
        is_asked: bool,
        /// Told when it is done, or has failed.
        done: oneshot::Sender<()>,
    },
    /// Its file is gone, or disabled. The task ends.
    Retire,
}

/// The task of one plugin.
pub(super) struct Life {
    name: String,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
    serving: Option<Serving>,
    /// What was refused last, which is not tried again as it is.
    refused: Option<Refused>,
    /// Counts what was served.
    generation: u64,
    /// Generations that this process has mapped.
    resident: usize,
    /// Generations whose calls have not ended.
    retiring: JoinSet<Arc<Staged>>,
}

/// The generation that is served.
struct Serving {
    instance: Arc<Instance>,
    staged: Arc<Staged>,
    config: PluginConfig,
    news: News,
    /// When the breaker is looked at again.
    look: Option<Instant>,
}

/// A file that could not be served.
struct Refused {
    plugin: Plugin,
    config: PluginConfig,
}

/// How long the stop hook of a retired generation may take.
const STOP_GRACE: Duration = Duration::from_secs(2);

impl Life {
    pub(super) fn new(name: String, shared: Arc<Shared>, orders: mpsc::UnboundedReceiver<Order>) -> Self {
        Self {
            name,
            shared,
            orders,
            serving: None,
            refused: None,
            generation: 0,
            resident: 0,
            retiring: JoinSet::new(),
        }
    }

    /// Runs until the plugin is retired, or the host stops; what is served then is ended by whoever stops the host.
    pub(super) async fn run(mut self) {
        let stopping = self.shared.stopping.clone();
        loop {
            let look = self.serving.as_ref().and_then(|serving| serving.look);
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                order = self.orders.recv() => match order {
                    Some(Order::Serve { plugin, config, problem, is_asked, done }) => {
                        if is_asked {
                            self.refused = None;
                        }
                        self.serve(plugin, *config).await;
                        if let Some(problem) = problem {
                            self.tell_problem(&problem);
                        }
                        let _ = done.send(());
                    }
                    Some(Order::Retire) | None => return self.leave().await,
                },
                event = next_event(&mut self.serving) => self.hear(event).await,
                () = until(look) => self.look(),
                Some(retired) = self.retiring.join_next(), if !self.retiring.is_empty() => self.retired(retired.ok()),
            }
        }
    }

    /// Serves a file, unless it is served already.
    async fn serve(&mut self, plugin: Plugin, config: PluginConfig) {
        if let Some(serving) = &mut self.serving
            && serving.staged.digest == plugin.staged.digest
            && !serving.config.needs_restart_for(&config)
        {
            serving.config = config;
            let (path, required) = (plugin.staged.origin.clone(), serving.config.required);
            self.refused = None;
            // The catalogue follows when all plugins have been told.
            return self.shared.board.change(&self.name, |report| {
                (report.path, report.required, report.reason) = (path, required, None);
            });
        }
        if self.refused.as_ref().is_some_and(|refused| refused.is(&plugin, &config)) {
            return;
        }
        let isolation = self.isolation(&config);
        let mut report = self.report(&plugin, &config);
        if self.serving.is_none() {
            report.state = PluginState::Loading;
            self.shared.board.set(&self.name, report.clone());
        }
        let stopping = self.shared.stopping.clone();
        let loading = async {
            let mut config = config.clone();
            if isolation != config.isolation {
                // It had the host's rights so far, and keeps them.
                config.confinement = super::Confinement::None;
            }
            self.shared.loader.load(Arc::clone(&plugin.staged), plugin.signature.clone(), &config, isolation).await
        };
        let loaded = tokio::select! {
            loaded = loading => loaded,
            () = stopping.cancelled() => Err(LoadError::Stopping),
        };
        match loaded {
            Ok((instance, news)) => {
                self.refused = None;
                self.swap(report, plugin.staged, config, isolation, instance, news);
            }
            Err(error) => {
                self.refuse(report, &error);
                // A verdict may be cleared, which is cheap to look up.
                let is_tried_again = matches!(error, LoadError::Quarantined { .. } | LoadError::Stopping);
                self.refused = (!is_tried_again).then_some(Refused { plugin, config });
            }
        }
    }

    /// Where the next generation runs.
    fn isolation(&self, config: &PluginConfig) -> Isolation {
        if config.isolation == Isolation::InProcess && self.resident >= config.max_resident {
            tracing::warn!(
                plugin = self.name,
                resident = self.resident,
                "none of its generations in this process can be unmapped: the next one goes to a worker process"
            );
            return Isolation::Worker;
        }
        config.isolation
    }

    /// What is told of a file that is to be served.
    fn report(&self, plugin: &Plugin, config: &PluginConfig) -> PluginReport {
        let staged = &plugin.staged;
        let state = PluginState::Loading;
        let mut report = PluginReport::new(staged.origin.clone(), Some(staged.metadata.clone()), state);
        report.digest = Some(staged.digest);
        report.required = config.required;
        report.generation = self.generation;
        report.resident = self.resident;
        report.draining = self.retiring.len();
        report
    }

    /// Serves a generation from now on, and ends the one before when its calls have ended.
    fn swap(
        &mut self,
        mut report: PluginReport,
        staged: Arc<Staged>,
        config: PluginConfig,
        isolation: Isolation,
        instance: Arc<Instance>,
        news: News,
    ) {
        for (tool, character) in definitions::hidden_characters(&instance.manifest()) {
            tracing::warn!(
                plugin = self.name,
                tool,
                character = format!("U+{:04X}", u32::from(character)),
                "its words have a character that people do not see"
            );
        }
        self.generation += 1;
        self.resident += usize::from(isolation == Isolation::InProcess);
        tracing::info!(
            plugin = self.name, version = staged.metadata.version, generation = self.generation, ?isolation,
            file = %staged.origin.display(), "plugin loaded"
        );
        report.state = PluginState::Ready;
        (report.generation, report.resident) = (self.generation, self.resident);
        report.isolation = Some(isolation);
        report.enforced = instance.enforced().to_vec();
        if instance.is_in_worker() {
            report.not_granted = config.confinement.not_granted(&staged.metadata.wants);
            for want in &report.not_granted {
                tracing::warn!(plugin = self.name, want, "it wants what it is not granted");
            }
        }
        let serving = Serving { instance: Arc::clone(&instance), staged, config, news, look: None };
        let before = self.serving.replace(serving);
        report.draining = self.retiring.len() + usize::from(before.is_some());
        self.shared.board.serve(&self.name, report, instance);
        self.shared.publish();
        if let Some(before) = before {
            self.retire(before);
        }
    }

    fn refuse(&mut self, mut report: PluginReport, error: &LoadError) {
        let reason = chain(error);
        tracing::error!(
            plugin = self.name, file = %report.path.display(), reason, is_served = self.serving.is_some(), "plugin refused"
        );
        if self.serving.is_some() {
            return self.tell_problem(&reason);
        }
        report.state = match error {
            LoadError::Quarantined { .. } => PluginState::Quarantined,
            _ => PluginState::Refused,
        };
        report.reason = Some(reason);
        self.shared.board.set(&self.name, report);
    }

    /// The newest file is not served, and the one before is.
    fn tell_problem(&self, reason: &str) {
        let reason = format!("its newest file is refused, the one before is served: {reason}");
        self.shared.board.change(&self.name, |report| report.reason = Some(reason));
    }

    /// Ends a generation when nobody can call it and its calls have ended.
    fn retire(&mut self, serving: Serving) {
        let Serving { instance, staged, .. } = serving;
        let shared = Arc::clone(&self.shared);
        self.retiring.spawn(async move {
            drain(&instance, &shared).await;
            instance.stop(STOP_GRACE).await;
            staged
        });
    }

    fn retired(&mut self, staged: Option<Arc<Staged>>) {
        if let Some(staged) = staged {
            let is_served = self.serving.as_ref().is_some_and(|serving| serving.staged.digest == staged.digest);
            tracing::debug!(plugin = self.name, digest = %staged.digest, "a generation has ended");
            if !is_served {
                self.shared.discard(&staged);
            }
        }
        let draining = self.retiring.len();
        self.shared.board.change(&self.name, |report| report.draining = draining);
    }

    /// The file is gone: nobody can call the plugin any more, and its last calls end.
    async fn leave(mut self) {
        self.shared.board.withdraw(&self.name);
        self.shared.publish();
        tracing::info!(plugin = self.name, "plugin retired");
        if let Some(serving) = self.serving.take() {
            self.retire(serving);
        }
        let retired = self.retiring.join_all().await;
        self.shared.board.remove(&self.name);
        retired.iter().for_each(|staged| self.shared.discard(staged));
    }

    async fn hear(&mut self, event: PluginEvent) {
        match event {
            PluginEvent::ResourceUpdated(uri) => self.shared.registry.events().announce(Change::Resource(uri)),
            PluginEvent::Faulty => self.look(),
            PluginEvent::ManifestChanged => {
                if let Some(serving) = &self.serving {
                    serving.instance.refresh(self.shared.loader.start_timeout).await;
                    self.shared.publish();
                }
            }
        }
    }

    /// Takes out of the catalogue what has failed too often, and puts back what is tried again.
    fn look(&mut self) {
        let Some(serving) = &mut self.serving else {
            return;
        };
        let (out, next) = serving.instance.breaker().look();
        serving.look = next;
        let reason = tell(&self.name, serving.instance.breaker(), &out);
        self.shared.board.take_out(&self.name, out, reason);
        self.shared.publish();
    }
}

impl Refused {
    fn is(&self, plugin: &Plugin, config: &PluginConfig) -> bool {
        self.plugin.staged.digest == plugin.staged.digest
            && self.plugin.signature == plugin.signature
            && !self.config.needs_restart_for(config)
    }
}

/// Tells the operator what is out, and gives it in words.
fn tell(plugin: &str, breaker: &super::breaker::Breaker, out: &Out) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for tool in &out.tools {
        parts.push(format!("tool '{tool}' is out: {}", breaker.reason(tool).unwrap_or("it failed")));
    }
    if out.all && parts.is_empty() {
        parts.push(breaker.reason("").unwrap_or("it failed").to_owned());
    }
    if parts.is_empty() {
        tracing::info!(plugin, "what was out for its faults is tried again");
        return None;
    }
    let reason = format!("{}; it is tried again", parts.join(", "));
    tracing::error!(plugin, whole = out.all, reason, "out of the catalogue for its faults");
    Some(reason)
}

/// Waits until no catalogue has the instance any more, and its calls have ended that somebody waits for.
async fn drain(instance: &Arc<Instance>, shared: &Shared) {
    const FIRST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(100);
    let mut pause = FIRST;
    // Whoever took the catalogue before the swap may still call it; so it counts who can.
    while Arc::strong_count(instance) > 1 || instance.calls() > instance.deaf_calls().0 {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST),
        }
    }
}

async fn next_event(serving: &mut Option<Serving>) -> PluginEvent {
    match serving {
        Some(serving) => match serving.news.next().await {
            Some(event) => event,
            // The instance holds the other end.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
