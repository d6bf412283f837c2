//! The boundary between a host and a plugin: bytes in, bytes out.
//!
//! Three objects cross it. The *plugin object* lives in the plugin and is called by the host; the *host object* lives in
//! the host, one per plugin; the *call context* lives in the host, one per call, and is dropped by the plugin when the
//! call is truly over. All payloads are JSON, so a new feature of the protocol is a new operation name, never a new method.
//!
//! What this room must never do: know what an operation means. It is the only room of this crate with unsafe code, and
//! `abi_stable` is named here and in the host's FFI room only.
//!
//! # Evolution
//! Fields of [`Module`] and methods of the traits are only ever appended, each with a default. Two levels of the ABI meet
//! in both directions: see [`is_layout_compatible`].

mod futures;
mod guard;
mod header;
#[cfg(feature = "loader")]
mod library;
mod metadata;
mod objects;

#[cfg(test)]
mod tests;

pub use futures::into_foreign;
pub use guard::{GuardedFuture, Panicked, guard};
pub use header::{is_layout_compatible, plugin_header};
#[cfg(feature = "testing")]
pub(crate) use library::open_own;
#[cfg(feature = "loader")]
pub use library::{OpenError, open_checked_library, open_library};
pub use metadata::{
    FORMAT, METADATA_CAPACITY, METADATA_MAGIC, METADATA_SECTION, METADATA_SECTION_MACHO, METADATA_SECTION_PE, Metadata,
    MetadataError, PanicMode, metadata_bytes, parse_metadata,
};
pub use objects::{
    CallApi, CallApi_TO, CallContext, Failure, HostApi, HostApi_TO, HostObject, Module, ModuleRef, Outcome, PluginApi,
    PluginApi_TO, PluginObject, Reply, StartReply, module,
};

/// The foreign types of the boundary, for the host's FFI room and the code that the macros write.
pub mod foreign {
    pub use abi_stable::StableAbi;
    pub use abi_stable::library::{
        AbiHeaderRef, LibHeader, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModule,
    };
    pub use abi_stable::sabi_trait::TD_Opaque;
    pub use abi_stable::std_types::{RBox, ROption, RResult, RSlice, RStr, RString, RVec};
    pub use abi_stable::type_layout::TypeLayout;
    pub use async_ffi::FfiFuture;
}

/// The level of the ABI that this build speaks. It counts appended fields and methods since 1.0.
pub const LEVEL: u32 = if cfg!(feature = "abi-next") { 2 } else { 1 };

/// The name of the ABI family in a plugin's metadata. Another family (a plain C one, say) would get another name.
pub const KIND: &str = "abi_stable-0.11";

/// The symbol under which a library exports its [`foreign::LibHeader`].
pub const ROOT_SYMBOL: &str = "_mcp_plugin_root";

/// Names of the operations that a host asks of a plugin.
pub mod op {
    /// Run a tool. Name: the tool's; payload: its arguments, a JSON object or nothing. Reply: a tool result.
    pub const TOOL: &str = "tool";
    /// Read a resource. Name: its URI; payload: nothing. Reply: `{"contents": [...]}`.
    pub const RESOURCE: &str = "resource";
    /// Expand a prompt. Name: the prompt's; payload: its arguments. Reply: `{"description"?, "messages": [...]}`.
    pub const PROMPT: &str = "prompt";
    /// Complete an argument. Name: the prompt's name or the template; payload:
    /// `{"kind": "prompt"|"template", "argument", "value", "context": {...}}`. Reply: `{"values", "total"?, "hasMore"?}`.
    pub const COMPLETE: &str = "complete";

    /// Call context, notify: `{"progress", "total"?, "message"?}`.
    pub const PROGRESS: &str = "progress";
    /// Call context, notify: `{"level", "logger"?, "data"}`, a log message for the client.
    pub const LOG: &str = "log";
    /// Call context, notify: `{"retry_ms"}`, free the client's connection; the answer is fetched later.
    pub const RELEASE: &str = "release";
    /// Host object or call context, notify: `{"uri"}`, a resource has new content.
    pub const RESOURCE_UPDATED: &str = "resource-updated";
    /// Host object or call context, notify: nothing; the plugin's manifest has changed.
    pub const MANIFEST_CHANGED: &str = "manifest-changed";
    /// Call context, notify: `{"id"}`, the client's part of a URL elicitation is done.
    pub const ELICITATION_DONE: &str = "elicitation-done";

    /// Call context, request: a form or URL for the user. `{"key", "mode", "message", "schema"|"url", ...}`.
    pub const ELICIT: &str = "elicit";
    /// Call context, request: a completion by the client's model. `{"key", "params"}`.
    pub const SAMPLE: &str = "sample";
    /// Call context, request: the client's roots. `{"key"}`. Reply: `{"roots": [...]}`.
    pub const ROOTS: &str = "roots";
    /// Call context, request: the recorded value of a step. `{"key"}`. Reply: `{"value"}`, or `null` where it was not done
    /// yet: then it is being done from now on, until it is recorded or over.
    pub const ONCE_GET: &str = "once-get";
    /// Call context, request: records the value of a step. `{"key", "value"}`.
    pub const ONCE_PUT: &str = "once-put";
    /// Call context, request: answers when the call is cancelled.
    pub const CANCELLED: &str = "cancelled";

    /// Call context, request: what comes before the task is over. Replies `null` where the call goes on, as a task or as a
    /// call that becomes none; [`super::failure::SUSPENDED`] where it is run again as a task.
    pub const BEGIN_TASK: &str = "begin-task";
    /// Call context, request: keeps how far a task is. `{"value"}`. Replies when it is kept.
    pub const CHECKPOINT: &str = "checkpoint";

    /// Call context, notify: nothing; the function waits, and the questions that it has open are all that it will ask for
    /// now. A host that cannot wait for answers ends the call then, and runs it again with them.
    pub const WAITING: &str = "waiting";

    /// Call context, notify: `{"key"}`; the step whose value was not recorded yet is over, done or not.
    pub const STEP_OVER: &str = "step-over";

    /// Call context, query: the call's id, for logs, a JSON string.
    pub const CALL_ID: &str = "call-id";
    /// Call context, query: milliseconds until the deadline, a JSON number.
    pub const DEADLINE: &str = "deadline";
    /// Call context, query: `{"name", "version", "elicit_form", "elicit_url", "sample", "sample_tools", "roots", "progress",
    /// "apps"}`.
    pub const CLIENT: &str = "client";
    /// Call context, query: `{"id"}` of the task that the call runs for, with `{"checkpoint"}`, the last one, if there is one.
    pub const TASK: &str = "task";
    /// Call context, query: `{"traceparent"?, "tracestate"?, "baggage"?}`, the trace that the call is part of.
    pub const TRACE: &str = "trace";
}

/// Kinds of [`Failure`]. A kind that the host does not know counts as [`failure::INTERNAL`].
pub mod failure {
    /// The request's parameters are not usable. Data: any JSON.
    pub const INVALID_PARAMS: &str = "invalid-params";
    /// A tool's arguments do not fit its schema; the model is to read the message and try again.
    pub const INVALID_ARGUMENTS: &str = "invalid-arguments";
    /// The tool, resource or prompt does not exist.
    pub const NOT_FOUND: &str = "not-found";
    /// The plugin's own fault.
    pub const INTERNAL: &str = "internal";
    /// The plugin's code panicked.
    pub const PANICKED: &str = "panicked";
    /// The call was cancelled.
    pub const CANCELLED: &str = "cancelled";
    /// The call is run again when the answer is there: whoever asked must unwind without doing anything else.
    pub const SUSPENDED: &str = "suspended";
    /// The client cannot do what was asked of it. Data: `{"capability"}`, such as `elicitation.url`.
    pub const MISSING_CAPABILITY: &str = "missing-capability";
    /// The client refused what was asked of it, or failed. Data: its error.
    pub const CLIENT_REFUSED: &str = "client-refused";
    /// The client did not answer in time.
    pub const CLIENT_TIMEOUT: &str = "client-timeout";
    /// The call cannot go on before the user has opened a URL. Data: `{"elicitations": [...]}`.
    pub const URL_REQUIRED: &str = "url-required";
}
