//! Write MCP plugins in plain Rust.
//!
//! ```
//! use mcp_plugin_api::prelude::*;
//!
//! #[derive(Default)]
//! struct Hello;
//! #[plugin]
//! impl Hello {
//!     /// Greets someone by name.
//!     #[tool]
//!     async fn greet(&self, name: String) -> String {
//!         format!("Hello, {name}!")
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! Build it as a `cdylib`, put the library into a host's plugin folder, and every MCP client can use the tool. The
//! [`plugin`](macro@plugin) attribute tells the rest: tools, resources, prompts, completions, configuration.
//!
//! # What a function may be
//! | form | runs | for |
//! |---|---|---|
//! | `async fn` | at once until it waits, then on the plugin's runtime; dropped when the call is cancelled | most things |
//! | `fn` | on a thread that may block | files, databases, computing |
//! | `#[tool(inline)] fn` | on the host's thread | what takes microseconds |
//!
//! # What a function may take and give
//! Arguments are any type with `Deserialize` and `JsonSchema`, such as one with [`#[model]`](macro@model); `Option` makes one optional, `#[default(3)]` gives it a
//! value. `&Context` gives access to progress, logs, cancellation and [questions to the user](Context::elicit). A tool
//! gives text, [`Content`], a [`ToolResult`], or any type with `Serialize` and `JsonSchema`, which becomes a structured
//! result with its schema; a [`Structured`] is one with words of its own; and any of these in a [`Result`], whose error the model reads.

#![warn(missing_docs)]

#[allow(missing_docs, reason = "abi_stable's derives write undocumented items")]
pub mod abi;
mod adapter;
mod ask;
mod cache;
mod content;
mod context;
mod error;
mod host;
mod invocation;
mod log;
pub mod manifest;
mod output;
mod plugin;
mod runtime;
mod schema;
#[cfg(feature = "testing")]
pub mod testing;
pub mod uri_template;
mod visibility;

pub use ask::{
    Answer, Answers, Field, Form, FormType, ModelHint, ModelPreferences, Question, Root, Roots, Sampled,
    SampledContent, Sampling, SamplingMessage, SamplingTool, ToolChoice,
};
pub use cache::{Cache, CacheScope};
pub use content::{
    Annotations, Body, Completion, Content, ContentKind, Contents, Icon, Message, Prompt, ResourceResult, Role,
    ToolResult,
};
pub use context::{Capability, Client, Context, LogLevel, TraceContext};
pub use error::{Error, Result};
pub use host::Host;
pub use manifest::ResourceDefinition as Resource;
pub use mcp_plugin_macros::{model, plugin};
pub use output::{IntoCompletion, IntoContents, IntoPrompt, IntoToolResult, Structured};
pub use {schemars, serde, serde_json, tracing};

/// Arguments as one type of your own: `fn search(&self, Args(query): Args<Query>)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Args<T>(pub T);

/// What most plugins use.
pub mod prelude {
    pub use crate::{
        Answer, Args, Cache, Capability, Completion, Content, Contents, Context, Error, Field, Form, Host, LogLevel,
        Message, Prompt, Question, Resource, Result, Role, Sampling, Structured, ToolResult, model, plugin,
    };
}

/// What the macros write refers to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::abi::foreign;
    pub use crate::abi::{
        HostObject, LEVEL, METADATA_CAPACITY, Module, ModuleRef, Outcome, StartReply, metadata_bytes, module,
        plugin_header,
    };
    pub use crate::adapter::start;
    pub use crate::invocation::{Invocation, completion_work, prompt_work, resource_work, tool_work};
    pub use crate::manifest::{
        OnRestart, PromptArgument, PromptDefinition, ResourceDefinition, TaskDefinition, TaskSupport,
        TemplateDefinition, ToolHints,
    };
    pub use crate::output::{Probe, ViaContent, ViaStructured};
    pub use crate::plugin::{CompletionKind, CompletionOf, EmbeddedSkill, Items, Plugin, Tool, decode_config};
    pub use crate::schema::of_arguments;
    pub use abi_stable::library::{__call_root_module_loader, RootModuleResult};
    pub use abi_stable::prefix_type::PrefixTypeTrait;
    pub use schemars;
    pub use serde;
}

/// Exports a plugin from its library: the metadata section and the module. Written by the `plugin` attribute.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty, $name:expr, $version:expr, $description:expr, $wants:expr) => {
        const _: () = {
            extern "C" fn start(
                host: $crate::__private::HostObject,
                config: $crate::__private::foreign::RSlice<'_, u8>,
            ) -> $crate::__private::StartReply {
                $crate::__private::start::<$plugin>(host, config)
            }
            $crate::__export_with!($name, $version, $description, $wants, start);
        };
    };
}

/// Exports a library whose plugin is started by a function of the boundary's own form.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_with {
    ($name:expr, $version:expr, $description:expr, $wants:expr, $start:path) => {
        const _: () = {
            use $crate::__private as private;

            #[used]
            #[unsafe(no_mangle)]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mcp_plugin"))]
            #[cfg_attr(windows, unsafe(link_section = ".mcpplug"))]
            #[cfg_attr(not(any(target_vendor = "apple", windows)), unsafe(link_section = ".mcp_plugin"))]
            pub static MCP_PLUGIN_METADATA: [u8; private::METADATA_CAPACITY] =
                private::metadata_bytes($name, $version, $description, $wants, cfg!(panic = "abort"));

            fn module() -> private::ModuleRef {
                private::PrefixTypeTrait::leak_into_prefix(private::module($start))
            }

            extern "C" fn constructor() -> private::RootModuleResult {
                private::__call_root_module_loader(module)
            }

            #[unsafe(export_name = "_mcp_plugin_root")]
            pub static ROOT: private::foreign::LibHeader = private::plugin_header(constructor);
        };
    };
}
