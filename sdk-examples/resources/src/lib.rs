//! Resources: one with a fixed URI, a family with parameters, a list that changes, and proposals for a parameter.

use mcp_plugin_api::prelude::*;

/// A shelf of books.
#[derive(Default)]
pub struct Shelf;

const BOOKS: [(u32, &str); 3] = [(1, "Middlemarch"), (2, "Emma"), (3, "Villette")];

#[plugin]
impl Shelf {
    /// All books, one on each line.
    #[resource("shelf://all", mime = "text/plain")]
    async fn all(&self) -> String {
        BOOKS.map(|(_, title)| title).join("\n")
    }

    /// One book, by its number: the parameter is typed, and text that is no number is refused.
    #[resource("shelf://book/{number}", mime = "application/json")]
    async fn book(&self, number: u32) -> Result<Contents> {
        let (_, title) = BOOKS
            .iter()
            .find(|(known, _)| *known == number)
            .ok_or_else(|| Error::not_found("there is no such book"))?;
        Contents::json(&mcp_plugin_api::serde_json::json!({"number": number, "title": title}))
    }

    /// A resource for each book, so that clients can list them.
    #[resources]
    fn books(&self) -> Result<Vec<Resource>> {
        Ok(BOOKS.map(|(number, title)| Resource::new(format!("shelf://book/{number}"), title)).into())
    }

    /// Proposes numbers as the user types.
    #[complete(template = "shelf://book/{number}", argument = "number", inline)]
    fn numbers(&self, typed: String) -> Vec<String> {
        BOOKS.iter().map(|(number, _)| number.to_string()).filter(|number| number.starts_with(&typed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::json;
    use mcp_plugin_api::testing::{Kit, Script};

    #[test]
    fn books_are_read_listed_and_proposed() {
        let kit = Kit::start::<Shelf>(json!({})).unwrap();
        let read = |uri: &str| kit.resource(uri, &Script::new());
        let book = Contents::text(r#"{"number":2,"title":"Emma"}"#).uri("shelf://book/2").mime_type("application/json");
        assert_eq!(read("shelf://book/2").unwrap().contents, [book]);
        assert_eq!(read("shelf://book/9").unwrap_err().kind(), "not-found");
        assert_eq!(read("shelf://book/x").unwrap_err().kind(), "invalid-params");
        assert_eq!(kit.manifest().resources.len(), 4);
        assert_eq!(kit.complete_template("shelf://book/{number}", "number", "1").unwrap().values, ["1"]);
    }
}
