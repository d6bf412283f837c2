//! The params of the methods, borrowed from the message.

use super::{Fault, LogLevel};
use crate::wire::{Id, Text};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};

/// Reads the params of a request.
///
/// # Errors
/// [`Fault::InvalidParams`] naming the member; values are not quoted, they may be secret.
pub fn read_params<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, Fault> {
    let params = params.map_or("{}", RawValue::get);
    // Serde would take members from an array, by their order.
    if !params.starts_with('{') {
        return Err(Fault::invalid_params("invalid params: they must be an object"));
    }
    serde_json::from_str(params).map_err(|error| {
        let message = error.to_string();
        let reason = match message.split_once('`') {
            // "missing field `x`", "duplicate field `x`"
            Some((kind, rest)) if kind.ends_with("field ") => {
                let name = rest.split('`').next().unwrap_or_default();
                format!("{kind}'{name}'")
            }
            _ => "a member has the wrong type".to_owned(),
        };
        Fault::invalid_params(format!("invalid params: {reason}"))
    })
}

/// `tools/call` and `prompts/get`.
#[derive(Debug, Deserialize)]
pub struct NamedParams<'a> {
    /// Which tool or prompt.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// Its arguments, untouched.
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
    /// `_meta`, untouched.
    #[serde(borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

/// `resources/read`, `resources/subscribe`, `resources/unsubscribe`.
#[derive(Debug, Deserialize)]
pub struct UriParams<'a> {
    /// Which resource.
    #[serde(borrow)]
    pub uri: Text<'a>,
    /// `_meta`, untouched.
    #[serde(borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

impl UriParams<'_> {
    /// The URI, if it is not too long: it is compared, kept and repeated.
    ///
    /// # Errors
    /// [`Fault::InvalidParams`].
    pub fn checked_uri(&self) -> Result<&str, Fault> {
        checked_uri(&self.uri)
    }
}

fn checked_uri(uri: &str) -> Result<&str, Fault> {
    const MAX_BYTES: usize = 8192;
    if uri.len() > MAX_BYTES {
        return Err(Fault::invalid_params(format!("a URI has more than {MAX_BYTES} bytes")));
    }
    Ok(uri)
}

/// The lists.
#[derive(Debug, Deserialize)]
pub struct ListParams<'a> {
    /// Where the page before ended.
    #[serde(borrow)]
    pub cursor: Option<Text<'a>>,
}

/// `resources/directory/read`.
#[derive(Debug, Deserialize)]
pub struct DirectoryParams<'a> {
    /// Which folder.
    #[serde(borrow)]
    pub uri: Text<'a>,
    /// Where the page before ended.
    #[serde(borrow)]
    pub cursor: Option<Text<'a>>,
}

/// `tasks/get`, `tasks/result`, `tasks/cancel`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskParams<'a> {
    /// Which task.
    #[serde(borrow)]
    pub task_id: Text<'a>,
}

/// `tasks/update` (2026-07-28 K-10).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateTaskParams<'a> {
    /// Which task.
    #[serde(borrow)]
    pub task_id: Text<'a>,
    /// What the client answers, by the keys of the questions.
    #[serde(borrow)]
    pub input_responses: BTreeMap<String, &'a RawValue>,
}

/// The task that a client wants its request to become (2025-era K-03).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TaskWanted {
    /// For how long it is to be kept, in milliseconds.
    #[serde(deserialize_with = "whole")]
    pub ttl: Option<u64>,
}

/// A whole number that is not negative, however it is written: `60000.0` is one.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    let of_float = |number: &serde_json::Number| {
        let float = number.as_f64().filter(|float| *float >= 0.0 && float.fract() == 0.0)?;
        // Beyond this every float is whole, and no time is that long.
        Some(if float < 1e18 { float as u64 } else { u64::MAX })
    };
    let whole = number.map(|number| number.as_u64().or_else(|| of_float(&number)).ok_or(number)).transpose();
    whole.map_err(|_| serde::de::Error::custom("not a whole number"))
}

/// `subscriptions/listen` (2026-07-28 N-01).
#[derive(Debug, Deserialize)]
pub struct ListenParams {
    /// What the client wants to hear of.
    pub notifications: ListenFilter,
}

/// What a client wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenFilter {
    /// Changes of the list of tools.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tools_list_changed: bool,
    /// Changes of the list of prompts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prompts_list_changed: bool,
    /// Changes of the list of resources.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resources_list_changed: bool,
    /// Updates of these resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_subscriptions: Vec<String>,
    /// These tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task_ids: Vec<String>,
}

impl ListenFilter {
    /// The same with each resource once, if there are at most `max` of them and none has a URI that is too long.
    ///
    /// # Errors
    /// [`Fault::InvalidParams`].
    pub fn checked(mut self, max: usize) -> Result<Self, Fault> {
        /// They are kept, and repeated to the client.
        const MAX_BYTES: usize = 256 << 10;
        let (uris, tasks) = (&mut self.resource_subscriptions, &mut self.task_ids);
        if tasks.len() > max || tasks.iter().map(String::len).sum::<usize>() > MAX_BYTES {
            return Err(Fault::invalid_params(format!("'taskIds' has more than {max} members or {MAX_BYTES} bytes")));
        }
        let bytes: usize = uris.iter().map(String::len).sum();
        if uris.len() > max || bytes > MAX_BYTES {
            let reason = format!("'resourceSubscriptions' has more than {max} members or {MAX_BYTES} bytes");
            return Err(Fault::invalid_params(reason));
        }
        uris.iter().try_for_each(|uri| checked_uri(uri).map(drop))?;
        let mut seen = HashSet::new();
        uris.retain(|uri| seen.insert(uri.clone()));
        seen.clear();
        tasks.retain(|task| seen.insert(task.clone()));
        Ok(self)
    }
}

/// `completion/complete` (2025-era U-10).
#[derive(Debug, Deserialize)]
pub struct CompleteParams<'a> {
    /// Of what.
    #[serde(rename = "ref")]
    pub reference: CompletionReference,
    /// Of which argument.
    #[serde(borrow)]
    pub argument: CompletedArgument<'a>,
    /// The other arguments.
    #[serde(default)]
    pub context: CompletionContext,
}

/// What is completed.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub enum CompletionReference {
    /// An argument of a prompt.
    #[serde(rename = "ref/prompt")]
    Prompt {
        /// The prompt.
        name: String,
    },
    /// A parameter of a template.
    #[serde(rename = "ref/resource")]
    Resource {
        /// The template.
        uri: String,
    },
}

/// The argument and what was typed of it.
#[derive(Debug, Deserialize)]
pub struct CompletedArgument<'a> {
    /// The argument.
    #[serde(borrow)]
    pub name: Text<'a>,
    /// What was typed.
    #[serde(borrow)]
    pub value: Text<'a>,
}

/// The other arguments.
#[derive(Debug, Default, Deserialize)]
pub struct CompletionContext {
    /// Name and value.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
}

/// `logging/setLevel`.
#[derive(Debug, Deserialize)]
pub struct SetLevelParams {
    /// The least level that is wanted.
    pub level: LogLevel,
}

/// `notifications/cancelled`.
#[derive(Debug, Deserialize)]
pub struct CancelledParams<'a> {
    /// Which request.
    #[serde(borrow, rename = "requestId")]
    pub request_id: &'a RawValue,
}

/// What `_meta` of a request says.
#[derive(Debug, Default)]
pub struct Meta {
    /// Names the request in progress notifications: a string or an integer, as JSON.
    pub progress_token: Option<Id>,
}

/// Reads `_meta`.
///
/// # Errors
/// [`Fault::InvalidParams`] when it is no object, or its progress token is neither string nor integer.
pub fn read_meta(meta: Option<&RawValue>) -> Result<Meta, Fault> {
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow, rename = "progressToken")]
        progress_token: Option<&'a RawValue>,
    }
    let Some(meta) = meta else {
        return Ok(Meta::default());
    };
    let members: Members<'_> = serde_json::from_str(meta.get())
        .map_err(|_| Fault::invalid_params("invalid params: '_meta' must be an object"))?;
    let progress_token = members.progress_token.map(|token| {
        Id::from_raw(token).ok_or_else(|| Fault::invalid_params("'progressToken' must be a string or an integer"))
    });
    Ok(Meta { progress_token: progress_token.transpose()? })
}
