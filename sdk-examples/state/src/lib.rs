//! State: calls run side by side, so what changes sits behind a lock; and clients are told that it has.

use mcp_plugin_api::prelude::*;
use parking_lot::Mutex;

/// A shop, open or closed.
pub struct Shop {
    /// What was bought. A lock is never held where a function waits.
    basket: Mutex<Vec<String>>,
    host: Host,
}

#[plugin]
impl Shop {
    /// Begins closed: there is nothing to buy yet, and `buy` is not listed.
    #[start]
    fn start(host: Host) -> Result<Self> {
        host.hide_tool("buy");
        Ok(Self { basket: Mutex::default(), host })
    }

    /// Opens or closes the shop. Clients hear that the list of tools has changed.
    #[tool]
    async fn open(&self, open: bool) -> &'static str {
        if open {
            self.host.show_tool("buy");
            "open"
        } else {
            self.host.hide_tool("buy");
            "closed"
        }
    }

    /// Buys something. Clients that have subscribed to the basket hear that it has changed.
    #[tool]
    async fn buy(&self, thing: String) -> String {
        let count = {
            let mut basket = self.basket.lock();
            basket.push(thing);
            basket.len()
        };
        self.host.resource_updated("shop://basket");
        format!("{count} in the basket")
    }

    /// What was bought.
    #[resource("shop://basket", mime = "text/plain")]
    async fn basket(&self) -> String {
        self.basket.lock().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn what_is_bought_is_kept() {
        let kit = Kit::start::<Shop>(json!({})).unwrap();
        let names = || kit.manifest().tools.into_iter().map(|tool| tool.name).collect::<Vec<_>>();
        assert_eq!(names(), ["open"]);
        kit.tool("open", json!({"open": true}), &Script::new()).unwrap();
        assert_eq!(names(), ["open", "buy"]);
        for (thing, told) in [("tea", "1 in the basket"), ("milk", "2 in the basket")] {
            assert_eq!(kit.tool("buy", json!({"thing": thing}), &Script::new()).unwrap().text(), told);
        }
        let basket = kit.resource("shop://basket", &Script::new()).unwrap();
        assert_eq!(basket.contents, [Contents::text("tea\nmilk").uri("shop://basket").mime_type("text/plain")]);
    }
}
