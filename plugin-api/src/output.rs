//! How the values that functions return become results.

use crate::content::{Completion, Content, Contents, Message, Prompt, ResourceResult, ToolResult};
use crate::error::Result;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::marker::PhantomData;

/// Types that are a tool's content as they are. Other types that serialize and have a schema become structured results.
pub trait IntoToolResult {
    /// The result.
    fn into_tool_result(self) -> ToolResult;

    /// The schema of its structured result, if it has one. Default: none.
    fn output_schema() -> Option<Value> {
        None
    }
}

/// A structured result with words of its own: `T` is what programs read, by its schema, the text is what the model reads.
/// Without this, the text is the same data as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Structured<T> {
    text: String,
    value: Value,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize> Structured<T> {
    /// Data, and what is said of it.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn new(text: impl Into<String>, value: &T) -> Result<Self> {
        Ok(Self { text: text.into(), value: serde_json::to_value(value)?, of: PhantomData })
    }
}

impl<T: JsonSchema> IntoToolResult for Structured<T> {
    fn into_tool_result(self) -> ToolResult {
        ToolResult { structured_content: Some(self.value), ..ToolResult::new().with_text(self.text) }
    }

    fn output_schema() -> Option<Value> {
        Some(crate::schema::of::<T>())
    }
}

impl IntoToolResult for ToolResult {
    fn into_tool_result(self) -> ToolResult {
        self
    }
}

impl IntoToolResult for () {
    fn into_tool_result(self) -> ToolResult {
        ToolResult::new()
    }
}

impl IntoToolResult for Content {
    fn into_tool_result(self) -> ToolResult {
        ToolResult::new().with(self)
    }
}

impl IntoToolResult for Vec<Content> {
    fn into_tool_result(self) -> ToolResult {
        ToolResult { content: self, ..ToolResult::default() }
    }
}

impl IntoToolResult for String {
    fn into_tool_result(self) -> ToolResult {
        ToolResult::new().with_text(self)
    }
}

impl IntoToolResult for &str {
    fn into_tool_result(self) -> ToolResult {
        ToolResult::new().with_text(self)
    }
}

/// Types that are a resource's contents.
pub trait IntoContents {
    /// The contents, in order.
    fn into_contents(self) -> ResourceResult;
}

impl IntoContents for ResourceResult {
    fn into_contents(self) -> ResourceResult {
        self
    }
}

impl IntoContents for Contents {
    fn into_contents(self) -> ResourceResult {
        ResourceResult { contents: vec![self] }
    }
}

impl IntoContents for Vec<Contents> {
    fn into_contents(self) -> ResourceResult {
        ResourceResult { contents: self }
    }
}

impl IntoContents for String {
    fn into_contents(self) -> ResourceResult {
        Contents::text(self).into_contents()
    }
}

impl IntoContents for &str {
    fn into_contents(self) -> ResourceResult {
        Contents::text(self).into_contents()
    }
}

impl IntoContents for Vec<u8> {
    fn into_contents(self) -> ResourceResult {
        Contents::bytes(self).into_contents()
    }
}

/// Types that are a prompt's messages. Text is one message of the user.
pub trait IntoPrompt {
    /// The prompt.
    fn into_prompt(self) -> Prompt;
}

impl IntoPrompt for Prompt {
    fn into_prompt(self) -> Prompt {
        self
    }
}

impl IntoPrompt for Vec<Message> {
    fn into_prompt(self) -> Prompt {
        Prompt { description: None, messages: self }
    }
}

impl IntoPrompt for Message {
    fn into_prompt(self) -> Prompt {
        vec![self].into_prompt()
    }
}

impl IntoPrompt for String {
    fn into_prompt(self) -> Prompt {
        Message::user(self).into_prompt()
    }
}

impl IntoPrompt for &str {
    fn into_prompt(self) -> Prompt {
        Message::user(self).into_prompt()
    }
}

/// Types that are proposals for an argument.
pub trait IntoCompletion {
    /// The proposals.
    fn into_completion(self) -> Completion;
}

impl IntoCompletion for Completion {
    fn into_completion(self) -> Completion {
        self
    }
}

impl<T: Into<String>> IntoCompletion for Vec<T> {
    fn into_completion(self) -> Completion {
        self.into_iter().collect()
    }
}

/// Chooses between content and structured result by the returned type.
///
/// Method resolution tries [`ViaContent`] first, which only exists for [`IntoToolResult`] types, and then, one reference
/// further, [`ViaStructured`]: call as `(&Probe::<T>::NEW).tool_result(value)`.
pub struct Probe<T>(PhantomData<T>);

impl<T> Probe<T> {
    /// The probe of a type.
    pub const NEW: Self = Self(PhantomData);
}

/// See [`Probe`].
pub trait ViaContent<T> {
    /// The result of a value.
    ///
    /// # Errors
    /// Never.
    fn tool_result(&self, value: T) -> Result<ToolResult>;
    /// The schema of the structured result, if there is one.
    fn output_schema(&self) -> Option<Value>;
}

impl<T: IntoToolResult> ViaContent<T> for Probe<T> {
    fn output_schema(&self) -> Option<Value> {
        T::output_schema()
    }

    fn tool_result(&self, value: T) -> Result<ToolResult> {
        Ok(value.into_tool_result())
    }
}

/// See [`Probe`].
pub trait ViaStructured<T> {
    /// The result of a value.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    fn tool_result(&self, value: T) -> Result<ToolResult>;
    /// The schema of the structured result.
    fn output_schema(&self) -> Option<Value>;
}

impl<T: Serialize + JsonSchema> ViaStructured<T> for &Probe<T> {
    fn tool_result(&self, value: T) -> Result<ToolResult> {
        ToolResult::structured(&value)
    }

    fn output_schema(&self) -> Option<Value> {
        Some(crate::schema::of::<T>())
    }
}
