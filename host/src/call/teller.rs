//! Telling a client how far its call is: progress and logs, over the call's own outlet.

use super::{LogMessage, Progress};
use crate::outlet::{Delivery, Outlet};
use crate::wire::{self, Id};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells a client how far one call is, until the call has its outcome (2025-era H-15, U-05; 2026-07-28 H-16).
pub struct Teller {
    outlet: Arc<dyn Outlet>,
    progress: Option<ProgressState>,
    over: AtomicBool,
}

struct ProgressState {
    token: Box<RawValue>,
    /// Progress strictly increases (2025-era U-05).
    last: Mutex<f64>,
}

impl Teller {
    /// Tells over `outlet`; of progress, if there is a token for it.
    #[must_use]
    pub fn new(outlet: Arc<dyn Outlet>, progress_token: Option<&Id>) -> Self {
        let token = progress_token.and_then(|token| RawValue::from_string(token.as_json().to_owned()).ok());
        let progress = token.map(|token| ProgressState { token, last: Mutex::new(f64::NEG_INFINITY) });
        Self { outlet, progress, over: AtomicBool::new(false) }
    }

    /// The call has its outcome: nothing of it may follow.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether the call has its outcome.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Where it tells.
    #[must_use]
    pub fn outlet(&self) -> &dyn Outlet {
        &*self.outlet
    }

    /// Whether the client wants to hear of progress.
    #[must_use]
    pub fn wants_progress(&self) -> bool {
        self.progress.is_some()
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
            message: progress.message,
        };
        self.send(wire::notification("notifications/progress", &params));
    }

    /// Sends a log message.
    pub fn log(&self, message: LogMessage) {
        let mut params = json!({"level": message.level, "data": message.data});
        if let Some(logger) = message.logger {
            params["logger"] = logger.into();
        }
        self.send(wire::notification("notifications/message", &params));
    }

    fn send(&self, message: Bytes) {
        if !self.is_over() {
            // A closed way means that the call is over, and what is said after its end nobody waits for.
            let _ = self.outlet.send(message, Delivery::MayDrop);
        }
    }
}
