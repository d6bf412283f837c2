//! The client of a session, as one of its calls sees it.

use super::{Delivery, Outlet, Session};
use crate::call::{AskError, AskFuture, LogMessage, Peer, Progress};
use crate::protocol::{Ask, AskRefused, ClientProfile};
use crate::wire::{self, Id};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The client's side of one call: everything goes over the call's own outlet (2025-era H-15).
pub struct SessionPeer {
    session: Arc<Session>,
    outlet: Arc<dyn Outlet>,
    progress: Option<ProgressState>,
    /// Set when the call has its outcome: nothing of it may follow (2025-era U-05).
    over: Arc<AtomicBool>,
}

struct ProgressState {
    token: Box<RawValue>,
    /// Progress strictly increases (2025-era U-05).
    last: Mutex<f64>,
}

impl SessionPeer {
    /// The client's side of a call with this progress token; `over` is set when the call has its outcome.
    #[must_use]
    pub fn new(
        session: Arc<Session>,
        outlet: Arc<dyn Outlet>,
        progress_token: Option<&Id>,
        over: Arc<AtomicBool>,
    ) -> Self {
        let token = progress_token.and_then(|token| RawValue::from_string(token.as_json().to_owned()).ok());
        let progress = token.map(|token| ProgressState { token, last: Mutex::new(f64::NEG_INFINITY) });
        Self { session, outlet, progress, over }
    }

    fn send(&self, message: Bytes, delivery: Delivery) {
        if self.over.load(Ordering::Acquire) {
            return;
        }
        // A closed way means that the call is over, and what is said after its end nobody waits for.
        let _ = self.outlet.send(message, delivery);
    }
}

impl Peer for SessionPeer {
    fn client(&self) -> &ClientProfile {
        &self.session.client
    }

    fn wants_progress(&self) -> bool {
        self.progress.is_some()
    }

    fn progress(&self, progress: Progress) {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            progress_token: &'a RawValue,
            progress: f64,
            #[serde(skip_serializing_if = "Option::is_none")]
            total: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<String>,
        }
        let Some(ProgressState { token, last }) = &self.progress else {
            return;
        };
        {
            let mut last = last.lock();
            let grows = progress.done.is_finite() && progress.done > *last;
            if !grows {
                return;
            }
            *last = progress.done;
        }
        let params = Params {
            progress_token: token,
            progress: progress.done,
            total: progress.total.filter(|total| total.is_finite()),
            message: progress.message.filter(|_| self.session.dialect.features.second_wave),
        };
        self.send(wire::notification("notifications/progress", &params), Delivery::MayDrop);
    }

    fn log(&self, message: LogMessage) {
        if message.level < self.session.log_level() {
            return;
        }
        let mut params = json!({"level": message.level, "data": message.data});
        if let Some(logger) = message.logger {
            params["logger"] = logger.into();
        }
        self.send(wire::notification("notifications/message", &params), Delivery::MayDrop);
    }

    fn release(&self, retry: Duration) {
        if self.session.dialect.features.primed_streams {
            self.outlet.release(retry);
        }
    }

    fn elicitation_done(&self, id: &str) {
        if self.session.client.elicit_url && self.session.dialect.features.fourth_wave {
            let params = json!({"elicitationId": id});
            let message = wire::notification("notifications/elicitation/complete", &params);
            if let Err(message) = self.outlet.send(message, Delivery::MustKeep) {
                self.session.announce(message);
            }
        }
    }

    fn ask(&self, ask: Ask) -> AskFuture<'_> {
        Box::pin(async move {
            if self.over.load(Ordering::Acquire) {
                return Err(AskError::Cancelled);
            }
            let request = ask.request(self.session.dialect, &self.session.client).map_err(|refused| match refused {
                AskRefused::MissingCapability(capability) => AskError::MissingCapability(capability.to_owned()),
                other => AskError::Refused(other.to_string()),
            })?;
            self.session.ask(&*self.outlet, request).await
        })
    }
}
