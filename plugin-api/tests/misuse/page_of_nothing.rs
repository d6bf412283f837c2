use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool(ui = "ui://p/page")]
    async fn t(&self) {}
}

fn main() {}
