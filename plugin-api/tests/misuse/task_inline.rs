use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    /// Doc.
    #[tool(task = "required", inline)]
    fn t(&self) {}
}

fn main() {}
