//! Where clients keep their configuration, by system.

use super::Client;
use std::path::{Path, PathBuf};

/// A system, as far as clients differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    /// Linux, and all that is like it.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

/// Where a user's files are.
pub struct System<'a> {
    /// Which system it is.
    pub os: Os,
    /// The user's folder.
    pub home: PathBuf,
    /// The environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl System<'_> {
    /// The folder that a variable names, or another one. An empty variable names none.
    fn folder(&self, variable: &str, otherwise: impl FnOnce() -> PathBuf) -> PathBuf {
        (self.variable)(variable).filter(|value| !value.is_empty()).map_or_else(otherwise, PathBuf::from)
    }

    fn home(&self, below: &str) -> PathBuf {
        self.home.join(below)
    }

    /// Where programs with windows keep their settings.
    fn applications(&self) -> PathBuf {
        match self.os {
            Os::Linux => self.folder("XDG_CONFIG_HOME", || self.home(".config")),
            Os::MacOs => self.home("Library/Application Support"),
            Os::Windows => self.folder("APPDATA", || self.home("AppData/Roaming")),
        }
    }

    /// Where programs of the terminal keep their settings.
    fn config(&self) -> PathBuf {
        match self.os {
            Os::MacOs => self.home(".config"),
            Os::Linux | Os::Windows => self.applications(),
        }
    }

    /// The file in which a client keeps the servers of a user. It need not exist.
    #[must_use]
    pub fn file(&self, client: Client) -> PathBuf {
        match client {
            Client::ClaudeDesktop => self.claude_desktop().join("claude_desktop_config.json"),
            Client::ClaudeCode => self.folder("CLAUDE_CONFIG_DIR", || self.home.clone()).join(".claude.json"),
            Client::Cursor => self.home(".cursor/mcp.json"),
            Client::VsCode => match (self.variable)("VSCODE_PORTABLE").filter(|value| !value.is_empty()) {
                Some(portable) => PathBuf::from(portable).join("user-data/User/mcp.json"),
                None => self.applications().join("Code/User/mcp.json"),
            },
            Client::Windsurf => self.home(".codeium/windsurf/mcp_config.json"),
            Client::Devin => self.config().join("devin/mcp_config.json"),
            Client::Zed => {
                let folder = match self.os {
                    Os::Linux => self.folder("FLATPAK_XDG_CONFIG_HOME", || self.config()).join("zed"),
                    Os::MacOs => self.config().join("zed"),
                    Os::Windows => self.config().join("Zed"),
                };
                folder.join("settings.json")
            }
            Client::Codex => self.folder("CODEX_HOME", || self.home(".codex")).join("config.toml"),
            Client::Gemini => {
                self.folder("GEMINI_CLI_HOME", || self.home.clone()).join(".gemini").join("settings.json")
            }
        }
    }

    /// Installed from the Store, Claude Desktop has a folder of its own.
    fn claude_desktop(&self) -> PathBuf {
        let usual = self.applications().join("Claude");
        if self.os != Os::Windows || usual.is_dir() {
            return usual;
        }
        let packages = self.folder("LOCALAPPDATA", || self.home("AppData/Local")).join("Packages");
        let entries = std::fs::read_dir(&packages).into_iter().flatten().filter_map(Result::ok);
        let mut own = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("Claude_"));
        own.next().map_or(usual, |entry| entry.path().join("LocalCache/Roaming/Claude"))
    }

    /// Whether a client seems to be there: its file is, or the folder that is its own.
    #[must_use]
    pub fn has(&self, client: Client) -> bool {
        let file = self.file(client);
        let own = match client {
            // The folder of the file is the user's.
            Client::ClaudeCode => return file.is_file(),
            // It makes the folder of its settings at its first start.
            Client::VsCode
            | Client::ClaudeDesktop
            | Client::Cursor
            | Client::Windsurf
            | Client::Devin
            | Client::Zed
            | Client::Codex
            | Client::Gemini => file.parent(),
        };
        own.is_some_and(Path::is_dir)
    }
}
