//! How long an answer keeps, for clients that may remember it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// For whom an answer may be remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheScope {
    /// For everyone: nothing in it depends on who asks.
    Public,
    /// For whoever asked.
    #[default]
    Private,
}

/// How long an answer keeps, and for whom. The default keeps nothing.
///
/// A hint: only clients that know how to remember answers heed it, and what changed meanwhile is to be
/// [announced](crate::Context::resource_updated) all the same. A host makes an answer private if the call looked at its
/// client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Milliseconds.
    pub ttl_ms: u64,
    /// For whom.
    pub scope: CacheScope,
}

impl Cache {
    /// Everyone may remember it for so long.
    #[must_use]
    pub const fn public(ttl: Duration) -> Self {
        Self { ttl_ms: ttl.as_millis() as u64, scope: CacheScope::Public }
    }

    /// Whoever asked may remember it for so long.
    #[must_use]
    pub const fn private(ttl: Duration) -> Self {
        Self { ttl_ms: ttl.as_millis() as u64, scope: CacheScope::Private }
    }
}
