use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    #[resource]
    async fn r(&self) -> String {
        String::new()
    }
}

fn main() {}
