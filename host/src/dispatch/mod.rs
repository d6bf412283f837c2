//! From a method and its params to an outcome.
//!
//! One table of methods, one way from a callee's answer to a result: a handler holds only what differs. The snapshot is
//! taken once for each call. Sessions, transports and plugins are not known here; the caller says how a [`Call`] begins,
//! and whoever answers is a `Callee`.

mod handlers;
mod outcome;
mod told;

pub use outcome::{Outcome, Resolution, TaskDue};

use crate::call::{Call, Timeouts};
use crate::protocol::{Dialect, Fault, Method, RequestMeta, ResultBody};
use crate::registry::{Callee, MirroredParam, Registry};
use serde_json::value::RawValue;
use std::sync::Arc;
use told::Told;

/// Bounds of what is dispatched.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that a plugin's result may have.
    pub max_result_bytes: usize,
    /// Items on a page of a list.
    pub page_size: usize,
    /// Whether calls may become tasks.
    pub tasks: bool,
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
    /// What the params say beside that.
    pub meta: &'a RequestMeta<'a>,
    /// Whether it may become a task.
    pub tasks: TaskWish,
    /// Makes the call, for methods that become one, or refuses it.
    pub begin: &'a dyn Fn(Beginning<'_>) -> Result<Arc<Call>, Fault>,
}

/// Whether a request may become a task, as its client says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskWish {
    /// Its revision has none: every tool is called.
    Unknown,
    /// It cannot, or must not.
    Declined,
    /// It may.
    Offered,
    /// It must.
    Demanded,
    /// It is a task that is run.
    Inside,
}

/// What is known of a call when it begins.
#[derive(Clone, Copy)]
pub struct Beginning<'a> {
    /// Who will answer.
    pub callee: &'a dyn Callee,
    /// Whether the client's answers count once.
    pub single_use: bool,
    /// The arguments: a JSON object, or nothing.
    pub arguments: &'a str,
    /// Those of them that clients repeat elsewhere.
    pub mirrored: &'a [MirroredParam],
    /// How long it may take.
    pub timeouts: Timeouts,
    /// The function asks what comes before a task, and says when that is over.
    pub before_task: bool,
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
        let told = Told::begin(incoming);
        let handled = match incoming.method {
            Method::CallTool => self.call_tool(incoming),
            Method::ReadResource => self.read_resource(incoming),
            Method::GetPrompt => self.get_prompt(incoming),
            Method::Complete => self.complete(incoming),
            Method::ListTools | Method::ListResources | Method::ListTemplates | Method::ListPrompts => {
                self.list(incoming)
            }
            Method::ListSkills | Method::GetSkill | Method::ReadDirectory => self.skills(incoming),
            Method::Discover => Ok(self.discover(incoming)),
            Method::Ping => Ok(complete(ResultBody::from(bytes::Bytes::from_static(b"{}")))),
            Method::Initialize | Method::Subscribe | Method::Unsubscribe | Method::SetLogLevel | Method::Listen => {
                Err(Fault::HostFailed { reason: "a method of a connection came without one".to_owned() })
            }
            Method::GetTask | Method::AwaitTask | Method::ListTasks | Method::UpdateTask | Method::CancelTask => {
                Err(Fault::HostFailed { reason: "a method of tasks came to the wrong place".to_owned() })
            }
        };
        let outcome = handled.unwrap_or_else(|fault| Outcome::Now(Err(fault)));
        match told {
            Some(told) => told.follow(outcome),
            None => outcome,
        }
    }
}

/// An outcome that is here.
fn complete(body: ResultBody) -> Outcome {
    Outcome::Now(Ok(Resolution::Complete(body)))
}

#[cfg(test)]
mod tests;
