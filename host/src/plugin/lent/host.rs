//! What the host lends to a plugin for its whole life: a log, and a line for news.

use super::LentHost;
use crate::plugin::news::{NewsSender, PluginEvent};
use mcp_plugin_api::abi::op;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The host object of one plugin.
#[derive(Clone)]
pub(in crate::plugin) struct OwnHost {
    plugin: Arc<str>,
    events: NewsSender,
}

impl OwnHost {
    /// The host object of a plugin of this name, whose news go to `events`.
    pub(in crate::plugin) fn new(plugin: Arc<str>, events: NewsSender) -> Self {
        Self { plugin, events }
    }

    /// Tells the operator something about the plugin.
    pub(in crate::plugin) fn warn(&self, what: &str) {
        tracing::warn!(plugin = &*self.plugin, "{what}");
    }
}

/// An event of a plugin's log.
#[derive(Deserialize)]
struct LogEvent {
    target: String,
    message: String,
    #[serde(default)]
    fields: Map<String, Value>,
    call: Option<String>,
}

/// Bytes that an event may have.
const MAX_EVENT_BYTES: usize = 64 * 1024;

/// The levels that are kept now: bit 0 errors … bit 4 traces.
pub(in crate::plugin) fn kept_levels() -> u8 {
    let host = |level| u8::from(is_kept(level)) << (level - 1);
    (1..=5).map(host).sum()
}

fn is_kept(level: u8) -> bool {
    match level {
        1 => tracing::enabled!(target: "plugin", tracing::Level::ERROR),
        2 => tracing::enabled!(target: "plugin", tracing::Level::WARN),
        3 => tracing::enabled!(target: "plugin", tracing::Level::INFO),
        4 => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
        _ => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
    }
}

impl LentHost for OwnHost {
    fn log_enabled(&self, level: u8) -> bool {
        is_kept(level)
    }

    fn log(&self, level: u8, event: &[u8]) {
        if event.len() > MAX_EVENT_BYTES {
            tracing::warn!(plugin = &*self.plugin, bytes = event.len(), "an event of a plugin was too large");
            return;
        }
        let Ok(LogEvent { target, message, fields, call }) = serde_json::from_slice(event) else {
            return;
        };
        let fields = (!fields.is_empty()).then(|| Value::Object(fields).to_string());
        let (plugin, fields, call) = (&*self.plugin, fields.as_deref(), call.as_deref());
        macro_rules! emit {
            ($level:ident) => {
                tracing::$level!(target: "plugin", plugin, call, source = %target, fields, "{message}")
            };
        }
        match level {
            1 => emit!(error),
            2 => emit!(warn),
            3 => emit!(info),
            4 => emit!(debug),
            _ => emit!(trace),
        }
    }

    fn notify(&self, op: &str, payload: &[u8]) {
        #[derive(Deserialize)]
        struct Updated {
            uri: String,
        }
        let event = match op {
            op::MANIFEST_CHANGED => PluginEvent::ManifestChanged,
            op::RESOURCE_UPDATED => match serde_json::from_slice::<Updated>(payload) {
                Ok(Updated { uri }) => PluginEvent::ResourceUpdated(uri),
                Err(_) => return,
            },
            _ => return,
        };
        self.events.tell(event);
    }
}
