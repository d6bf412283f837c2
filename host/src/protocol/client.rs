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
    /// It can show the user a form.
    pub elicit_form: bool,
    /// It can ask the user to open a URL.
    pub elicit_url: bool,
}

/// The members of `clientInfo` that are used.
#[derive(Debug, Deserialize)]
pub(super) struct Implementation {
    name: String,
    version: String,
}

/// The members of `capabilities` that are used (2025-era L-08). Any object there says yes.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Capabilities {
    roots: Option<Value>,
    sampling: Option<Value>,
    elicitation: Option<Value>,
}

impl ClientProfile {
    pub(super) fn new(info: Implementation, capabilities: &Capabilities) -> Self {
        let has = |object: &Option<Value>, key: &str| object.as_ref().is_some_and(|it| it.get(key).is_some());
        let url = has(&capabilities.elicitation, "url");
        Self {
            name: short(&info.name),
            version: short(&info.version),
            roots: capabilities.roots.is_some(),
            sampling: capabilities.sampling.is_some(),
            sampling_tools: has(&capabilities.sampling, "tools"),
            // An empty object means forms (2025-era C-10).
            elicit_form: capabilities.elicitation.is_some() && (has(&capabilities.elicitation, "form") || !url),
            elicit_url: url,
        }
    }
}

/// What a client says of itself is kept for as long as its session, so it is cut.
fn short(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    text.chars().take(MAX_CHARS).collect()
}
