//! What an era adds to a result: nothing, or its type, how long it keeps and who gave it (2026-07-28 M-05, M-06, C-01).

use super::initialize::info;
use super::{AskRequest, CacheHint, Dialect, ServerInfo, TaskForm, TaskShown};
use crate::wire::{self, Id};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// A result in its dialect, before its era adds to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultBody {
    /// A JSON object.
    pub json: Bytes,
    /// Its `_meta`, where the era has members of its own there; elsewhere that is part of `json`.
    pub meta: Option<Map<String, Value>>,
    /// How long it keeps, where it does.
    pub cache: Option<CacheHint>,
    /// It tells of a tool's own failure.
    pub is_error: bool,
}

impl From<Bytes> for ResultBody {
    fn from(json: Bytes) -> Self {
        Self { json, meta: None, cache: None, is_error: false }
    }
}

impl From<Value> for ResultBody {
    fn from(json: Value) -> Self {
        Bytes::from(json.to_string()).into()
    }
}

impl ResultBody {
    /// The same, which keeps for a while.
    #[must_use]
    pub fn cached(self, hint: CacheHint) -> Self {
        Self { cache: Some(hint), ..self }
    }
}

/// Writes replies with what their era adds. Made once for a server.
#[derive(Debug)]
pub struct Encoder {
    /// `_meta` of results, as it mostly is.
    meta: Map<String, Value>,
    /// The members of a complete result, as they mostly are.
    complete: Vec<u8>,
}

/// The key of `_meta` under which results say who gave them.
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

impl Encoder {
    /// An encoder for a server; results say its name if `stamped`.
    #[must_use]
    pub fn new(server: &ServerInfo, stamped: bool) -> Self {
        let mut meta = Map::new();
        if stamped {
            meta.insert(SERVER_INFO.to_owned(), info(Dialect::newest_stateless(), server).into());
        }
        let mut complete = br#""resultType":"complete""#.to_vec();
        if stamped {
            complete.extend_from_slice(format!(r#","_meta":{}"#, json!(meta)).as_bytes());
        }
        Self { meta, complete }
    }

    /// The reply with a complete result.
    #[must_use]
    pub fn complete(&self, dialect: &Dialect, id: &Id, body: &ResultBody) -> Bytes {
        if !dialect.features.fifth_wave {
            return wire::result_reply(id, &body.json);
        }
        let cache = body.cache.map(|hint| {
            let scope = json!(hint.scope);
            // Beyond this no number is exact in every client.
            format!(r#","ttlMs":{},"cacheScope":{scope}"#, hint.ttl_ms.min((1 << 53) - 1))
        });
        let cache = cache.as_deref().unwrap_or_default().as_bytes();
        match &body.meta {
            None => wire::result_reply_with(id, &[&self.complete, cache], &body.json),
            Some(own) => {
                let head = format!(r#""resultType":"complete","_meta":{}"#, json!(self.meta_with(own.clone())));
                wire::result_reply_with(id, &[head.as_bytes(), cache], &body.json)
            }
        }
    }

    /// The reply that asks the client, which is to come again with the answers and `state` (2026-07-28 R-02, R-03).
    #[must_use]
    pub fn input_required(&self, id: &Id, asks: &[(String, AskRequest)], state: &str) -> Bytes {
        let requests: Map<String, Value> =
            asks.iter().map(|(key, ask)| (key.clone(), json!({"method": ask.method, "params": ask.params}))).collect();
        let mut result = json!({"resultType": "input_required", "inputRequests": requests, "requestState": state});
        if !self.meta.is_empty() {
            result["_meta"] = json!(self.meta);
        }
        wire::result_reply(id, result.to_string().as_bytes())
    }

    /// The reply with an empty result whose `_meta` has a member that is JSON already.
    #[must_use]
    pub fn complete_with_meta(&self, id: &Id, key: &str, value: &str) -> Bytes {
        let others = json!(self.meta).to_string();
        let others = others.trim_start_matches('{');
        let comma = if others == "}" { "" } else { "," };
        let result = format!(r#"{{"resultType":"complete","_meta":{{"{key}":{value}{comma}{others}}}"#);
        wire::result_reply(id, result.as_bytes())
    }

    /// The reply that says that the call has become a task.
    #[must_use]
    pub fn task_created(&self, dialect: &Dialect, id: &Id, task: &TaskShown<'_>) -> Bytes {
        let members = task.members(dialect);
        if dialect.features.tasks != TaskForm::Extension {
            return wire::result_reply(id, json!({"task": members}).to_string().as_bytes());
        }
        let mut result = json!({"resultType": "task"});
        if !self.meta.is_empty() {
            result["_meta"] = json!(self.meta);
        }
        if let Some(result) = result.as_object_mut() {
            result.extend(members);
        }
        wire::result_reply(id, result.to_string().as_bytes())
    }

    /// The members of `_meta` of a result, with further ones.
    fn meta_with(&self, mut more: Map<String, Value>) -> Map<String, Value> {
        more.extend(self.meta.clone());
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoder(stamped: bool) -> Encoder {
        let server =
            ServerInfo { name: "s".to_owned(), title: None, version: "1".to_owned(), description: None, website: None };
        Encoder::new(&server, stamped)
    }

    #[track_caller]
    fn check(stamped: bool, revision: &str, body: &ResultBody, expected: &str) {
        let dialect = Dialect::all().iter().find(|dialect| dialect.revision == revision).unwrap();
        let reply = encoder(stamped).complete(dialect, &Id::from(1), body);
        assert_eq!(reply, format!(r#"{{"jsonrpc":"2.0","id":1,"result":{expected}}}"#));
    }

    #[test]
    fn the_stateful_era_adds_nothing() {
        let body = ResultBody::from(json!({"a": 1})).cached(CacheHint::default());
        for revision in ["2024-11-05", "2025-11-25"] {
            check(true, revision, &body, r#"{"a":1}"#);
            check(true, revision, &ResultBody::from(json!({})), "{}");
        }
    }

    #[test]
    fn the_stateless_era_says_type_server_and_how_long_it_keeps() {
        const META: &str = r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}"#;
        let new = "2026-07-28";
        check(true, new, &ResultBody::from(json!({})), &format!(r#"{{"resultType":"complete",{META}}}"#));
        check(true, new, &ResultBody::from(json!({"a": 1})), &format!(r#"{{"resultType":"complete",{META},"a":1}}"#));
        check(false, new, &ResultBody::from(json!({"a": 1})), r#"{"resultType":"complete","a":1}"#);
        let hint = CacheHint { ttl_ms: 7, scope: super::super::CacheScope::Public };
        check(
            false,
            new,
            &ResultBody::from(json!({"a": 1})).cached(hint),
            r#"{"resultType":"complete","ttlMs":7,"cacheScope":"public","a":1}"#,
        );
        let own = json!({"com.example/k": 1}).as_object().cloned();
        let body = ResultBody { meta: own, ..ResultBody::from(json!({})) };
        check(false, new, &body, r#"{"resultType":"complete","_meta":{"com.example/k":1}}"#);
    }
}
