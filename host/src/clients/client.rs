//! What each client wants to read.

use super::ServerName;
use serde_json::{Value, json};

/// A client whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Claude Desktop.
    ClaudeDesktop,
    /// Claude Code.
    ClaudeCode,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    VsCode,
    /// Windsurf, before it became Devin Desktop.
    Windsurf,
    /// Devin Desktop and its command line.
    Devin,
    /// Zed.
    Zed,
    /// Codex.
    Codex,
    /// Gemini CLI.
    Gemini,
}

/// How a client reaches the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// It starts a program, and speaks over its standard input and output.
    Stdio {
        /// The program.
        command: String,
        /// Its words.
        args: Vec<String>,
    },
    /// Over Streamable HTTP.
    Http {
        /// The endpoint.
        url: String,
    },
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON as it is.
    Json,
    /// JSON with comments.
    JsonWithComments,
    /// JSON with comments and commas behind the last of a list.
    JsonWithCommas,
    /// TOML.
    Toml,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ClaudeDesktop,
        Self::ClaudeCode,
        Self::Cursor,
        Self::VsCode,
        Self::Windsurf,
        Self::Devin,
        Self::Zed,
        Self::Codex,
        Self::Gemini,
    ];

    /// Its word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "claude-desktop",
            Self::ClaudeCode => "claude-code",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::Windsurf => "windsurf",
            Self::Devin => "devin",
            Self::Zed => "zed",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "Claude Desktop",
            Self::ClaudeCode => "Claude Code",
            Self::Cursor => "Cursor",
            Self::VsCode => "VS Code",
            Self::Windsurf => "Windsurf",
            Self::Devin => "Devin Desktop",
            Self::Zed => "Zed",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
        }
    }

    /// What a user does for the client to see a change.
    #[must_use]
    pub fn takes_effect(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "quit Claude Desktop, from its tray too, and start it again",
            Self::ClaudeCode => "begin a new session of Claude Code",
            Self::Cursor => "reload Cursor's window, and switch the server on in its settings if it is off",
            Self::VsCode => "VS Code sees it at once, and asks whether the server is trusted",
            Self::Windsurf => "refresh the MCP servers in Windsurf, or start it again",
            Self::Devin => "refresh the MCP servers in Devin, or start it again",
            Self::Zed => "Zed sees it at once",
            Self::Codex => "begin a new session of Codex",
            Self::Gemini => "begin a new session of Gemini CLI",
        }
    }

    pub(super) fn format(self) -> Format {
        match self {
            Self::ClaudeDesktop | Self::ClaudeCode | Self::Cursor | Self::Windsurf | Self::Devin => Format::Json,
            Self::Gemini => Format::JsonWithComments,
            Self::VsCode | Self::Zed => Format::JsonWithCommas,
            Self::Codex => Format::Toml,
        }
    }

    /// The key of the table of servers.
    pub(super) fn table(self) -> &'static str {
        match self {
            Self::VsCode => "servers",
            Self::Zed => "context_servers",
            Self::Codex => "mcp_servers",
            Self::ClaudeDesktop | Self::ClaudeCode | Self::Cursor | Self::Windsurf | Self::Devin | Self::Gemini => {
                "mcpServers"
            }
        }
    }

    /// What stands in that table for a server.
    #[must_use]
    pub fn entry(self, server: &Server) -> Value {
        match (self, server) {
            (Self::ClaudeCode | Self::VsCode, Server::Stdio { command, args }) => {
                json!({"type": "stdio", "command": command, "args": args})
            }
            (_, Server::Stdio { command, args }) => json!({"command": command, "args": args}),
            // It reads no addresses here: a program between it and the host does.
            (Self::ClaudeDesktop, Server::Http { url }) => {
                let mut args = vec!["-y", "mcp-remote", url, "--transport", "http-only"];
                if url.starts_with("http://") {
                    args.push("--allow-http");
                }
                json!({"command": "npx", "args": args})
            }
            (Self::ClaudeCode | Self::VsCode | Self::Gemini, Server::Http { url }) => {
                json!({"type": "http", "url": url})
            }
            (Self::Windsurf, Server::Http { url }) => json!({"serverUrl": url}),
            (Self::Devin, Server::Http { url }) => json!({"url": url, "transport": "http"}),
            (Self::Cursor | Self::Zed | Self::Codex, Server::Http { url }) => json!({"url": url}),
        }
    }

    /// What else in its configuration keeps a server from being used, if anything does.
    #[must_use]
    pub fn objection(self, configuration: &Value, name: &ServerName) -> Option<String> {
        let name = name.as_str();
        if self != Self::Gemini {
            return None;
        }
        let names = |key: &str| configuration["mcp"][key].as_array();
        let has = |list: &Vec<Value>| list.iter().any(|it| it == name);
        if names("allowed").is_some_and(|allowed| !has(allowed)) {
            return Some(format!("Gemini CLI does not start it before '{name}' is in its list mcp.allowed"));
        }
        if names("excluded").is_some_and(has) {
            return Some(format!("Gemini CLI does not start it while '{name}' is in its list mcp.excluded"));
        }
        name.contains('_').then(|| "the policies of Gemini CLI take no '_' in names of servers".to_owned())
    }
}
