//! Configurations in JSON, with or without comments, changed in their text.

use super::EditError;
use super::client::Format;
use super::edit::WAYS;
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::Value;

fn options(format: Format) -> ParseOptions {
    ParseOptions {
        allow_comments: format != Format::Json,
        allow_trailing_commas: format == Format::JsonWithCommas,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn parse(text: &str, format: Format) -> Result<CstRootNode, EditError> {
    CstRootNode::parse(text, &options(format)).map_err(|error| EditError::Unreadable(error.to_string()))
}

pub(super) fn read(text: &str, format: Format) -> Result<Value, EditError> {
    let value = parse(text, format)?.to_serde_value().unwrap_or(Value::Null);
    match value {
        Value::Null | Value::Object(_) => Ok(value),
        _ => Err(EditError::Unreadable("it is no object".to_owned())),
    }
}

/// The text with a member of a table set.
pub(super) fn put(
    text: &str,
    format: Format,
    table: &'static str,
    name: &str,
    entry: &Value,
) -> Result<String, EditError> {
    // What an editor would begin with.
    let root = parse(if text.trim().is_empty() { "{}\n" } else { text }, format)?;
    let whole = root.object_value_or_create().ok_or_else(|| EditError::Unreadable("it is no object".to_owned()))?;
    once(&whole, table)?;
    let servers = whole.object_value_or_create(table).ok_or(EditError::NotATable(table))?;
    once(&servers, name)?;
    match servers.get(name) {
        Some(member) => match member.object_value() {
            Some(known) => replace(&known, entry),
            None => member.set_value(input(entry)),
        },
        None => {
            servers.append(name, input(entry));
        }
    }
    Ok(root.to_string())
}

/// Says in an entry that is there how its server is reached. What else its user has written there stays.
fn replace(known: &CstObject, entry: &Value) {
    for way in WAYS {
        if let Some(member) = known.get(way).filter(|_| entry.get(way).is_none()) {
            member.remove();
        }
    }
    for (key, value) in entry.as_object().into_iter().flatten() {
        match known.get(key) {
            Some(member) if member.to_serde_value().as_ref() == Some(value) => {}
            Some(member) => member.set_value(input(value)),
            None => {
                known.append(key, input(value));
            }
        }
    }
}

/// The text without a member of a table.
pub(super) fn remove(text: &str, format: Format, table: &'static str, name: &str) -> Result<String, EditError> {
    let root = parse(text, format)?;
    let whole = root.object_value().ok_or(EditError::NotATable(table))?;
    once(&whole, table)?;
    let servers = whole.object_value(table).ok_or(EditError::NotATable(table))?;
    once(&servers, name)?;
    if let Some(member) = servers.get(name) {
        member.remove();
    }
    Ok(root.to_string())
}

/// Refuses a key that stands there more than once.
fn once(object: &CstObject, key: &str) -> Result<(), EditError> {
    let properties = object.properties();
    let found = properties.iter().filter(|property| property.decoded_name().as_deref() == Some(key));
    if found.count() > 1 { Err(EditError::Twice(key.to_owned())) } else { Ok(()) }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(value) => CstInputValue::Number(value.to_string()),
        Value::String(value) => CstInputValue::String(value.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(input).collect()),
        Value::Object(members) => {
            CstInputValue::Object(members.iter().map(|(key, value)| (key.clone(), input(value))).collect())
        }
    }
}
