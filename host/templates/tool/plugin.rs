//! The library, loaded as a host loads it.

use mcp_plugin_api::serde_json::json;
use mcp_plugin_api::testing::{Kit, Script};

#[test]
fn the_library_greets() {
    let kit = Kit::load(json!({})).unwrap();
    let greeting = kit
        .tool("greet", json!({"name": "Ada"}), &Script::new())
        .unwrap();
    assert_eq!(greeting.text(), "Hello, Ada!");
}

#[test]
fn clients_are_told_what_was_reviewed() {
    Kit::load(json!({}))
        .unwrap()
        .assert_definitions("tests/definitions.json");
}
