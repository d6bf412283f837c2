//! The library, loaded as a host loads it.

use mcp_plugin_api::serde_json::json;
use mcp_plugin_api::testing::{Kit, Script};

#[test]
fn the_library_has_a_page() {
    let kit = Kit::load(json!({})).unwrap();
    let page = kit.resource("ui://colour/page", &Script::new()).unwrap();
    assert_eq!(
        page.contents[0].mime_type.as_deref(),
        Some("text/html;profile=mcp-app")
    );
}

#[test]
fn clients_are_told_what_was_reviewed() {
    Kit::load(json!({}))
        .unwrap()
        .assert_definitions("tests/definitions.json");
}
