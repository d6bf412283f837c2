//! How long a result keeps, and for whom (2026-07-28 C-01 to C-04).

pub use mcp_plugin_api::{Cache as CacheHint, CacheScope};

use std::time::Duration;

/// What an operator says of the results of one plugin; it beats what the plugin says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheRule {
    /// How long they keep.
    pub ttl: Option<Duration>,
    /// For whom.
    pub scope: Option<CacheScope>,
}

impl CacheRule {
    /// The hint of an item: what the operator says, or else its plugin. Without a word, nothing keeps.
    #[must_use]
    pub fn over(self, hint: Option<CacheHint>) -> CacheHint {
        let hint = hint.unwrap_or_default();
        CacheHint {
            ttl_ms: self.ttl.map_or(hint.ttl_ms, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
            scope: self.scope.unwrap_or(hint.scope),
        }
    }
}

/// What holds for a result that is made of several: it keeps as long as the first of them that does not, and is for all
/// only if all of them are.
#[must_use]
pub fn combined(hints: impl IntoIterator<Item = CacheHint>) -> CacheHint {
    let both = |one: CacheHint, other: CacheHint| CacheHint {
        ttl_ms: one.ttl_ms.min(other.ttl_ms),
        scope: if one.scope == CacheScope::Public { other.scope } else { CacheScope::Private },
    };
    hints.into_iter().reduce(both).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn hint(ttl_ms: u64, scope: CacheScope) -> CacheHint {
        CacheHint { ttl_ms, scope }
    }

    #[test]
    fn the_operator_beats_the_plugin_and_silence_keeps_nothing() {
        let rule = CacheRule { ttl: Some(Duration::from_secs(2)), scope: None };
        assert_eq!(rule.over(Some(hint(7, CacheScope::Public))), hint(2000, CacheScope::Public));
        assert_eq!(CacheRule::default().over(None), hint(0, CacheScope::Private));
    }

    #[test]
    fn the_shortest_and_the_most_private_wins() {
        use CacheScope::{Private, Public};
        assert_eq!(combined([hint(5, Public), hint(3, Public)]), hint(3, Public));
        assert_eq!(combined([hint(5, Public), hint(9, Private)]), hint(5, Private));
        assert_eq!(combined([hint(5, Private), hint(9, Public)]), hint(5, Private));
        assert_eq!(combined([]), hint(0, Private));
    }
}
