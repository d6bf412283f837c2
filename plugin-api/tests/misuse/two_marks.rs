use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool]
    #[prompt]
    async fn t(&self) {}
}

fn main() {}
