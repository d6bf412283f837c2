//! The harness: a real host with real plugins, and plain clients that may misbehave as they like.
//!
//! Nothing here fakes the host. What a test needs is built first; what cannot be built fails the test.

#![allow(clippy::unwrap_used, reason = "a harness fails by panicking")]
#![allow(clippy::disallowed_types, reason = "tests of real processes run on real time")]

#[cfg(doctest)]
mod book;
mod build;
pub mod chaos;
mod host;
mod http;
mod keep_alive;
mod stateless;
mod stdio;
mod tasks;
mod versions;

pub use build::{System, artifact, build, compile_c, repository, run_peer_setup, system, target, told};
pub use host::{
    Host, HostBuilder, eventually, health, host_program, in_worker, library_name, plugin_file, processes_of,
    wait_for_state,
};
pub use http::{Event, Http, Reply, Stream};
pub use keep_alive::{KeepAlive, Response};
pub use stateless::{PREFIX, accept, assert_asks, full_meta, meta_with, retry, stateless, stateless_call};
pub use stdio::Stdio;
pub use tasks::{TASKS, Tasks, task_meta, with_tasks};
pub use versions::{FAST, put, put_version, version, version_bytes, version_text, versioned};

use serde_json::{Value, json};

/// The params of an `initialize` that offers everything a client can.
#[must_use]
pub fn initialize(revision: &str) -> Value {
    json!({
        "protocolVersion": revision,
        "capabilities": {"roots": {}, "sampling": {"tools": {}}, "elicitation": {"form": {}, "url": {}}},
        "clientInfo": {"name": "harness", "version": "1"},
    })
}

/// A request.
#[must_use]
pub fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// A call of a tool.
#[must_use]
pub fn call(id: u64, tool: &str, arguments: Value) -> Value {
    request(id, "tools/call", json!({"name": tool, "arguments": arguments}))
}

/// The text of a tool's result.
#[must_use]
#[track_caller]
pub fn text(reply: &Value) -> &str {
    reply["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text in {reply}"))
}
