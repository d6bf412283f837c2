use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool(restart = "rerun")]
    async fn t(&self) {}
}

fn main() {}
