use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct P;

#[plugin]
fn f() {}

fn main() {}
