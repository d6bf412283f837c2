//! What is done to a configuration, whatever its format.

use super::client::Format;
use super::{Client, Server, ServerName, json, toml};
use serde_json::Value;

/// What became of a text.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit {
    /// It says already what it should.
    Unchanged,
    /// This is the new one.
    Changed(String),
}

/// A server that a configuration names.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its name there.
    pub name: String,
    /// What stands there.
    pub entry: Value,
}

/// Why a configuration is not changed. It is the client's: nothing is mended that is not understood.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It does not read.
    #[error("it cannot be read, so it is left as it is: {0}")]
    Unreadable(String),
    /// There is something else where servers should be.
    #[error("'{0}' is not a table there, so it is left as it is")]
    NotATable(&'static str),
    /// A key stands there twice; clients differ in which they take.
    #[error("'{0}' stands there twice, so it is left as it is")]
    Twice(String),
}

/// The mark that some editors put before a text.
const MARK: char = '\u{feff}';

/// Puts a server in. What has its name is replaced.
///
/// # Errors
/// See [`EditError`].
pub fn install(client: Client, text: &str, name: &ServerName, server: &Server) -> Result<Edit, EditError> {
    put(client, text, name, &client.entry(server))
}

pub(super) fn put(client: Client, text: &str, name: &ServerName, entry: &Value) -> Result<Edit, EditError> {
    if find(client, text)?.iter().any(|found| found.name == name.as_str() && says(&found.entry, entry)) {
        return Ok(Edit::Unchanged);
    }
    edited(client, text, |text, table| match client.format() {
        Format::Toml => toml::put(text, table, name.as_str(), entry),
        format => json::put(text, format, table, name.as_str(), entry),
    })
}

/// Keys that say how a server is reached. An entry has those that it needs and no other of them; all other keys of it are its
/// user's: variables, switches, times.
pub(super) const WAYS: [&str; 7] = ["type", "command", "args", "url", "serverUrl", "httpUrl", "transport"];

/// Whether what stands there says how a server is reached, and nothing else of that.
fn says(found: &Value, entry: &Value) -> bool {
    found.is_object() && WAYS.iter().all(|key| found.get(key) == entry.get(key))
}

/// Takes a server out.
///
/// # Errors
/// See [`EditError`].
pub fn remove(client: Client, text: &str, name: &ServerName) -> Result<Edit, EditError> {
    if !find(client, text)?.iter().any(|found| found.name == name.as_str()) {
        return Ok(Edit::Unchanged);
    }
    edited(client, text, |text, table| match client.format() {
        Format::Toml => toml::remove(text, table, name.as_str()),
        format => json::remove(text, format, table, name.as_str()),
    })
}

/// The servers that a configuration names, in its order.
///
/// # Errors
/// See [`EditError`].
pub fn find(client: Client, text: &str) -> Result<Vec<Found>, EditError> {
    let configuration = read(client, text)?;
    let servers = match &configuration[client.table()] {
        Value::Null => return Ok(Vec::new()),
        Value::Object(servers) => servers,
        _ => return Err(EditError::NotATable(client.table())),
    };
    Ok(servers.iter().map(|(name, entry)| Found { name: name.clone(), entry: entry.clone() }).collect())
}

/// A configuration as a value; an empty one says nothing.
pub(super) fn read(client: Client, text: &str) -> Result<Value, EditError> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    match client.format() {
        Format::Toml => toml::read(text),
        format => json::read(text, format),
    }
}

fn edited(
    client: Client,
    text: &str,
    edit: impl FnOnce(&str, &'static str) -> Result<String, EditError>,
) -> Result<Edit, EditError> {
    let (mark, text) = text.strip_prefix(MARK).map_or(("", text), |rest| ("\u{feff}", rest));
    Ok(Edit::Changed(format!("{mark}{}", edit(text, client.table())?)))
}
