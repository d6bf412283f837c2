use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool]
    async fn t(&self) {}
    /// Doc.
    #[tool(name = "t")]
    async fn u(&self) {}
}

fn main() {}
