//! Streams of changes (2026-07-28 N-01 to N-06): each is told what it asked for, once however often it changes meanwhile.
//!
//! A stream keeps a set of what changed, not a queue: a client that reads slowly costs a few flags, and misses nothing
//! that is still true.

use super::Server;
use crate::protocol::{Encoder, Fault, ListenFilter, ListenParams, read_params};
use crate::registry::{Change, ListKind};
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
}

impl Listener {
    /// Keeps a change, if it was asked for (2026-07-28 N-04).
    fn take(&self, change: &Change) {
        let ListenFilter { tools_list_changed, prompts_list_changed, resources_list_changed, resource_subscriptions } =
            &self.filter;
        let (wanted, pending) = match change {
            Change::List(ListKind::Tools) => (*tools_list_changed, Pending::Tools),
            Change::List(ListKind::Prompts) => (*prompts_list_changed, Pending::Prompts),
            Change::List(ListKind::Resources | ListKind::Templates | ListKind::Skills) => {
                (*resources_list_changed, Pending::Resources)
            }
            Change::Resource(uri) => (resource_subscriptions.contains(uri), Pending::Resource(uri.clone())),
        };
        if wanted {
            self.pending.lock().insert(pending);
            self.changed.notify_one();
        }
    }
}

impl Listeners {
    /// Tells all streams of a change.
    pub(super) fn announce(&self, change: &Change) {
        let open: Vec<_> = self.open.lock().iter().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|listener| listener.take(change));
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
    id: Id,
    channel: Channel,
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
                self.stage = Stage::Open;
                let honoured = json!({"notifications": self.listener.filter});
                Some(self.tagged("notifications/subscriptions/acknowledged", &honoured))
            }
            Stage::Open => {
                let listener = Arc::clone(&self.listener);
                loop {
                    let pending = listener.pending.lock().pop_first();
                    if let Some(pending) = pending {
                        return Some(self.told(&pending));
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

    fn told(&self, pending: &Pending) -> Bytes {
        match pending {
            Pending::Tools => self.tagged("notifications/tools/list_changed", &json!({})),
            Pending::Prompts => self.tagged("notifications/prompts/list_changed", &json!({})),
            Pending::Resources => self.tagged("notifications/resources/list_changed", &json!({})),
            Pending::Resource(uri) => self.tagged("notifications/resources/updated", &json!({"uri": uri})),
        }
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
    pub(super) fn listen(&self, id: &Id, params: Option<&RawValue>) -> Result<Subscription, Fault> {
        let ListenParams { notifications: filter } = read_params(params)?;
        let mut filter = filter.checked(self.limits.max_subscribed_resources)?;
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
        Ok(Subscription { listener, id: id.clone(), channel: Channel::Own, end, farewell, stage: Stage::Opening })
    }
}

/// The result with which a stream ends.
fn farewell(encoder: &Encoder, id: &Id) -> Bytes {
    encoder.complete_with_meta(id, "io.modelcontextprotocol/subscriptionId", id.as_json())
}
