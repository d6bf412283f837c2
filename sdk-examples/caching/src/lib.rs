//! Caching: clients of 2026-07-28 are told how long they may keep what they read, and whether others may have it too.

use mcp_plugin_api::prelude::*;
use std::time::Duration;

/// A timetable.
#[derive(Default)]
pub struct Timetable;

/// A day: of all that says nothing of its own.
#[plugin(cache = Cache::public(Duration::from_secs(86_400)))]
impl Timetable {
    /// All lines: the same for everybody, for a day.
    #[resource("timetable://lines", mime = "text/plain")]
    async fn lines(&self) -> &'static str {
        "1\n2\n3"
    }

    /// Delays: old after some seconds.
    #[resource("timetable://delays", mime = "text/plain", cache = Cache::public(Duration::from_secs(10)))]
    async fn delays(&self) -> &'static str {
        "line 2: five minutes"
    }

    /// A ticket: nobody else's business.
    #[resource("timetable://ticket", mime = "text/plain", cache = Cache::private(Duration::from_secs(60)))]
    async fn ticket(&self) -> &'static str {
        "seat 17"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::{json, to_value};
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn each_resource_says_how_long_it_keeps() {
        let kit = Kit::start::<Timetable>(json!({})).unwrap();
        let manifest = to_value(kit.manifest()).unwrap();
        assert_eq!(manifest["cache"], to_value(Cache::public(Duration::from_secs(86_400))).unwrap());
        let own = |index: usize| manifest["resources"][index]["cache"].clone();
        assert_eq!(own(0), json!(null));
        assert_eq!(own(1), to_value(Cache::public(Duration::from_secs(10))).unwrap());
        assert_eq!(own(2), to_value(Cache::private(Duration::from_secs(60))).unwrap());
        assert_eq!(kit.resource("timetable://ticket", &Script::new()).unwrap().contents.len(), 1);
    }
}
