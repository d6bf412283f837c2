//! What the protocol's revisions demand: eras, methods, shapes, faults.
//!
//! Neutral values come in, the JSON of one revision goes out; and the reverse for what clients say of themselves. A
//! [`Dialect`] is chosen once, at the door; what differs between revisions is a row of its tables, and outside of this
//! room no code compares a revision. This room does no I/O and knows no session, no plugin and no HTTP.

mod answer;
mod ask;
mod cache;
mod client;
mod dialect;
mod discover;
mod encode;
mod era;
mod fault;
mod initialize;
mod method;
mod params;
mod plain_schema;
mod request_meta;
mod result;
mod shape;
mod task;
mod trace;
mod validate;

pub use answer::AnswerRule;
pub use ask::{Ask, AskRefused, AskRequest};
pub use cache::{CacheHint, CacheRule, CacheScope, combined};
pub use client::{APPS_EXTENSION, ClientProfile, ClientTasks, TASKS_EXTENSION, is_client_capability};
pub use dialect::{Batches, Dialect, Era, Features, STATEFUL_ERA, TaskForm};
pub use discover::{Offered, OfferedTasks, discover_result};
pub use encode::{Encoder, ResultBody};
pub use era::{Around, EraOf, Protocols};
pub use fault::{Fault, Owner, Standing, WireError};
pub use initialize::{InitializeParams, ServerInfo, initialize_result};
pub use mcp_plugin_api::LogLevel;
pub use method::Method;
pub use params::{
    CancelledParams, CompleteParams, CompletionReference, DirectoryParams, ListParams, ListenFilter, ListenParams,
    Meta, NamedParams, SetLevelParams, TaskParams, TaskWanted, UpdateTaskParams, UriParams, read_meta, read_params,
};
pub use request_meta::{Claims, RequestMeta};
pub use result::{ResultError, completion_result, prompt_result, resource_result, tool_error, tool_result};
pub use shape::{prompt, resource, template, tool};
pub use task::{RELATED_TASK, TaskShown, TaskStatus, with_related_task};
pub use trace::TraceContext;
pub use validate::Validator;
