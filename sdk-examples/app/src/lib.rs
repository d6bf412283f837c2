//! Showing: a tool whose result clients can show on a page (MCP Apps), and a skill that tells models when to use it.
//!
//! The tool names its page with `ui`, and works without it: clients that show no pages have the text. The page is a resource
//! like any other; `app` gives it the media type. The skill is the folder `skills`, read and checked when this is compiled.

use mcp_plugin_api::prelude::*;
use mcp_plugin_api::serde_json::json;
use std::time::Duration;

/// A cup of dice.
#[derive(Default)]
pub struct Dice;

/// What was thrown.
#[model]
pub struct Thrown {
    /// Each die, 1 to 6.
    dice: Vec<u8>,
    /// All of them together.
    sum: u16,
}

#[plugin(skills = "skills")]
impl Dice {
    /// Throws dice. The same seed throws the same.
    #[tool(ui = "ui://dice/table", read_only)]
    async fn throw(
        &self,
        /** How many. */
        #[schemars(range(min = 1, max = 10))]
        count: u8,
        /** Any number. */
        seed: u32,
    ) -> Thrown {
        let mut state = seed;
        let mut die = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 % 6 + 1
        };
        let dice: Vec<u8> = (0..count).map(|_| die()).collect();
        Thrown { sum: dice.iter().map(|die| u16::from(*die)).sum(), dice }
    }

    /// The table that the dice are thrown on.
    #[resource(
        "ui://dice/table",
        app,
        cache = Cache::public(Duration::from_secs(3600)),
        meta("ui" = json!({"prefersBorder": true}))
    )]
    async fn table(&self) -> &'static str {
        include_str!("table.html")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn a_throw_is_text_data_and_a_page() {
        let kit = Kit::start::<Dice>(json!({})).unwrap();
        let thrown = kit.tool("throw", json!({"count": 2, "seed": 1}), &Script::new()).unwrap();
        assert_eq!(thrown.structured_content, Some(json!({"dice": [1, 5], "sum": 6})));
        let manifest = kit.manifest();
        assert_eq!(manifest.tools[0].meta.as_ref().unwrap()["ui"], json!({"resourceUri": "ui://dice/table"}));
        let table = kit.resource("ui://dice/table", &Script::new()).unwrap();
        assert_eq!(table.contents[0].mime_type.as_deref(), Some("text/html;profile=mcp-app"));
    }

    #[test]
    fn the_skill_is_part_of_the_plugin() {
        let kit = Kit::start::<Dice>(json!({})).unwrap();
        let manifest = kit.manifest();
        assert_eq!(manifest.skills[0].uri, "skill://example-app/roll-dice");
        assert_eq!(manifest.skills[0].frontmatter["name"], "roll-dice");
        let read = kit.resource("skill://example-app/roll-dice/SKILL.md", &Script::new()).unwrap();
        assert_eq!(read.contents[0].mime_type.as_deref(), Some("text/markdown"));
    }
}
