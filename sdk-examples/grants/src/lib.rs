//! Grants: a plugin says what it needs, operators see it before anything runs, and in a worker process nothing else works.
//!
//! ```toml
//! [plugins.example-grants]
//! isolation = "worker"
//! [plugins.example-grants.grants]
//! env = ["EXAMPLE_TOKEN"]
//! read = ["/usr/share/dict"]
//! ```

use mcp_plugin_api::prelude::*;
use std::path::Path;

/// A reader of words.
#[derive(Default)]
pub struct Reader;

#[plugin(wants = ["env EXAMPLE_TOKEN", "read /usr/share/dict"])]
impl Reader {
    /// Whether there is a token. What is not granted is not there: the variable is not set.
    #[tool(read_only)]
    async fn has_token(&self) -> bool {
        std::env::var_os("EXAMPLE_TOKEN").is_some()
    }

    /// Reads the first line of a file. What is not granted fails as the system says it: permission denied.
    #[tool(read_only)]
    fn first_line(&self, file: String) -> Result<String> {
        let text = std::fs::read_to_string(Path::new(&file))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn in_a_test_everything_is_granted() {
        let kit = Kit::start::<Reader>(json!({})).unwrap();
        assert!(!kit.tool("has_token", json!({}), &Script::new()).unwrap().is_error);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let line = kit.tool("first_line", json!({"file": file}), &Script::new()).unwrap();
        assert_eq!(line.text(), "[package]");
        assert!(kit.tool("first_line", json!({"file": "/none"}), &Script::new()).unwrap().is_error);
    }
}
