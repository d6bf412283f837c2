//! The host as a plugin sees it for its whole life.

use crate::abi::{HostObject, foreign::RSlice, op};
use serde_json::{Value, json};
use std::sync::Arc;

/// The host. Cheap to clone; keep it in the plugin to announce changes outside of a call.
#[derive(Clone)]
pub struct Host {
    object: Arc<HostObject>,
}

impl Host {
    pub(crate) fn new(object: HostObject) -> Self {
        Self { object: Arc::new(object) }
    }

    /// Announces that a resource has new content, to those who asked to hear of it.
    pub fn resource_updated(&self, uri: &str) {
        self.notify(op::RESOURCE_UPDATED, &json!({"uri": uri}));
    }

    /// Announces that what the plugin offers has changed: its dynamic resources, or which tools are shown.
    pub fn manifest_changed(&self) {
        self.notify(op::MANIFEST_CHANGED, &Value::Null);
    }

    fn notify(&self, op: &str, payload: &Value) {
        let payload = payload.to_string();
        self.object.notify(op.into(), RSlice::from(payload.as_bytes()));
    }

    pub(crate) fn log_enabled(&self, level: u8, target: &str) -> bool {
        self.object.log_enabled(level, target.into())
    }

    pub(crate) fn log(&self, level: u8, event: &Value) {
        let event = event.to_string();
        self.object.log(level, RSlice::from(event.as_bytes()));
    }
}
