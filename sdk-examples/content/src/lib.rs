//! Content: a result may be several blocks of text, pictures, sound, whole resources and links, each for somebody.

use mcp_plugin_api::prelude::*;

/// A postcard rack.
#[derive(Default)]
pub struct Rack;

/// One pixel, red, as a PNG.
const PIXEL: &[u8] = include_bytes!("pixel.png");

#[plugin]
impl Rack {
    /// Shows a card: a picture, and what stands on it.
    #[tool]
    async fn card(&self, town: String) -> Vec<Content> {
        vec![
            Content::text(format!("Greetings from {town}")).audience([Role::User]),
            Content::image(PIXEL, "image/png").priority(0.5),
        ]
    }

    /// Sends a card: the whole of it, for who wants to keep it.
    #[tool]
    async fn send(&self, town: String) -> Content {
        let uri = format!("rack://card/{town}");
        Content::resource(Contents::text(format!("Greetings from {town}")).uri(uri).mime_type("text/plain"))
    }

    /// Names cards: links, which a client reads when it likes.
    #[tool]
    async fn catalogue(&self) -> ToolResult {
        let links = ["Oslo", "Bergen"].map(|town| Content::link(format!("rack://card/{town}"), town));
        links.into_iter().fold(ToolResult::new().with_text("two cards"), ToolResult::with)
    }

    /// A card.
    #[resource("rack://card/{town}", mime = "text/plain")]
    async fn read(&self, town: String) -> String {
        format!("Greetings from {town}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::{json, to_value};
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn blocks_come_in_order() {
        let kit = Kit::start::<Rack>(json!({})).unwrap();
        let run = |tool: &str, arguments| to_value(kit.tool(tool, arguments, &Script::new()).unwrap().content).unwrap();
        let card = run("card", json!({"town": "Oslo"}));
        assert_eq!(
            card[0],
            json!({"type": "text", "text": "Greetings from Oslo", "annotations": {"audience": ["user"]}})
        );
        assert_eq!((&card[1]["mimeType"], &card[1]["annotations"]["priority"]), (&json!("image/png"), &json!(0.5)));
        let sent = run("send", json!({"town": "Oslo"}));
        let resource = json!({"uri": "rack://card/Oslo", "mimeType": "text/plain", "text": "Greetings from Oslo"});
        assert_eq!(sent[0]["resource"], resource);
        let links = run("catalogue", json!({}));
        assert_eq!(links[1], json!({"type": "resource_link", "uri": "rack://card/Oslo", "name": "Oslo"}));
    }
}
