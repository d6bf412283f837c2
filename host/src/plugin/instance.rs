//! A plugin that is loaded and started: the `Callee` that the registry sees.

use super::deaf::DeafCalls;
use super::ffi::{CallSide, HostSide, Plugin, PluginAnswer};
use super::stage::Staged;
use crate::call::{Call, Failure};
use crate::protocol::is_client_capability;
use crate::registry::{Answer, Callee, Operation};
use crate::rt::InFlight;
use mcp_plugin_api::abi::{self, failure, op};
use mcp_plugin_api::manifest::Manifest;
use parking_lot::RwLock;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Bounds of one plugin.
#[derive(Debug, Clone, Copy)]
pub struct InstanceLimits {
    /// Calls under way at a time. One that does not heed its cancellation counts until it returns.
    pub max_calls: usize,
}

/// A started plugin.
pub struct Instance {
    name: Arc<str>,
    version: Arc<str>,
    plugin: Plugin,
    host: HostSide,
    runtime: Handle,
    calls: InFlight,
    deaf: Arc<DeafCalls>,
    manifest: RwLock<Arc<Manifest>>,
    stopped: AtomicBool,
}

/// An inline function that takes longer than this holds a thread of the host, and is told of.
const INLINE_WARNING: Duration = Duration::from_millis(1);

impl Instance {
    /// The instance of a started plugin.
    ///
    /// # Errors
    /// When what it offers cannot be read.
    pub(super) fn new(
        staged: &Staged,
        plugin: Plugin,
        host: HostSide,
        runtime: Handle,
        limits: InstanceLimits,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            name: staged.metadata.name.as_str().into(),
            version: staged.metadata.version.as_str().into(),
            manifest: RwLock::new(Arc::new(serde_json::from_slice(&plugin.manifest())?)),
            calls: InFlight::new(limits.max_calls),
            deaf: Arc::default(),
            stopped: AtomicBool::new(false),
            plugin,
            host,
            runtime,
        })
    }

    /// What it offers.
    #[must_use]
    pub fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest.read())
    }

    /// Calls that are under way, those that nobody waits for any more included.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.count()
    }

    /// Calls that nobody waits for any more, and for how long the oldest of them has been so.
    #[must_use]
    pub fn deaf_calls(&self) -> (usize, Option<Duration>) {
        self.deaf.count()
    }

    /// Reads anew what it offers. Keeps the old when the new cannot be read.
    pub(super) fn refresh(&self) {
        match serde_json::from_slice(&self.plugin.manifest()) {
            Ok(manifest) => *self.manifest.write() = Arc::new(manifest),
            Err(error) => tracing::warn!(plugin = %self.name, %error, "its new manifest cannot be read"),
        }
    }

    /// Ends it: no further call reaches it.
    ///
    /// # Blocking
    /// Runs its stop hook, for at most `grace` if it heeds that.
    pub(super) fn stop(&self, grace: Duration) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Err(failure) = self.plugin.stop(grace.as_millis() as u64) {
            tracing::warn!(plugin = %self.name, reason = %failure.message, "it did not stop as it should");
        }
    }
}

impl Callee for Instance {
    fn plugin(&self) -> &Arc<str> {
        &self.name
    }

    fn version(&self) -> &Arc<str> {
        &self.version
    }

    fn call(&self, operation: Operation, name: &str, payload: &[u8], call: &Arc<Call>) -> Answer {
        if self.stopped.load(Ordering::Acquire) {
            return Answer::Ready(Err(Failure::Stopped));
        }
        let Some(permit) = self.calls.enter() else {
            return Answer::Ready(Err(Failure::Busy));
        };
        let (waiting, unreturned) = self.deaf.begin(call.id);
        let context = CallSide::new(Arc::clone(call), self.host.clone(), self.runtime.clone(), (permit, unreturned));
        let op = match operation {
            Operation::Tool => op::TOOL,
            Operation::Resource => op::RESOURCE,
            Operation::Prompt => op::PROMPT,
            Operation::Complete => op::COMPLETE,
        };
        let began = Instant::now();
        match self.plugin.call(op, name, payload, context) {
            PluginAnswer::Ready(reply) => {
                let took = began.elapsed();
                if took > INLINE_WARNING {
                    tracing::warn!(plugin = %self.name, name, ?took, "it held a thread of the host");
                }
                Answer::Ready(reply.map_err(failure_of))
            }
            PluginAnswer::Pending(reply) => Answer::Pending(Box::pin(async move {
                // The reply's future goes first, so that a call that heeds that is never deaf.
                let _waiting = waiting;
                let reply = reply;
                reply.await.map_err(failure_of)
            })),
        }
    }
}

/// A failure of the boundary, by its kind.
fn failure_of(failure: abi::Failure) -> Failure {
    let message = failure.message.into_string();
    let data = || serde_json::from_slice::<Value>(&failure.data).ok();
    match failure.kind.as_str() {
        failure::INVALID_PARAMS => Failure::InvalidParams { message, data: data() },
        failure::INVALID_ARGUMENTS => Failure::InvalidArguments(message),
        failure::NOT_FOUND => Failure::NotFound(message),
        failure::PANICKED => Failure::Panicked(message),
        failure::CANCELLED => Failure::Cancelled,
        failure::MISSING_CAPABILITY => {
            let capability = data().and_then(|data| data["capability"].as_str().map(str::to_owned));
            match capability.filter(|capability| is_client_capability(capability)) {
                Some(capability) => Failure::MissingCapability { message, capability },
                None => Failure::Failed(message),
            }
        }
        failure::CLIENT_REFUSED | failure::CLIENT_TIMEOUT => Failure::AskFailed(message),
        failure::URL_REQUIRED => Failure::UrlRequired { message, data: data().unwrap_or_default() },
        _ => Failure::Failed(message),
    }
}
