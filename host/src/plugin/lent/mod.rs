//! What the host lends to a plugin: a log and a line for news for its whole life, and a context for each call.
//!
//! Two sides lend: the host itself ([`OwnHost`], [`OwnCall`]), and the inside of a worker process, which passes everything on
//! to its host. What crosses the boundary is made of either by `ffi`. That there is a boundary is not known here.

mod call;
mod host;

pub(super) use call::{Lender, OwnCall};
pub(super) use host::{OwnHost, kept_levels};

use mcp_plugin_api::abi::{Failure, failure};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;

/// What a call's request to its host becomes.
pub(super) enum Requested {
    /// It is answered.
    Ready(Result<Vec<u8>, Failure>),
    /// It is answered later. The future needs no runtime; dropping it withdraws the request.
    Later(Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>> + Send>>),
}

/// The context of one call. Any thread may use it. Dropping it says that the call is truly over.
pub(super) trait LentCall: Send + Sync + 'static {
    /// Whether nobody waits for the answer any more.
    fn is_cancelled(&self) -> bool;

    /// Takes a notification. Does not block.
    fn notify(&self, op: &str, payload: &[u8]);

    /// Takes a request. Does not block.
    fn request(&self, op: &str, payload: &[u8]) -> Requested;

    /// A fact about the call, as JSON; nothing where the host does not know the query.
    fn query(&self, op: &str) -> Option<Vec<u8>>;
}

/// What is lent for the plugin's whole life. Any thread may use it; no method blocks.
pub(super) trait LentHost: Send + Sync + 'static {
    /// Whether an event of this level (1 error … 5 trace) is kept.
    fn log_enabled(&self, level: u8) -> bool;

    /// Takes an event of the plugin's log.
    fn log(&self, level: u8, event: &[u8]);

    /// Takes a notification.
    fn notify(&self, op: &str, payload: &[u8]);
}

/// A failure of the host's side.
pub(super) fn failed(kind: &str, message: &str, data: Option<&Value>) -> Failure {
    Failure {
        kind: kind.into(),
        message: message.into(),
        data: data.map_or_else(Vec::new, |data| data.to_string().into_bytes()).into(),
    }
}

/// The failure of a request that this host does not know.
pub(super) fn unknown_request() -> Failure {
    failed(failure::MISSING_CAPABILITY, "this host does not know the request", None)
}
