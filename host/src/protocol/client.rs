//! What a client says of itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A client: its name and what it can do, whatever the revision calls it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientProfile {
    /// The name it gave itself.
    pub name: String,
    /// The version it gave itself.
    pub version: String,
    /// It tells its roots.
    pub roots: bool,
    /// It lets its model be asked.
    pub sampling: bool,
    /// Its model may be given tools.
    pub sampling_tools: bool,
    /// Its model may be given the context of servers.
    pub sampling_context: bool,
    /// It can show the user a form.
    pub elicit_form: bool,
    /// It can ask the user to open a URL.
    pub elicit_url: bool,
    /// It shows the pages that tools have (MCP Apps).
    pub apps: bool,
    /// What it can do with tasks.
    pub tasks: ClientTasks,
}

/// What a client can do with tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientTasks {
    /// It follows those of the extension (2026-07-28 K-01).
    pub extension: bool,
    /// It knows those of 2025-11-25, whatever revision it speaks (2026-07-28 K-19).
    pub core: bool,
    /// It answers forms and URLs as tasks of its own (2025-era K-18).
    pub elicit: bool,
    /// It answers for its model as tasks of its own.
    pub sample: bool,
    /// It lets tasks of its own be cancelled.
    pub cancel: bool,
}

/// The members of `clientInfo` that are used.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Implementation {
    name: String,
    version: String,
}

/// The members of `capabilities` that are used (2025-era L-08): any object there says yes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Capabilities {
    roots: Option<Value>,
    sampling: Option<Value>,
    elicitation: Option<Value>,
    extensions: Option<Value>,
    tasks: Option<Value>,
}

/// The extension of pages for tools (2026-07-28 APP-01).
pub const APPS_EXTENSION: &str = "io.modelcontextprotocol/ui";

/// The extension of tasks (2026-07-28 K-01).
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

impl ClientProfile {
    pub(super) fn new(info: Implementation, capabilities: &Capabilities) -> Self {
        let said = |member: &Option<Value>| member.as_ref().is_some_and(Value::is_object);
        let has = |member: &Option<Value>, key: &str| member.as_ref().is_some_and(|it| it[key].is_object());
        let Capabilities { roots, sampling, elicitation, extensions, tasks } = capabilities;
        let answers_as_task =
            |kind: &str, method: &str| tasks.as_ref().is_some_and(|tasks| tasks["requests"][kind][method].is_object());
        let url = has(elicitation, "url");
        Self {
            name: short(info.name),
            version: short(info.version),
            roots: said(roots),
            sampling: said(sampling),
            sampling_tools: has(sampling, "tools"),
            sampling_context: has(sampling, "context"),
            // An empty object means forms (2025-era C-10).
            elicit_form: said(elicitation) && (has(elicitation, "form") || !url),
            elicit_url: url,
            apps: has(extensions, APPS_EXTENSION),
            tasks: ClientTasks {
                extension: has(extensions, TASKS_EXTENSION),
                core: said(tasks),
                elicit: answers_as_task("elicitation", "create"),
                sample: answers_as_task("sampling", "createMessage"),
                cancel: has(tasks, "cancel"),
            },
        }
    }
}

/// Whether a client can declare a capability of this name, such as `elicitation.url`.
#[must_use]
pub fn is_client_capability(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "roots",
        "sampling",
        "sampling.tools",
        "sampling.context",
        "elicitation",
        "elicitation.form",
        "elicitation.url",
    ];
    NAMES.contains(&name)
}

/// What a client says of itself is kept for as long as its session, so it is cut.
fn short(text: String) -> String {
    const MAX_CHARS: usize = 200;
    if text.len() <= MAX_CHARS { text } else { text.chars().take(MAX_CHARS).collect() }
}
