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
    /// Asks what the server is.
    Discover,
    /// Asks to hear of changes, on a stream of its own.
    Listen,
    /// Lists skills.
    ListSkills,
    /// Gets a skill.
    GetSkill,
    /// Lists what is in a folder of resources.
    ReadDirectory,
    /// Asks how far a task is.
    GetTask,
    /// Waits for the result of a task.
    AwaitTask,
    /// Lists tasks.
    ListTasks,
    /// Answers what a task asks.
    UpdateTask,
    /// Cancels a task.
    CancelTask,
}

impl Method {
    /// The member of the params that says what the request is about, which headers repeat (2026-07-28 H-07).
    #[must_use]
    pub fn subject(self) -> Option<&'static str> {
        match self {
            Self::CallTool | Self::GetPrompt => Some("name"),
            Self::ReadResource => Some("uri"),
            Self::GetTask | Self::UpdateTask | Self::CancelTask => Some("taskId"),
            _ => None,
        }
    }

    /// Whether it is about tasks: only revisions with such have it.
    #[must_use]
    pub fn is_of_tasks(self) -> bool {
        matches!(self, Self::GetTask | Self::AwaitTask | Self::ListTasks | Self::UpdateTask | Self::CancelTask)
    }
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
    ("tasks/get", Method::GetTask),
    ("tasks/result", Method::AwaitTask),
    ("tasks/list", Method::ListTasks),
    ("tasks/cancel", Method::CancelTask),
    ("ping", Method::Ping),
    ("initialize", Method::Initialize),
];

/// The methods of the stateless era (2026-07-28 V-07: what was removed is unknown).
pub(super) const STATELESS_METHODS: &[(&str, Method)] = &[
    ("tools/call", Method::CallTool),
    ("tools/list", Method::ListTools),
    ("resources/read", Method::ReadResource),
    ("resources/list", Method::ListResources),
    ("resources/templates/list", Method::ListTemplates),
    ("prompts/get", Method::GetPrompt),
    ("prompts/list", Method::ListPrompts),
    ("completion/complete", Method::Complete),
    ("server/discover", Method::Discover),
    ("subscriptions/listen", Method::Listen),
    ("skills/list", Method::ListSkills),
    ("skills/get", Method::GetSkill),
    ("resources/directory/read", Method::ReadDirectory),
    ("tasks/get", Method::GetTask),
    ("tasks/update", Method::UpdateTask),
    ("tasks/cancel", Method::CancelTask),
];
