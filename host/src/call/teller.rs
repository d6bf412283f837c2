//! Telling a client how far its call is: progress and logs, over the call's own outlet.

use super::{LogMessage, Progress};
use crate::outlet::{Delivery, Outlet};
use crate::wire::{self, Id};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;

/// Tells a client how far one call is, until the call has its outcome (2025-era H-15, U-05; 2026-07-28 H-16, N-08).
pub struct Teller {
    outlet: Arc<dyn Outlet>,
    progress_token: Option<Box<RawValue>>,
    /// What each message says of where it belongs.
    meta: Option<Value>,
    /// Held while something is told, so that nothing follows the outcome and progress keeps its order.
    state: Mutex<State>,
}

struct State {
    over: bool,
    /// Progress strictly increases.
    last: f64,
}

impl Teller {
    /// Tells over `outlet`; of progress, if there is a token for it.
    #[must_use]
    pub fn new(outlet: Arc<dyn Outlet>, progress_token: Option<&Id>) -> Self {
        let progress_token = progress_token.and_then(|token| RawValue::from_string(token.as_json().to_owned()).ok());
        let state = Mutex::new(State { over: false, last: f64::NEG_INFINITY });
        Self { outlet, progress_token, meta: None, state }
    }

    /// The same, whose messages say `meta` of where they belong.
    #[must_use]
    pub fn with_meta(self, meta: Value) -> Self {
        Self { meta: Some(meta), ..self }
    }

    /// The call has its outcome: nothing of it may follow.
    pub fn end(&self) {
        self.state.lock().over = true;
    }

    /// Whether the call has its outcome.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.lock().over
    }

    /// Where it tells.
    #[must_use]
    pub fn outlet(&self) -> &dyn Outlet {
        &*self.outlet
    }

    /// Whether the client wants to hear of progress.
    #[must_use]
    pub fn wants_progress(&self) -> bool {
        self.progress_token.is_some()
    }

    /// Tells how far the work is. What does not grow is not told.
    pub fn progress(&self, progress: Progress) {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            progress_token: &'a RawValue,
            progress: f64,
            #[serde(skip_serializing_if = "Option::is_none")]
            total: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            message: Option<String>,
            #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
            meta: Option<&'a Value>,
        }
        let Some(token) = &self.progress_token else {
            return;
        };
        let mut state = self.state.lock();
        let grows = progress.done.is_finite() && progress.done > state.last;
        if state.over || !grows {
            return;
        }
        state.last = progress.done;
        let params = Params {
            progress_token: token,
            progress: progress.done,
            total: progress.total.filter(|total| total.is_finite()),
            message: progress.message,
            meta: self.meta.as_ref(),
        };
        self.send(&state, "notifications/progress", &params);
    }

    /// Sends a log message.
    pub fn log(&self, message: LogMessage) {
        let mut params = json!({"level": message.level, "data": message.data});
        if let Some(logger) = message.logger {
            params["logger"] = logger.into();
        }
        if let Some(meta) = &self.meta {
            params["_meta"] = meta.clone();
        }
        let state = self.state.lock();
        if !state.over {
            self.send(&state, "notifications/message", &params);
        }
    }

    /// Sends a notification, under the lock.
    fn send(&self, _state: &State, method: &str, params: &impl Serialize) {
        // A closed way means that the call is over, and what is said after its end nobody waits for.
        let _ = self.outlet.send(wire::notification(method, params), Delivery::MayDrop);
    }
}
