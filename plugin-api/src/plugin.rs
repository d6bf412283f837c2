//! A plugin's definition: what the `plugin` attribute writes, and what the adapter serves.

use crate::abi::{Failure, Outcome, Reply, failure};
use crate::cache::Cache;
use crate::content;
use crate::content::Completion;
use crate::error::{Error, Result, plain_message};
use crate::host::Host;
use crate::invocation::{Invocation, resource_work};
use crate::manifest::{
    Manifest, PromptDefinition, ResourceDefinition, TaskDefinition, TemplateDefinition, ToolDefinition, ToolHints,
};
use crate::runtime::internal;
use crate::schema;
use crate::uri_template::UriTemplate;
use crate::visibility::{Kind, Visibility};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;

/// A plugin. Written by `#[plugin]`; not meant to be written by hand.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// Its name.
    const NAME: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// For the model: how to use it.
    const INSTRUCTIONS: Option<&'static str>;
    /// Whether its author has written a hook for its start.
    const HAS_START: bool;
    /// Whether its author has written a hook for its end.
    const HAS_STOP: bool;

    /// Makes the plugin from the operator's configuration.
    fn start(config: &[u8], host: Host) -> impl Future<Output = Result<Self>> + Send;

    /// Ends its work.
    fn stop(&self) -> impl Future<Output = ()> + Send;

    /// How long its lists and what is read of it keep.
    const CACHE: Option<Cache>;

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
    /// Where each tool is among them: a call costs the same however many there are.
    tool_places: HashMap<String, usize>,
    resources: Vec<(ResourceDefinition, Function<P>)>,
    templates: Vec<(TemplateDefinition, UriTemplate, Function<P>)>,
    prompts: Vec<(PromptDefinition, Function<P>)>,
    completions: Vec<(CompletionOf, Function<P>)>,
    dynamic: Vec<ListResources<P>>,
    skills: Vec<EmbeddedSkill>,
}

/// A skill whose files are part of the library. Written by `#[plugin(skills = "...")]`, which has checked it.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddedSkill {
    /// Its definition, as JSON.
    pub definition: &'static str,
    /// Its files: URI, media type and bytes.
    pub files: &'static [(&'static str, &'static str, &'static [u8])],
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
            tool_places: HashMap::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: Vec::new(),
            completions: Vec::new(),
            dynamic: Vec::new(),
            skills: Vec::new(),
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
                single_use: false,
                task: TaskDefinition::default(),
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

    /// Answers that the client gives while it is asked count once.
    #[must_use]
    pub fn single_use(mut self, single_use: bool) -> Self {
        self.definition.single_use = single_use;
        self
    }

    /// Lets calls of it become tasks.
    #[must_use]
    pub fn task(mut self, task: TaskDefinition) -> Self {
        self.definition.task = task;
        self
    }

    /// Gives it a page: clients that show such show its results there.
    #[must_use]
    pub fn page(self, uri: &str) -> Self {
        self.meta("ui", serde_json::json!({"resourceUri": uri}))
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
        self.tool_places.entry(tool.definition.name.clone()).or_insert(self.tools.len());
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

    /// Adds a skill.
    pub fn skill(&mut self, skill: EmbeddedSkill) {
        self.skills.push(skill);
    }

    pub(crate) fn manifest(&self, plugin: &P, visibility: &Visibility) -> Manifest {
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
            tools: self
                .tools
                .iter()
                .filter(|(tool, _)| visibility.is_shown(Kind::Tool, &tool.name))
                .map(|(tool, _)| tool.clone())
                .collect(),
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
                .filter(|(prompt, _)| visibility.is_shown(Kind::Prompt, &prompt.name))
                .map(|(prompt, _)| PromptDefinition {
                    completes: completes(CompletionKind::Prompt, &prompt.name),
                    ..prompt.clone()
                })
                .collect(),
            cache: P::CACHE,
            skills: self.skills.iter().filter_map(|skill| serde_json::from_str(skill.definition).ok()).collect(),
            config_schema: P::config_schema(),
        }
    }

    pub(crate) fn run_tool(&self, call: Invocation<'_, P>) -> Outcome {
        match self.tool_places.get(call.name).map(|place| &self.tools[*place]) {
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
        let mut files = self.skills.iter().flat_map(|skill| skill.files);
        match files.find(|(uri, _, _)| *uri == call.name) {
            Some((uri, mime_type, bytes)) => Outcome::Ready(skill_file(uri, mime_type, bytes)),
            None => not_found("resource", call.name),
        }
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

/// A file of a skill: text where it is text.
fn skill_file(uri: &str, mime_type: &str, bytes: &[u8]) -> Reply {
    let contents = match std::str::from_utf8(bytes) {
        Ok(text) => content::Contents::text(text),
        Err(_) => content::Contents::bytes(bytes),
    };
    match resource_work(uri, Some(mime_type), None, Ok(contents)) {
        Ok(bytes) => Reply::ROk(bytes.into()),
        Err(failure) => Reply::RErr(failure),
    }
}

/// The variable of a completion that holds what the user has typed. No argument can have this name.
pub(crate) const VALUE: &str = "";

fn not_found(what: &str, name: &str) -> Outcome {
    Outcome::Ready(Reply::RErr(Failure {
        kind: failure::NOT_FOUND.into(),
        message: format!("no {what} '{name}'").into(),
        data: Vec::new().into(),
    }))
}
