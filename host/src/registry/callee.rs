//! Whoever can be called.

use crate::call::{Call, Failure};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What is asked of a callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Run a tool; the payload is its arguments.
    Tool,
    /// Read a resource; the name is its URI.
    Resource,
    /// Expand a prompt; the payload is its arguments.
    Prompt,
    /// Complete an argument of the prompt or template that is the name.
    Complete,
}

/// What becomes of a call that is not ready at once.
pub type AnswerFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, Failure>> + Send>>;

/// What a callee gives: JSON of no revision, now or later.
pub enum Answer {
    /// It is here.
    Ready(Result<Vec<u8>, Failure>),
    /// It comes. Dropping the future cancels the call.
    Pending(AnswerFuture),
}

/// Whoever can be called: a plugin in this process, in another one, a server elsewhere.
///
/// `call` must not block, and may be called from many threads at a time. A callee that stops answers
/// [`Failure::Stopped`] from then on.
pub trait Callee: Send + Sync {
    /// The plugin's name, for logs and errors.
    fn plugin(&self) -> &Arc<str>;

    /// The plugin's version: what another version asked or recorded is not this one's.
    fn version(&self) -> &Arc<str>;

    /// Does `operation` on `name`, a name of the callee's own. `payload` is JSON, or nothing.
    fn call(&self, operation: Operation, name: &str, payload: &[u8], call: &Arc<Call>) -> Answer;
}
