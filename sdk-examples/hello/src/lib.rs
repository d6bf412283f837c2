use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct Hello;
#[plugin]
impl Hello {
    /// Greets someone by name.
    #[tool]
    async fn greet(&self, name: String) -> String {
        format!("Hello, {name}!")
    }
}
