//! What a new crate may start with.

/// What a new crate starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// One tool.
    Tool,
    /// Resources, one of them with a parameter, and proposals for it.
    Resource,
    /// A prompt, and proposals for an argument.
    Prompt,
    /// A tool that may become a task.
    Task,
    /// A tool with a page.
    App,
}

/// The files of a template: what all have, and its own.
macro_rules! files {
    ($folder:literal $(, $more:literal => $source:literal)*) => {
        vec![
            ("Cargo.toml", include_str!("../../templates/common/Cargo.toml")),
            (".gitignore", include_str!("../../templates/common/gitignore")),
            (".github/workflows/ci.yml", include_str!("../../templates/common/ci.yml")),
            ("README.md", include_str!("../../templates/common/README.md")),
            ("src/lib.rs", include_str!(concat!("../../templates/", $folder, "/lib.rs"))),
            ("tests/plugin.rs", include_str!(concat!("../../templates/", $folder, "/plugin.rs"))),
            ("tests/definitions.json", include_str!(concat!("../../templates/", $folder, "/definitions.json"))),
            $(($more, include_str!(concat!("../../templates/", $folder, "/", $source))),)*
        ]
    };
}

impl Template {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tool, Self::Resource, Self::Prompt, Self::Task, Self::App];

    /// Its word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
            Self::Task => "task",
            Self::App => "app",
        }
    }

    /// The files, as they are below the crate's folder, and their templates.
    pub(super) fn files(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Tool => files!("tool"),
            Self::Resource => files!("resource"),
            Self::Prompt => files!("prompt"),
            Self::Task => files!("task"),
            Self::App => files!("app", "src/page.html" => "page.html"),
        }
    }

    /// A line about the crate.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Tool => "a tool that greets.",
            Self::Resource => "notes to read.",
            Self::Prompt => "a prompt that asks for a review.",
            Self::Task => "a tool that counts, for as long as it takes.",
            Self::App => "a tool that mixes colours, with a page.",
        }
    }

    /// How it is tried from the command line.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Tool => "mcp-host call greet name=Ada --plugins-dir target/debug",
            Self::Resource | Self::Prompt => "mcp-host list --plugins-dir target/debug",
            Self::Task => "mcp-host call count to=100 --plugins-dir target/debug",
            Self::App => "mcp-host call mix red=255 green=0 blue=16 --plugins-dir target/debug",
        }
    }

    /// What it needs beside `mcp-plugin-api`: lines of its manifest.
    pub(super) fn dependencies(self) -> &'static str {
        match self {
            Self::Task => "tokio = { version = \"1\", features = [\"time\"] }\n\n",
            Self::Tool | Self::Resource | Self::Prompt | Self::App => "\n",
        }
    }
}
