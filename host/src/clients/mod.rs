//! The configuration files of MCP clients: a server is put in, found, and taken out again.
//!
//! Texts come in and texts leave; what is not ours in them stays as it was, to the byte, comments and order too. Files are
//! replaced whole, with a copy of what was there beside them. This room starts no server and speaks to no client.

mod client;
mod edit;
mod file;
mod json;
mod place;
mod toml;

pub use client::{Client, Server};
pub use edit::{Edit, EditError, Found, find, install, remove};
pub use file::{Change, FileError, Pending, apply};
pub use place::{Os, System};

/// The name of a server in clients: 1 to 32 letters, digits, `-` and `_`, which all clients take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(String);

/// Why a name is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is no name that all clients take: it needs 1 to 32 of A-Z, a-z, 0-9, '-' and '_', a letter or digit first"
)]
pub struct BadName(String);

impl ServerName {
    /// # Errors
    /// See [`BadName`].
    pub fn parse(name: &str) -> Result<Self, BadName> {
        let is_good = (1..=32).contains(&name.len())
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it));
        if is_good { Ok(Self(name.to_owned())) } else { Err(BadName(name.to_owned())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
