use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    #[start]
    fn start(a: String, b: String) -> Self {
        P
    }
}

fn main() {}
