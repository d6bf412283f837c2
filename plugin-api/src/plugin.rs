//! A plugin's definition: what the `plugin` attribute writes, and what the adapter serves.

use crate::abi::{Failure, Outcome, Reply, failure};
use crate::content::Completion;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::manifest::{Manifest, PromptDefinition, ResourceDefinition, TemplateDefinition, ToolDefinition, ToolHints};
use crate::output::IntoPrompt;
use crate::runtime::{Engine, Work, internal};
use crate::schema;
use crate::uri_template::UriTemplate;
use crate::{content, output};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value};
use std::collections::BTreeMap;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

/// A plugin. Written by `#[plugin]`; not meant to be written by hand.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// Its name.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// For the model: how to use it.
    const INSTRUCTIONS: Option<&'static str>;

    /// Makes the plugin from the operator's configuration.
    fn start(config: &[u8], host: Host) -> impl Future<Output = Result<Self>> + Send;

    /// Ends its work.
    fn stop(&self) -> impl Future<Output = ()> + Send;

    /// The JSON Schema of its configuration.
    fn config_schema() -> Option<Value>;

    /// What it offers.
    fn items() -> Items<Self>;
}

/// Decodes the operator's configuration.
///
/// # Errors
/// The key that does not fit, and why.
pub fn decode_config<T: DeserializeOwned>(config: &[u8]) -> Result<T> {
    let config = if config.is_empty() { b"{}".as_slice() } else { config };
    serde_json::from_slice(config).map_err(|error| Error::invalid_params(plain_message(&error)))
}

/// The functions of a plugin, by kind and name.
pub struct Items<P> {
    tools: Vec<(ToolDefinition, Function<P>)>,
    resources: Vec<(ResourceDefinition, Function<P>)>,
    templates: Vec<(TemplateDefinition, UriTemplate, Function<P>)>,
    prompts: Vec<(PromptDefinition, Function<P>)>,
    completions: Vec<(CompletionOf, Function<P>)>,
    dynamic: Vec<ListResources<P>>,
}

/// What a completion is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletionOf {
    /// Prompt or template.
    pub kind: CompletionKind,
    /// The prompt's name or the template.
    pub name: &'static str,
    /// The argument.
    pub argument: &'static str,
}

/// What completions are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompletionKind {
    /// An argument of a prompt.
    Prompt,
    /// A parameter of a template.
    Template,
}

/// The payload of a completion.
#[derive(Debug, Deserialize)]
struct CompletionRequest {
    kind: CompletionKind,
    argument: String,
    value: String,
    #[serde(default)]
    context: BTreeMap<String, String>,
}

/// A list of resources that may change.
type ListResources<P> = fn(&P) -> Result<Vec<ResourceDefinition>>;

type Function<P> = Box<dyn Fn(Invocation<'_, P>) -> Outcome + Send + Sync>;

impl<P> Default for Items<P> {
    fn default() -> Self {
        Self {
            tools: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: Vec::new(),
            completions: Vec::new(),
            dynamic: Vec::new(),
        }
    }
}

/// A tool's definition before its schemas are raw.
pub struct Tool {
    definition: ToolDefinition,
}

impl Tool {
    /// A tool whose arguments decode into a type with the schema `input`.
    #[must_use]
    pub fn new(name: &str, input: &Value, output: Option<&Value>) -> Self {
        Self {
            definition: ToolDefinition {
                name: name.to_owned(),
                title: None,
                description: None,
                input_schema: raw(input),
                output_schema: output.map(raw),
                annotations: None,
                icons: None,
                meta: None,
                checks_input: schema::is_enforced_by_decoding(input),
                checks_output: output.is_none_or(schema::is_enforced_by_decoding),
            },
        }
    }

    /// Replaces the schema of the arguments by a text that is kept as it is; the host validates against it.
    #[must_use]
    pub fn input_schema(mut self, schema: &str) -> Self {
        if let Ok(raw) = value::RawValue::from_string(schema.to_owned()) {
            self.definition.input_schema = raw;
            self.definition.checks_input = false;
        }
        self
    }

    /// Replaces the schema of the result; the host validates against it.
    #[must_use]
    pub fn output_schema(mut self, schema: &str) -> Self {
        if let Ok(raw) = value::RawValue::from_string(schema.to_owned()) {
            self.definition.output_schema = Some(raw);
            self.definition.checks_output = false;
        }
        self
    }

    /// Title and description, as far as they are there.
    #[must_use]
    pub fn about(mut self, title: Option<&str>, description: Option<&str>) -> Self {
        self.definition.title = title.map(str::to_owned);
        self.definition.description = description.map(str::to_owned);
        self
    }

    /// Hints about what it does.
    #[must_use]
    pub fn hints(mut self, hints: ToolHints) -> Self {
        self.definition.annotations = (hints != ToolHints::default()).then_some(hints);
        self
    }

    /// Adds a picture.
    #[must_use]
    pub fn icon(mut self, src: &str) -> Self {
        let icon = content::Icon { src: src.to_owned(), mime_type: None, sizes: None, theme: None };
        self.definition.icons.get_or_insert_default().push(icon);
        self
    }

    /// Adds a field for clients that know it.
    #[must_use]
    pub fn meta(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.definition.meta.get_or_insert_default().insert(key.to_owned(), value.into());
        self
    }
}

fn raw(value: &Value) -> Box<value::RawValue> {
    value::to_raw_value(value).unwrap_or_else(|_| {
        // A `Value` has string keys only, so it can always be written.
        value::RawValue::NULL.to_owned()
    })
}

impl<P: Plugin> Items<P> {
    /// No items yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tool.
    pub fn tool(&mut self, tool: Tool, run: impl Fn(Invocation<'_, P>) -> Outcome + Send + Sync + 'static) {
        self.tools.push((tool.definition, Box::new(run)));
    }

    /// Adds a resource with a fixed URI.
    pub fn resource(
        &mut self,
        resource: ResourceDefinition,
        run: impl Fn(Invocation<'_, P>) -> Outcome + Send + Sync + 'static,
    ) {
        self.resources.push((resource, Box::new(run)));
    }

    /// Adds a resource with parameters in its URI. The attribute has checked that the template parses.
    pub fn template(
        &mut self,
        template: TemplateDefinition,
        run: impl Fn(Invocation<'_, P>) -> Outcome + Send + Sync + 'static,
    ) {
        if let Ok(parsed) = UriTemplate::parse(&template.uri_template) {
            self.templates.push((template, parsed, Box::new(run)));
        }
    }

    /// Adds a prompt.
    pub fn prompt(
        &mut self,
        prompt: PromptDefinition,
        run: impl Fn(Invocation<'_, P>) -> Outcome + Send + Sync + 'static,
    ) {
        self.prompts.push((prompt, Box::new(run)));
    }

    /// Adds proposals for an argument.
    pub fn completion(&mut self, of: CompletionOf, run: impl Fn(Invocation<'_, P>) -> Outcome + Send + Sync + 'static) {
        self.completions.push((of, Box::new(run)));
    }

    /// Adds a list of resources that may change.
    pub fn dynamic_resources(&mut self, list: ListResources<P>) {
        self.dynamic.push(list);
    }

    pub(crate) fn manifest(&self, plugin: &P) -> Manifest {
        let completes = |kind: CompletionKind, name: &str| -> Vec<String> {
            let of_it = self.completions.iter().filter(|(of, _)| of.kind == kind && of.name == name);
            of_it.map(|(of, _)| of.argument.to_owned()).collect()
        };
        let mut resources: Vec<_> = self.resources.iter().map(|(resource, _)| resource.clone()).collect();
        for list in &self.dynamic {
            match list(plugin) {
                Ok(dynamic) => resources.extend(dynamic),
                Err(error) => tracing::warn!(%error, "the list of resources failed"),
            }
        }
        Manifest {
            instructions: P::INSTRUCTIONS.map(str::to_owned),
            tools: self.tools.iter().map(|(tool, _)| tool.clone()).collect(),
            resources,
            templates: self
                .templates
                .iter()
                .map(|(template, _, _)| TemplateDefinition {
                    completes: completes(CompletionKind::Template, &template.uri_template),
                    ..template.clone()
                })
                .collect(),
            prompts: self
                .prompts
                .iter()
                .map(|(prompt, _)| PromptDefinition {
                    completes: completes(CompletionKind::Prompt, &prompt.name),
                    ..prompt.clone()
                })
                .collect(),
            config_schema: P::config_schema(),
        }
    }

    pub(crate) fn run_tool(&self, call: Invocation<'_, P>) -> Outcome {
        match self.tools.iter().find(|(tool, _)| tool.name == call.name) {
            Some((_, run)) => run(call),
            None => not_found("tool", call.name),
        }
    }

    pub(crate) fn run_prompt(&self, call: Invocation<'_, P>) -> Outcome {
        match self.prompts.iter().find(|(prompt, _)| prompt.name == call.name) {
            Some((_, run)) => run(call),
            None => not_found("prompt", call.name),
        }
    }

    pub(crate) fn run_resource(&self, call: Invocation<'_, P>) -> Outcome {
        if let Some((_, run)) = self.resources.iter().find(|(resource, _)| resource.uri == call.name) {
            return run(call);
        }
        for (_, template, run) in &self.templates {
            if let Some(variables) = template.matches(call.name) {
                return run(Invocation { variables, ..call });
            }
        }
        not_found("resource", call.name)
    }

    pub(crate) fn run_completion(&self, call: Invocation<'_, P>) -> Outcome {
        let request: CompletionRequest = match serde_json::from_slice(call.payload) {
            Ok(request) => request,
            Err(error) => return Outcome::Ready(Reply::RErr(internal(error.to_string()))),
        };
        let wanted =
            |of: &CompletionOf| of.kind == request.kind && of.name == call.name && of.argument == request.argument;
        let Some((_, run)) = self.completions.iter().find(|(of, _)| wanted(of)) else {
            let nothing = serde_json::to_vec(&Completion::default()).unwrap_or_default();
            return Outcome::Ready(Reply::ROk(nothing.into()));
        };
        let mut variables = request.context;
        variables.insert(VALUE.to_owned(), request.value);
        run(Invocation { variables, ..call })
    }
}

/// The variable of a completion that holds what the user has typed. No argument can have this name.
const VALUE: &str = "";

fn not_found(what: &str, name: &str) -> Outcome {
    Outcome::Ready(Reply::RErr(Failure {
        kind: failure::NOT_FOUND.into(),
        message: format!("no {what} '{name}'").into(),
        data: Vec::new().into(),
    }))
}

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

/// What serde says, without the value that did not fit: arguments may be secret.
fn plain_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = message.find(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
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

/// The bytes of a resource's contents.
///
/// # Errors
/// The function's error.
pub fn resource_work<T: output::IntoContents>(uri: &str, mime_type: Option<&str>, result: Result<T>) -> Work {
    let mut result = result.map_err(Error::into_failure)?.into_contents();
    for contents in &mut result.contents {
        if contents.uri.is_empty() {
            uri.clone_into(&mut contents.uri);
        }
        if contents.mime_type.is_none() {
            contents.mime_type = mime_type.map(str::to_owned);
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
