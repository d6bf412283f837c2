use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool(task = "optional", restart = "retry")]
    async fn t(&self) {}
}

fn main() {}
