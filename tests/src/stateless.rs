//! Requests that stand for themselves, as a good client of 2026-07-28 sends them.

use crate::{Http, Reply, Stream};
use serde_json::{Value, json};

/// The prefix of the keys that say what a request is.
pub const PREFIX: &str = "io.modelcontextprotocol";

/// `_meta` of a client that can do everything.
#[must_use]
pub fn full_meta() -> Value {
    meta_with(json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}}))
}

/// `_meta` of a client with these capabilities.
#[must_use]
pub fn meta_with(capabilities: Value) -> Value {
    json!({
        format!("{PREFIX}/protocolVersion"): "2026-07-28",
        format!("{PREFIX}/clientInfo"): {"name": "harness", "version": "1"},
        format!("{PREFIX}/clientCapabilities"): capabilities,
    })
}

/// A stateless request of a client that can do everything. Members of `_meta` in `params` are kept.
#[must_use]
pub fn stateless(id: impl Into<Value>, method: &str, mut params: Value) -> Value {
    let mut meta = full_meta();
    if let Some(more) = params.get("_meta").and_then(Value::as_object) {
        meta.as_object_mut().unwrap().extend(more.clone());
    }
    params["_meta"] = meta;
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

/// A stateless call of a tool.
#[must_use]
pub fn stateless_call(id: u64, tool: &str, arguments: Value) -> Value {
    stateless(id, "tools/call", json!({"name": tool, "arguments": arguments}))
}

/// The same request once more, under another id, with what the last round gave and these answers.
#[must_use]
pub fn retry(request: &Value, id: u64, round: &Value, answers: Value) -> Value {
    let mut next = request.clone();
    next["id"] = id.into();
    next["params"]["inputResponses"] = answers;
    next["params"]["requestState"] = round["result"]["requestState"].clone();
    next
}

/// The user sends a form.
#[must_use]
pub fn accept(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// Holds a reply to have asked exactly these keys.
#[track_caller]
pub fn assert_asks(reply: &Value, keys: &[&str]) {
    assert_eq!(reply["result"]["resultType"], "input_required", "{reply}");
    let asked = reply["result"]["inputRequests"].as_object().expect("questions");
    assert_eq!(asked.keys().map(String::as_str).collect::<Vec<_>>(), keys, "{reply}");
    assert!(reply["result"]["requestState"].is_string(), "{reply}");
}

impl Http {
    /// The headers that repeat what a stateless request says, beside the usual ones.
    #[must_use]
    pub fn stateless_headers(&self, request: &Value) -> Vec<(String, String)> {
        let mut headers = self.usual_headers();
        let mut put = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        let params = &request["params"];
        put("MCP-Protocol-Version", params["_meta"][format!("{PREFIX}/protocolVersion")].as_str().unwrap_or_default());
        let method = request["method"].as_str().unwrap();
        put("Mcp-Method", method);
        let subject = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
            _ => None,
        };
        if let Some(subject) = subject {
            put("Mcp-Name", subject);
        }
        headers
    }

    /// Posts a stateless request, with some headers replaced or added; a value of `""` leaves one out.
    #[track_caller]
    #[must_use]
    pub fn post_stateless_with(&self, request: &Value, changes: &[(&str, &str)]) -> Reply {
        let mut headers = self.stateless_headers(request);
        for (name, value) in changes {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            if !value.is_empty() {
                headers.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        self.exchange("POST", "/mcp", &headers, request.to_string().as_bytes())
    }

    /// Posts a stateless request.
    #[track_caller]
    #[must_use]
    pub fn post_stateless(&self, request: &Value) -> Reply {
        self.post_stateless_with(request, &[])
    }

    /// Posts a stateless request and follows the response.
    #[must_use]
    pub fn stream_stateless(&self, request: &Value) -> Stream {
        let headers = self.stateless_headers(request);
        Stream::read(self.begin("POST", "/mcp", &headers, request.to_string().as_bytes()))
    }

    /// Posts a stateless request and gives its reply, whose status must be 200.
    #[track_caller]
    #[must_use]
    pub fn ask_stateless(&self, request: &Value) -> Value {
        let reply = self.post_stateless(request);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let reply = reply.json();
        assert_eq!(reply["id"], request["id"]);
        reply
    }
}
