use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    #[resource("a://b")]
    async fn more(&self, id: String) -> String {
        id
    }
}

fn main() {}
