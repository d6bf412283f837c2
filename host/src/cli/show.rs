//! What the commands print.

use super::output::Output;
use crate::app::{App, plugins};
use crate::plugin::{Digest, visible};
use mcp_plugin_api::abi::Metadata;
use serde_json::{Value, json};
use std::io;

/// What all plugins offer.
pub(super) fn list(app: &App, as_json: bool, output: &mut Output) -> io::Result<()> {
    let snapshot = app.dispatcher.registry().snapshot();
    let (plugins, problems) = plugins(&app.supervisor);
    if as_json {
        let config_schemas: serde_json::Map<String, Value> = app
            .supervisor
            .instances()
            .iter()
            .filter_map(|instance| {
                let schema = instance.manifest().config_schema.clone()?;
                Some((crate::registry::Callee::plugin(&**instance).to_string(), schema))
            })
            .collect();
        return output.json(&json!({
            "plugins": plugins,
            "tools": snapshot.tools().iter().map(|tool| json!({
                "name": tool.name, "plugin": &*tool.place.plugin, "description": tool.definition.description,
            })).collect::<Vec<_>>(),
            "resources": snapshot.resources().iter().map(|it| json!({
                "uri": it.definition.uri, "plugin": &*it.place.plugin, "name": it.definition.name,
            })).collect::<Vec<_>>(),
            "templates": snapshot.templates().iter().map(|it| json!({
                "uriTemplate": it.definition.uri_template, "plugin": &*it.place.plugin, "name": it.definition.name,
            })).collect::<Vec<_>>(),
            "prompts": snapshot.prompts().iter().map(|it| json!({
                "name": it.name, "plugin": &*it.place.plugin, "description": it.definition.description,
            })).collect::<Vec<_>>(),
            "configSchemas": config_schemas,
            "problems": problems,
        }));
    }
    for plugin in &plugins {
        let version = plugin.version.as_deref().unwrap_or("-");
        let place = plugin.isolation.map_or_else(String::new, |isolation| format!(", {isolation}"));
        output.line(&format!("{} {version} ({}{place})", plugin.name, plugin.state))?;
        let wanted = plugin.not_granted.iter().map(|want| format!("wants, and is not granted: {want}"));
        let loose = plugin.not_enforced.iter().map(|what| format!("not enforced: {what}"));
        for told in plugin.reason.iter().cloned().chain(wanted).chain(loose) {
            output.line(&format!("  {told}"))?;
        }
        let mine = |place: &crate::registry::Place| *place.plugin == *plugin.name && plugin.state == "ready";
        for tool in snapshot.tools().iter().filter(|it| mine(&it.place)) {
            output.line(&line("tool", &tool.name, tool.definition.description.as_deref()))?;
        }
        for it in snapshot.resources().iter().filter(|it| mine(&it.place)) {
            output.line(&line("resource", &it.definition.uri, it.definition.description.as_deref()))?;
        }
        for it in snapshot.templates().iter().filter(|it| mine(&it.place)) {
            output.line(&line("template", &it.definition.uri_template, it.definition.description.as_deref()))?;
        }
        for it in snapshot.prompts().iter().filter(|it| mine(&it.place)) {
            output.line(&line("prompt", &it.name, it.definition.description.as_deref()))?;
        }
    }
    problems.iter().try_for_each(|problem| output.line(&format!("problem: {problem}")))
}

fn line(kind: &str, name: &str, description: Option<&str>) -> String {
    let first = description.and_then(|text| text.lines().next()).unwrap_or_default();
    visible(format!("  {kind:<9} {name:<40} {first}").trim_end())
}

/// Whether everything is as it should be.
pub(super) fn check(app: &App, as_json: bool, output: &mut Output) -> (io::Result<()>, bool) {
    let (plugins, problems) = plugins(&app.supervisor);
    let refused = plugins.iter().any(|plugin| ["refused", "quarantined"].contains(&plugin.state));
    let healthy = !refused && problems.is_empty() && app.supervisor.is_ready();
    if as_json {
        let told = json!({"ok": healthy, "plugins": plugins, "problems": problems});
        return (output.json(&told), healthy);
    }
    let told = plugins.iter().try_for_each(|plugin| {
        let reason = plugin.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        output.line(&format!("{}: {}{reason}", plugin.name, plugin.state))
    });
    let told = told.and_then(|()| problems.iter().try_for_each(|problem| output.line(&format!("problem: {problem}"))));
    (told.and_then(|()| output.line(if healthy { "ok" } else { "not ok" })), healthy)
}

/// What a plugin's file says of itself.
pub(super) fn metadata(metadata: &Metadata, digest: Digest, as_json: bool, output: &mut Output) -> io::Result<()> {
    let mut value = serde_json::to_value(metadata)?;
    value["sha256"] = json!(digest.to_string());
    if as_json {
        return output.json(&value);
    }
    let members = value.as_object().into_iter().flatten();
    members.into_iter().filter(|(key, _)| *key != "wants").try_for_each(|(key, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        output.line(&format!("{key:<12} {}", visible(&text)))
    })?;
    // What is to be granted in the configuration.
    metadata.wants.iter().try_for_each(|want| output.line(&format!("{:<12} {}", "wants", visible(want))))
}

/// The result of a tool: its text for people, all of it for programs.
pub(super) fn result(result: &Value, as_json: bool, output: &mut Output) -> io::Result<()> {
    if as_json {
        return output.json(result);
    }
    for block in result["content"].as_array().into_iter().flatten() {
        match block["text"].as_str() {
            Some(text) => output.line(text)?,
            None => output.line(&format!("[{}]", block["type"].as_str().unwrap_or("unknown")))?,
        }
    }
    Ok(())
}
