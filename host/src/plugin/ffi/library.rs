//! Opening a library, and speaking with the plugin in it.

use super::call_side::CallSide;
use super::host_side::HostSide;
use crate::plugin::lent::{LentCall, LentHost};
use crate::plugin::verdicts::OwnCheck;
use foreign::{FfiFuture, RSlice, RStr, TD_Opaque};
use mcp_plugin_api::abi::{
    self, Failure, HostObject, ModuleRef, OpenError, Outcome, PluginObject, Reply, foreign, guard,
};
use std::path::Path;
use std::sync::Arc;

/// A library that is mapped, of a layout that was checked, and not yet started.
pub(in crate::plugin) struct Library {
    module: ModuleRef,
}

/// What is known of the layout of a library's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum Layout {
    /// Nothing.
    Unknown,
    /// A process of this very program has opened the same bytes, and found that it fits.
    Checked(OwnCheck),
}

impl From<Option<OwnCheck>> for Layout {
    fn from(own: Option<OwnCheck>) -> Self {
        own.map_or(Self::Unknown, Self::Checked)
    }
}

impl Library {
    /// Maps a library, and checks its layout unless that was done before: the check takes longer than all else.
    ///
    /// # Errors
    /// See [`OpenError`].
    ///
    /// # Blocking
    /// Runs the constructors of the library: use a thread that may hang.
    pub(in crate::plugin) fn open(path: &Path, layout: Layout) -> Result<Self, OpenError> {
        let module = match layout {
            // SAFETY: the library's constructors run here. The operator has enabled the plugin, and the path is that of the
            // private copy of the very bytes that were inspected and verified.
            Layout::Unknown => unsafe { abi::open_library(path) },
            // SAFETY: as above; and the check gives the same for the same program and the same bytes. The program is the same by
            // `WorkerProgram::identity`, and an `OwnCheck` comes from `Verdicts` only; the bytes are by `Demand::judge`.
            Layout::Checked(OwnCheck { .. }) => unsafe { abi::open_checked_library(path) },
        };
        module.map(|module| Self { module })
    }

    /// Starts the plugin in it.
    ///
    /// # Errors
    /// The plugin's failure.
    ///
    /// # Blocking
    /// Runs the plugin's start hook.
    pub(in crate::plugin) fn start(&self, host: impl LentHost, config: &[u8]) -> Result<Plugin, Failure> {
        let host = HostObject::from_value(HostSide(host), TD_Opaque);
        let start = self.module.start();
        let plugin =
            start(host, RSlice::from(config)).into_result().map(|object| Plugin { object: Arc::new(object) })?;
        #[cfg(feature = "abi-next")]
        self.tell_appended(&plugin);
        Ok(plugin)
    }

    /// Reads what the next level appends, so that the evolution tests see what an older plugin gives for it.
    #[cfg(feature = "abi-next")]
    fn tell_appended(&self, plugin: &Plugin) {
        let health: Vec<u8> = plugin.object.health().into();
        let built_by = self.module.built_by().map(|name| name.as_str());
        tracing::info!(built_by, health = %String::from_utf8_lossy(&health), level = self.level(), "appended");
    }

    /// The ABI level that the plugin was built with.
    pub(in crate::plugin) fn level(&self) -> u32 {
        self.module.level()
    }
}

/// A started plugin. Dropping the last clone drops the plugin's object; the image stays.
#[derive(Clone)]
pub(in crate::plugin) struct Plugin {
    object: Arc<PluginObject>,
}

/// A plugin's answer, still in the boundary's terms.
pub(in crate::plugin) enum PluginAnswer {
    Ready(Result<Vec<u8>, Failure>),
    Pending(PendingReply),
}

impl Plugin {
    /// What the plugin offers, as JSON.
    pub(in crate::plugin) fn manifest(&self) -> Vec<u8> {
        self.object.manifest().into()
    }

    /// Asks the plugin something. `payload` is borrowed for the length of this call only.
    pub(in crate::plugin) fn call(&self, op: &str, name: &str, payload: &[u8], call: impl LentCall) -> PluginAnswer {
        let context = abi::CallContext::from_value(CallSide(call), TD_Opaque);
        match self.object.call(RStr::from(op), RStr::from(name), RSlice::from(payload), context) {
            Outcome::Ready(reply) => PluginAnswer::Ready(owned(reply)),
            Outcome::Pending(future) => PluginAnswer::Pending(PendingReply { future, _plugin: self.clone() }),
        }
    }

    /// Asks the plugin to end. Blocks for as long as its stop hook takes.
    pub(in crate::plugin) fn stop(&self, grace_ms: u64) -> Result<(), Failure> {
        match self.object.stop(grace_ms) {
            Outcome::Ready(reply) => owned(reply).map(|_| ()),
            Outcome::Pending(_) => Ok(()),
        }
    }
}

/// A reply that comes. It keeps the plugin alive.
pub(in crate::plugin) struct PendingReply {
    future: FfiFuture<Reply>,
    _plugin: Plugin,
}

impl Future for PendingReply {
    type Output = Result<Vec<u8>, Failure>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.future).poll(context).map(owned)
    }
}

/// The bytes of a reply. Moved, not copied, where both sides allocate alike; copied by `RVec` where they do not.
fn owned(reply: Reply) -> Result<Vec<u8>, Failure> {
    match reply {
        Reply::ROk(bytes) => Ok(bytes.into()),
        Reply::RErr(failure) => Err(failure),
    }
}

/// Runs what the host lends to a plugin; a panic of ours ends here.
pub(super) fn lent<T: Default>(what: &'static str, body: impl FnOnce() -> T) -> T {
    guard(body).unwrap_or_else(|panicked| {
        tracing::error!(what, panic = %panicked.0, "the host panicked in what it lends to plugins");
        T::default()
    })
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Plugin>();
};
