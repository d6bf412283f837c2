//! One call on its way to a function of the plugin, and how the function's value becomes bytes.

use crate::abi::{Outcome, Reply};
use crate::content;
use crate::context::Context;
use crate::error::{Error, Result, plain_message};
use crate::output::{self, IntoPrompt};
use crate::plugin::{Plugin, VALUE};
use crate::runtime::{Engine, Work, internal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

/// One call on its way to a function.
pub struct Invocation<'a, P> {
    pub(crate) plugin: &'a Arc<P>,
    pub(crate) engine: &'a Engine,
    pub(crate) context: Context,
    pub(crate) name: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) variables: BTreeMap<String, String>,
}

impl<P: Plugin> Invocation<'_, P> {
    /// The arguments of a tool.
    ///
    /// # Errors
    /// An outcome that tells the model what does not fit.
    pub fn arguments<A: DeserializeOwned>(&self) -> Result<A, Outcome> {
        let payload = if self.payload.is_empty() { b"{}".as_slice() } else { self.payload };
        serde_json::from_slice(payload).map_err(|error| {
            let message = format!("the arguments of '{}' do not fit: {}", self.name, plain_message(&error));
            failed(Error::invalid_arguments(message))
        })
    }

    /// Takes the arguments of a prompt as variables.
    ///
    /// # Errors
    /// An outcome for the client, when they are not a map of text to text.
    pub fn read_prompt_arguments(&mut self) -> Result<(), Outcome> {
        if self.payload.is_empty() {
            return Ok(());
        }
        self.variables = serde_json::from_slice(self.payload).map_err(|error| {
            failed(Error::invalid_params(format!(
                "the arguments of '{}' are not a map of text to text: {}",
                self.name,
                plain_message(&error)
            )))
        })?;
        Ok(())
    }

    /// A variable of a URI, or an argument of a prompt.
    ///
    /// # Errors
    /// An outcome for the client, when it is missing or does not parse.
    pub fn variable<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, Outcome> {
        match self.optional_variable(name)? {
            Some(value) => Ok(value),
            None => Err(failed(Error::invalid_params(format!("'{}' needs the argument '{name}'", self.name)))),
        }
    }

    /// A variable that may be missing.
    ///
    /// # Errors
    /// An outcome for the client, when it does not parse.
    pub fn optional_variable<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, Outcome> {
        let Some(text) = self.variables.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|error: T::Err| {
            failed(Error::invalid_params(format!("'{name}' of '{}' does not fit: {error}", self.name)))
        })
    }

    /// What the user has typed of an argument that is to be completed.
    #[must_use]
    pub fn typed(&self) -> String {
        self.variables.get(VALUE).cloned().unwrap_or_default()
    }

    /// The other arguments, of a completion.
    #[must_use]
    pub fn others(&self) -> BTreeMap<String, String> {
        let others = self.variables.iter().filter(|(name, _)| *name != VALUE);
        others.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Runs an `async fn`.
    pub fn run_async<F>(self, work: impl FnOnce(Arc<P>, Context) -> F) -> Outcome
    where
        F: Future<Output = Work> + Send + 'static,
    {
        let future = work(Arc::clone(self.plugin), self.context.clone());
        self.engine.run_async(self.context, future)
    }

    /// Runs a plain `fn` on a thread that may block.
    pub fn run_blocking(self, work: impl FnOnce(&P, &Context) -> Work + Send + 'static) -> Outcome {
        let plugin = Arc::clone(self.plugin);
        self.engine.run_blocking(self.context, move |context| work(&plugin, context))
    }

    /// Runs a function that is ready at once.
    pub fn run_inline(self, work: impl FnOnce(&P, &Context) -> Work) -> Outcome {
        self.engine.run_inline(&self.context, || work(self.plugin, &self.context))
    }
}

fn failed(error: Error) -> Outcome {
    Outcome::Ready(Reply::RErr(error.into_failure()))
}

/// The bytes of a tool's result. The tool's own failure is a result too.
///
/// # Errors
/// The other kinds of errors.
pub fn tool_work(result: Result<content::ToolResult>) -> Work {
    let result = match result {
        Err(error) if error.is_tool_failure() => content::ToolResult::error(error.message()),
        Err(error) => return Err(error.into_failure()),
        Ok(result) => result,
    };
    encode(&result)
}

/// The bytes of a resource's contents, which get this URI, media type and these further fields where they have none.
///
/// # Errors
/// The function's error.
pub fn resource_work<T: output::IntoContents>(
    uri: &str,
    mime_type: Option<&str>,
    meta: Option<Map<String, Value>>,
    result: Result<T>,
) -> Work {
    let mut result = result.map_err(Error::into_failure)?.into_contents();
    for contents in &mut result.contents {
        if contents.uri.is_empty() {
            uri.clone_into(&mut contents.uri);
        }
        if contents.mime_type.is_none() {
            contents.mime_type = mime_type.map(str::to_owned);
        }
        if contents.meta.is_none() {
            contents.meta.clone_from(&meta);
        }
    }
    encode(&result)
}

/// The bytes of a prompt.
///
/// # Errors
/// The function's error.
pub fn prompt_work<T: IntoPrompt>(result: Result<T>) -> Work {
    encode(&result.map_err(Error::into_failure)?.into_prompt())
}

/// The bytes of proposals.
///
/// # Errors
/// The function's error.
pub fn completion_work<T: output::IntoCompletion>(result: Result<T>) -> Work {
    encode(&result.map_err(Error::into_failure)?.into_completion())
}

fn encode(value: &impl Serialize) -> Work {
    serde_json::to_vec(value).map_err(|error| internal(format!("the result is not JSON: {error}")))
}

impl<P> Invocation<'_, P> {
    /// The name or URI that was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }
}
