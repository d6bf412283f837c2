use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool(readonly)]
    async fn t(&self) {}
}

fn main() {}
