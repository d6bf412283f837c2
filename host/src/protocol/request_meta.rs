//! What a stateless request says of itself, in `_meta` and beside it (2026-07-28 M-01, R-05).

use super::client::{Capabilities, Implementation};
use super::{
    ClientProfile, Dialect, Fault, LogLevel, NamedParams, TaskWanted, TraceContext, UriParams, read_meta, read_params,
};
use crate::wire::{Id, Text};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members that a stateless request may have beside those of its method, borrowed and not judged.
///
/// Any message can be read as one: what it says is then a sign of its era.
#[derive(Debug, Default)]
pub struct RequestMeta<'a> {
    members: Members<'a>,
    /// Answers to what an earlier round asked.
    pub input_responses: Option<&'a RawValue>,
    /// What an earlier round gave to be handed back.
    pub request_state: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    uri: Option<&'a RawValue>,
    task_id: Option<&'a RawValue>,
    arguments: Option<&'a RawValue>,
    task: Option<&'a RawValue>,
    /// Whether all of the params were read: what is not here is not there.
    whole: bool,
}

/// The members of `_meta` that are known.
#[derive(Debug, Default, Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, rename = "io.modelcontextprotocol/protocolVersion", deserialize_with = "present")]
    revision: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/clientCapabilities", deserialize_with = "present")]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/clientInfo", deserialize_with = "present")]
    client: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/logLevel", deserialize_with = "present")]
    log_level: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "progressToken", deserialize_with = "present")]
    progress_token: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    traceparent: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    tracestate: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    baggage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<Members<'a>>,
    #[serde(borrow, rename = "inputResponses")]
    input_responses: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestState")]
    request_state: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    #[serde(borrow, rename = "taskId")]
    task_id: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    task: Option<&'a RawValue>,
}

/// Keeps `null` apart from nothing: an ill-typed sign is a sign, and `null` may be a structured result (2026-07-28 L-03).
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What a stateless request says of itself, judged.
#[derive(Debug)]
pub struct Claims<'a> {
    /// The revision that it names, whether it is known or not.
    pub revision: Text<'a>,
    /// Who the client is.
    pub client: ClientProfile,
    /// The least level of log messages that it wants; none without one (2026-07-28 N-07).
    pub log_level: Option<LogLevel>,
    /// Names the request in progress notifications.
    pub progress_token: Option<Id>,
    /// The trace that it is part of.
    pub trace: Option<TraceContext>,
}

impl<'a> RequestMeta<'a> {
    /// What `params` say. Params that cannot be read say nothing.
    #[must_use]
    pub fn of(params: Option<&'a RawValue>) -> Self {
        let object = params.filter(|params| params.get().starts_with('{'));
        // One pass over all of it, because every message comes this way.
        let Some(Params { meta, input_responses, request_state, name, uri, task_id, arguments, task }) =
            object.and_then(|params| serde_json::from_str(params.get()).ok())
        else {
            return Self::default();
        };
        let members = meta.unwrap_or_default();
        Self { members, input_responses, request_state, name, uri, task_id, arguments, task, whole: true }
    }

    /// The params of `tools/call` and `prompts/get`; the same that [`read_params`] gives, without another pass.
    ///
    /// # Errors
    /// As [`read_params`] and [`read_meta`].
    pub fn named_params(&self, params: Option<&'a RawValue>) -> Result<NamedParams<'a>, Fault> {
        let name = self.name.filter(|_| self.whole).and_then(|name| serde_json::from_str(name.get()).ok());
        match name {
            Some(name) => Ok(NamedParams { name, arguments: self.arguments, meta: None }),
            // Something is wrong with them: what it is, this tells.
            None => {
                let params: NamedParams<'_> = read_params(params)?;
                read_meta(params.meta).map(|_| params)
            }
        }
    }

    /// The params of `resources/read`; the same that [`read_params`] gives, without another pass.
    ///
    /// # Errors
    /// As [`read_params`] and [`read_meta`].
    pub fn uri_params(&self, params: Option<&'a RawValue>) -> Result<UriParams<'a>, Fault> {
        let uri = self.uri.filter(|_| self.whole).and_then(|uri| serde_json::from_str(uri.get()).ok());
        match uri {
            Some(uri) => Ok(UriParams { uri, meta: None }),
            None => {
                let params: UriParams<'_> = read_params(params)?;
                read_meta(params.meta).map(|_| params)
            }
        }
    }

    /// The task that the client wants the request to become, if it does (2025-era K-03).
    ///
    /// # Errors
    /// [`Fault::InvalidParams`] when that is not well formed.
    pub fn wanted_task(&self) -> Result<Option<TaskWanted>, Fault> {
        let wrong = |_| Fault::invalid_params("'task' must be an object whose 'ttl' is a number of milliseconds");
        let wanted = self.task.filter(|task| task.get() != "null");
        wanted
            .map(|task| match task.get().starts_with('{') {
                true => serde_json::from_str(task.get()).map_err(wrong),
                false => Err(wrong(serde::de::Error::custom(""))),
            })
            .transpose()
    }

    /// What names the request in progress notifications.
    ///
    /// # Errors
    /// [`Fault::InvalidParams`] when it is neither string nor integer.
    pub fn progress_token(&self) -> Result<Option<Id>, Fault> {
        let wrong = || Fault::invalid_params("'progressToken' must be a string or an integer");
        self.members
            .progress_token
            .filter(|token| token.get() != "null")
            .map(|token| Id::from_raw(token).ok_or_else(wrong))
            .transpose()
    }

    /// The member of the params that says what the request is about, if it is text.
    #[must_use]
    pub fn subject(&self, key: &str) -> Option<Text<'a>> {
        let raw = match key {
            "uri" => self.uri,
            "taskId" => self.task_id,
            _ => self.name,
        };
        serde_json::from_str(raw?.get()).ok()
    }

    /// Whether it names a revision, or what should be one.
    #[must_use]
    pub fn names_revision(&self) -> bool {
        self.members.revision.is_some()
    }

    /// Whether it brings something of an earlier round.
    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.input_responses.is_some() || self.request_state.is_some()
    }

    /// Whether it has any member that only stateless requests have.
    #[must_use]
    pub fn has_signs(&self) -> bool {
        let Members { revision, capabilities, client, log_level, .. } = &self.members;
        [revision, capabilities, client, log_level].iter().any(|member| member.is_some())
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// [`Fault::InvalidMeta`] naming what is missing or has the wrong type.
    pub fn claims(&self) -> Result<Claims<'a>, Fault> {
        const PREFIX: &str = "io.modelcontextprotocol";
        let Members { revision, capabilities, client, log_level, progress_token, .. } = &self.members;
        let missing = |key: &str| Fault::InvalidMeta { reason: format!("'_meta' lacks '{PREFIX}/{key}'") };
        let wrong = |key: &str, kind: &str| Fault::InvalidMeta { reason: format!("'{key}' in '_meta' must be {kind}") };
        let revision = revision.ok_or_else(|| missing("protocolVersion"))?;
        let revision: Text<'a> = serde_json::from_str(revision.get())
            .map_err(|_| wrong(&format!("{PREFIX}/protocolVersion"), "a string"))?;
        let capabilities = capabilities.ok_or_else(|| missing("clientCapabilities"))?;
        let capabilities = match capabilities.get() {
            // Most clients can do nothing special.
            "{}" => Some(Capabilities::default()),
            text => Some(text).filter(|text| text.starts_with('{')).and_then(|text| serde_json::from_str(text).ok()),
        };
        let capabilities = capabilities.ok_or_else(|| wrong(&format!("{PREFIX}/clientCapabilities"), "an object"))?;
        // For display only, so a client that cannot say it is not refused for it (2026-07-28 M-02).
        let client = client.and_then(|raw| serde_json::from_str::<Implementation>(raw.get()).ok()).unwrap_or_default();
        let log_level = match log_level {
            None => None,
            Some(raw) => Some(
                serde_json::from_str(raw.get())
                    .map_err(|_| wrong(&format!("{PREFIX}/logLevel"), "one of the eight levels, such as \"info\""))?,
            ),
        };
        let progress_token = match progress_token {
            None => None,
            Some(raw) => Some(Id::from_raw(raw).ok_or_else(|| wrong("progressToken", "a string or an integer"))?),
        };
        Ok(Claims {
            revision,
            client: ClientProfile::new(client, &capabilities),
            log_level,
            progress_token,
            trace: self.trace(),
        })
    }

    fn trace(&self) -> Option<TraceContext> {
        let text = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let Members { traceparent, tracestate, baggage, .. } = &self.members;
        if traceparent.is_none() && baggage.is_none() {
            return None;
        }
        TraceContext::read(text(*traceparent), text(*tracestate), text(*baggage))
    }
}

impl Claims<'_> {
    /// The dialect of the request.
    ///
    /// # Errors
    /// [`Fault::UnsupportedRevision`] when its revision is not served (2026-07-28 V-01).
    pub fn dialect(&self) -> Result<&'static Dialect, Fault> {
        Dialect::stateless(&self.revision)
            .ok_or_else(|| Fault::UnsupportedRevision { requested: self.revision.chars().take(100).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).unwrap()
    }

    fn meta(more: Value) -> Value {
        let mut meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        meta
    }

    #[track_caller]
    fn refused(meta: Value, expected: &str) {
        let params = raw(&json!({"_meta": meta}));
        let fault = RequestMeta::of(Some(&params)).claims().unwrap_err();
        assert_eq!(fault, Fault::InvalidMeta { reason: expected.to_owned() });
    }

    #[test]
    fn what_must_be_there_is_missed_by_name() {
        refused(json!({}), "'_meta' lacks 'io.modelcontextprotocol/protocolVersion'");
        refused(
            json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"}),
            "'_meta' lacks 'io.modelcontextprotocol/clientCapabilities'",
        );
        refused(
            meta(json!({"io.modelcontextprotocol/protocolVersion": 7})),
            "'io.modelcontextprotocol/protocolVersion' in '_meta' must be a string",
        );
        for capabilities in [json!([]), json!("all"), Value::Null] {
            refused(
                meta(json!({"io.modelcontextprotocol/clientCapabilities": capabilities})),
                "'io.modelcontextprotocol/clientCapabilities' in '_meta' must be an object",
            );
        }
        refused(
            meta(json!({"io.modelcontextprotocol/logLevel": "loud"})),
            "'io.modelcontextprotocol/logLevel' in '_meta' must be one of the eight levels, such as \"info\"",
        );
        refused(meta(json!({"progressToken": []})), "'progressToken' in '_meta' must be a string or an integer");
    }

    #[test]
    fn who_the_client_is_need_not_be_said() {
        for client in [json!({}), json!({"io.modelcontextprotocol/clientInfo": 7})] {
            let params = raw(&json!({"_meta": meta(client)}));
            assert_eq!(RequestMeta::of(Some(&params)).claims().unwrap().client, ClientProfile::default());
        }
    }

    #[test]
    fn everything_that_is_said_is_read() {
        let params = raw(&json!({
            "_meta": meta(json!({
                "io.modelcontextprotocol/clientInfo": {"name": "n", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {
                    "elicitation": {"url": {}}, "roots": {}, "extensions": {"io.modelcontextprotocol/ui": {}}
                },
                "io.modelcontextprotocol/logLevel": "notice",
                "progressToken": "p",
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            })),
            "inputResponses": {"a": 1},
            "requestState": "s",
        }));
        let said = RequestMeta::of(Some(&params));
        assert_eq!(said.input_responses.map(RawValue::get), Some(r#"{"a":1}"#));
        assert_eq!(said.request_state.map(RawValue::get), Some(r#""s""#));
        let claims = said.claims().unwrap();
        assert_eq!(&*claims.revision, "2026-07-28");
        assert_eq!(claims.log_level, Some(LogLevel::Notice));
        assert_eq!(claims.progress_token.map(|token| token.as_json().to_owned()), Some("\"p\"".to_owned()));
        assert_eq!(claims.trace.unwrap().trace_id(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(
            claims.client,
            ClientProfile {
                name: "n".to_owned(),
                version: "1".to_owned(),
                elicit_url: true,
                roots: true,
                apps: true,
                ..ClientProfile::default()
            }
        );
    }

    #[test]
    fn other_params_say_nothing() {
        assert!(!RequestMeta::of(None).has_signs());
        for params in ["[1]", r#"{"_meta":[]}"#, r#"{"_meta":7}"#, r#"{"_meta":{"progressToken":1}}"#, "{}"] {
            let params = RawValue::from_string(params.to_owned()).unwrap();
            assert!(!RequestMeta::of(Some(&params)).has_signs(), "{params}");
        }
    }
}
