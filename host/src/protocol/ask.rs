//! Questions to the client, as a dialect writes them.

use super::{ClientProfile, Dialect, RELATED_TASK, TaskForm};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// A question of a plugin to the client or its user, in no revision's terms.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// A form for the user.
    Form {
        /// What it is for.
        message: String,
        /// Its fields.
        schema: Value,
    },
    /// A URL for the user to open.
    Url {
        /// Names the matter, for the word that it is done.
        id: String,
        /// What it is for.
        message: String,
        /// The URL.
        url: String,
    },
    /// A question to the client's model.
    Sample(Value),
    /// The client's roots.
    Roots,
}

/// A request to a client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AskRequest {
    /// The method.
    pub method: &'static str,
    /// The params.
    pub params: Value,
}

const ELICIT: &str = "elicitation/create";
const SAMPLE: &str = "sampling/createMessage";
const ROOTS: &str = "roots/list";

// By hand, because a name of ours is not borrowed from what is read.
impl<'de> Deserialize<'de> for AskRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            method: String,
            params: Value,
        }
        let Written { method, params } = Written::deserialize(deserializer)?;
        let method = [ELICIT, SAMPLE, ROOTS].into_iter().find(|known| *known == method);
        let method = method.ok_or_else(|| serde::de::Error::custom("this is no method of a question"))?;
        Ok(Self { method, params })
    }
}

impl AskRequest {
    /// The same request, of which the client is told that it belongs to a task (2025-era K-13).
    #[must_use]
    pub fn of_task(mut self, task: &str) -> Self {
        if let Some(params) = self.params.as_object_mut() {
            let meta = params.entry("_meta").or_insert_with(|| json!({}));
            meta[RELATED_TASK] = json!({"taskId": task});
        }
        self
    }

    /// Whether a client has declared that it can be asked this, who need not be the one for whom it was written (2025-era
    /// L-05, C-02, C-10).
    #[must_use]
    pub fn suits(&self, client: &ClientProfile) -> bool {
        match self.method {
            ELICIT if self.params.get("mode").is_some_and(|mode| mode == "url") => client.elicit_url,
            ELICIT => client.elicit_form,
            SAMPLE => {
                let has_tools = self.params.get("tools").is_some() || self.params.get("toolChoice").is_some();
                client.sampling && (client.sampling_tools || !has_tools)
            }
            _ => client.roots,
        }
    }

    /// The same request, which the client may answer as a task of its own (2025-era K-18); nothing where it did not declare
    /// that.
    #[must_use]
    pub fn as_task_of_client(&self, dialect: &Dialect, client: &ClientProfile, ttl_ms: u64) -> Option<Self> {
        let declared = match self.method {
            ELICIT => client.tasks.elicit,
            SAMPLE => client.tasks.sample,
            _ => false,
        };
        if !declared || dialect.features.tasks != TaskForm::Core {
            return None;
        }
        let mut request = self.clone();
        request.params.as_object_mut()?.insert("task".to_owned(), json!({"ttl": ttl_ms}));
        Some(request)
    }
}

/// Why a question is not put to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskRefused {
    /// The client did not declare that it can be asked this (2025-era L-05).
    #[error("the client did not declare the capability '{0}'")]
    MissingCapability(&'static str),
    /// The client's revision cannot express it.
    #[error("the client's revision cannot express {0}")]
    Inexpressible(&'static str),
    /// The question breaks a rule of the protocol.
    #[error("{0}")]
    Invalid(&'static str),
}

impl Ask {
    /// The request that puts the question to a client.
    ///
    /// # Errors
    /// See [`AskRefused`].
    pub fn request(self, dialect: &Dialect, client: &ClientProfile) -> Result<AskRequest, AskRefused> {
        let features = &dialect.features;
        match self {
            Self::Form { message, schema } => {
                if !client.elicit_form || !features.third_wave {
                    // One that has declared URLs alone has declared "elicitation".
                    let missing =
                        if client.elicit_url && features.fourth_wave { "elicitation.form" } else { "elicitation" };
                    return Err(AskRefused::MissingCapability(missing));
                }
                let params = if features.fourth_wave {
                    json!({"mode": "form", "message": message, "requestedSchema": schema})
                } else {
                    json!({"message": message, "requestedSchema": older_form(schema)?})
                };
                Ok(AskRequest { method: ELICIT, params })
            }
            Self::Url { id, message, url } => {
                if !client.elicit_url || !features.fourth_wave {
                    return Err(AskRefused::MissingCapability("elicitation.url"));
                }
                let mut params = json!({"mode": "url", "message": message, "url": url});
                // Where the answer comes with another request, nothing is told of later (2026-07-28 R-13).
                if !features.fifth_wave {
                    params["elicitationId"] = id.into();
                }
                Ok(AskRequest { method: ELICIT, params })
            }
            Self::Sample(params) => {
                if !client.sampling {
                    return Err(AskRefused::MissingCapability("sampling"));
                }
                let wants_tools = params.get("tools").is_some() || params.get("toolChoice").is_some();
                if wants_tools && !(client.sampling_tools && features.fourth_wave) {
                    return Err(AskRefused::MissingCapability("sampling.tools"));
                }
                check_tool_messages(&params)?;
                let mut params = if features.fourth_wave { params } else { older_sampling(params)? };
                if let Some(params) = params.as_object_mut().filter(|_| features.fifth_wave && !client.sampling_context)
                {
                    params.shift_remove("includeContext");
                }
                Ok(AskRequest { method: SAMPLE, params })
            }
            Self::Roots if client.roots => Ok(AskRequest { method: ROOTS, params: json!({}) }),
            Self::Roots => Err(AskRefused::MissingCapability("roots")),
        }
    }
}

/// A form for revisions without titled and multiple choices (2025-era C-11, C-12).
fn older_form(mut schema: Value) -> Result<Value, AskRefused> {
    let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return Ok(schema);
    };
    for field in fields.values_mut().filter_map(Value::as_object_mut) {
        if field.get("type").is_some_and(|kind| kind == "array") {
            return Err(AskRefused::Inexpressible("a choice of several values"));
        }
        if let Some(Value::Array(choices)) = field.shift_remove("oneOf") {
            let pick = |key: &str| choices.iter().map(|choice| choice[key].clone()).collect::<Value>();
            let (values, names) = (pick("const"), pick("title"));
            field.insert("enum".to_owned(), values);
            field.insert("enumNames".to_owned(), names);
        }
        if field.get("type").is_some_and(|kind| kind != "boolean") {
            field.shift_remove("default");
        }
        field.shift_remove("pattern");
    }
    Ok(schema)
}

/// Sampling for revisions whose messages have one block each.
fn older_sampling(mut params: Value) -> Result<Value, AskRefused> {
    let messages = params.get_mut("messages").and_then(Value::as_array_mut);
    for content in messages.into_iter().flatten().filter_map(|message| message.get_mut("content")) {
        if let Value::Array(blocks) = content {
            match <[Value; 1]>::try_from(std::mem::take(blocks)) {
                Ok([only]) => *content = only,
                Err(_) => return Err(AskRefused::Inexpressible("a message with several blocks")),
            }
        }
    }
    Ok(params)
}

/// Every use of a tool is answered by the very next message, which holds nothing else (2025-era C-04).
fn check_tool_messages(params: &Value) -> Result<(), AskRefused> {
    const UNANSWERED: AskRefused =
        AskRefused::Invalid("every tool use must be answered by the next message, which holds tool results only");
    let mut open: Vec<&str> = Vec::new();
    for message in params["messages"].as_array().into_iter().flatten() {
        let blocks = match &message["content"] {
            Value::Array(blocks) => blocks.as_slice(),
            block => std::slice::from_ref(block),
        };
        let results: Vec<&str> = blocks
            .iter()
            .filter(|block| block["type"] == "tool_result")
            .filter_map(|block| block["toolUseId"].as_str())
            .collect();
        let mixed = !results.is_empty() && results.len() != blocks.len();
        if mixed || results.len() != open.len() || !open.iter().all(|id| results.contains(id)) {
            return Err(UNANSWERED);
        }
        open = blocks
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .filter_map(|block| block["id"].as_str())
            .collect();
    }
    if open.is_empty() { Ok(()) } else { Err(UNANSWERED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> ClientProfile {
        ClientProfile {
            roots: true,
            sampling: true,
            sampling_tools: true,
            elicit_form: true,
            elicit_url: true,
            ..ClientProfile::default()
        }
    }

    #[track_caller]
    fn check(ask: Ask, revision: &str, expected: Result<Value, AskRefused>) {
        let request = ask.request(Dialect::stateful(revision).unwrap(), &everything());
        assert_eq!(request.map(|request| request.params), expected);
    }

    fn form() -> Ask {
        Ask::Form {
            message: "m".to_owned(),
            schema: json!({"type": "object", "properties": {
                "size": {"type": "string", "oneOf": [{"const": "s", "title": "Small"}], "default": "s"},
                "gift": {"type": "boolean", "default": true}
            }}),
        }
    }

    #[test]
    fn a_form_is_degraded_for_2025_06_18_and_has_no_mode_there() {
        let Ask::Form { schema, .. } = form() else { unreachable!() };
        check(form(), "2025-11-25", Ok(json!({"mode": "form", "message": "m", "requestedSchema": schema})));
        check(
            form(),
            "2025-06-18",
            Ok(json!({"message": "m", "requestedSchema": {"type": "object", "properties": {
                "size": {"type": "string", "enum": ["s"], "enumNames": ["Small"]},
                "gift": {"type": "boolean", "default": true}
            }}})),
        );
        check(form(), "2025-03-26", Err(AskRefused::MissingCapability("elicitation")));
    }

    #[test]
    fn several_choices_cannot_be_said_in_2025_06_18() {
        let ask = Ask::Form {
            message: String::new(),
            schema: json!({"properties": {"a": {"type": "array", "items": {"enum": ["x"]}}}}),
        };
        check(ask, "2025-06-18", Err(AskRefused::Inexpressible("a choice of several values")));
    }

    #[test]
    fn a_client_that_declared_nothing_is_never_asked() {
        let dialect = Dialect::stateful("2025-11-25").unwrap();
        for ask in [form(), Ask::Roots, Ask::Sample(json!({"messages": []}))] {
            assert!(matches!(ask.request(dialect, &ClientProfile::default()), Err(AskRefused::MissingCapability(_))));
        }
    }

    #[test]
    fn older_revisions_get_one_block_for_each_message() {
        let block = json!({"type": "text", "text": "t"});
        let ask =
            |content: Value| Ask::Sample(json!({"messages": [{"role": "user", "content": content}], "maxTokens": 1}));
        let expected = json!({"messages": [{"role": "user", "content": block}], "maxTokens": 1});
        for revision in ["2024-11-05", "2025-03-26", "2025-06-18"] {
            check(ask(block.clone()), revision, Ok(expected.clone()));
            check(ask(json!([block])), revision, Ok(expected.clone()));
            let several = Err(AskRefused::Inexpressible("a message with several blocks"));
            check(ask(json!([block, block])), revision, several);
        }
        // What a plugin sends is foreign too.
        check(Ask::Sample(json!([])), "2025-06-18", Ok(json!([])));
        check(
            Ask::Form { message: String::new(), schema: json!(7) },
            "2025-06-18",
            Ok(json!({"message": "", "requestedSchema": 7})),
        );
    }

    #[test]
    fn open_tool_uses_are_refused() {
        let user = json!({"role": "user", "content": {"type": "text", "text": "t"}});
        let using =
            json!({"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "n", "input": {}}]});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "toolUseId": "1", "content": []}]});
        let params = json!({"messages": [user, using, result], "maxTokens": 1, "tools": []});
        check(Ask::Sample(params.clone()), "2025-11-25", Ok(params));
        let open = Ask::Sample(json!({"messages": [user, using], "maxTokens": 1}));
        assert!(matches!(
            open.request(Dialect::stateful("2025-11-25").unwrap(), &everything()),
            Err(AskRefused::Invalid(_))
        ));
    }
}
