//! What the commands print.

use super::output::{Output, Tone};
use crate::app::{App, plugins};
use crate::plugin::{Digest, UNENFORCEABLE, visible};
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
        let version = visible(plugin.version.as_deref().unwrap_or("-"));
        let place = plugin.isolation.map_or_else(String::new, |isolation| format!(", {isolation}"));
        let tone = if plugin.state == "ready" { Tone::Good } else { Tone::Bad };
        let (name, state) = (output.toned(Tone::Heading, &visible(&plugin.name)), output.toned(tone, plugin.state));
        output.line(&format!("{name} {version} ({state}{place})"))?;
        let wanted = plugin.not_granted.iter().map(|want| format!("wants, and is not granted: {want}"));
        let loose = plugin.not_enforced.iter().map(|what| format!("not enforced: {what}"));
        for told in plugin.reason.iter().cloned().chain(wanted).chain(loose) {
            output.line(&format!("  {}", visible(&told)))?;
        }
        let mine = |place: &crate::registry::Place| *place.plugin == *plugin.name && plugin.state == "ready";
        let tools = snapshot.tools().iter().filter(|it| mine(&it.place));
        let tools = tools.map(|it| row("tool", &it.name, it.definition.description.as_deref()));
        let resources = snapshot.resources().iter().filter(|it| mine(&it.place));
        let resources = resources.map(|it| row("resource", &it.definition.uri, it.definition.description.as_deref()));
        let templates = snapshot.templates().iter().filter(|it| mine(&it.place));
        let templates =
            templates.map(|it| row("template", &it.definition.uri_template, it.definition.description.as_deref()));
        let prompts = snapshot.prompts().iter().filter(|it| mine(&it.place));
        let prompts = prompts.map(|it| row("prompt", &it.name, it.definition.description.as_deref()));
        output.rows(tools.chain(resources).chain(templates).chain(prompts))?;
    }
    problems
        .iter()
        .try_for_each(|problem| output.line(&format!("{} {}", output.toned(Tone::Bad, "problem:"), visible(problem))))
}

fn row(kind: &str, name: &str, description: Option<&str>) -> [String; 3] {
    let first = description.and_then(|text| text.lines().next()).unwrap_or_default();
    [kind.to_owned(), visible(name), visible(first)]
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
        let reason = plugin.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", visible(reason)));
        output.line(&format!("{}: {}{reason}", visible(&plugin.name), plugin.state))
    });
    let told = told
        .and_then(|()| problems.iter().try_for_each(|problem| output.line(&format!("problem: {}", visible(problem)))));
    let verdict = if healthy { output.toned(Tone::Good, "ok") } else { output.toned(Tone::Bad, "not ok") };
    (told.and_then(|()| output.line(&verdict)), healthy)
}

/// What a plugin's file says of itself.
pub(super) fn metadata(metadata: &Metadata, digest: Digest, as_json: bool, output: &mut Output) -> io::Result<()> {
    let mut value = serde_json::to_value(metadata)?;
    value["sha256"] = json!(digest.to_string());
    value["unenforceable"] = json!(UNENFORCEABLE);
    if as_json {
        return output.json(&value);
    }
    let members =
        value.as_object().into_iter().flatten().filter(|(key, _)| !["wants", "unenforceable"].contains(&key.as_str()));
    let rows = members.map(|(key, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        [key.clone(), visible(&text)]
    });
    // What is to be granted in the configuration.
    let wants = metadata.wants.iter().map(|want| ["wants".to_owned(), visible(want)]);
    output.line(&output.toned(Tone::Heading, &visible(&metadata.name)))?;
    output.rows(rows.chain(wants))?;
    if UNENFORCEABLE.is_empty() {
        return Ok(());
    }
    output.line(&format!(
        "not enforceable on this system: {}; with 'isolation = \"worker\"' the plugin is refused here, unless \
         'unenforceable = \"warn\"' is set for it",
        UNENFORCEABLE.join(", ")
    ))
}

/// The result of a tool: its text for people, all of it for programs.
pub(super) fn result(result: &Value, as_json: bool, output: &mut Output) -> io::Result<()> {
    if as_json {
        return output.json(result);
    }
    for block in result["content"].as_array().into_iter().flatten() {
        match block["text"].as_str() {
            // What a tool says may be anybody's words: on a terminal they write letters and do nothing else.
            Some(text) if output.is_terminal() => {
                text.split('\n').try_for_each(|line| output.line(&visible(&line.replace('\t', "    "))))?;
            }
            Some(text) => output.line(text)?,
            None => output.line(&format!("[{}]", block["type"].as_str().unwrap_or("unknown")))?,
        }
    }
    Ok(())
}
