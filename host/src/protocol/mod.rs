//! What the protocol's revisions demand: eras, methods, shapes, faults.
//!
//! Neutral values come in, the JSON of one revision goes out; and the reverse for what clients say of themselves. A
//! [`Dialect`] is chosen once, at the door; what differs between revisions is a row of its tables, and outside of this
//! room no code compares a revision. This room does no I/O and knows no session, no plugin and no HTTP.

mod ask;
mod client;
mod dialect;
mod fault;
mod initialize;
mod method;
mod params;
mod result;
mod shape;

pub use ask::{Ask, AskRefused, AskRequest, check_answer};
pub use client::ClientProfile;
pub use dialect::{Batches, Dialect, Era, Features, STATEFUL_ERA};
pub use fault::{Fault, Owner, WireError};
pub use initialize::{InitializeParams, ServerInfo, initialize_result};
pub use mcp_plugin_api::LogLevel;
pub use method::Method;
pub use params::{
    CancelledParams, CompleteParams, CompletionReference, ListParams, Meta, NamedParams, SetLevelParams, UriParams,
    read_meta, read_params,
};
pub use result::{ResultError, completion_result, prompt_result, resource_result, tool_error, tool_result};
pub use shape::{prompt, resource, template, tool};
