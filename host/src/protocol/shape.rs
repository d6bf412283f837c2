//! What plugins offer, as a dialect writes it in lists.

use super::{Dialect, TaskForm};
use mcp_plugin_api::manifest::{PromptDefinition, ResourceDefinition, TaskSupport, TemplateDefinition, ToolDefinition};
use mcp_plugin_api::{Annotations, Icon};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The members that all items have; those that a dialect lacks are left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Common<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icons: Option<&'a [Icon]>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<&'a Map<String, Value>>,
}

impl<'a> Common<'a> {
    fn new(
        dialect: &Dialect,
        title: Option<&'a String>,
        description: Option<&'a String>,
        icons: Option<&'a Vec<Icon>>,
        meta: Option<&'a Map<String, Value>>,
    ) -> Self {
        let features = &dialect.features;
        Self {
            title: title.filter(|_| features.third_wave).map(String::as_str),
            description: description.map(String::as_str),
            icons: icons.filter(|_| features.fourth_wave).map(Vec::as_slice),
            meta: meta.filter(|_| features.third_wave),
        }
    }
}

/// A tool under the name that clients see.
#[must_use]
pub fn tool(dialect: &Dialect, name: &str, tool: &ToolDefinition) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Tool<'a> {
        name: &'a str,
        #[serde(flatten)]
        common: Common<'a>,
        // Flattening and raw values do not go together, so the raw ones are spliced behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        annotations: Option<&'a mcp_plugin_api::manifest::ToolHints>,
    }
    let features = &dialect.features;
    let head = Tool {
        name,
        common: Common::new(
            dialect,
            tool.title.as_ref(),
            tool.description.as_ref(),
            tool.icons.as_ref(),
            tool.meta.as_ref(),
        ),
        annotations: tool.annotations.as_ref().filter(|_| features.second_wave),
    };
    let mut json = encode(&head);
    json.pop();
    json.extend_from_slice(br#","inputSchema":"#);
    json.extend_from_slice(&one_line(&tool.input_schema));
    let support = tool.task.support;
    if features.tasks == TaskForm::Core && support != TaskSupport::Never {
        json.extend_from_slice(br#","execution":"#);
        json.extend_from_slice(&encode(&json!({"taskSupport": support})));
    }
    // Only objects may be structured results in the stateful era (2025-era T-05, 2026-07-28 L-03).
    if let Some(schema) = tool.output_schema.as_deref().filter(|_| features.third_wave)
        && (features.fifth_wave || is_object_schema(schema))
    {
        json.extend_from_slice(br#","outputSchema":"#);
        json.extend_from_slice(&one_line(schema));
    }
    json.push(b'}');
    json
}

/// Authors write schemas over several lines; messages stand on one (2025-era S-01).
fn one_line(schema: &RawValue) -> Cow<'_, [u8]> {
    let text = schema.get();
    if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_none() {
        return text.as_bytes().into();
    }
    serde_json::from_str::<Value>(text).map_or_else(|_| b"{}".into(), |schema| schema.to_string().into_bytes().into())
}

fn is_object_schema(schema: &RawValue) -> bool {
    #[derive(serde::Deserialize)]
    struct Root {
        #[serde(rename = "type")]
        kind: Option<Value>,
    }
    serde_json::from_str::<Root>(schema.get()).is_ok_and(|root| root.kind.is_some_and(|kind| kind == "object"))
}

/// A resource.
#[must_use]
pub fn resource(dialect: &Dialect, resource: &ResourceDefinition) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Resource<'a> {
        uri: &'a str,
        name: &'a str,
        #[serde(flatten)]
        common: Common<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        annotations: Option<Annotations>,
        #[serde(skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    }
    encode(&Resource {
        uri: &resource.uri,
        name: &resource.name,
        common: Common::new(
            dialect,
            resource.title.as_ref(),
            resource.description.as_ref(),
            resource.icons.as_ref(),
            resource.meta.as_ref(),
        ),
        mime_type: resource.mime_type.as_deref(),
        annotations: annotations(dialect, resource.annotations.as_ref()),
        size: resource.size,
    })
}

/// A resource template.
#[must_use]
pub fn template(dialect: &Dialect, template: &TemplateDefinition) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Template<'a> {
        uri_template: &'a str,
        name: &'a str,
        #[serde(flatten)]
        common: Common<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        annotations: Option<Annotations>,
    }
    encode(&Template {
        uri_template: &template.uri_template,
        name: &template.name,
        common: Common::new(
            dialect,
            template.title.as_ref(),
            template.description.as_ref(),
            template.icons.as_ref(),
            template.meta.as_ref(),
        ),
        mime_type: template.mime_type.as_deref(),
        annotations: annotations(dialect, template.annotations.as_ref()),
    })
}

/// A prompt under the name that clients see.
#[must_use]
pub fn prompt(dialect: &Dialect, name: &str, prompt: &PromptDefinition) -> Vec<u8> {
    #[derive(Serialize)]
    struct Argument<'a> {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        required: bool,
    }
    #[derive(Serialize)]
    struct Prompt<'a> {
        name: &'a str,
        #[serde(flatten)]
        common: Common<'a>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        arguments: Vec<Argument<'a>>,
    }
    encode(&Prompt {
        name,
        common: Common::new(
            dialect,
            prompt.title.as_ref(),
            prompt.description.as_ref(),
            prompt.icons.as_ref(),
            prompt.meta.as_ref(),
        ),
        arguments: prompt
            .arguments
            .iter()
            .map(|argument| Argument {
                name: &argument.name,
                title: argument.title.as_deref().filter(|_| dialect.features.third_wave),
                description: argument.description.as_deref(),
                required: argument.required,
            })
            .collect(),
    })
}

/// `lastModified` came with the third wave (2025-era J-12).
fn annotations(dialect: &Dialect, annotations: Option<&Annotations>) -> Option<Annotations> {
    let mut annotations = annotations?.clone();
    if !dialect.features.third_wave {
        annotations.last_modified = None;
    }
    Some(annotations)
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("definitions have string keys and no failing parts")
}
