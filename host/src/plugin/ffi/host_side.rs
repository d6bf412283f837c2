//! The host object of a plugin: what is lent to it for its whole life, made foreign-safe.

use super::library::lent;
use crate::plugin::lent::LentHost;
use mcp_plugin_api::abi::HostApi;
use mcp_plugin_api::abi::foreign::{RSlice, RStr};

/// What is lent, as it crosses the boundary.
pub(super) struct HostSide<H>(pub(super) H);

impl<H: LentHost> HostApi for HostSide<H> {
    fn log_enabled(&self, level: u8, _target: RStr<'_>) -> bool {
        lent("log_enabled", || self.0.log_enabled(level))
    }

    fn log(&self, level: u8, event: RSlice<'_, u8>) {
        lent("log", || self.0.log(level, event.as_slice()));
    }

    fn notify(&self, op: RStr<'_>, payload: RSlice<'_, u8>) {
        lent("notify", || self.0.notify(op.as_str(), payload.as_slice()));
    }
}
