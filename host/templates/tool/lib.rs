use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct Starter;
#[plugin]
impl Starter {
    /// Greets someone by name.
    #[tool]
    async fn greet(&self, name: String) -> String {
        format!("Hello, {name}!")
    }
}

#[cfg(test)]
mod tests {
    use super::Starter;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn everyone_is_greeted() {
        let kit = Kit::start::<Starter>(json!({})).unwrap();
        let greeting = kit
            .tool("greet", json!({"name": "Ada"}), &Script::new())
            .unwrap();
        assert_eq!(greeting.text(), "Hello, Ada!");
    }

    #[test]
    fn nobody_is_not_greeted() {
        let kit = Kit::start::<Starter>(json!({})).unwrap();
        let error = kit.tool("greet", json!({}), &Script::new()).unwrap_err();
        assert!(error.message().contains("name"), "{error}");
    }
}
