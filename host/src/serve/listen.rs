//! Streams of changes (2026-07-28 N-01 to N-06): each is told what it asked for, once however often it changes meanwhile.
//!
//! A stream keeps a set of what changed, not a queue: a client that reads slowly costs a few flags, and misses nothing
//! that is still true.

use super::Server;
use super::tasks::detailed;
use crate::call::Principal;
use crate::protocol::{ClientProfile, Dialect, Encoder, Fault, ListenFilter, ListenParams, TaskForm, read_params};
use crate::registry::{Change, ListKind};
use crate::runner::Runner;
use crate::task::TaskId;
use crate::wire::{self, Id};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All open streams.
#[derive(Default)]
pub(super) struct Listeners {
    open: Mutex<Vec<Weak<Listener>>>,
    end: CancellationToken,
}

/// One open stream.
struct Listener {
    filter: ListenFilter,
    pending: Mutex<BTreeSet<Pending>>,
    changed: Notify,
}

/// Something that the client is still to be told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Pending {
    Tools,
    Prompts,
    Resources,
    Resource(String),
    Task(TaskId),
}

impl Listener {
    /// Keeps a change, if it was asked for (2026-07-28 N-04).
    fn take(&self, change: &Change) {
        let ListenFilter {
            tools_list_changed,
            prompts_list_changed,
            resources_list_changed,
            resource_subscriptions,
            ..
        } = &self.filter;
        let (wanted, pending) = match change {
            Change::List(ListKind::Tools) => (*tools_list_changed, Pending::Tools),
            Change::List(ListKind::Prompts) => (*prompts_list_changed, Pending::Prompts),
            Change::List(ListKind::Resources | ListKind::Templates | ListKind::Skills) => {
                (*resources_list_changed, Pending::Resources)
            }
            Change::Resource(uri) => (resource_subscriptions.contains(uri), Pending::Resource(uri.clone())),
        };
        if wanted {
            self.keep(pending);
        }
    }

    /// Keeps the change of a task, if it was asked for.
    fn take_task(&self, id: &TaskId) {
        if self.filter.task_ids.iter().any(|wanted| wanted == id.as_str()) {
            self.keep(Pending::Task(id.clone()));
        }
    }

    fn keep(&self, pending: Pending) {
        self.pending.lock().insert(pending);
        self.changed.notify_one();
    }
}

/// A change that is being told; it waits again when this is dropped before.
struct Taken<'a> {
    listener: &'a Listener,
    pending: Option<Pending>,
}

impl Taken<'_> {
    fn told(mut self) {
        self.pending = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.listener.keep(pending);
        }
    }
}

impl Listeners {
    /// Tells all streams of a change.
    pub(super) fn announce(&self, change: &Change) {
        let open: Vec<_> = self.open.lock().iter().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|listener| listener.take(change));
    }

    /// Tells all streams of a change of a task.
    pub(super) fn announce_task(&self, id: &TaskId) {
        let open: Vec<_> = self.open.lock().iter().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|listener| listener.take_task(id));
    }

    /// Some changes of tasks were missed: every task that is followed may have changed.
    pub(super) fn announce_all_tasks(&self) {
        let open: Vec<_> = self.open.lock().iter().filter_map(Weak::upgrade).collect();
        for listener in open {
            listener.filter.task_ids.iter().for_each(|id| listener.keep(Pending::Task(TaskId::of(id))));
        }
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.lock().iter().filter(|listener| listener.strong_count() > 0).count()
    }

    /// Ends all streams, each with its farewell.
    pub(super) fn end(&self) {
        self.end.cancel();
    }
}

/// How a stream reaches its client, which decides how it ends (2026-07-28 N-05).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// On a response of its own, whose end says everything.
    Own,
    /// On a pipe with everything else, where the client is told that its request is over.
    Shared,
}

/// A stream of changes, as its transport writes it. Dropping it ends it.
pub struct Subscription {
    listener: Arc<Listener>,
    /// Where tasks are found, and whose they must be.
    tasks: Option<(Arc<Runner>, Principal)>,
    dialect: &'static Dialect,
    id: Id,
    channel: Channel,
    /// Tasks that are honoured.
    task_ids: Vec<String>,
    end: CancellationToken,
    farewell: Bytes,
    stage: Stage,
}

enum Stage {
    Opening,
    Open,
    Ending,
    Ended,
}

#[derive(Serialize)]
struct Tag<'a> {
    #[serde(rename = "io.modelcontextprotocol/subscriptionId")]
    subscription: &'a RawValue,
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    #[serde(flatten)]
    params: T,
    #[serde(rename = "_meta")]
    meta: Tag<'a>,
}

impl Subscription {
    /// The same over another channel; at first it is [`Channel::Own`].
    #[must_use]
    pub fn over(self, channel: Channel) -> Self {
        Self { channel, ..self }
    }

    /// The next message: first what is honoured, then changes, at last the farewell of a host that ends. Nothing more
    /// after that.
    ///
    /// # Cancel safety
    /// Safe: what was not returned is returned next.
    pub async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Opening => {
                self.honour_tasks().await;
                self.stage = Stage::Open;
                let mut honoured = self.listener.filter.clone();
                honoured.task_ids.clone_from(&self.task_ids);
                let honoured = json!({"notifications": honoured});
                Some(self.tagged("notifications/subscriptions/acknowledged", &honoured))
            }
            Stage::Open => {
                let listener = Arc::clone(&self.listener);
                loop {
                    let pending = listener.pending.lock().pop_first();
                    if let Some(pending) = pending {
                        // Taken out before it is read, so that what changes meanwhile is told too.
                        let taken = Taken { listener: &listener, pending: Some(pending.clone()) };
                        let told = self.told(&pending).await;
                        taken.told();
                        match told {
                            Some(told) => return Some(told),
                            None => continue,
                        }
                    }
                    tokio::select! {
                        () = listener.changed.notified() => {}
                        () = self.end.cancelled() => break,
                    }
                }
                if self.channel == Channel::Shared {
                    self.stage = Stage::Ending;
                    let over = json!({"requestId": self.raw_id(), "reason": "the server ends"});
                    return Some(wire::notification("notifications/cancelled", &over));
                }
                self.stage = Stage::Ended;
                Some(self.farewell.clone())
            }
            Stage::Ending => {
                self.stage = Stage::Ended;
                Some(self.farewell.clone())
            }
            Stage::Ended => None,
        }
    }

    /// Only tasks that whoever listens may see are honoured (2026-07-28 K-14).
    async fn honour_tasks(&mut self) {
        let Some((runner, principal)) = &self.tasks else {
            return;
        };
        let mut found = Vec::new();
        for id in &self.listener.filter.task_ids {
            if runner.find(id, principal, TaskForm::Extension).await.is_ok() {
                found.push(id.clone());
            }
        }
        self.task_ids = found;
    }

    async fn told(&self, pending: &Pending) -> Option<Bytes> {
        Some(match pending {
            Pending::Tools => self.tagged("notifications/tools/list_changed", &json!({})),
            Pending::Prompts => self.tagged("notifications/prompts/list_changed", &json!({})),
            Pending::Resources => self.tagged("notifications/resources/list_changed", &json!({})),
            Pending::Resource(uri) => self.tagged("notifications/resources/updated", &json!({"uri": uri})),
            Pending::Task(id) => {
                let (runner, principal) =
                    self.tasks.as_ref().filter(|_| self.task_ids.iter().any(|it| it == id.as_str()))?;
                let task = runner.find(id.as_str(), principal, TaskForm::Extension).await.ok()?;
                self.tagged("notifications/tasks", &detailed(self.dialect, &task).into())
            }
        })
    }

    /// A notification that says which stream it is of, by the id as the client wrote it (2026-07-28 N-03).
    fn tagged(&self, method: &str, params: &serde_json::Value) -> Bytes {
        let subscription = self.raw_id();
        wire::notification(method, &Tagged { params, meta: Tag { subscription: &subscription } })
    }

    fn raw_id(&self) -> Box<RawValue> {
        RawValue::from_string(self.id.as_json().to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

impl Server {
    /// Opens a stream of changes.
    pub(super) fn listen(
        &self,
        id: &Id,
        params: Option<&RawValue>,
        (principal, client): (&Principal, &ClientProfile),
    ) -> Result<Subscription, Fault> {
        // Before anything else of the params is judged (2026-07-28 K-12).
        if self.runner.is_some() && !client.tasks.extension && wants_tasks(params) {
            return Err(Fault::TasksNotDeclared);
        }
        let ListenParams { notifications: filter } = read_params(params)?;
        let wants_tasks = !filter.task_ids.is_empty();
        let mut filter = filter.checked(self.limits.max_subscribed_resources)?;
        if self.runner.is_none() {
            filter.task_ids.clear();
        }
        // Only what is served is honoured, and said to be (2026-07-28 N-02).
        let snapshot = self.registry().snapshot();
        filter.resource_subscriptions.retain(|uri| snapshot.reading(uri).is_some());
        let listener = Arc::new(Listener { filter, pending: Mutex::default(), changed: Notify::new() });
        let mut open = self.listeners.open.lock();
        open.retain(|listener| listener.strong_count() > 0);
        if open.len() >= self.limits.max_subscriptions {
            return Err(Fault::Busy);
        }
        open.push(Arc::downgrade(&listener));
        drop(open);
        let end = self.listeners.end.clone();
        let farewell = farewell(&self.encoder, id);
        Ok(Subscription {
            tasks: self.runner.clone().filter(|_| wants_tasks).map(|runner| (runner, principal.clone())),
            dialect: Dialect::newest_stateless(),
            task_ids: Vec::new(),
            listener,
            id: id.clone(),
            channel: Channel::Own,
            end,
            farewell,
            stage: Stage::Opening,
        })
    }
}

/// Whether params ask to hear of tasks, well formed or not.
fn wants_tasks(params: Option<&RawValue>) -> bool {
    #[derive(serde::Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        notifications: Filter<'a>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Filter<'a> {
        #[serde(borrow)]
        task_ids: Option<&'a RawValue>,
    }
    let params = params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok());
    params.and_then(|params| params.notifications.task_ids).is_some_and(|ids| !matches!(ids.get(), "[]" | "null"))
}

/// The result with which a stream ends.
fn farewell(encoder: &Encoder, id: &Id) -> Bytes {
    encoder.complete_with_meta(id, "io.modelcontextprotocol/subscriptionId", id.as_json())
}
