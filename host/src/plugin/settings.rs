//! What the operator says of plugins, resolved.

use super::InstanceLimits;
use super::breaker::BreakerLimits;
use super::confine::Confinement;
use super::definitions::Definitions;
use super::trust::TrustRule;
use super::worker::{PoolLimits, WorkerProgram};
use crate::registry::{Selection, TimeoutRule};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Where a plugin's code runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In the host's process: as fast as can be, with the host's rights, and able to end it.
    #[default]
    InProcess,
    /// In processes of its own, confined to what is granted.
    Worker,
}

impl Isolation {
    /// As it is written in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Worker => "worker",
        }
    }
}

/// What the operator says of one plugin.
#[derive(Debug, Clone)]
pub struct PluginConfig {
    /// Whether it is loaded.
    pub enabled: bool,
    /// Whether the host is not ready without it.
    pub required: bool,
    /// What of it clients see.
    pub selection: Selection,
    /// Which definitions of its tools clients see.
    pub definitions: Definitions,
    /// Its own table.
    pub config: Value,
    /// Calls of it under way at a time.
    pub limits: InstanceLimits,
    /// How long they may take.
    pub timeouts: TimeoutRule,
    /// Where it runs.
    pub isolation: Isolation,
    /// Bounds of its processes, where it has such.
    pub pool: PoolLimits,
    /// What its processes may do.
    pub confinement: Confinement,
    /// Which files of it are opened.
    pub trust: TrustRule,
    /// When it is taken out of the catalogue for its faults.
    pub breaker: BreakerLimits,
    /// Generations of it that may stay in this process, where none is ever unmapped; the next goes to a worker.
    pub max_resident: usize,
}

impl PluginConfig {
    /// Whether a plugin that was started with this has to be started again for the other.
    pub(super) fn needs_restart_for(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.config.clone(), it.limits, it.isolation, it.pool.clone(), it.breaker.clone());
        of(self) != of(other) || self.confinement != other.confinement || self.trust != other.trust
    }
}

/// What the supervisor runs on.
#[derive(Debug, Clone)]
pub struct SupervisorConfig {
    /// Folders of plugins, in order.
    pub folders: Vec<PathBuf>,
    /// The folder of staged copies.
    pub stage: PathBuf,
    /// The folder of what is known of plugins from one start to the next.
    pub state: PathBuf,
    /// The file of approved definitions.
    pub lock: PathBuf,
    /// How long a plugin may take to load and start.
    pub start_timeout: Duration,
    /// For how long a changed file must stay as it is before it is read; nothing where folders are not watched.
    pub settle: Option<Duration>,
    /// What is run as a worker.
    pub program: WorkerProgram,
    /// What holds for a plugin that has no entry of its own.
    pub defaults: PluginConfig,
    /// What the operator says of plugins, by name.
    pub plugins: BTreeMap<String, PluginConfig>,
}

impl SupervisorConfig {
    /// What holds for a plugin.
    #[must_use]
    pub fn of(&self, plugin: &str) -> &PluginConfig {
        self.plugins.get(plugin).unwrap_or(&self.defaults)
    }
}
