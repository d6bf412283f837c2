//! The JSON-RPC envelope, borrowed from the bytes it came in.

use super::{Id, exceeds_depth};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Deref;

/// What one body or line holds.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// One message.
    One(Message<'a>),
    /// An array of messages, each judged by itself. Never empty.
    Batch(Vec<Result<Message<'a>, ParseError>>),
}

/// One JSON-RPC message.
#[derive(Debug)]
pub enum Message<'a> {
    /// Wants an answer.
    Request(Request<'a>),
    /// Wants none.
    Notification(Notification<'a>),
    /// Answers a request of ours.
    Response(Response<'a>),
}

/// A request.
#[derive(Debug)]
pub struct Request<'a> {
    /// What its answer will carry.
    pub id: Id,
    /// The method's name.
    pub method: Text<'a>,
    /// The params, untouched.
    pub params: Option<&'a RawValue>,
}

/// A notification.
#[derive(Debug)]
pub struct Notification<'a> {
    /// The method's name.
    pub method: Text<'a>,
    /// The params, untouched.
    pub params: Option<&'a RawValue>,
}

/// A response to a request of ours.
#[derive(Debug)]
pub struct Response<'a> {
    /// The id that our request had.
    pub id: Id,
    /// What the client answered.
    pub body: ResponseBody<'a>,
}

/// The two forms of a response.
#[derive(Debug)]
pub enum ResponseBody<'a> {
    /// A result.
    Result(&'a RawValue),
    /// An error object.
    Error(&'a RawValue),
}

/// Why bytes are not a message, and the id to answer with, where there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or JSON that is nested too deep to be looked at.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but no JSON-RPC message.
    #[error("not a JSON-RPC message: {reason}")]
    NotMessage {
        /// What is wrong.
        reason: String,
        /// The message's id, if that could be read.
        id: Option<Id>,
    },
}

/// Text borrowed from JSON where it has no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// The members of any message. Serde refuses doubled keys; keys in another case are unknown ones, and ignored.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps `null` apart from nothing: an id of `null` is an error, no id is a notification.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Messages of one batch: all their answers are held until the last is there.
pub const MAX_BATCH: usize = 100;

/// Reads the messages in `bytes`, which may nest JSON at most `max_depth` deep.
///
/// # Errors
/// [`ParseError`]; inside a batch each message has its own.
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Incoming<'_>, ParseError> {
    let text = std::str::from_utf8(bytes).map_err(|error| ParseError::NotJson(error.to_string()))?;
    if exceeds_depth(bytes, max_depth) {
        return Err(ParseError::NotJson(format!("nested more than {max_depth} deep")));
    }
    if text.trim_start().starts_with('[') {
        return parse_batch(text);
    }
    parse_one(text).map(Incoming::One)
}

fn parse_batch(text: &str) -> Result<Incoming<'_>, ParseError> {
    let elements: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| ParseError::NotJson(error.to_string()))?;
    if elements.is_empty() {
        return Err(ParseError::NotMessage { reason: "an empty batch".to_owned(), id: None });
    }
    if elements.len() > MAX_BATCH {
        let reason = format!("a batch of more than {MAX_BATCH} messages");
        return Err(ParseError::NotMessage { reason, id: None });
    }
    Ok(Incoming::Batch(elements.into_iter().map(|element| parse_one(element.get())).collect()))
}

fn parse_one(text: &str) -> Result<Message<'_>, ParseError> {
    // Serde would take the members from an array, by their order.
    if text.trim_start().starts_with('[') {
        return Err(ParseError::NotMessage { reason: "it is not an object".to_owned(), id: None });
    }
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| not_a_message(text, &error))?;
    let id = match members.id.map(|raw| Id::from_raw(raw).ok_or(raw)) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => {
            let reason = format!("the id must be a string or an integer of at most {} bytes", Id::MAX_BYTES);
            return Err(ParseError::NotMessage { reason, id: None });
        }
    };
    let refuse = |reason: &str, id| Err(ParseError::NotMessage { reason: reason.to_owned(), id });
    if members.jsonrpc.as_deref() != Some("2.0") {
        return refuse("the member 'jsonrpc' must be \"2.0\"", id);
    }
    if members.params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
        return refuse("'params' must be an object", id);
    }
    match (members.method, id, members.result, members.error) {
        (Some(method), Some(id), None, None) => Ok(Message::Request(Request { id, method, params: members.params })),
        (Some(method), None, None, None) => Ok(Message::Notification(Notification { method, params: members.params })),
        (None, Some(id), Some(result), None) => {
            Ok(Message::Response(Response { id, body: ResponseBody::Result(result) }))
        }
        (None, Some(id), None, Some(error)) => Ok(Message::Response(Response { id, body: ResponseBody::Error(error) })),
        (None, id, None, None) => refuse("it has neither 'method' nor 'result' nor 'error'", id),
        (_, id, _, _) => refuse("'method', 'result' and 'error' exclude each other, and a response needs an id", id),
    }
}

/// Tells broken JSON from JSON that is no message, and finds the id of the latter.
fn not_a_message(text: &str, error: &serde_json::Error) -> ParseError {
    if serde_json::from_str::<&RawValue>(text).is_err() {
        // The place helps; the text of the error could quote the message, which may hold secrets.
        return ParseError::NotJson(format!("at line {}, column {}", error.line(), error.column()));
    }
    let id = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text)
        .ok()
        .and_then(|members| serde_json::value::to_raw_value(members.get("id")?).ok())
        .and_then(|raw| Id::from_raw(&raw));
    let reason = if text.trim_start().starts_with('{') {
        "a member is doubled or has the wrong type"
    } else {
        "it is not an object"
    };
    ParseError::NotMessage { reason: reason.to_owned(), id }
}

#[cfg(test)]
mod tests;
