use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    #[tool]
    async fn t(&self) {}
}

fn main() {}
