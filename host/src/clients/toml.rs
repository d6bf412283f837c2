//! Configurations in TOML, changed in their text.

use super::EditError;
use super::edit::WAYS;
use serde_json::Value;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|error: toml_edit::TomlError| EditError::Unreadable(error.message().to_owned()))
}

pub(super) fn read(text: &str) -> Result<Value, EditError> {
    parse(text)?;
    ::toml::from_str(text).map_err(|error| EditError::Unreadable(error.message().to_owned()))
}

/// The text with a member of a table set.
pub(super) fn put(text: &str, table: &'static str, name: &str, entry: &Value) -> Result<String, EditError> {
    let mut document = parse(text)?;
    if document.get(table).is_none() {
        let mut servers = Table::new();
        // It has no line of its own: only its members have.
        servers.set_implicit(true);
        document.insert(table, Item::Table(servers));
    }
    let servers = document.get_mut(table).ok_or(EditError::NotATable(table))?;
    let is_inline = servers.is_inline_table();
    let servers = servers.as_table_like_mut().ok_or(EditError::NotATable(table))?;
    if let Some(known) = servers.get_mut(name).and_then(Item::as_table_like_mut) {
        // What else its user has written there stays.
        for way in WAYS.iter().filter(|way| entry.get(**way).is_none()) {
            known.remove(way);
        }
        for (key, value) in entry.as_object().into_iter().flatten() {
            known.insert(key, Item::Value(input(value)));
        }
        return Ok(with_its_line_ends(text, document.to_string()));
    }
    let members = entry.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), input(value)));
    if is_inline {
        let inline: InlineTable = members.collect();
        servers.insert(name, Item::Value(inline.into()));
    } else {
        let mut own = Table::new();
        members.for_each(|(key, value)| drop(own.insert(key, Item::Value(value))));
        own.decor_mut().set_prefix(if text.is_empty() { "" } else { "\n" });
        servers.insert(name, Item::Table(own));
    }
    Ok(with_its_line_ends(text, document.to_string()))
}

/// The text without a member of a table.
pub(super) fn remove(text: &str, table: &'static str, name: &str) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let servers = document.get_mut(table).and_then(Item::as_table_like_mut).ok_or(EditError::NotATable(table))?;
    TableLike::remove(servers, name);
    Ok(with_its_line_ends(text, document.to_string()))
}

/// The line ends that the text had everywhere.
fn with_its_line_ends(before: &str, after: String) -> String {
    let (all, of_windows) = (before.matches('\n').count(), before.matches("\r\n").count());
    if all > 0 && all == of_windows { after.replace("\r\n", "\n").replace('\n', "\r\n") } else { after }
}

fn input(value: &Value) -> toml_edit::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Number(value) => value.as_i64().map_or_else(|| value.as_f64().unwrap_or_default().into(), Into::into),
        Value::String(value) => value.as_str().into(),
        Value::Array(values) => values.iter().map(input).collect::<Array>().into(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.as_str(), input(value))).collect::<InlineTable>().into()
        }
        // TOML has none; no entry of ours has one.
        Value::Null => "".into(),
    }
}
