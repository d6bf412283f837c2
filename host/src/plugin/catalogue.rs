//! The catalogue as it is published: what all plugins serve, without what is withheld, and what is left out.

use super::board::Served;
use super::definitions::{DefinitionLock, Definitions, Withheld};
use super::report::Trouble;
use super::settings::{PluginConfig, SupervisorConfig};
use super::supervisor::Shared;
use crate::registry::{Callee as _, Offer, build_after};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

impl Shared {
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
        let offers = offers.into_iter().chain(self.beside.iter().cloned()).collect();
        let (snapshot, clashes) = build_after(&self.registry.snapshot(), offers);
        left_out.extend(clashes.iter().map(ToString::to_string));
        let known: BTreeSet<String> = self.board.read(|_, _, left_out| left_out.iter().cloned().collect());
        left_out.iter().filter(|text| !known.contains(*text)).for_each(|text| tracing::error!("{text}"));
        self.board.set_left_out(left_out);
        self.registry.publish(snapshot);
    }

    /// Reads the approved definitions, where any plugin is held to them.
    pub(super) fn read_lock(&self, config: &SupervisorConfig) -> Option<Trouble> {
        let is_locked = |plugin: &PluginConfig| plugin.definitions == Definitions::Locked;
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
