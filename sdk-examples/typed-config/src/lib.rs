//! Configuration: a plugin takes its own table of the operator's file, typed and checked.
//!
//! ```toml
//! [plugins.example-typed-config.config]
//! greeting = "Good day"
//! ```

use mcp_plugin_api::prelude::*;

/// The plugin's table. Unknown keys are refused, so that a typing error does not go unnoticed.
#[model]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What comes before the name.
    greeting: String,
    /// How often it is said. Default: 1.
    #[serde(default = "once")]
    repeat: u8,
}

fn once() -> u8 {
    1
}

/// What the plugin keeps.
pub struct Greeter {
    config: Config,
}

#[plugin]
impl Greeter {
    /// The table comes in here; an error stops the plugin, and the operator reads why.
    #[start]
    fn start(config: Config) -> Result<Self> {
        if config.repeat == 0 {
            return Err(Error::invalid_params("'repeat' must be at least 1"));
        }
        Ok(Self { config })
    }

    /// Greets someone as the operator likes it.
    #[tool]
    async fn greet(&self, name: String) -> String {
        let line = format!("{}, {name}!", self.config.greeting);
        vec![line; self.config.repeat.into()].join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn the_table_decides() {
        let kit = Kit::start::<Greeter>(json!({"greeting": "Good day", "repeat": 2})).unwrap();
        let result = kit.tool("greet", json!({"name": "Ada"}), &Script::new()).unwrap();
        assert_eq!(result.content, [Content::text("Good day, Ada! Good day, Ada!")]);
    }

    #[test]
    fn a_table_that_does_not_fit_is_told() {
        let why = |config| Kit::start::<Greeter>(config).err().unwrap().message().to_owned();
        assert_eq!(why(json!({})), "missing field `greeting`");
        assert_eq!(why(json!({"greeting": "Hi", "repeat": 0})), "'repeat' must be at least 1");
    }
}
