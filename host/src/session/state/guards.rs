//! What is under way in either direction; dropping it tells the other side, or takes it out.

use super::Session;
use crate::outlet::{Delivery, Outlet};
use crate::protocol::RELATED_TASK;
use crate::wire::{self, Id};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A request of the client that was let in. Dropping it takes it out again.
pub struct Admitted {
    pub(super) session: Arc<Session>,
    pub(super) id: Id,
    /// Cancelled by the client, with the session, or with the host.
    pub cancel: CancellationToken,
}

impl Admitted {
    /// Whether it was the client that cancelled it, and so wants no answer (2025-era U-03).
    #[must_use]
    pub fn is_cancelled_by_client(&self) -> bool {
        self.session.state.lock().calls.get(&self.id).is_some_and(|call| call.cancelled_by_client)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.session.state.lock();
        state.calls.remove(&self.id);
        state.used = Instant::now();
    }
}

/// A question that waits. Dropped without an answer, it is withdrawn.
pub(super) struct OpenAsk<'a> {
    pub(super) session: &'a Session,
    pub(super) outlet: &'a dyn Outlet,
    pub(super) number: u64,
    /// The task that it belongs to, as its request says it.
    pub(super) task: Option<&'a Value>,
    pub(super) answered: bool,
}

impl Drop for OpenAsk<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.session.state.lock().asks.remove(&self.number);
        let mut params = json!({"requestId": self.number, "reason": "nobody waits for the answer any more"});
        if let Some(task) = self.task {
            params["_meta"] = json!({RELATED_TASK: task});
        }
        let message = wire::notification("notifications/cancelled", &params);
        if let Err(message) = self.outlet.send(message, Delivery::MustKeep) {
            let _ = self.session.standalone().send(message, Delivery::MustKeep);
        }
    }
}
