//! What plugins give, checked once and brought into a dialect.
//!
//! The common case passes through untouched: a newest client gets the plugin's bytes as they are.

use super::request_meta::present;
use super::{Dialect, ResultBody};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Why a plugin's result cannot be passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// Larger than is allowed.
    #[error("its result has {bytes} bytes, {max} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Not UTF-8.
    #[error("its result is not UTF-8")]
    NotUtf8,
    /// Not JSON, or not of the shape that was promised.
    #[error("its result is not of the promised shape: {0}")]
    WrongShape(String),
}

/// The members of a result that matter to a host, whatever it is the result of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    #[serde(borrow)]
    contents: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    structured_content: Option<&'a RawValue>,
    #[serde(default)]
    is_error: bool,
    #[serde(borrow, default, rename = "_meta", deserialize_with = "present")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    ttl_ms: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    cache_scope: Option<&'a RawValue>,
}

impl<'a> View<'a> {
    /// Reads a result, of which `of` says the member that must be an array.
    fn read(text: &'a str, name: &str, of: impl FnOnce(&Self) -> Option<&'a RawValue>) -> Result<Self, ResultError> {
        let view: Self = serde_json::from_str(text).map_err(wrong_shape)?;
        // Serde would take the members from an array, by their order.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(ResultError::WrongShape("it is not an object".to_owned()));
        }
        match of(&view) {
            Some(member) if member.get().starts_with('[') => Ok(view),
            _ => Err(ResultError::WrongShape(format!("'{name}' is not an array"))),
        }
    }

    /// Whether it has one of the members that the era itself writes: `_meta`, and those of which no plugin knows.
    fn has_taken(&self, dialect: &Dialect) -> bool {
        let Self { meta, result_type, ttl_ms, cache_scope, .. } = self;
        let others = [result_type, ttl_ms, cache_scope].iter().any(|member| member.is_some());
        others || (dialect.features.fifth_wave && meta.is_some())
    }
}

/// Checks a tool's result and writes it in a dialect. `check_structured` judges the structured part, if there is one.
///
/// # Errors
/// See [`ResultError`].
pub fn tool_result(
    dialect: &Dialect,
    bytes: Vec<u8>,
    max_bytes: usize,
    check_structured: impl FnOnce(Option<&RawValue>) -> Result<(), String>,
) -> Result<ResultBody, ResultError> {
    let text = text_of(&bytes, max_bytes)?;
    let view = View::read(text, "content", |view| view.content)?;
    if !view.is_error {
        check_structured(view.structured_content).map_err(ResultError::WrongShape)?;
    }
    let features = &dialect.features;
    // Only objects may be structured results in the stateful era (2025-era T-05); the text copy stays.
    let keeps_structured = view
        .structured_content
        .is_none_or(|value| features.fifth_wave || (features.third_wave && value.get().starts_with('{')));
    if features.fourth_wave && keeps_structured && !view.has_taken(dialect) {
        let is_error = view.is_error;
        return Ok(ResultBody { is_error, ..ResultBody::from(one_line(bytes)) });
    }
    let mut result: Map<String, Value> = serde_json::from_str(text).map_err(wrong_shape)?;
    if !keeps_structured {
        result.shift_remove("structuredContent");
    }
    if let Some(Value::Array(content)) = result.get_mut("content") {
        content.iter_mut().for_each(|block| degrade_content(dialect, block));
    }
    Ok(ResultBody { is_error: view.is_error, ..without_taken(dialect, result) })
}

/// A result without those members; its `_meta` is kept apart, where the era has members of its own there.
fn without_taken(dialect: &Dialect, mut result: Map<String, Value>) -> ResultBody {
    for taken in ["resultType", "ttlMs", "cacheScope"] {
        result.shift_remove(taken);
    }
    let meta = if dialect.features.fifth_wave { result.shift_remove("_meta") } else { None };
    let meta = meta.and_then(|meta| match meta {
        Value::Object(meta) => Some(meta),
        _ => None,
    });
    ResultBody { meta, ..ResultBody::from(Value::Object(result)) }
}

/// Checks a prompt's result and writes it in a dialect.
///
/// # Errors
/// See [`ResultError`].
pub fn prompt_result(dialect: &Dialect, bytes: Vec<u8>, max_bytes: usize) -> Result<ResultBody, ResultError> {
    let text = text_of(&bytes, max_bytes)?;
    let view = View::read(text, "messages", |view| view.messages)?;
    if dialect.features.fourth_wave && !view.has_taken(dialect) {
        return Ok(one_line(bytes).into());
    }
    let mut result: Map<String, Value> = serde_json::from_str(text).map_err(wrong_shape)?;
    let messages = result.get_mut("messages").and_then(Value::as_array_mut);
    messages
        .into_iter()
        .flatten()
        .filter_map(|message| message.get_mut("content"))
        .for_each(|content| degrade_content(dialect, content));
    Ok(without_taken(dialect, result))
}

/// Checks a resource's result and writes it in a dialect.
///
/// # Errors
/// See [`ResultError`].
pub fn resource_result(dialect: &Dialect, bytes: Vec<u8>, max_bytes: usize) -> Result<ResultBody, ResultError> {
    let text = text_of(&bytes, max_bytes)?;
    let view = View::read(text, "contents", |view| view.contents)?;
    if view.has_taken(dialect) {
        return Ok(without_taken(dialect, serde_json::from_str(text).map_err(wrong_shape)?));
    }
    Ok(one_line(bytes).into())
}

/// Checks proposals, keeps the first hundred of them, and wraps them (2025-era U-10).
///
/// # Errors
/// See [`ResultError`].
pub fn completion_result(bytes: &[u8], max_bytes: usize) -> Result<ResultBody, ResultError> {
    let text = text_of(bytes, max_bytes)?;
    let mut completion: mcp_plugin_api::Completion = serde_json::from_str(text).map_err(wrong_shape)?;
    if completion.values.len() > mcp_plugin_api::Completion::MAX_VALUES {
        completion.values.truncate(mcp_plugin_api::Completion::MAX_VALUES);
        completion.has_more = Some(true);
    }
    Ok(json!({"completion": completion}).into())
}

/// A failed tool's result, for the model to read (2025-era T-08, T-09).
#[must_use]
pub fn tool_error(message: &str) -> ResultBody {
    let result = json!({"content": [{"type": "text", "text": message}], "isError": true});
    ResultBody { is_error: true, ..ResultBody::from(result) }
}

fn text_of(bytes: &[u8], max: usize) -> Result<&str, ResultError> {
    if bytes.len() > max {
        return Err(ResultError::TooLarge { bytes: bytes.len(), max });
    }
    std::str::from_utf8(bytes).map_err(|_| ResultError::NotUtf8)
}

/// Why a result is not of its shape; serde's own words would quote values.
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn wrong_shape(error: serde_json::Error) -> ResultError {
    let reason = if error.is_data() { "a member is missing or has the wrong type" } else { "it is not JSON" };
    ResultError::WrongShape(reason.to_owned())
}

/// Line breaks between tokens are legal JSON, but would break the frames of stdio and SSE.
fn one_line(bytes: Vec<u8>) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &bytes).is_none() {
        return bytes.into();
    }
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) => value.to_string().into(),
        // The caller has read it as JSON; only nesting beyond serde's bound can fail now.
        Err(_) => tool_error("the result is nested too deep").json,
    }
}

/// Replaces a block of content that a dialect lacks by text (2025-era T-06).
fn degrade_content(dialect: &Dialect, block: &mut Value) {
    let features = &dialect.features;
    let text = |text: String| json!({"type": "text", "text": text});
    match block["type"].as_str() {
        Some("audio") if !features.second_wave => {
            *block = text(format!("[audio, {}]", block["mimeType"].as_str().unwrap_or("unknown type")));
        }
        Some("resource_link") if !features.third_wave => {
            *block = text(block["uri"].as_str().unwrap_or_default().to_owned());
        }
        Some("resource_link") => {
            if let Some(block) = block.as_object_mut() {
                block.shift_remove("icons");
            }
        }
        _ => {}
    }
    if !features.third_wave
        && let Some(block) = block.as_object_mut()
    {
        block.shift_remove("_meta");
        if let Some(Value::Object(annotations)) = block.get_mut("annotations") {
            annotations.shift_remove("lastModified");
        }
    }
}

#[cfg(test)]
mod tests;
