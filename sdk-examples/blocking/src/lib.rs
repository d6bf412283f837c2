//! Where a function runs: an `async fn` waits without a thread, a plain `fn` may block one, and `inline` is done at once.

use mcp_plugin_api::prelude::*;
use std::time::Duration;

/// A kitchen.
#[derive(Default)]
pub struct Kitchen;

#[plugin]
impl Kitchen {
    /// Waits for the kettle. Thousands may wait at a time; a cancelled call is dropped where it waits.
    #[tool]
    async fn boil(&self, milliseconds: u64) -> &'static str {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        "boiled"
    }

    /// Reads a recipe. Files, databases and computing block a thread, so this is a plain `fn`: it has a thread of its own.
    #[tool]
    fn recipe(&self) -> Result<String> {
        let folder = std::env::temp_dir();
        Ok(format!("a folder for crumbs: {}", folder.exists()))
    }

    /// Halves eggs. What takes microseconds runs where the host is: nothing is faster, and nothing else may go on meanwhile.
    #[tool(inline)]
    fn halve(&self, eggs: u32) -> String {
        format!("{} halves", eggs * 2)
    }

    /// Waits in the middle of a plain `fn`, with the context's help.
    #[tool]
    fn brew(&self, ctx: &Context) -> Result<String> {
        ctx.wait(tokio::time::sleep(Duration::from_millis(1)));
        if ctx.is_cancelled() {
            return Err(Error::new("nobody waits for it any more"));
        }
        Ok(format!("brewed; {} is left", if ctx.time_left().is_some() { "time" } else { "all the time" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn all_kinds_give_the_same_kind_of_result() {
        let kit = Kit::start::<Kitchen>(json!({})).unwrap();
        let run = |tool: &str, arguments| kit.tool(tool, arguments, &Script::new()).unwrap().text();
        assert_eq!(run("boil", json!({"milliseconds": 1})), "boiled");
        assert_eq!(run("recipe", json!({})), "a folder for crumbs: true");
        assert_eq!(run("halve", json!({"eggs": 3})), "6 halves");
        assert_eq!(run("brew", json!({})), "brewed; all the time is left");
        let script = Script::new();
        script.cancel();
        assert!(kit.tool("brew", json!({}), &script).unwrap().is_error);
    }
}
