//! Questions to the client.

use mcp_plugin_api::prelude::*;
use mcp_plugin_api::serde_json::{self, Value};
use mcp_plugin_api::{SamplingMessage, SamplingTool};

/// An answer in words.
pub(crate) fn told(answer: Answer<Value>) -> String {
    match answer {
        Answer::Accepted(content) => format!("action=accept, content={content}"),
        Answer::Declined => "action=decline, content={}".to_owned(),
        Answer::Cancelled => "action=cancel, content={}".to_owned(),
    }
}

/// A form with a default in every field.
pub(crate) fn defaults() -> Form {
    Form::new()
        .optional("name", Field::text().description("User name").default_value("John Doe"))
        .optional("age", Field::integer().description("User age").default_value(30))
        .optional("score", Field::number().description("User score").default_value(95.5))
        .optional(
            "status",
            Field::choice(["active", "inactive", "pending"]).description("User status").default_value("active"),
        )
        .optional("verified", Field::boolean().description("Verification status").default_value(true))
}

/// A form with every kind of choice.
pub(crate) fn enums() -> Form {
    let titled = [("value1", "First Option"), ("value2", "Second Option"), ("value3", "Third Option")];
    let legacy = [("opt1", "Option One"), ("opt2", "Option Two"), ("opt3", "Option Three")];
    let plain = ["option1", "option2", "option3"];
    Form::new()
        .optional("untitledSingle", Field::choice(plain).description("One of some values"))
        .optional("titledSingle", Field::titled_choice(titled).description("One of some titled values"))
        .optional("legacyEnum", Field::legacy_choice(legacy).description("One of some values with names"))
        .optional("untitledMulti", Field::choices(plain).description("Any of some values"))
        .optional("titledMulti", Field::titled_choices(titled).description("Any of some titled values"))
}

/// How large a thing is.
#[model]
#[derive(Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Size {
    /// Fits a pocket
    Small,
    /// Fits a house
    Large,
}

/// An order, as a form.
#[model]
#[derive(Debug)]
pub(crate) struct Order {
    /// Who it is for
    name: String,
    /// How many
    #[serde(default = "one")]
    count: u8,
    /// How large
    size: Size,
    /// What to add
    #[serde(default)]
    extras: Vec<Size>,
}

fn one() -> u8 {
    1
}

impl Order {
    pub(crate) fn told(&self) -> String {
        format!("{} x {:?} for {}, with {} extras", self.count, self.size, self.name, self.extras.len())
    }
}

/// Lets the model use a tool once, and asks it again with the result.
pub(crate) async fn sample_with_tools(ctx: &Context, prompt: String) -> Result<String> {
    let tool = SamplingTool {
        name: "weather".to_owned(),
        description: Some("The weather of a place".to_owned()),
        input_schema: serde_json::json!({"type": "object", "properties": {"place": {"type": "string"}}}),
    };
    let first = ctx.sample("first", Sampling::new(prompt.clone(), 100).tools([tool.clone()])).await?;
    let uses: Vec<String> = first.tool_uses().map(|(id, _, _)| id.to_owned()).collect();
    if uses.is_empty() {
        return Ok(format!("LLM response: {}", first.text()));
    }
    let results = uses.iter().map(|id| (id.clone(), vec![Content::text("sunny")]));
    let conversation = [
        SamplingMessage::user(prompt),
        SamplingMessage::assistant(first.content().to_vec()),
        SamplingMessage::tool_results(results),
    ];
    let second = ctx.sample("second", Sampling::of(conversation, 100).tools([tool])).await?;
    Ok(format!("LLM response after {} tool uses: {}", uses.len(), second.text()))
}
