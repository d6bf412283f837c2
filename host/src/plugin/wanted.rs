//! From what lies in the folders to what is to be served: one file for each name, and a word about every other.

use super::InspectError;
use super::load::LoadError;
use super::report::{PluginReport, PluginState, Trouble};
use super::scan::{File, Outcome, Plugin};
use super::settings::{Isolation, SupervisorConfig};
use crate::telemetry::chain;
use mcp_plugin_api::abi::{Metadata, PanicMode};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Whether a plugin can run where it is to run.
pub(super) fn fit(metadata: &Metadata, config: &SupervisorConfig) -> Result<(), InspectError> {
    let of = config.of(&metadata.name);
    if of.enabled && of.isolation == Isolation::InProcess && metadata.panic == PanicMode::Abort {
        return Err(InspectError::PanicAborts);
    }
    Ok(())
}

/// A plugin to be served.
pub(super) struct Wanted {
    pub(super) plugin: Plugin,
    /// Why it is what lay in the folder before, and not what lies there now.
    pub(super) problem: Option<String>,
}

/// What lies in the folders, by what is done with it.
pub(super) struct Sorted {
    /// Plugins to be served, by name.
    pub(super) wanted: BTreeMap<String, Wanted>,
    /// What is said of the other files.
    pub(super) reports: Vec<PluginReport>,
}

/// In the order of the files, so that of two plugins of one name always the same is kept.
pub(super) fn sort(files: Vec<File>, config: &SupervisorConfig) -> Sorted {
    let mut sorted = Sorted { wanted: BTreeMap::new(), reports: Vec::new() };
    for File { path, outcome, former } in files {
        let (plugin, problem) = match outcome {
            Outcome::Plugin(plugin) => (plugin, None),
            // A version that was built without what makes it a plugin is no reason to end the one that works.
            Outcome::NotAPlugin => match former {
                Some(former) => (former, Some(chain(&InspectError::NotAPlugin))),
                None => {
                    sorted.reports.push(PluginReport::new(path, None, PluginState::NotAPlugin));
                    continue;
                }
            },
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
        // What was served before may not fit where it is to run now.
        if let Err(unfit) = fit(&metadata, config) {
            sorted.refuse(path, Some(metadata), &unfit.into());
            continue;
        }
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
pub(super) fn missing(config: &SupervisorConfig, found: &BTreeSet<String>) -> Vec<Trouble> {
    let required = config.plugins.iter().filter(|(_, plugin)| plugin.required && plugin.enabled);
    let missing =
        required.filter(|(name, _)| !found.contains(*name)).map(|(name, _)| Trouble::RequiredMissing(name.clone()));
    missing.collect()
}
