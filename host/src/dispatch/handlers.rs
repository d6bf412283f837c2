//! What differs between the methods.

use super::outcome::fault;
use super::{Beginning, Dispatcher, Incoming, Outcome, Resolution, TaskDue, TaskWish, complete};
use crate::call::{Failure, Timeouts};
use crate::protocol::{
    self, CacheHint, CacheScope, CompleteParams, CompletionReference, DirectoryParams, Fault, ListParams, Method,
    OfferedTasks, ResultBody, UriParams, read_params,
};
use crate::registry::{Callee, Cursor, ListKind, Operation, Reading, Tool, closest, page_of};
use mcp_plugin_api::manifest::TaskSupport;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;

type Handled = Result<Outcome, Fault>;

impl Dispatcher {
    pub(super) fn call_tool(&self, incoming: &Incoming<'_>) -> Handled {
        let params = incoming.meta.named_params(incoming.params)?;
        let snapshot = self.registry.snapshot();
        let Some(tool) = snapshot.tool(&params.name) else {
            let names = snapshot.tools().iter().map(|tool| tool.name.as_str());
            return Err(unknown("tool", &params.name, closest(&params.name, names)));
        };
        let arguments = object(params.arguments)?;
        let due = task_due(tool, incoming.tasks)?;
        let before_task = due.is_some() && tool.definition.task.asks_first && incoming.tasks == TaskWish::Offered;
        let call = (incoming.begin)(Beginning {
            callee: &*tool.callee,
            single_use: tool.definition.single_use,
            arguments,
            mirrored: &tool.schemas.mirrored,
            timeouts: tool.timeouts,
            before_task,
        })?;
        // A client that asked for a task gets one, which ends with the same error (2025-era K-04).
        let is_demanded = due.is_some() && incoming.tasks == TaskWish::Demanded;
        let input = tool.schemas.input.as_ref().filter(|_| !is_demanded);
        if let Some(refused) = input.and_then(|input| input.check(or_empty(arguments)).err()) {
            return Ok(complete(protocol::tool_error(&misfit(&tool.name, &refused))));
        }
        let due = match due {
            Some(due) if !before_task => return Ok(Outcome::Now(Ok(Resolution::Task(due)))),
            due => due,
        };
        let answer = tool.callee.call(Operation::Tool, &tool.definition.name, arguments.as_bytes(), &call);
        let (dialect, max_bytes) = (incoming.dialect, self.limits.max_result_bytes);
        let finished_by = Arc::clone(tool);
        Ok(Outcome::of(answer, &call, tool.callee.plugin(), due, move |answer| {
            let tool = finished_by;
            match answer {
                Ok(bytes) => {
                    let judge = |structured: Option<&RawValue>| check_output(&tool, structured);
                    protocol::tool_result(dialect, bytes, max_bytes, judge)
                        .map_err(|error| broken(tool.callee.plugin(), &error))
                }
                // What the model can act on is a result (2025-era T-08, T-09).
                Err(Failure::InvalidArguments(message) | Failure::AskFailed(message)) => {
                    Ok(protocol::tool_error(&message))
                }
                Err(failure) => Err(fault(tool.callee.plugin(), failure)),
            }
        }))
    }

    pub(super) fn read_resource(&self, incoming: &Incoming<'_>) -> Handled {
        let params = incoming.meta.uri_params(incoming.params)?;
        let uri = params.checked_uri()?.to_owned();
        let snapshot = self.registry.snapshot();
        let Some(Reading { callee, cache, single_use, timeouts }) = snapshot.reading(&uri) else {
            let uris = snapshot.resources().iter().map(|resource| resource.definition.uri.as_str());
            return Err(Fault::ResourceNotFound { suggestion: closest(&uri, uris), uri });
        };
        let call = (incoming.begin)(Beginning { single_use, ..Beginning::plain(&*callee, timeouts) })?;
        let answer = callee.call(Operation::Resource, &uri, b"", &call);
        let (plugin, max_bytes, dialect) =
            (Arc::clone(callee.plugin()), self.limits.max_result_bytes, incoming.dialect);
        let asked_by = Arc::clone(&call);
        Ok(Outcome::of(answer, &call, callee.plugin(), None, move |answer| match answer {
            Ok(bytes) => protocol::resource_result(dialect, bytes, max_bytes)
                .map(|body| body.cached(if asked_by.is_personal() { private(cache) } else { cache }))
                .map_err(|error| broken(&plugin, &error)),
            Err(Failure::NotFound(_)) => Err(Fault::ResourceNotFound { uri, suggestion: None }),
            Err(failure) => Err(fault(&plugin, failure)),
        }))
    }

    pub(super) fn get_prompt(&self, incoming: &Incoming<'_>) -> Handled {
        let params = incoming.meta.named_params(incoming.params)?;
        let snapshot = self.registry.snapshot();
        let Some(prompt) = snapshot.prompt(&params.name) else {
            let names = snapshot.prompts().iter().map(|prompt| prompt.name.as_str());
            return Err(unknown("prompt", &params.name, closest(&params.name, names)));
        };
        let arguments = object(params.arguments)?;
        let callee = &prompt.callee;
        let single_use = prompt.definition.single_use;
        let call =
            (incoming.begin)(Beginning { single_use, arguments, ..Beginning::plain(&**callee, prompt.timeouts) })?;
        let answer = callee.call(Operation::Prompt, &prompt.definition.name, arguments.as_bytes(), &call);
        let (plugin, max_bytes, dialect) =
            (Arc::clone(callee.plugin()), self.limits.max_result_bytes, incoming.dialect);
        Ok(Outcome::of(answer, &call, callee.plugin(), None, move |answer| match answer {
            Ok(bytes) => protocol::prompt_result(dialect, bytes, max_bytes).map_err(|error| broken(&plugin, &error)),
            Err(failure) => Err(fault(&plugin, failure)),
        }))
    }

    pub(super) fn complete(&self, incoming: &Incoming<'_>) -> Handled {
        let params: CompleteParams<'_> = read_params(incoming.params)?;
        let snapshot = self.registry.snapshot();
        let argument = params.argument.name.to_string();
        let (kind, callee, name, known, completes, timeouts) = match &params.reference {
            CompletionReference::Prompt { name } => {
                let prompt = snapshot.prompt(name).ok_or_else(|| {
                    let names = snapshot.prompts().iter().map(|prompt| prompt.name.as_str());
                    unknown("prompt", name, closest(name, names))
                })?;
                let known = prompt.definition.arguments.iter().any(|it| it.name == argument);
                let definition = &prompt.definition;
                ("prompt", &prompt.callee, &definition.name, known, &definition.completes, prompt.timeouts)
            }
            CompletionReference::Resource { uri } => {
                let template = snapshot.template(uri).ok_or_else(|| {
                    let uris = snapshot.templates().iter().map(|it| it.definition.uri_template.as_str());
                    unknown("resource template", uri, closest(uri, uris))
                })?;
                let known = template.pattern.names().any(|name| name == argument);
                let definition = &template.definition;
                (
                    "template",
                    &template.callee,
                    &definition.uri_template,
                    known,
                    &definition.completes,
                    template.timeouts,
                )
            }
        };
        if !known {
            return Err(Fault::invalid_params(format!("{kind} '{name}' has no argument '{argument}'")));
        }
        if !completes.contains(&argument) {
            let nothing = json!({"completion": {"values": [], "total": 0, "hasMore": false}});
            return Ok(complete(nothing.into()));
        }
        let payload = json!({
            "kind": kind,
            "argument": argument,
            "value": &*params.argument.value,
            "context": params.context.arguments,
        });
        let call = (incoming.begin)(Beginning::plain(&**callee, timeouts))?;
        let answer = callee.call(Operation::Complete, name, payload.to_string().as_bytes(), &call);
        let (plugin, max_bytes) = (Arc::clone(callee.plugin()), self.limits.max_result_bytes);
        Ok(Outcome::of(answer, &call, callee.plugin(), None, move |answer| match answer {
            Ok(bytes) => protocol::completion_result(&bytes, max_bytes).map_err(|error| broken(&plugin, &error)),
            Err(failure) => Err(fault(&plugin, failure)),
        }))
    }

    pub(super) fn list(&self, incoming: &Incoming<'_>) -> Handled {
        let params: ListParams<'_> = read_params(incoming.params)?;
        let cursor = cursor(params.cursor.as_deref())?;
        let kind = match incoming.method {
            Method::ListResources => ListKind::Resources,
            Method::ListTemplates => ListKind::Templates,
            Method::ListPrompts => ListKind::Prompts,
            Method::ListSkills => ListKind::Skills,
            _ => ListKind::Tools,
        };
        let snapshot = self.registry.snapshot();
        let page = snapshot.page(incoming.dialect, kind, cursor.as_ref(), self.limits.page_size);
        Ok(complete(ResultBody::from(page).cached(snapshot.hint(kind))))
    }

    pub(super) fn discover(&self, incoming: &Incoming<'_>) -> Outcome {
        let snapshot = self.registry.snapshot();
        let tasks = if self.limits.tasks { OfferedTasks::ById } else { OfferedTasks::None };
        let body = ResultBody::from(protocol::discover_result(incoming.dialect, snapshot.offered(tasks)));
        complete(body.cached(snapshot.hint_of_all()))
    }

    /// The methods that exist where there are skills (2026-07-28 SK).
    pub(super) fn skills(&self, incoming: &Incoming<'_>) -> Handled {
        let snapshot = self.registry.snapshot();
        let hint = snapshot.hint(ListKind::Skills);
        if snapshot.skills().is_empty() {
            return Err(Fault::UnknownMethod { method: incoming.dialect.era.name_of(incoming.method).to_owned() });
        }
        match incoming.method {
            Method::GetSkill => {
                let params: UriParams<'_> = read_params(incoming.params)?;
                let uri = params.checked_uri()?;
                let skill = snapshot.skills().iter().find(|skill| skill.uri() == uri).ok_or_else(|| not_found(uri))?;
                Ok(complete(ResultBody::from(json!({"skill": skill.entry()})).cached(hint)))
            }
            Method::ReadDirectory => {
                let params: DirectoryParams<'_> = read_params(incoming.params)?;
                let cursor = cursor(params.cursor.as_deref())?;
                let children = snapshot.skills().iter().find_map(|skill| skill.children(&params.uri));
                let children = children.ok_or_else(|| not_found(&params.uri))?;
                let page = page_of(&params.uri, &children, cursor.as_ref(), self.limits.page_size);
                Ok(complete(ResultBody::from(page.ok_or_else(foreign_cursor)?).cached(hint)))
            }
            _ => self.list(incoming),
        }
    }
}

impl<'a> Beginning<'a> {
    /// The beginning of a call without anything special.
    fn plain(callee: &'a dyn Callee, timeouts: Timeouts) -> Self {
        Self { callee, single_use: false, arguments: "", mirrored: &[], timeouts, before_task: false }
    }
}

/// The task that a call of a tool becomes, if it does (dual-era §4).
fn task_due(tool: &Tool, wish: TaskWish) -> Result<Option<TaskDue>, Fault> {
    let is_task = match (tool.definition.task.support, wish) {
        (TaskSupport::Required, TaskWish::Declined) => return Err(Fault::TaskRequired { tool: tool.name.clone() }),
        (TaskSupport::Never, TaskWish::Demanded) => return Err(Fault::TaskForbidden { tool: tool.name.clone() }),
        (TaskSupport::Never, _) | (_, TaskWish::Unknown | TaskWish::Declined | TaskWish::Inside) => false,
        (TaskSupport::Optional | TaskSupport::Required, TaskWish::Offered | TaskWish::Demanded) => true,
    };
    Ok(is_task.then(|| TaskDue {
        tool: tool.name.clone(),
        on_restart: tool.definition.task.on_restart,
        recorded: HashMap::new(),
    }))
}

fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Fault> {
    text.map(|text| Cursor::decode(text).ok_or_else(foreign_cursor)).transpose()
}

fn foreign_cursor() -> Fault {
    Fault::invalid_params("this cursor is not one of ours")
}

fn not_found(uri: &str) -> Fault {
    Fault::ResourceNotFound { uri: uri.chars().take(MAX_QUOTED_CHARS).collect(), suggestion: None }
}

/// The same, but for whoever asked alone.
fn private(hint: CacheHint) -> CacheHint {
    CacheHint { scope: CacheScope::Private, ..hint }
}

fn unknown(kind: &'static str, name: &str, suggestion: Option<String>) -> Fault {
    Fault::UnknownName { kind, name: name.chars().take(MAX_QUOTED_CHARS).collect(), suggestion }
}

/// Characters of a client's text that an error repeats.
const MAX_QUOTED_CHARS: usize = 200;

/// Arguments as they are, or nothing.
fn object(arguments: Option<&RawValue>) -> Result<&str, Fault> {
    match arguments.map(RawValue::get) {
        None => Ok(""),
        Some(arguments) if arguments.starts_with('{') => Ok(arguments),
        Some(_) => Err(Fault::invalid_params("invalid params: 'arguments' must be an object")),
    }
}

fn or_empty(arguments: &str) -> &str {
    if arguments.is_empty() { "{}" } else { arguments }
}

fn misfit(tool: &str, problem: &str) -> String {
    format!("the arguments of '{tool}' do not fit: {problem}")
}

/// Holds a structured result to the schema that the tool promised (2025-era T-04).
fn check_output(tool: &Tool, structured: Option<&RawValue>) -> Result<(), String> {
    match (&tool.schemas.output, structured) {
        (Some(schema), Some(structured)) => {
            schema.check(structured.get()).map_err(|problem| format!("it breaks the output schema: {problem}"))
        }
        (_, None) if tool.definition.output_schema.is_some() => {
            Err("the tool has an output schema, but the result has no structured content".to_owned())
        }
        _ => Ok(()),
    }
}

fn broken(plugin: &str, error: &protocol::ResultError) -> Fault {
    Fault::PluginFailed { plugin: plugin.to_owned(), reason: error.to_string() }
}
