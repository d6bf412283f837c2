use mcp_plugin_api::prelude::*;

const TONES: [&str; 3] = ["friendly", "plain", "strict"];

#[derive(Default)]
struct Starter;

#[plugin]
impl Starter {
    /// Asks the model to review a piece of code.
    #[prompt]
    async fn review(
        &self,
        /** The code. */
        code: String,
        /** How to say it: friendly, plain or strict. */
        tone: Option<String>,
    ) -> Vec<Message> {
        let tone = tone.unwrap_or_else(|| "plain".to_owned());
        vec![Message::user(Content::text(format!(
            "Review this code. Be {tone}.\n\n{code}"
        )))]
    }

    /// Proposes tones while the user types.
    #[complete(prompt = "review", argument = "tone")]
    async fn tones(&self, typed: String) -> Vec<String> {
        TONES
            .iter()
            .filter(|tone| tone.starts_with(&typed))
            .map(|tone| (*tone).to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Starter;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::Kit;

    #[test]
    fn tones_are_proposed() {
        let kit = Kit::start::<Starter>(json!({})).unwrap();
        assert_eq!(
            kit.complete_prompt("review", "tone", "s").unwrap().values,
            ["strict"]
        );
    }
}
