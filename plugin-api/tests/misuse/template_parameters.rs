use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    #[resource("a://{id}")]
    async fn missing(&self) -> String {
        String::new()
    }
}

fn main() {}
