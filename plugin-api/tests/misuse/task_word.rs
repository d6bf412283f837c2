use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool(task = "sometimes")]
    async fn t(&self) {}
}

fn main() {}
