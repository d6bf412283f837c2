use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
impl P {
    #[complete(prompt = "nope", argument = "a")]
    fn c(&self, typed: String) -> Vec<String> {
        vec![typed]
    }
}

fn main() {}
