//! A generation of a plugin that is loaded and started, in this process or in workers: the `Callee` that the registry sees.

use super::breaker::Breaker;
use super::confine::Enforcement;
use super::ffi::{Gauge, Plugin, PluginAnswer};
use super::lent::{Lender, OwnCall, OwnHost};
use super::news::{NewsSender, PluginEvent};
use super::stage::Staged;
use super::worker::Pool;
use crate::call::{Call, Failure};
use crate::protocol::is_client_capability;
use crate::registry::{Answer, Callee, Operation};
use crate::rt::{Blocking, InFlight};
use mcp_plugin_api::abi::{self, failure, op};
use mcp_plugin_api::manifest::Manifest;
use parking_lot::RwLock;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// Bounds of one plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceLimits {
    /// Calls under way at a time. One that does not heed its cancellation counts until it returns.
    pub max_calls: usize,
}

/// A started plugin.
pub struct Instance {
    name: Arc<str>,
    version: Arc<str>,
    body: Body,
    lender: Arc<Lender>,
    faults: Arc<Faults>,
    manifest: RwLock<Arc<Manifest>>,
    stopped: AtomicBool,
    gauge: Gauge,
}

/// Where the plugin's code runs.
pub(super) enum Body {
    /// In this process.
    InProcess(Plugin),
    /// In processes of its own.
    Worker(Pool),
}

/// What an instance is made of, besides its body.
pub(super) struct Surroundings {
    pub(super) host: OwnHost,
    pub(super) news: NewsSender,
    pub(super) limits: InstanceLimits,
    pub(super) breaker: Breaker,
}

/// An inline function that takes longer than this holds a thread of the host, and is told of.
const INLINE_WARNING: Duration = Duration::from_millis(1);

impl Instance {
    /// The instance of a started plugin that offers this. To be called on the host's runtime.
    ///
    /// # Errors
    /// When what it offers cannot be read.
    pub(super) fn new(
        staged: &Staged,
        body: Body,
        offers: &[u8],
        surroundings: Surroundings,
    ) -> Result<Self, serde_json::Error> {
        let Surroundings { host, news, limits, breaker } = surroundings;
        Ok(Self {
            name: staged.metadata.name.as_str().into(),
            version: staged.metadata.version.as_str().into(),
            manifest: RwLock::new(Arc::new(manifest(offers)?)),
            lender: Arc::new(Lender {
                host,
                runtime: Handle::current(),
                calls: InFlight::new(limits.max_calls),
                deaf: Arc::default(),
            }),
            stopped: AtomicBool::new(false),
            body,
            gauge: Gauge::start(),
            faults: Arc::new(Faults { breaker, news }),
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
        self.lender.calls.count()
    }

    /// Calls that nobody waits for any more, and for how long the oldest of them has been so.
    #[must_use]
    pub fn deaf_calls(&self) -> (usize, Option<Duration>) {
        self.lender.deaf.count()
    }

    /// What its processes have given up; nothing in this process.
    #[must_use]
    pub fn enforced(&self) -> &[Enforcement] {
        match &self.body {
            Body::InProcess(_) => &[],
            Body::Worker(pool) => pool.enforced(),
        }
    }

    /// How often its processes were started again.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        match &self.body {
            Body::InProcess(_) => 0,
            Body::Worker(pool) => pool.restarts(),
        }
    }

    /// Whether it can answer: one whose processes have all ended, and are being started again, cannot.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match &self.body {
            Body::InProcess(_) => true,
            Body::Worker(pool) => pool.is_up(),
        }
    }

    /// Whether it runs in processes of its own.
    #[must_use]
    pub fn is_in_worker(&self) -> bool {
        matches!(self.body, Body::Worker(_))
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.faults.breaker
    }

    /// Reads anew what it offers, for at most `time`. Keeps the old when the new cannot be read.
    pub(super) async fn refresh(&self, time: Duration) {
        let offers = match &self.body {
            Body::InProcess(plugin) => {
                let plugin = plugin.clone();
                let reading = Blocking { name: "plugin-manifest", deadline: time };
                reading.run(move || plugin.manifest()).await.ok()
            }
            Body::Worker(pool) => pool.offers().await,
        };
        match offers.as_deref().map(manifest) {
            Some(Ok(manifest)) => *self.manifest.write() = Arc::new(manifest),
            Some(Err(error)) => tracing::warn!(plugin = %self.name, %error, "its new manifest cannot be read"),
            None => tracing::warn!(plugin = %self.name, "it did not say what it offers now"),
        }
    }

    /// Ends it: no further call reaches it. Runs its stop hook, for at most `grace`.
    pub(super) async fn stop(&self, grace: Duration) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        match &self.body {
            Body::Worker(pool) => pool.stop(grace).await,
            Body::InProcess(plugin) => {
                let (plugin, millis) = (plugin.clone(), grace.as_millis() as u64);
                let stopping = Blocking { name: "plugin-stop", deadline: grace + Duration::from_millis(200) };
                match stopping.run(move || plugin.stop(millis)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(failure)) => {
                        tracing::warn!(plugin = %self.name, reason = %failure.message, "it did not stop as it should");
                    }
                    Err(error) => tracing::warn!(plugin = %self.name, %error, "it did not stop in time"),
                }
            }
        }
    }
}

/// What counts the faults of calls.
struct Faults {
    breaker: Breaker,
    news: NewsSender,
}

impl Faults {
    /// Counts a fault of a call, and tells the supervisor when it is one too many.
    fn failed(&self, part: &str, fault: &'static str) {
        if self.breaker.failed(part, fault) {
            self.news.tell(PluginEvent::Faulty);
        }
    }

    fn judge(&self, part: &str, outcome: &Result<Vec<u8>, Failure>) {
        match outcome {
            Err(Failure::Panicked(_)) => self.failed(part, "it panicked"),
            Err(Failure::Crashed(crash)) if crash.is_counted => self.failed(part, "its process ended"),
            // Says nothing of this part of the plugin.
            Err(Failure::Crashed(_) | Failure::Busy | Failure::Stopped | Failure::Cancelled) => {}
            _ => self.breaker.answered(part),
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
        let Some(slot) = InFlight::enter(&self.lender) else {
            return Answer::Ready(Err(Failure::Busy));
        };
        let lent = OwnCall::new(Arc::clone(call), slot);
        let op = match operation {
            Operation::Tool => op::TOOL,
            Operation::Resource => op::RESOURCE,
            Operation::Prompt => op::PROMPT,
            Operation::Complete => op::COMPLETE,
        };
        // Tools have breakers of their own.
        let part = if operation == Operation::Tool { name } else { "" };
        let pending = match &self.body {
            Body::Worker(pool) => pool.call(op, name, payload, lent),
            Body::InProcess(plugin) => {
                let began = self.gauge.read();
                match plugin.call(op, name, payload, lent) {
                    PluginAnswer::Ready(reply) => {
                        if let Some(took) = self.gauge.longer_since(began, INLINE_WARNING) {
                            tracing::warn!(plugin = %self.name, name, ?took, "it held a thread of the host");
                        }
                        if !call.standing.is_over() {
                            // It has answered and keeps the call: nobody waits for that to end.
                            drop(self.lender.deaf.wait_for(call));
                        }
                        let outcome = reply.map_err(failure_of);
                        self.faults.judge(part, &outcome);
                        return Answer::Ready(outcome);
                    }
                    PluginAnswer::Pending(reply) => Box::pin(async move { reply.await.map_err(failure_of) }),
                }
            }
        };
        let mut judged = Judged {
            part: part.to_owned(),
            call: Arc::clone(call),
            faults: Arc::clone(&self.faults),
            lender: Arc::clone(&self.lender),
            is_open: true,
        };
        let waiting = self.lender.deaf.wait_for(call);
        Answer::Pending(Box::pin(async move {
            // The reply's future goes first, so that a call that heeds that is never deaf.
            let _waiting = waiting;
            let pending = pending;
            let outcome = pending.await;
            judged.end(&outcome);
            outcome
        }))
    }
}

/// A call that is judged when it ends: by its outcome, or because it was given up when its time was over. One that was given up
/// before, and does not return, is judged when its time is over, or when its process is killed for it before.
struct Judged {
    part: String,
    call: Arc<Call>,
    faults: Arc<Faults>,
    lender: Arc<Lender>,
    is_open: bool,
}

impl Judged {
    fn end(&mut self, outcome: &Result<Vec<u8>, Failure>) {
        self.is_open = false;
        self.faults.judge(&self.part, outcome);
    }
}

impl Drop for Judged {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        if self.call.deadline.not_due_for().is_zero() {
            return self.faults.failed(&self.part, "it did not answer in time");
        }
        let (part, faults, call) = (std::mem::take(&mut self.part), Arc::clone(&self.faults), Arc::clone(&self.call));
        let _entered = self.lender.runtime.enter();
        let count = move || faults.failed(&part, "it did not end when it was given up");
        self.lender.deaf.judge_later(self.call.id, move || call.deadline.not_due_for(), count);
    }
}

/// Bytes of what a plugin offers: a few kilobytes for each of ten thousand tools.
const MAX_MANIFEST_BYTES: usize = 64 << 20;

/// What a plugin offers.
fn manifest(offers: &[u8]) -> Result<Manifest, serde_json::Error> {
    if offers.len() > MAX_MANIFEST_BYTES {
        let told = format!("it has {} bytes, {MAX_MANIFEST_BYTES} are allowed", offers.len());
        return Err(serde::de::Error::custom(told));
    }
    serde_json::from_slice(offers)
}

/// Bytes of what a failure says, and of its detail.
const MAX_FAILURE_BYTES: usize = 1 << 20;

/// A message, cut where it is longer than anybody reads.
fn shortened(mut message: String) -> String {
    if message.len() > MAX_FAILURE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_FAILURE_BYTES));
        message.push('…');
    }
    message
}

/// A failure of the boundary, by its kind.
pub(super) fn failure_of(failure: abi::Failure) -> Failure {
    let message = shortened(failure.message.into_string());
    let data = || {
        let is_small = failure.data.len() <= MAX_FAILURE_BYTES;
        is_small.then(|| serde_json::from_slice::<Value>(&failure.data).ok()).flatten()
    };
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

#[cfg(test)]
mod tests {
    use super::{MAX_FAILURE_BYTES, MAX_MANIFEST_BYTES, failure_of, manifest};
    use crate::call::Failure;
    use crate::plugin::lent::failed;
    use mcp_plugin_api::abi::failure;
    use serde_json::json;

    #[test]
    fn what_a_plugin_says_of_itself_and_of_its_failures_has_a_bound() {
        let long = format!("{}é", "x".repeat(MAX_FAILURE_BYTES - 1));
        let Failure::Failed(told) = failure_of(failed(failure::INTERNAL, &long, None)) else {
            panic!("it is another failure");
        };
        assert_eq!((told.len(), &told[MAX_FAILURE_BYTES - 1..]), (MAX_FAILURE_BYTES + 2, "…"));
        let detail = json!("x".repeat(MAX_FAILURE_BYTES));
        let told = failure_of(failed(failure::INVALID_PARAMS, "no", Some(&detail)));
        assert!(matches!(told, Failure::InvalidParams { data: None, .. }));
        let error = manifest(&vec![b' '; MAX_MANIFEST_BYTES + 1]).unwrap_err();
        assert_eq!(error.to_string(), "it has 67108865 bytes, 67108864 are allowed");
    }
}
