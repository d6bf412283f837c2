//! Changes of the catalogue, told to every session that may hear of them.

use super::Server;
use crate::registry::{Change, ListKind};
use crate::session::Session;
use crate::wire;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

impl Server {
    /// Passes changes on until the host drains.
    pub async fn announce_changes(self: Arc<Self>) {
        let mut changes = self.registry().events().listen();
        loop {
            let change = tokio::select! {
                () = self.drain().draining() => return,
                change = changes.recv() => change,
            };
            match change {
                Ok(change) => self.announce(&change),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "changes came faster than they could be passed on");
                    // Which lists changed is lost, so clients are told of all.
                    for kind in [ListKind::Tools, ListKind::Resources, ListKind::Prompts] {
                        self.announce(&Change::List(kind));
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Tells every client that wants to hear of it, of either era (dual-era §5).
    fn announce(&self, change: &Change) {
        self.sessions().iter().for_each(|session| announce(session, change));
        self.listeners.announce(change);
    }
}

/// Tells one session (2025-era T-10, R-07, R-08, P-05).
fn announce(session: &Session, change: &Change) {
    let (method, params) = match change {
        Change::List(ListKind::Tools) => ("notifications/tools/list_changed", json!({})),
        Change::List(ListKind::Prompts) => ("notifications/prompts/list_changed", json!({})),
        Change::List(ListKind::Resources | ListKind::Templates | ListKind::Skills) => {
            ("notifications/resources/list_changed", json!({}))
        }
        Change::Resource(uri) => {
            if !session.hears_of(uri) {
                return;
            }
            ("notifications/resources/updated", json!({"uri": uri}))
        }
    };
    session.announce(wire::notification(method, &params));
}
