//! What a server is and offers, as it tells clients (2025-era L-07, 2026-07-28 V-02, V-04).

use super::{APPS_EXTENSION, Dialect, TASKS_EXTENSION, TaskForm};
use serde_json::{Map, Value, json};

/// The extension of skills (2026-07-28 SK).
const SKILLS_EXTENSION: &str = "io.modelcontextprotocol/skills";

/// What the catalogue of this moment has beside tools, resources and prompts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offered<'a> {
    /// For the model: how to use the plugins.
    pub instructions: Option<&'a str>,
    /// Tools have pages.
    pub apps: bool,
    /// There are skills.
    pub skills: bool,
    /// Whether there are tasks, and whether whoever asks can list theirs.
    pub tasks: OfferedTasks,
}

/// Whether there are tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OfferedTasks {
    /// There are none.
    #[default]
    None,
    /// There are, and each is found by its id alone: nobody can tell whose they are (2025-era K-10).
    ById,
    /// There are, and each belongs to somebody who is known.
    Listed,
}

/// What the server can do, in a dialect's terms.
pub(super) fn capabilities(dialect: &Dialect, offered: Offered<'_>) -> Value {
    let features = &dialect.features;
    let mut capabilities = json!({
        "logging": {},
        "prompts": {"listChanged": true},
        "resources": {"subscribe": true, "listChanged": true},
        "tools": {"listChanged": true},
    });
    if features.second_wave {
        capabilities["completions"] = json!({});
    }
    if features.tasks == TaskForm::Core && offered.tasks != OfferedTasks::None {
        let mut tasks = json!({"cancel": {}, "requests": {"tools": {"call": {}}}});
        if offered.tasks == OfferedTasks::Listed {
            tasks["list"] = json!({});
        }
        capabilities["tasks"] = tasks;
    }
    let mut extensions = Map::new();
    if offered.apps && features.fourth_wave {
        extensions.insert(APPS_EXTENSION.to_owned(), json!({}));
    }
    if offered.skills && features.fifth_wave {
        extensions.insert(SKILLS_EXTENSION.to_owned(), json!({"directoryRead": true}));
    }
    if features.tasks == TaskForm::Extension && offered.tasks != OfferedTasks::None {
        extensions.insert(TASKS_EXTENSION.to_owned(), json!({}));
    }
    if !extensions.is_empty() {
        capabilities["extensions"] = extensions.into();
    }
    capabilities
}

/// The result of `server/discover`. Sessions are found by their own handshake, so only revisions that can be named in a
/// request are listed (dual-era D-12).
#[must_use]
pub fn discover_result(dialect: &Dialect, offered: Offered<'_>) -> Value {
    let versions: Vec<&str> = Dialect::all_stateless().iter().map(|dialect| dialect.revision).collect();
    let mut result = json!({"supportedVersions": versions, "capabilities": capabilities(dialect, offered)});
    if let Some(instructions) = offered.instructions {
        result["instructions"] = instructions.into();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_told_where_the_era_has_them_and_only_those_that_are_there() {
        let offered = Offered { instructions: None, apps: true, skills: true, tasks: OfferedTasks::ById };
        let newest = capabilities(Dialect::newest_stateless(), offered);
        assert_eq!(
            newest["extensions"],
            json!({
                "io.modelcontextprotocol/ui": {},
                "io.modelcontextprotocol/skills": {"directoryRead": true},
                "io.modelcontextprotocol/tasks": {},
            })
        );
        assert!(newest.get("tasks").is_none(), "2026-07-28 K-19");
        let stateful = capabilities(Dialect::negotiate("2025-11-25"), offered);
        assert_eq!(stateful["extensions"], json!({"io.modelcontextprotocol/ui": {}}));
        assert_eq!(stateful["tasks"], json!({"cancel": {}, "requests": {"tools": {"call": {}}}}));
        let known = Offered { tasks: OfferedTasks::Listed, ..offered };
        assert_eq!(capabilities(Dialect::negotiate("2025-11-25"), known)["tasks"]["list"], json!({}));
        let older = capabilities(Dialect::negotiate("2025-06-18"), known);
        assert!(older.get("extensions").is_none() && older.get("tasks").is_none());
        assert!(capabilities(Dialect::newest_stateless(), Offered::default()).get("extensions").is_none());
    }

    #[test]
    fn only_what_can_be_named_in_a_request_is_listed() {
        let result =
            discover_result(Dialect::newest_stateless(), Offered { instructions: Some("i"), ..Offered::default() });
        assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
        assert_eq!(result["instructions"], "i");
        assert!(result["capabilities"].get("tasks").is_none());
    }
}
