//! Prompts: what a user chooses from a menu. Arguments are text, and are completed while the user types.

use mcp_plugin_api::prelude::*;

/// A writing desk.
#[derive(Default)]
pub struct Desk;

const TONES: [&str; 3] = ["formal", "friendly", "funny"];

#[plugin]
impl Desk {
    /// # A letter
    /// Has the model write a letter.
    #[prompt]
    async fn letter(
        &self,
        /** To whom. */
        to: String,
        /** formal, friendly or funny. */
        tone: Option<String>,
    ) -> String {
        format!("Write a {} letter to {to}.", tone.as_deref().unwrap_or("friendly"))
    }

    /// A conversation to go on with: several messages, of both sides.
    #[prompt]
    async fn interview(&self, about: String) -> Vec<Message> {
        vec![
            Message::user(Content::text(format!("Interview me about {about}."))),
            Message::assistant(Content::text("Gladly. How did it begin?")),
        ]
    }

    /// Proposes tones.
    #[complete(prompt = "letter", argument = "tone", inline)]
    fn tones(&self, typed: String) -> Vec<String> {
        TONES.iter().filter(|tone| tone.starts_with(&typed)).map(|tone| (*tone).to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::{json, to_value};
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn prompts_are_expanded_and_completed() {
        let kit = Kit::start::<Desk>(json!({})).unwrap();
        let letter = kit.prompt("letter", json!({"to": "Ada", "tone": "formal"}), &Script::new()).unwrap();
        assert_eq!(letter.messages, [Message::user("Write a formal letter to Ada.")]);
        let interview = kit.prompt("interview", json!({"about": "owls"}), &Script::new()).unwrap();
        assert_eq!(to_value(&interview.messages).unwrap()[1]["role"], "assistant");
        assert_eq!(kit.complete_prompt("letter", "tone", "f").unwrap().values, ["formal", "friendly", "funny"]);
        assert_eq!(kit.complete_prompt("letter", "tone", "fu").unwrap().values, ["funny"]);
    }
}
