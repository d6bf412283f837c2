use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    #[resource("ui://p/page", app, mime = "text/html")]
    async fn page(&self) -> &'static str {
        ""
    }
}

fn main() {}
