//! Asking the client's model, with or without tools.

use crate::content::{Content, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A question to the client's model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampling {
    messages: Vec<SamplingMessage>,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_preferences: Option<ModelPreferences>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<SamplingTool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice>,
}

impl Sampling {
    /// A single question of the user, with the most tokens the answer may have.
    #[must_use]
    pub fn new(question: impl Into<String>, max_tokens: u32) -> Self {
        Self::of([SamplingMessage::user(question.into())], max_tokens)
    }

    /// A conversation, with the most tokens the answer may have.
    #[must_use]
    pub fn of(messages: impl IntoIterator<Item = SamplingMessage>, max_tokens: u32) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            max_tokens,
            system_prompt: None,
            model_preferences: None,
            temperature: None,
            stop_sequences: Vec::new(),
            metadata: None,
            tools: Vec::new(),
            tool_choice: None,
        }
    }

    /// What the model is to be.
    #[must_use]
    pub fn system_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.system_prompt = Some(prompt.into());
        self
    }

    /// Which model is wanted.
    #[must_use]
    pub fn model_preferences(mut self, preferences: ModelPreferences) -> Self {
        self.model_preferences = Some(preferences);
        self
    }

    /// How freely the model answers.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Texts at which the model stops.
    #[must_use]
    pub fn stop_sequences<T: Into<String>>(mut self, sequences: impl IntoIterator<Item = T>) -> Self {
        self.stop_sequences = sequences.into_iter().map(Into::into).collect();
        self
    }

    /// Fields for the provider of the model.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Value>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// Tools that the model may use; the function runs them and asks again.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = SamplingTool>) -> Self {
        self.tools = tools.into_iter().collect();
        self
    }

    /// Whether the model uses tools.
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }
}

/// One message of a conversation with a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplingMessage {
    role: Role,
    content: Vec1<SampledContent>,
}

impl SamplingMessage {
    /// What the user says.
    #[must_use]
    pub fn user(content: impl Into<Content>) -> Self {
        Self { role: Role::User, content: Vec1::One(SampledContent::Content(content.into())) }
    }

    /// What the model said.
    #[must_use]
    pub fn assistant(content: impl IntoIterator<Item = SampledContent>) -> Self {
        Self { role: Role::Assistant, content: Vec1::Many(content.into_iter().collect()) }
    }

    /// What the tools gave: `(id of the use, content)`, one for every use in the message before.
    #[must_use]
    pub fn tool_results(results: impl IntoIterator<Item = (String, Vec<Content>)>) -> Self {
        let results = results.into_iter().map(|(tool_use_id, content)| {
            SampledContent::Tool(ToolBlock::ToolResult { tool_use_id, content, is_error: None })
        });
        Self { role: Role::User, content: Vec1::Many(results.collect()) }
    }
}

/// One block, or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Vec1<T> {
    One(T),
    Many(Vec<T>),
}

/// A block in a conversation with a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SampledContent {
    /// A use of a tool, or its result.
    Tool(ToolBlock),
    /// Text, a picture or sound.
    Content(Content),
}

/// A use of a tool, or its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolBlock {
    /// The model wants a tool to be run.
    ToolUse {
        /// Names this use.
        id: String,
        /// Which tool.
        name: String,
        /// Its arguments.
        input: Map<String, Value>,
    },
    /// What the tool gave.
    ToolResult {
        /// The use it answers.
        #[serde(rename = "toolUseId")]
        tool_use_id: String,
        /// The result.
        content: Vec<Content>,
        /// Whether the tool failed.
        #[serde(rename = "isError", default, skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
    },
}

/// A tool that the model may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SamplingTool {
    /// Its name.
    pub name: String,
    /// For the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
}

/// Whether the model uses tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// It must.
    Required,
    /// It must not.
    None,
}

/// Which model is wanted. Priorities go from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelPreferences {
    /// Names or families of models, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<ModelHint>,
    /// How much low cost matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_priority: Option<f64>,
    /// How much speed matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed_priority: Option<f64>,
    /// How much ability matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intelligence_priority: Option<f64>,
}

/// A name or family of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelHint {
    /// Part of a model's name.
    pub name: String,
}

/// What the client's model answered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampled {
    /// The model that answered.
    pub model: String,
    /// Why it stopped, such as `endTurn` or `toolUse`.
    #[serde(default)]
    pub stop_reason: Option<String>,
    content: Vec1<SampledContent>,
}

impl Sampled {
    /// The blocks of the answer.
    #[must_use]
    pub fn content(&self) -> &[SampledContent] {
        match &self.content {
            Vec1::One(block) => std::slice::from_ref(block),
            Vec1::Many(blocks) => blocks,
        }
    }

    /// All text of the answer.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.content().iter().filter_map(|block| match block {
            SampledContent::Content(Content { kind: crate::content::ContentKind::Text { text }, .. }) => {
                Some(text.as_str())
            }
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    /// The tools that the model wants to be run: `(id of the use, tool, arguments)`.
    pub fn tool_uses(&self) -> impl Iterator<Item = (&str, &str, &Map<String, Value>)> {
        self.content().iter().filter_map(|block| match block {
            SampledContent::Tool(ToolBlock::ToolUse { id, name, input }) => Some((id.as_str(), name.as_str(), input)),
            _ => None,
        })
    }
}
