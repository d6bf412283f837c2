//! The objects and values that cross the boundary, frozen by a test.

// The lints below fire inside what `abi_stable`'s derives write.
#![allow(unsafe_code, reason = "abi_stable's derives write unsafe code")]
#![allow(non_camel_case_types, reason = "abi_stable names trait objects Trait_TO")]
#![allow(clippy::mem_forget, reason = "written by abi_stable's derives")]
#![allow(clippy::undocumented_unsafe_blocks, reason = "written by abi_stable's derives")]
#![allow(clippy::multiple_unsafe_ops_per_block, reason = "written by abi_stable's derives")]
#![allow(clippy::allow_attributes_without_reason, reason = "written by abi_stable's derives")]
#![allow(unused_braces, reason = "written by abi_stable's derives")]
#![allow(missing_docs, reason = "abi_stable's derives write undocumented items")]
#![allow(non_local_definitions, reason = "written by abi_stable's derives")]

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RBox, ROption, RResult, RSlice, RStr, RString, RVec};
use async_ffi::FfiFuture;

/// Why a call gave no result.
#[repr(C)]
#[derive(Debug, Clone, StableAbi)]
pub struct Failure {
    /// One of [`failure`](crate::abi::failure)'s kinds.
    pub kind: RString,
    /// For whoever reads the error; says what to do.
    pub message: RString,
    /// More detail as JSON, or nothing.
    pub data: RVec<u8>,
}

/// JSON bytes, owned by whoever holds them, or a failure.
pub type Reply = RResult<RVec<u8>, Failure>;

/// What a call gives: the reply at once, or a future of it.
#[repr(u8)]
#[derive(StableAbi)]
pub enum Outcome {
    /// The reply is here. Costs no future.
    Ready(Reply),
    /// The reply comes later. Dropping the future cancels the call.
    Pending(FfiFuture<Reply>),
}

/// What the host offers a plugin for its whole life. Any thread may call it; no method blocks.
#[abi_stable::sabi_trait]
pub trait HostApi: Send + Sync {
    /// Whether an event of this level (1 error … 5 trace) from this target would be kept.
    fn log_enabled(&self, level: u8, target: RStr<'_>) -> bool;
    /// An event for the operator's log: JSON `{"level", "target", "message", "fields", "call"?}`.
    fn log(&self, level: u8, event: RSlice<'_, u8>);
    /// A notification, one of [`op`](crate::abi::op)'s. An unknown one is ignored.
    #[sabi(last_prefix_field)]
    fn notify(&self, op: RStr<'_>, payload: RSlice<'_, u8>);
}

/// The host's side of a plugin, owned by the plugin.
pub type HostObject = HostApi_TO<'static, RBox<()>>;

/// What the host offers a call. Dropping it tells the host that the call is over. Any thread may call it; no method blocks.
#[abi_stable::sabi_trait]
pub trait CallApi: Send + Sync {
    /// Whether nobody waits for the answer any more.
    fn is_cancelled(&self) -> bool;
    /// A notification, one of [`op`](crate::abi::op)'s. An unknown one is ignored.
    fn notify(&self, op: RStr<'_>, payload: RSlice<'_, u8>);
    /// A request to the host or its client. Dropping the future withdraws it.
    fn request(&self, op: RStr<'_>, payload: RSlice<'_, u8>) -> FfiFuture<Reply>;
    /// A fact about the call as JSON, or nothing where the host does not know the query.
    #[sabi(last_prefix_field)]
    fn query(&self, op: RStr<'_>) -> ROption<RVec<u8>>;
}

/// The host's side of one call, owned by the plugin until the call is over.
pub type CallContext = CallApi_TO<'static, RBox<()>>;

/// Declares the plugin's trait with the methods that a later level appends, so that both levels come from one text.
macro_rules! plugin_api {
    ($($appended:tt)*) => {
        /// What a plugin offers. Any thread may call it, many at a time; every method returns soon.
        #[abi_stable::sabi_trait]
        pub trait PluginApi: Send + Sync {
            /// What the plugin offers now, as JSON. Changes are announced by [`op::MANIFEST_CHANGED`](crate::abi::op::MANIFEST_CHANGED).
            fn manifest(&self) -> RVec<u8>;
            /// Does `op` on `name`. `payload` is borrowed for the length of this method, not of the future.
            fn call(
                &self,
                op: RStr<'_>,
                name: RStr<'_>,
                payload: RSlice<'_, u8>,
                context: CallContext,
            ) -> Outcome;
            /// Ends the plugin's work within `grace_ms` milliseconds. Nothing is called after it.
            #[sabi(last_prefix_field)]
            fn stop(&self, grace_ms: u64) -> Outcome;
            $($appended)*
        }
    };
}

#[cfg(not(feature = "abi-next"))]
plugin_api! {}
#[cfg(feature = "abi-next")]
plugin_api! {
    /// Level 2: a word about the plugin's health, as JSON. Plugins of level 1 run this body.
    fn health(&self) -> RVec<u8> { RVec::from(b"null".to_vec()) }
}

/// A started plugin, owned by the host.
pub type PluginObject = PluginApi_TO<'static, RBox<()>>;

/// What starting a plugin gives.
pub type StartReply = RResult<PluginObject, Failure>;

/// Declares the root module with the fields that a later level appends.
macro_rules! module {
    ($($appended:tt)*) => {
        /// The root module that a library exports.
        #[repr(C)]
        #[derive(StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = ModuleRef)))]
        #[sabi(missing_field(option))]
        pub struct Module {
            /// The ABI level that the plugin was built with.
            pub level: u32,
            /// Starts the plugin. `config` is the operator's table for it, as JSON.
            #[sabi(last_prefix_field)]
            pub start: extern "C" fn(host: HostObject, config: RSlice<'_, u8>) -> StartReply,
            $($appended)*
        }
    };
}

#[cfg(not(feature = "abi-next"))]
module! {}
#[cfg(feature = "abi-next")]
module! {
    /// Level 2: the name of the compiler that built the plugin.
    pub built_by: RStr<'static>,
}

/// The module of a plugin that starts with `start`.
#[must_use]
pub fn module(start: extern "C" fn(host: HostObject, config: RSlice<'_, u8>) -> StartReply) -> Module {
    Module {
        level: super::LEVEL,
        start,
        #[cfg(feature = "abi-next")]
        built_by: RStr::from_str("rustc"),
    }
}

impl RootModule for ModuleRef {
    abi_stable::declare_root_module_statics! {ModuleRef}

    const BASE_NAME: &'static str = "mcp_plugin";
    const NAME: &'static str = "mcp_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
