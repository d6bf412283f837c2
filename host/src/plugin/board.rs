//! What everyone may know of all plugins: what became of their files, and who of them is served.
//!
//! Each plugin's task writes its own place; the catalogue and the reports are made from all of them.

use super::Instance;
use super::breaker::Out;
use super::report::{PluginReport, PluginState, Trouble};
use crate::telemetry::chain;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The board. One lock, because the catalogue and the reports are made from all of it.
#[derive(Default)]
pub(super) struct Board(Mutex<Places>);

#[derive(Default)]
struct Places {
    plugins: BTreeMap<String, Place>,
    /// Files that no plugin's task has.
    files: Vec<PluginReport>,
    troubles: Vec<Trouble>,
    /// What is left out of the catalogue, and why.
    left_out: Vec<String>,
    /// How often a plugin came into a state.
    transitions: BTreeMap<(String, PluginState), u64>,
}

/// The place of one plugin.
struct Place {
    report: PluginReport,
    /// Who is served.
    instance: Option<Arc<Instance>>,
    out: Out,
}

/// A plugin that is served.
pub(super) struct Served {
    pub(super) instance: Arc<Instance>,
    pub(super) out: Out,
}

impl Board {
    /// Takes in what is known of a plugin that is not served.
    pub(super) fn set(&self, plugin: &str, report: PluginReport) {
        let mut places = self.0.lock();
        places.count(plugin, report.state);
        places.plugins.insert(plugin.to_owned(), Place { report, instance: None, out: Out::default() });
    }

    /// Takes in who is served from now on.
    pub(super) fn serve(&self, plugin: &str, report: PluginReport, instance: Arc<Instance>) {
        let mut places = self.0.lock();
        places.count(plugin, report.state);
        let place = Place { report, instance: Some(instance), out: Out::default() };
        let before = places.plugins.insert(plugin.to_owned(), place);
        drop(places);
        // Outside of the lock: it may be the last that holds a generation.
        drop(before);
    }

    /// Changes what is known of a plugin.
    pub(super) fn change(&self, plugin: &str, change: impl FnOnce(&mut PluginReport)) {
        if let Some(place) = self.0.lock().plugins.get_mut(plugin) {
            change(&mut place.report);
        }
    }

    /// Takes in what of a plugin is out of the catalogue.
    pub(super) fn take_out(&self, plugin: &str, out: Out, reason: Option<String>) {
        let mut places = self.0.lock();
        let state = if out.all { PluginState::Broken } else { PluginState::Ready };
        let is_new = places.plugins.get(plugin).is_some_and(|place| place.report.state != state);
        if is_new {
            places.count(plugin, state);
        }
        if let Some(place) = places.plugins.get_mut(plugin) {
            (place.report.state, place.report.out, place.out) = (state, reason, out);
        }
    }

    /// A plugin is served no more.
    pub(super) fn withdraw(&self, plugin: &str) {
        let mut places = self.0.lock();
        places.count(plugin, PluginState::Draining);
        let withdrawn = places.plugins.get_mut(plugin).and_then(|place| {
            place.report.state = PluginState::Draining;
            place.instance.take()
        });
        drop(places);
        drop(withdrawn);
    }

    /// Forgets a plugin whose last calls have ended, unless it is on its way back.
    pub(super) fn remove_drained(&self, plugin: &str) {
        let mut places = self.0.lock();
        if places.plugins.get(plugin).is_some_and(|place| place.report.state == PluginState::Draining) {
            places.plugins.remove(plugin);
        }
    }

    /// Counts a state that a plugin came into while another of its generations is served.
    pub(super) fn count(&self, plugin: &str, state: PluginState) {
        self.0.lock().count(plugin, state);
    }

    /// Forgets a plugin.
    pub(super) fn remove(&self, plugin: &str) {
        let removed = self.0.lock().plugins.remove(plugin);
        drop(removed);
    }

    /// All that are served.
    pub(super) fn served(&self) -> Vec<Served> {
        let places = self.0.lock();
        let served = places.plugins.values().filter_map(|place| {
            Some(Served { instance: Arc::clone(place.instance.as_ref()?), out: place.out.clone() })
        });
        served.collect()
    }

    /// Takes all that are served out, to be ended.
    pub(super) fn take_all(&self) -> Vec<Arc<Instance>> {
        self.0.lock().plugins.values_mut().filter_map(|place| place.instance.take()).collect()
    }

    /// Takes in what a look at the folders has shown, besides the plugins that have tasks.
    pub(super) fn set_files(&self, files: Vec<PluginReport>, troubles: impl Iterator<Item = Trouble>) {
        let mut places = self.0.lock();
        let told = |report: &PluginReport| (report.path.clone(), report.state, report.refused.clone());
        let known: Vec<_> = places.files.iter().map(told).collect();
        for report in files.iter().filter(|report| !known.contains(&told(report))) {
            places.tell(report);
        }
        places.files = files;
        let known: Vec<String> = places.troubles.iter().map(|trouble| chain(trouble)).collect();
        places.troubles.retain(Trouble::is_kept);
        for trouble in troubles {
            let reason = chain(&trouble);
            if !known.contains(&reason) {
                tracing::error!(reason, "plugins need attention");
            }
            places.troubles.push(trouble);
        }
    }

    /// Adds something that the operator should know.
    pub(super) fn add(&self, trouble: Trouble) {
        self.0.lock().troubles.push(trouble);
    }

    /// Takes in whether changes are seen.
    pub(super) fn set_watch(&self, trouble: Option<Trouble>) {
        let mut places = self.0.lock();
        places.troubles.retain(|trouble| !matches!(trouble, Trouble::Watch(_)));
        places.troubles.extend(trouble);
    }

    /// Takes in whether the configuration could be read again.
    pub(super) fn set_reread(&self, trouble: Option<Trouble>) {
        let mut places = self.0.lock();
        places.troubles.retain(|trouble| !matches!(trouble, Trouble::Reread(_)));
        places.troubles.extend(trouble);
    }

    /// Takes in what is left out of the catalogue.
    pub(super) fn set_left_out(&self, left_out: Vec<String>) {
        self.0.lock().left_out = left_out;
    }

    /// Reads it: what became of all files, and what the operator should know.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&[(PluginReport, Option<Arc<Instance>>)], &[Trouble], &[String]) -> T,
    ) -> T {
        let places = self.0.lock();
        let files = places.files.iter().map(|report| (report.clone(), None));
        let plugins = places.plugins.values().map(|place| (place.report.clone(), place.instance.clone()));
        let mut all: Vec<_> = files.chain(plugins).collect();
        all.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
        read(&all, &places.troubles, &places.left_out)
    }

    /// How often plugins came into their states.
    pub(super) fn transitions(&self) -> Vec<(String, PluginState, u64)> {
        let places = self.0.lock();
        places.transitions.iter().map(|((plugin, state), count)| (plugin.clone(), *state, *count)).collect()
    }
}

impl Places {
    /// Tells the log what became of a file that no task has.
    fn tell(&mut self, report: &PluginReport) {
        let (file, plugin) = (report.path.display(), report.name());
        match report.state {
            PluginState::NotAPlugin => tracing::info!(%file, "passed over: a library, but no plugin"),
            PluginState::Refused => tracing::error!(%file, plugin, reason = report.refused, "plugin refused"),
            _ => {}
        }
        self.count(&plugin, report.state);
    }

    fn count(&mut self, plugin: &str, state: PluginState) {
        tracing::debug!(plugin, state = state.name(), "a plugin's state");
        *self.transitions.entry((plugin.to_owned(), state)).or_default() += 1;
    }
}
