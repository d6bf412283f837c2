//! Arguments: bounded, chosen from a list, optional, with a default, or one type of your own. What does not fit is told to the
//! model before the function runs.

use mcp_plugin_api::prelude::*;

/// A travel agent.
#[derive(Default)]
pub struct Agent;

/// How to travel.
#[model]
#[derive(Debug)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// By rail.
    Train,
    /// By sea.
    Ship,
}

/// One leg of a journey.
#[model]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// The town it leads to.
    #[schemars(length(min = 1, max = 50))]
    to: String,
    /// Nights there.
    #[serde(default)]
    nights: u8,
}

#[plugin]
impl Agent {
    /// Books seats.
    #[tool]
    async fn book(
        &self,
        /** Where to. */
        to: String,
        /** How. */
        by: Means,
        /** For how many. */
        #[default(1)]
        #[schemars(range(min = 1, max = 8))]
        seats: u8,
        /** A word for whoever serves. */
        note: Option<String>,
    ) -> String {
        let note = note.map_or_else(String::new, |note| format!(" ({note})"));
        format!("{seats} to {to} by {by:?}{note}")
    }

    /// Plans a journey of several legs: a list of a type of your own.
    #[tool]
    async fn plan(&self, legs: Vec<Leg>) -> String {
        legs.iter().map(|leg| format!("{} ({})", leg.to, leg.nights)).collect::<Vec<_>>().join(", ")
    }

    /// Changes one leg: all arguments as one type.
    #[tool]
    async fn change(&self, Args(leg): Args<Leg>) -> String {
        format!("now {} for {} nights", leg.to, leg.nights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_plugin_api::serde_json::{Value, json};
    use mcp_plugin_api::testing::{Kit, Script};

    fn run(tool: &str, arguments: Value) -> Result<String> {
        Ok(Kit::start::<Agent>(json!({})).unwrap().tool(tool, arguments, &Script::new())?.text())
    }

    #[test]
    fn what_fits_is_taken() {
        assert_eq!(run("book", json!({"to": "Oslo", "by": "train"})).unwrap(), "1 to Oslo by Train");
        let all = json!({"to": "Oslo", "by": "ship", "seats": 8, "note": "window"});
        assert_eq!(run("book", all).unwrap(), "8 to Oslo by Ship (window)");
        let legs = json!({"legs": [{"to": "Oslo", "nights": 2}, {"to": "Bergen"}]});
        assert_eq!(run("plan", legs).unwrap(), "Oslo (2), Bergen (0)");
        assert_eq!(run("change", json!({"to": "Oslo"})).unwrap(), "now Oslo for 0 nights");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let why = |arguments| run("book", arguments).unwrap_err().message().to_owned();
        assert!(why(json!({"to": "Oslo", "by": "balloon"})).contains("balloon"));
        assert!(why(json!({"to": "Oslo", "by": "train", "seat": 1})).contains("unknown field `seat`"));
        assert!(why(json!({"by": "train"})).contains("missing field `to`"));
    }
}
