use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool(name = "a b")]
    fn t(&self) {}
}

fn main() {}
