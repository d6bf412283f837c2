//! From a method and its params to an outcome.
//!
//! One table of methods, one way from a callee's answer to a result: a handler holds only what differs. The snapshot is
//! taken once for each call. Sessions, transports and plugins are not known here; the caller says how a [`Call`] begins,
//! and whoever answers is a `Callee`.

mod handlers;
mod outcome;

pub use outcome::Outcome;

use crate::call::Call;
use crate::protocol::{Dialect, Fault, Meta, Method};
use crate::registry::Registry;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// Bounds of what is dispatched.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a call may take; the time in which the client is asked something does not count.
    pub call_timeout: Duration,
    /// Bytes that a plugin's result may have.
    pub max_result_bytes: usize,
    /// Items on a page of a list.
    pub page_size: usize,
}

/// Finds who answers, and asks them. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    registry: Registry,
    limits: Limits,
}

/// One request, as far as it matters here.
pub struct Incoming<'a> {
    /// What its client speaks.
    pub dialect: &'static Dialect,
    /// What it wants.
    pub method: Method,
    /// With which params.
    pub params: Option<&'a RawValue>,
    /// Makes the call, for methods that become one.
    pub begin: &'a dyn Fn(&Meta) -> Arc<Call>,
}

impl Dispatcher {
    /// A dispatcher over a catalogue.
    #[must_use]
    pub fn new(registry: Registry, limits: Limits) -> Self {
        Self { registry, limits }
    }

    /// The catalogue.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Does what a request wants. Methods that belong to a session are the caller's.
    #[must_use]
    pub fn dispatch(&self, incoming: &Incoming<'_>) -> Outcome {
        let handled = match incoming.method {
            Method::CallTool => self.call_tool(incoming),
            Method::ReadResource => self.read_resource(incoming),
            Method::GetPrompt => self.get_prompt(incoming),
            Method::Complete => self.complete(incoming),
            Method::ListTools | Method::ListResources | Method::ListTemplates | Method::ListPrompts => {
                self.list(incoming)
            }
            Method::Ping => Ok(Outcome::Now(Ok(bytes::Bytes::from_static(b"{}")))),
            Method::Initialize | Method::Subscribe | Method::Unsubscribe | Method::SetLogLevel => {
                Err(Fault::HostFailed { reason: "a session's method came without a session".to_owned() })
            }
        };
        handled.unwrap_or_else(|fault| Outcome::Now(Err(fault)))
    }
}

#[cfg(test)]
mod tests;
