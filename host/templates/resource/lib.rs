use mcp_plugin_api::prelude::*;

const NOTES: [(&str, &str); 2] = [("milk", "Buy milk."), ("rain", "It may rain on Tuesday.")];

#[derive(Default)]
struct Starter;

#[plugin]
impl Starter {
    /// The names of all notes, one on each line.
    #[resource("notes://all", mime = "text/plain")]
    async fn all(&self) -> String {
        NOTES.map(|(name, _)| name).join("\n")
    }

    /// One note, by its name.
    #[resource("notes://note/{name}", mime = "text/plain")]
    async fn note(&self, name: String) -> Result<&'static str> {
        let note = NOTES.iter().find(|(known, _)| *known == name);
        note.map(|(_, text)| *text)
            .ok_or_else(|| Error::not_found(format!("there is no note '{name}'")))
    }

    /// Proposes names while the user types.
    #[complete(template = "notes://note/{name}", argument = "name")]
    async fn names(&self, typed: String) -> Vec<String> {
        NOTES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .filter(|name| name.starts_with(&typed))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Starter;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn an_unknown_note_is_not_found() {
        let kit = Kit::start::<Starter>(json!({})).unwrap();
        let error = kit
            .resource("notes://note/nothing", &Script::new())
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            ("not-found", "there is no note 'nothing'")
        );
    }

    #[test]
    fn names_are_proposed() {
        let kit = Kit::start::<Starter>(json!({})).unwrap();
        let proposed = kit
            .complete_template("notes://note/{name}", "name", "m")
            .unwrap();
        assert_eq!(proposed.values, ["milk"]);
    }
}
