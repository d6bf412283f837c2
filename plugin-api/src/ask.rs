//! Questions to the client: forms for the user, samples of the model, roots.

mod form;
mod question;
mod sampling;

pub(crate) use form::ElicitReply;
pub use form::{Answer, Field, Form, FormType};
pub use question::{Answers, Question};
pub use sampling::{
    ModelHint, ModelPreferences, Sampled, SampledContent, Sampling, SamplingMessage, SamplingTool, ToolChoice,
};

use serde::{Deserialize, Serialize};

/// A folder that the client opens to the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// A `file://` URI.
    pub uri: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The folders that the client opens to the plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roots {
    /// The folders.
    pub roots: Vec<Root>,
}
