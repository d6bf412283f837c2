//! The library, loaded as a host loads it.

use mcp_plugin_api::Contents;
use mcp_plugin_api::serde_json::json;
use mcp_plugin_api::testing::{Kit, Script};

#[test]
fn the_library_is_read() {
    let kit = Kit::load(json!({})).unwrap();
    let read = kit.resource("notes://note/milk", &Script::new()).unwrap();
    let note = Contents::text("Buy milk.")
        .uri("notes://note/milk")
        .mime_type("text/plain");
    assert_eq!(read.contents, [note]);
}

#[test]
fn clients_are_told_what_was_reviewed() {
    Kit::load(json!({}))
        .unwrap()
        .assert_definitions("tests/definitions.json");
}
