//! What a client says of itself.

use serde::Deserialize;
use serde_json::Value;

/// A client: its name and what it can do, whatever the revision calls it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
}

/// The extension of pages for tools (2026-07-28 APP-01).
pub const APPS_EXTENSION: &str = "io.modelcontextprotocol/ui";

impl ClientProfile {
    pub(super) fn new(info: Implementation, capabilities: &Capabilities) -> Self {
        let said = |member: &Option<Value>| member.as_ref().is_some_and(Value::is_object);
        let has = |member: &Option<Value>, key: &str| member.as_ref().is_some_and(|it| it[key].is_object());
        let Capabilities { roots, sampling, elicitation, extensions } = capabilities;
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
