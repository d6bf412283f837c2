use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct Greedy;

#[plugin(wants = ["everything"])]
impl Greedy {}

fn main() {}
