//! The host as a plugin sees it for its whole life.

use crate::abi::{HostObject, foreign::RSlice, op};
use crate::visibility::{Kind, Visibility};
use serde_json::{Value, json};
use std::sync::Arc;

/// The host. Cheap to clone; keep it in the plugin to announce changes outside of a call.
#[derive(Clone)]
pub struct Host {
    object: Arc<HostObject>,
    visibility: Visibility,
}

impl Host {
    pub(crate) fn new(object: HostObject) -> Self {
        Self { object: Arc::new(object), visibility: Visibility::default() }
    }

    /// Announces that a resource has new content, to those who asked to hear of it.
    pub fn resource_updated(&self, uri: &str) {
        self.notify(op::RESOURCE_UPDATED, &json!({"uri": uri}));
    }

    /// Announces that what the plugin offers has changed: its dynamic resources, or which tools are shown.
    pub fn manifest_changed(&self) {
        self.notify(op::MANIFEST_CHANGED, &Value::Null);
    }

    /// Takes a tool out of the list, until it is shown again. Clients are told that the list has changed.
    pub fn hide_tool(&self, name: &str) {
        self.announce_if(self.visibility.hide(Kind::Tool, name));
    }

    /// Shows a tool again.
    pub fn show_tool(&self, name: &str) {
        self.announce_if(self.visibility.show(Kind::Tool, name));
    }

    /// Takes a prompt out of the list, until it is shown again. Clients are told that the list has changed.
    pub fn hide_prompt(&self, name: &str) {
        self.announce_if(self.visibility.hide(Kind::Prompt, name));
    }

    /// Shows a prompt again.
    pub fn show_prompt(&self, name: &str) {
        self.announce_if(self.visibility.show(Kind::Prompt, name));
    }

    pub(crate) fn visibility(&self) -> &Visibility {
        &self.visibility
    }

    fn announce_if(&self, changed: bool) {
        if changed {
            self.manifest_changed();
        }
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
