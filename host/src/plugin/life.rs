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
use super::stage::remove_unused;
use super::supervisor::{Shared, until};
use super::{Confinement, Instance, Staged, definitions};
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
    /// Its file is gone, or disabled.
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
    /// Generations whose calls have not ended.
    retiring: JoinSet<Arc<Staged>>,
}

/// The generation that is served.
struct Serving {
    instance: Arc<Instance>,
    staged: Arc<Staged>,
    signature: Option<String>,
    config: PluginConfig,
    news: News,
    /// When the breaker is looked at again.
    look: Option<Instant>,
}

/// A generation that is to be served.
struct Loaded {
    staged: Arc<Staged>,
    signature: Option<String>,
    config: PluginConfig,
    isolation: Isolation,
    instance: Arc<Instance>,
    news: News,
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
        Self { name, shared, orders, serving: None, refused: None, generation: 0, retiring: JoinSet::new() }
    }

    /// Runs until the host stops. What is served then is left on the board, for whoever stops the host to end; what was
    /// retired before has ended.
    pub(super) async fn run(mut self) {
        let stopping = self.shared.stopping.clone();
        loop {
            let look = self.serving.as_ref().and_then(|serving| serving.look);
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                order = self.orders.recv() => match order.map(|order| self.newest(order)) {
                    Some(Order::Serve { plugin, config, problem, is_asked, done }) => {
                        if is_asked {
                            self.refused = None;
                        }
                        self.serve(plugin, *config).await;
                        if let Some(problem) = problem {
                            self.tell_problem("its newest file", &problem);
                        }
                        let _ = done.send(());
                    }
                    Some(Order::Retire) => self.leave(),
                    None => break,
                },
                event = next_event(&mut self.serving) => self.hear(event).await,
                () = until(look) => self.look(),
                Some(retired) = self.retiring.join_next(), if !self.retiring.is_empty() => self.retired(retired.ok()),
            }
        }
        while self.retiring.join_next().await.is_some() {}
    }

    /// The newest of the orders that wait. Those before it are not carried out any more; that somebody has asked stays.
    fn newest(&mut self, mut order: Order) -> Order {
        while let Ok(mut newer) = self.orders.try_recv() {
            if let (Order::Serve { is_asked: before, .. }, Order::Serve { is_asked, .. }) = (&order, &mut newer) {
                *is_asked |= before;
            }
            order = newer;
        }
        order
    }

    /// Serves a file, unless it is served already.
    async fn serve(&mut self, plugin: Plugin, config: PluginConfig) {
        if self.is_distrusted(&plugin, &config).await {
            tracing::warn!(plugin = self.name, "what is served is not trusted any more, and is ended");
            self.leave();
        }
        if let Some(serving) = &mut self.serving
            && serving.staged.digest == plugin.staged.digest
            && !serving.config.needs_restart_for(&config)
        {
            serving.config = config;
            serving.signature = plugin.signature;
            let (path, required) = (plugin.staged.origin.clone(), serving.config.required);
            self.refused = None;
            // The catalogue follows when all plugins have been told.
            return self.shared.board.change(&self.name, |report| {
                (report.path, report.required, report.refused) = (path, required, None);
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
        let mut loaded_with = config.clone();
        if isolation != config.isolation {
            // It had the host's rights so far, and keeps them.
            loaded_with.confinement = Confinement::None;
        }
        let (staged, signature) = (Arc::clone(&plugin.staged), plugin.signature.clone());
        let shared = Arc::clone(&self.shared);
        let loading = shared.loader.load(staged, signature, &loaded_with, isolation);
        let mut loading = std::pin::pin!(loading);
        // What is served meanwhile is heard, and tried again when its time has come.
        let loaded = loop {
            let look = self.serving.as_ref().and_then(|serving| serving.look);
            tokio::select! {
                biased;
                () = stopping.cancelled() => break Err(LoadError::Stopping),
                loaded = &mut loading => break loaded,
                event = next_event(&mut self.serving) => self.hear(event).await,
                () = until(look) => self.look(),
            }
        };
        match loaded {
            Ok((instance, news)) => {
                self.refused = None;
                if instance.is_in_worker() {
                    report.not_granted = loaded_with.confinement.not_granted(&plugin.staged.metadata.wants);
                }
                let Plugin { staged, signature } = plugin;
                self.swap(report, Loaded { staged, signature, config, isolation, instance, news });
            }
            Err(LoadError::Stopping) => {}
            Err(error) => {
                self.refuse(report, &error);
                self.refused = (!error.may_pass()).then_some(Refused { plugin, config });
            }
        }
    }

    /// Whether what is served may not be opened any more, because the operator has said so since.
    async fn is_distrusted(&self, plugin: &Plugin, config: &PluginConfig) -> bool {
        match &self.serving {
            Some(serving) if serving.config.trust != config.trust => {
                // It may have been signed anew.
                let is_same = serving.staged.digest == plugin.staged.digest;
                let signature = if is_same { &plugin.signature } else { &serving.signature }.clone();
                let staged = Arc::clone(&serving.staged);
                self.shared.loader.is_distrusted(staged, signature, config).await
            }
            _ => false,
        }
    }

    /// Where the next generation runs.
    fn isolation(&self, config: &PluginConfig) -> Isolation {
        let resident = self.shared.loader.resident(&self.name);
        if config.isolation == Isolation::InProcess && resident >= config.max_resident {
            tracing::warn!(
                plugin = self.name,
                resident,
                "none of its generations in this process can be unmapped: the next one goes to a worker process, with the \
                 host's rights, until the host is started again; `max_resident` bounds them"
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
        report.resident = self.shared.loader.resident(&self.name);
        report.draining = self.retiring.len();
        report
    }

    /// Serves a generation from now on, and ends the one before when its calls have ended.
    fn swap(&mut self, mut report: PluginReport, loaded: Loaded) {
        let Loaded { staged, signature, config, isolation, instance, news } = loaded;
        report.notes = self.hidden_characters(&instance);
        self.generation += 1;
        tracing::info!(
            plugin = self.name, version = staged.metadata.version, generation = self.generation, ?isolation,
            file = %staged.origin.display(), "plugin loaded"
        );
        report.state = PluginState::Ready;
        report.generation = self.generation;
        report.resident = self.shared.loader.resident(&self.name);
        report.isolation = Some(isolation);
        report.enforced = instance.enforced().to_vec();
        for want in &report.not_granted {
            tracing::warn!(plugin = self.name, want, "it wants what it is not granted");
        }
        let serving = Serving { instance: Arc::clone(&instance), staged, signature, config, news, look: None };
        let before = self.serving.replace(serving);
        report.draining = self.retiring.len() + usize::from(before.is_some());
        self.shared.board.serve(&self.name, report, instance);
        self.shared.publish();
        if let Some(before) = before {
            self.retire(before);
        }
    }

    /// What the words of a plugin have that people do not see, told to the operator.
    fn hidden_characters(&self, instance: &Instance) -> Vec<String> {
        let tell = |(what, character): (String, char)| {
            let note =
                format!("the words of {what} have a character that people do not see: U+{:04X}", u32::from(character));
            tracing::warn!(plugin = self.name, "{note}");
            note
        };
        definitions::hidden_characters(&instance.manifest()).into_iter().map(tell).collect()
    }

    fn refuse(&mut self, mut report: PluginReport, error: &LoadError) {
        let reason = chain(error);
        tracing::error!(
            plugin = self.name, file = %report.path.display(), reason, is_served = self.serving.is_some(), "plugin refused"
        );
        report.state = match error {
            LoadError::Quarantined { .. } => PluginState::Quarantined,
            _ => PluginState::Refused,
        };
        if let Some(serving) = &self.serving {
            let is_same_file = Some(serving.staged.digest) == report.digest;
            self.shared.board.count(&self.name, report.state);
            return self.tell_problem(if is_same_file { "its new configuration" } else { "its newest file" }, &reason);
        }
        report.refused = Some(reason);
        self.shared.board.set(&self.name, report);
    }

    /// What is newest is not served, and what was before is.
    fn tell_problem(&self, newest: &str, reason: &str) {
        let reason = format!("{newest} is refused, the one before is served: {reason}");
        self.shared.board.change(&self.name, |report| {
            if report.refused.as_ref() != Some(&reason) {
                tracing::warn!(plugin = self.name, "{reason}");
                report.refused = Some(reason);
            }
        });
    }

    /// Ends a generation when nobody can call it and its calls have ended.
    fn retire(&mut self, serving: Serving) {
        let Serving { instance, staged, mut news, .. } = serving;
        let shared = Arc::clone(&self.shared);
        self.retiring.spawn(async move {
            // Its calls go on, and what they have changed is told.
            let telling = async {
                while let Some(event) = news.next().await {
                    if let PluginEvent::ResourceUpdated(uri) = event {
                        shared.registry.events().announce(Change::Resource(uri));
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = telling => {}
                () = drain(&instance, &shared) => {}
            }
            instance.stop(STOP_GRACE).await;
            staged
        });
    }

    fn retired(&mut self, staged: Option<Arc<Staged>>) {
        let draining = self.retiring.len();
        self.shared.board.change(&self.name, |report| report.draining = draining);
        if draining == 0 && self.serving.is_none() {
            self.shared.board.remove_drained(&self.name);
        }
        if let Some(staged) = staged {
            tracing::debug!(plugin = self.name, digest = %staged.digest, "a generation has ended");
            let path = staged.path.clone();
            // Whoever else has it keeps it.
            drop(staged);
            remove_unused(&path);
        }
    }

    /// The file is gone: nobody can call the plugin any more, and its last calls end. It may come back.
    fn leave(&mut self) {
        self.refused = None;
        let Some(serving) = self.serving.take() else {
            // One whose calls still end is told as such until they have.
            if self.retiring.is_empty() {
                self.shared.board.remove(&self.name);
            }
            return;
        };
        self.shared.board.withdraw(&self.name);
        self.shared.publish();
        tracing::info!(plugin = self.name, "plugin retired");
        self.retire(serving);
    }

    async fn hear(&mut self, event: PluginEvent) {
        match event {
            PluginEvent::ResourceUpdated(uri) => self.shared.registry.events().announce(Change::Resource(uri)),
            PluginEvent::Faulty => self.look(),
            PluginEvent::ManifestChanged => {
                if let Some(serving) = &self.serving {
                    serving.instance.refresh(self.shared.loader.start_timeout).await;
                    let notes = self.hidden_characters(&serving.instance);
                    self.shared.board.change(&self.name, |report| report.notes = notes);
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
