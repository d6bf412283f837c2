use mcp_plugin_api::prelude::*;

#[derive(Default)]
struct Starter;

/// A colour, mixed.
#[model]
pub struct Colour {
    /// As `#rrggbb`.
    hex: String,
}

#[plugin]
impl Starter {
    /// Mixes a colour. Clients that show pages show it; all others have its number.
    #[tool(ui = "ui://colour/page", read_only)]
    async fn mix(
        &self,
        /** 0 to 255. */
        red: u8,
        /** 0 to 255. */
        green: u8,
        /** 0 to 255. */
        blue: u8,
    ) -> Colour {
        Colour {
            hex: format!("#{red:02x}{green:02x}{blue:02x}"),
        }
    }

    /// The page that shows a colour.
    #[resource("ui://colour/page", app)]
    async fn page(&self) -> &'static str {
        include_str!("page.html")
    }
}

#[cfg(test)]
mod tests {
    use super::Starter;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn colours_are_mixed() {
        let kit = Kit::start::<Starter>(json!({})).unwrap();
        let mixed = kit
            .tool(
                "mix",
                json!({"red": 255, "green": 0, "blue": 16}),
                &Script::new(),
            )
            .unwrap();
        assert_eq!(mixed.structured_content, Some(json!({"hex": "#ff0010"})));
    }
}
