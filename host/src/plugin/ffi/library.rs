//! Opening a library, and speaking with the plugin in it.

use super::call_side::CallSide;
use super::host_side::HostSide;
use crate::plugin::lent::{LentCall, LentHost};
use foreign::{AbiHeaderRef, FfiFuture, LibHeader, RSlice, RStr, TD_Opaque};
use mcp_plugin_api::abi::{
    self, Failure, HostObject, ModuleRef, Outcome, PluginObject, ROOT_SYMBOL, Reply, foreign, guard,
};
use std::path::Path;
use std::sync::Arc;

/// Why a library cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system's loader refuses it: most often a library that it needs is missing. The cause has the loader's words.
    #[error("the system cannot load it")]
    Loader(#[source] libloading::Error),
    /// The symbol that every plugin exports is missing.
    #[error("it lacks the symbol '{ROOT_SYMBOL}'")]
    MissingSymbol(#[source] libloading::Error),
    /// It was built with another abi_stable.
    #[error("its ABI header is not readable: {0}")]
    Header(String),
    /// Its objects are laid out in another way.
    #[error("its ABI does not fit this host's: {0}")]
    Layout(String),
    /// Its module cannot be made.
    #[error("its module cannot be made: {0}")]
    Module(String),
}

/// A library that is mapped, checked, and not yet started.
pub(in crate::plugin) struct Library {
    module: ModuleRef,
}

impl Library {
    /// Maps a library and checks its layout.
    ///
    /// # Errors
    /// See [`OpenError`].
    ///
    /// # Blocking
    /// Runs the constructors of the library: use a thread that may hang.
    pub(in crate::plugin) fn open(path: &Path) -> Result<Self, OpenError> {
        // SAFETY: the library's constructors run here. The operator has enabled the plugin, and the path is that of the
        // private copy of the very bytes that were inspected and verified.
        let opened = unsafe { open_now(path) };
        let library = opened.map_err(OpenError::Loader)?;
        // `dlclose` is unsound behind a layout check: its checker keeps references into the image. The mapping stays for
        // the life of the process, so the header may be `'static`.
        let library = Box::leak(Box::new(library));
        // SAFETY: the symbol is the static that `plugin_header` made; its address is what an `AbiHeaderRef` is.
        let header = unsafe { library.get::<AbiHeaderRef>(ROOT_SYMBOL.as_bytes()) };
        let header: AbiHeaderRef = *header.map_err(OpenError::MissingSymbol)?;
        let header = header.upgrade().map_err(|error| OpenError::Header(first_line(&error.to_string())))?;
        Ok(Self { module: checked_module(header)? })
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

/// Opens a library so that all its symbols are found now, and none are lent to others.
///
/// # Safety
/// As [`libloading::Library::new`]: the constructors of the library run.
#[cfg(unix)]
unsafe fn open_now(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: upheld by the caller.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

/// As on Unix; there all symbols are found at once anyway.
///
/// # Safety
/// As [`libloading::Library::new`].
#[cfg(not(unix))]
unsafe fn open_now(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: upheld by the caller.
    unsafe { libloading::Library::new(path) }
}

/// The module of a header, if its layout fits in either direction.
fn checked_module(header: &'static LibHeader) -> Result<ModuleRef, OpenError> {
    use foreign::StableAbi;
    let plugin = header.layout().ok_or_else(|| OpenError::Layout("it has no layout".to_owned()))?;
    abi::is_layout_compatible(<ModuleRef as StableAbi>::LAYOUT, plugin).map_err(OpenError::Layout)?;
    // Not `RootModule::load_from`: that has one static for each module type, and the second plugin would get the first one's.
    // SAFETY: the layouts were found compatible just now, in one direction or the other; what is missing at the end of a
    // prefix type reads as absent.
    let module = unsafe { header.init_root_module_with_unchecked_layout::<ModuleRef>() };
    module.map_err(|error| OpenError::Module(first_line(&error.to_string())))
}

fn first_line(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(MAX_CHARS).collect()
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
