//! The closed list of methods, and which era has which.

/// What a client can ask for, under whatever name its era has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Opens a session.
    Initialize,
    /// Asks for a sign of life.
    Ping,
    /// Lists tools.
    ListTools,
    /// Calls a tool.
    CallTool,
    /// Lists resources.
    ListResources,
    /// Lists resource templates.
    ListTemplates,
    /// Reads a resource.
    ReadResource,
    /// Asks to hear of a resource's updates.
    Subscribe,
    /// Ends that.
    Unsubscribe,
    /// Lists prompts.
    ListPrompts,
    /// Expands a prompt.
    GetPrompt,
    /// Completes an argument.
    Complete,
    /// Sets which log messages the client wants.
    SetLogLevel,
}

/// The methods of the stateful era.
pub(super) const STATEFUL_METHODS: &[(&str, Method)] = &[
    ("tools/call", Method::CallTool),
    ("tools/list", Method::ListTools),
    ("resources/read", Method::ReadResource),
    ("resources/list", Method::ListResources),
    ("resources/templates/list", Method::ListTemplates),
    ("resources/subscribe", Method::Subscribe),
    ("resources/unsubscribe", Method::Unsubscribe),
    ("prompts/get", Method::GetPrompt),
    ("prompts/list", Method::ListPrompts),
    ("completion/complete", Method::Complete),
    ("logging/setLevel", Method::SetLogLevel),
    ("ping", Method::Ping),
    ("initialize", Method::Initialize),
];
