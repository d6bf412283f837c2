//! What became of each file, for operators.

use super::confine::Enforcement;
use super::settings::Isolation;
use super::{Digest, DiscoverError, StageError};
use mcp_plugin_api::abi::Metadata;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a plugin is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PluginState {
    /// It is being verified, probed or started.
    Loading,
    /// It is served.
    Ready,
    /// The operator has disabled it.
    Disabled,
    /// A library that is no plugin.
    NotAPlugin,
    /// It is not served, for a reason.
    Refused,
    /// It is not opened: its file did harm to the process that opened it first.
    Quarantined,
    /// It is out of the catalogue for its faults, and is tried again.
    Broken,
    /// Its file is gone, and its last calls end.
    Draining,
}

impl PluginState {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Disabled => "disabled",
            Self::NotAPlugin => "not a plugin",
            Self::Refused => "refused",
            Self::Quarantined => "quarantined",
            Self::Broken => "broken",
            Self::Draining => "draining",
        }
    }
}

/// What became of a file, and what is known of it.
#[derive(Debug, Clone)]
pub struct PluginReport {
    /// The file.
    pub path: PathBuf,
    /// What it says of itself, as far as that could be read.
    pub metadata: Option<Metadata>,
    /// The digest of what is served, or was refused.
    pub digest: Option<Digest>,
    /// Where it is in its life.
    pub state: PluginState,
    /// Why it is not served, or why what is newest of it is not.
    pub refused: Option<String>,
    /// What of it is out of the catalogue for its faults, and why.
    pub out: Option<String>,
    /// What the operator should know of what it offers.
    pub notes: Vec<String>,
    /// Whether the host is not ready without it.
    pub required: bool,
    /// Where it runs, if it does.
    pub isolation: Option<Isolation>,
    /// Counts the versions that were served, from 1.
    pub generation: u64,
    /// Generations in this process: none is ever unmapped.
    pub resident: usize,
    /// Generations before this one whose calls have not ended.
    pub draining: usize,
    /// What its processes have given up.
    pub enforced: Vec<Enforcement>,
    /// What it wants and is not granted.
    pub not_granted: Vec<String>,
}

impl PluginReport {
    /// What is known of a file before it is loaded.
    pub(super) fn new(path: PathBuf, metadata: Option<Metadata>, state: PluginState) -> Self {
        Self {
            path,
            metadata,
            digest: None,
            state,
            refused: None,
            out: None,
            notes: Vec::new(),
            required: false,
            isolation: None,
            generation: 0,
            resident: 0,
            draining: 0,
            enforced: Vec::new(),
            not_granted: Vec::new(),
        }
    }

    /// Why it, or some of it, is not served.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let reasons: Vec<&str> = self.refused.iter().chain(&self.out).map(String::as_str).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The plugin's name, or its file's.
    #[must_use]
    pub fn name(&self) -> String {
        let file = || self.path.file_name().map(|name| name.to_string_lossy().into_owned());
        self.metadata.as_ref().map(|metadata| metadata.name.clone()).or_else(file).unwrap_or_default()
    }
}

/// Something that the operator should know.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A folder, or a file in it, is not looked at.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// The folder of private copies is not usable.
    #[error(transparent)]
    Stage(Arc<StageError>),
    /// A required plugin is not there.
    #[error("the required plugin '{0}' is not in any plugin folder")]
    RequiredMissing(String),
    /// Approved definitions cannot be read, so none is approved.
    #[error("no definition is approved, and tools that are locked are withheld")]
    Lock(#[from] super::definitions::LockError),
    /// Changes of the folders are not seen.
    #[error("the plugin folders cannot be watched: send SIGHUP after a change")]
    Watch(#[source] notify::Error),
    /// The configuration was changed, and is none.
    #[error("the changed configuration is not usable, the one before holds: {0}")]
    Reread(String),
    /// Something that is served beside the plugins is left out.
    #[error("{0}")]
    Beside(String),
}

impl Trouble {
    /// Whether it holds whatever another look at the folders shows.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Beside(_) | Self::Watch(_) | Self::Reread(_))
    }
}
