use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    #[resource("https://p/page", app)]
    async fn page(&self) -> &'static str {
        ""
    }
}

fn main() {}
