//! The library, loaded as a host loads it.

use mcp_plugin_api::serde_json::json;
use mcp_plugin_api::testing::{Kit, Script};
use mcp_plugin_api::{Content, Message};

#[test]
fn the_library_prompts() {
    let kit = Kit::load(json!({})).unwrap();
    let prompt = kit
        .prompt(
            "review",
            json!({"code": "x = 1", "tone": "strict"}),
            &Script::new(),
        )
        .unwrap();
    assert_eq!(
        prompt.messages,
        [Message::user(Content::text(
            "Review this code. Be strict.\n\nx = 1"
        ))]
    );
}

#[test]
fn clients_are_told_what_was_reviewed() {
    Kit::load(json!({}))
        .unwrap()
        .assert_definitions("tests/definitions.json");
}
