use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool]
    async fn t<T>(&self, value: T) {}
}

fn main() {}
