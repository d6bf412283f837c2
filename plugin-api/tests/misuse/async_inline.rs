use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool(inline)]
    async fn t(&self) {}
}

fn main() {}
