//! The library, loaded as a host loads it.

use mcp_plugin_api::serde_json::json;
use mcp_plugin_api::testing::{Kit, Script};

#[test]
fn the_library_counts() {
    let kit = Kit::load(json!({})).unwrap();
    let script = Script::new().task();
    assert_eq!(
        kit.tool("count", json!({"to": 3}), &script).unwrap().text(),
        "counted to 3"
    );
    assert_eq!(
        script.said().len(),
        6,
        "three times progress, and how far it is"
    );
}

#[test]
fn clients_are_told_what_was_reviewed() {
    Kit::load(json!({}))
        .unwrap()
        .assert_definitions("tests/definitions.json");
}
