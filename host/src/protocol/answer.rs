//! What clients answer to questions, held to what was asked before a plugin sees it.

use super::{AskRequest, Validator};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What an answer must be.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerRule {
    /// A form, with the schema of its content.
    Form(Value),
    /// A URL.
    Url,
    /// A message of the client's model.
    Sample,
    /// The client's roots.
    Roots,
}

/// Fields that an answered form may have.
const MAX_FORM_FIELDS: usize = 1000;

impl AskRequest {
    /// What its answer must be.
    #[must_use]
    pub fn answer_rule(&self) -> AnswerRule {
        match (self.method, self.params.get("requestedSchema")) {
            ("elicitation/create", Some(schema)) => AnswerRule::Form(schema.clone()),
            ("elicitation/create", None) => AnswerRule::Url,
            ("sampling/createMessage", _) => AnswerRule::Sample,
            _ => AnswerRule::Roots,
        }
    }
}

impl AnswerRule {
    /// Judges an answer.
    ///
    /// # Errors
    /// What is wrong with it, without its values: they may be secret.
    pub fn check(&self, answer: &RawValue) -> Result<(), &'static str> {
        #[derive(Deserialize)]
        struct Elicited {
            action: String,
            content: Option<Map<String, Value>>,
        }
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "decoding is the check")]
        struct Sampled<'a> {
            role: String,
            model: String,
            #[serde(borrow)]
            content: &'a RawValue,
        }
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "decoding is the check")]
        struct Roots {
            roots: Vec<Root>,
        }
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "decoding is the check")]
        struct Root {
            uri: String,
        }
        const MISSHAPEN: &str = "the client's answer is not of the promised shape";
        let text = answer.get();
        // Serde would take members from an array, by their order.
        if !text.starts_with('{') {
            return Err(MISSHAPEN);
        }
        match self {
            Self::Form(_) | Self::Url => {
                let Elicited { action, content } = serde_json::from_str(text).map_err(|_| MISSHAPEN)?;
                match (self, action.as_str()) {
                    (Self::Form(schema), "accept") => check_content(schema, content.unwrap_or_default()),
                    (_, "accept" | "decline" | "cancel") => Ok(()),
                    _ => Err(MISSHAPEN),
                }
            }
            Self::Sample => serde_json::from_str::<Sampled<'_>>(text).map(drop).map_err(|_| MISSHAPEN),
            Self::Roots => serde_json::from_str::<Roots>(text).map(drop).map_err(|_| MISSHAPEN),
        }
    }
}

/// Holds a form's content to its schema (2025-era C-13, 2026-07-28 R-09).
fn check_content(schema: &Value, content: Map<String, Value>) -> Result<(), &'static str> {
    if content.len() > MAX_FORM_FIELDS {
        return Err("the client's answer has too many fields");
    }
    // A schema that is none is the plugin's doing: its form was shown all the same, so the answer counts.
    match Validator::of(schema).map(|validator| validator.check_value(&Value::Object(content))) {
        Ok(Err(_)) => Err("the client's answer does not fit the form that it was asked to show"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(rule: &AnswerRule, answer: Value, fits: bool) {
        let raw = RawValue::from_string(answer.to_string()).unwrap();
        assert_eq!(rule.check(&raw).is_ok(), fits, "{answer}");
    }

    #[test]
    fn a_form_is_held_to_its_schema() {
        let rule = AnswerRule::Form(json!({
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "maximum": 150}},
            "required": ["name"],
        }));
        check(&rule, json!({"action": "accept", "content": {"name": "Ada", "age": 36}}), true);
        check(&rule, json!({"action": "decline"}), true);
        check(&rule, json!({"action": "cancel", "content": null}), true);
        for answer in [
            json!(12345),
            json!(["accept", {"name": "Ada"}]),
            json!({"action": "agree"}),
            json!({"content": {"name": "Ada"}}),
            json!({"action": "accept"}),
            json!({"action": "accept", "content": {"age": 36}}),
            json!({"action": "accept", "content": {"name": 7}}),
            json!({"action": "accept", "content": {"name": "Ada", "age": 200}}),
            json!({"action": "accept", "content": "Ada"}),
        ] {
            check(&rule, answer, false);
        }
    }

    #[test]
    fn the_other_kinds_are_held_to_their_shape() {
        check(&AnswerRule::Url, json!({"action": "accept"}), true);
        check(&AnswerRule::Url, json!({}), false);
        let sampled = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "t"}});
        check(&AnswerRule::Sample, sampled, true);
        check(&AnswerRule::Sample, json!({"role": "assistant"}), false);
        check(&AnswerRule::Roots, json!({"roots": [{"uri": "file:///a"}]}), true);
        check(&AnswerRule::Roots, json!({"roots": [{}]}), false);
    }
}
