//! The reference pages, made from what the host itself says of its words and its keys.

use serde_json::Value;
use std::fmt::Write as _;

/// The page of the command line.
pub(crate) fn command_line() -> String {
    let options = clap_markdown::MarkdownOptions::new().title("Command line".to_owned()).show_footer(false);
    let page = clap_markdown::help_markdown_command_custom(&mcp_host::cli::command(), &options);
    // A blank line is enough, and lines end where they end.
    let lines: Vec<&str> = page.lines().map(str::trim_end).collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if !(line.is_empty() && index > 0 && lines[index - 1].is_empty()) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.trim_end().to_owned() + "\n"
}

/// The page of the configuration.
pub(crate) fn configuration() -> String {
    let schema = mcp_host::config::schema();
    let mut text =
        "# Every key of the configuration\n\nMade from the schema that `mcp-host config schema` prints.\n".to_owned();
    let mut tables = vec![(String::new(), schema.clone())];
    while !tables.is_empty() {
        let (name, table) = tables.remove(0);
        let heading = if name.is_empty() { "At the top".to_owned() } else { format!("`[{name}]`") };
        let _ = write!(text, "\n## {heading}\n");
        if let Some(about) = (!name.is_empty()).then(|| table["description"].as_str()).flatten() {
            let _ = write!(text, "\n{}\n", one_line(about));
        }
        let mut rows = String::new();
        for (key, value) in table["properties"].as_object().into_iter().flatten() {
            let value = resolved(&schema, value);
            let below = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            if value["properties"].is_object() {
                tables.push((below, value));
                continue;
            }
            let items = resolved(&schema, &value["additionalProperties"]);
            if items["properties"].is_object() {
                let word = if key == "tools" || key == "plugins" { "NAME" } else { "KEY" };
                tables.push((format!("{below}.{word}"), items));
                continue;
            }
            let about = one_line(value["description"].as_str().unwrap_or_default()).replace('|', "\\|");
            let _ = writeln!(rows, "| `{key}` | {} | {about} |", kind(&schema, &value));
        }
        if !rows.is_empty() {
            let _ = write!(text, "\n| key | | |\n|---|---|---|\n{rows}");
        }
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a schema refers to, with what it says of itself.
fn resolved(schema: &Value, value: &Value) -> Value {
    let alternatives = value["anyOf"].as_array().into_iter().chain(value["allOf"].as_array()).flatten();
    let single = alternatives.chain([value]).find_map(|it| it["$ref"].as_str());
    let Some(target) = single.and_then(|reference| schema.pointer(reference.strip_prefix('#')?)) else {
        return value.clone();
    };
    let mut target = resolved(schema, target);
    if let Some(about) = value.get("description") {
        target["description"] = about.clone();
    }
    target
}

/// What may stand there.
fn kind(schema: &Value, value: &Value) -> String {
    let words = |values: &Vec<Value>| {
        values
            .iter()
            .filter(|it| !it.is_null())
            .map(|it| format!("`{}`", it.to_string().replace('"', "")))
            .collect::<Vec<_>>()
    };
    if let Some(values) = value["enum"].as_array() {
        return words(values).join(", ");
    }
    if let Some(all) = value["oneOf"].as_array().filter(|all| all.iter().all(|it| it.get("const").is_some())) {
        return words(&all.iter().map(|it| it["const"].clone()).collect()).join(", ");
    }
    if let Some(all) = value["anyOf"].as_array() {
        let kinds = all.iter().filter(|it| it["type"] != "null").map(|it| kind(schema, &resolved(schema, it)));
        return kinds.collect::<Vec<_>>().join(" or ");
    }
    let types = match &value["type"] {
        Value::Array(all) => {
            all.iter().filter_map(Value::as_str).filter(|it| *it != "null").collect::<Vec<_>>().join(" or ")
        }
        other => other.as_str().unwrap_or("anything").to_owned(),
    };
    match types.as_str() {
        "array" => format!("list of {}", kind(schema, &resolved(schema, &value["items"]))),
        "object" => "table".to_owned(),
        "string" => "text".to_owned(),
        "integer" => "number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        _ => types,
    }
}
