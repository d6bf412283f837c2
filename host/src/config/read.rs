//! From text to a [`File`]: variables expanded, shape checked, every problem told.

use super::expand::expand;
use super::{ConfigError, File, Problem};
use crate::registry::closest;
use jsonschema::error::ValidationErrorKind;
use schemars::generate::SchemaSettings;
use serde::Deserialize as _;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where the configuration is when none is named.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "mcp-host").map(|folders| folders.config_dir().join("config.toml"))
}

/// The JSON Schema of the configuration.
#[must_use]
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>().to_value()
}

/// Reads a file. `look_up` knows the environment. Relative paths in it count from its folder.
///
/// # Errors
/// See [`ConfigError`]; it names all problems.
pub fn read(path: &Path, look_up: &dyn Fn(&str) -> Option<String>) -> Result<File, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let mut file = parse(&text, look_up)?;
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = whole.parent() {
        file.count_from(folder);
    }
    Ok(file)
}

/// Reads a text.
///
/// # Errors
/// See [`ConfigError`].
pub fn parse(text: &str, look_up: &dyn Fn(&str) -> Option<String>) -> Result<File, ConfigError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| ConfigError::NotToml {
        line: error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1),
        message: error.message().to_owned(),
    })?;
    let mut value = serde_json::to_value(table).map_err(|_| {
        ConfigError::Problems(vec![Problem { path: String::new(), message: "a number is not finite".to_owned() }])
    })?;
    let mut problems = Vec::new();
    expand_all(&mut value, "", look_up, &mut problems);
    // The schema names every problem, and takes longer to be ready than all else of an empty start: it is asked when there is one.
    match File::deserialize(&value) {
        Ok(file) if !has_list_for_table(&value) => {
            if problems.is_empty() {
                return Ok(file);
            }
        }
        Ok(_) => problems.extend(misshapen(&value)),
        Err(error) => {
            let misshapen = misshapen(&value);
            if misshapen.is_empty() {
                problems.push(Problem { path: String::new(), message: error.to_string() });
            }
            problems.extend(misshapen);
        }
    }
    Err(ConfigError::Problems(problems))
}

fn expand_all(value: &mut Value, path: &str, look_up: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::String(text) => match expand(text, look_up) {
            Ok(expanded) => *text = expanded,
            Err(message) => problems.push(Problem { path: path.to_owned(), message }),
        },
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_all(item, &below(&index.to_string()), look_up, problems);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                expand_all(member, &below(key), look_up, problems);
            }
        }
        _ => {}
    }
}

/// Whether a list stands where a table belongs: deserialized, it would be taken for the values of the table.
fn has_list_for_table(value: &Value) -> bool {
    let mut lists = Vec::new();
    lists_in(value, "", &mut lists);
    if lists.is_empty() {
        return false;
    }
    let schema = schema();
    lists.iter().any(|path| at(&schema, path).is_some_and(|here| is_table(&schema, here)))
}

fn lists_in(value: &Value, path: &str, lists: &mut Vec<String>) {
    match value {
        Value::Array(_) => lists.push(path.to_owned()),
        Value::Object(members) => {
            for (key, member) in members {
                lists_in(member, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, lists);
            }
        }
        _ => {}
    }
}

fn is_table(schema: &Value, here: &Value) -> bool {
    let choices = here.get("anyOf").and_then(Value::as_array);
    let is_choice = choices.is_some_and(|choices| choices.iter().any(|it| is_table(schema, resolve(schema, it))));
    is_choice || here.get("type").is_some_and(|kind| kind == "object")
}

/// Where the shape is not that of the schema.
fn misshapen(value: &Value) -> Vec<Problem> {
    let schema = schema();
    let Ok(validator) = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).build(&schema) else {
        return vec![Problem { path: String::new(), message: "the host's own schema is broken".to_owned() }];
    };
    let mut problems = Vec::new();
    for error in validator.iter_errors(value) {
        let path = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for key in unexpected {
                    let known = known_keys(&schema, &path);
                    let hint = closest(key, known.iter().map(String::as_str));
                    let hint = hint.map_or_else(String::new, |known| format!("; did you mean '{known}'?"));
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    problems.push(Problem { path, message: format!("there is no such key{hint}") });
                }
            }
            ValidationErrorKind::Type { .. } => {
                let found = found_type(value.pointer(error.instance_path().as_str()));
                problems.push(Problem {
                    path,
                    message: format!("this must be {}, not {found}", expected_type(&error.to_string())),
                });
            }
            ValidationErrorKind::Pattern { pattern } => {
                let form = if pattern.contains("ms") {
                    "a time such as '500ms', '10s', '5m' or '1h'"
                } else {
                    "a size such as '512', '64KiB', '10MiB' or '1GiB'"
                };
                problems.push(Problem { path, message: format!("write {form}") });
            }
            // The schema's optional keys are "a type or null".
            ValidationErrorKind::AnyOf { .. } => {
                let found = found_type(value.pointer(error.instance_path().as_str()));
                let message = match known_form(&schema, &path) {
                    Some(form) => format!("write {form}"),
                    None => format!("{found} does not fit here"),
                };
                problems.push(Problem { path, message });
            }
            _ => problems.push(Problem { path, message: error.masked().to_string() }),
        }
    }
    // The validator's order follows a hash map.
    problems.sort_by(|one, other| one.path.cmp(&other.path));
    problems
}

/// The schema of a key path.
fn at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let mut here = schema;
    for key in path.split('.').filter(|key| !key.is_empty()) {
        here = resolve(schema, here);
        here = here.pointer(&format!("/properties/{key}")).or_else(|| here.get("additionalProperties"))?;
    }
    Some(resolve(schema, here))
}

fn resolve<'a>(schema: &'a Value, here: &'a Value) -> &'a Value {
    match here.get("$ref").and_then(Value::as_str) {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap_or(here),
        None => here,
    }
}

fn known_keys(schema: &Value, path: &str) -> Vec<String> {
    let properties = at(schema, path).and_then(|here| here.get("properties")).and_then(Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

/// How a key with an optional value is written.
fn known_form(schema: &Value, path: &str) -> Option<&'static str> {
    let here = at(schema, path)?.to_string();
    if here.contains("(ms|s|m|h)") {
        Some("a time such as '500ms', '10s', '5m' or '1h'")
    } else if here.contains("KiB") {
        Some("a size such as '512', '64KiB', '10MiB' or '1GiB'")
    } else if here.contains("LogFormat") {
        Some("'text' or 'json'")
    } else {
        None
    }
}

fn found_type(value: Option<&Value>) -> &'static str {
    match value {
        Some(Value::String(_)) => "text",
        Some(Value::Number(_)) => "a number",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "a table",
        _ => "nothing",
    }
}

/// The expected type, out of the validator's words, which end with it.
fn expected_type(message: &str) -> &'static str {
    let tail = message.rsplit(" is not of type").next().unwrap_or_default();
    [
        ("string", "text"),
        ("integer", "a whole number"),
        ("number", "a number"),
        ("boolean", "true or false"),
        ("array", "a list"),
        ("object", "a table"),
    ]
    .iter()
    .find(|(name, _)| tail.contains(name))
    .map_or("something else", |(_, told)| told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let problems = match parse(text, &|name| (name == "SET").then(|| "value".to_owned())) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
            Err(other) => vec![other.to_string()],
        };
        assert_eq!(problems, expected, "{text}");
    }

    #[test]
    fn every_problem_is_told_with_its_key_path() {
        check(
            "[http]\naddres = \"x\"\nmax_headers = \"many\"\nbody_timeout = \"soon\"\n[plugins.x]\nenabeld = true\nprefix = \"${UNSET}\"\n",
            &[
                "plugins.x.prefix: the environment variable 'UNSET' is not set",
                "http.addres: there is no such key; did you mean 'address'?",
                "http.body_timeout: write a time such as '500ms', '10s', '5m' or '1h'",
                "http.max_headers: this must be a whole number, not text",
                "plugins.x.enabeld: there is no such key; did you mean 'enabled'?",
            ],
        );
    }

    #[test]
    fn relative_paths_count_from_the_folder_of_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, whole) = (folder.path().join("host.toml"), folder.path().join("whole"));
        let text = "plugin_dirs = [\"a\", WHOLE]\nskill_dirs = [\"b\"]\nstate_dir = \"c\"\nlock_file = \"d\"\n[log]\nfile = \"e\"\n";
        std::fs::write(&path, text.replace("WHOLE", &format!("{whole:?}"))).unwrap();
        let file = read(&path, &|_| None).unwrap();
        let of = |name: &str| folder.path().join(name);
        assert_eq!((file.plugin_dirs, file.skill_dirs), (vec![of("a"), whole], vec![of("b")]));
        assert_eq!((file.state_dir, file.lock_file, file.log.file), (Some(of("c")), Some(of("d")), Some(of("e"))));
    }

    #[test]
    fn good_texts_have_no_problems() {
        check("", &[]);
        check("plugin_dirs = [\"${SET}\"]\n[plugins.x.config]\nanything = [1, { deep = true }]\n", &[]);
        check("[limits]\ncall_timeout = \"10s\"\nmax_result_size = \"1MiB\"\n[log]\nformat = \"json\"\n", &[]);
    }

    #[test]
    fn a_list_is_no_table() {
        check("watch = [false]\n", &["watch: this must be a table, not a list"]);
        check("[plugins]\nx = [false]\n", &["plugins.x: this must be a table, not a list"]);
        check("[plugins.x]\ngrants = []\n", &["plugins.x.grants: a list does not fit here"]);
        check("http = [\"0.0.0.0:80\"]\nplugin_dirs = [\"a\"]\n", &["http: this must be a table, not a list"]);
    }

    #[test]
    fn times_and_sizes_are_what_the_schema_says() {
        for value in ["\u{a0}5s", "5\ts", "1234567890123s", "s", "5 S"] {
            check(
                &format!("[limits]\ncall_timeout = '{value}'\n"),
                &["limits.call_timeout: write a time such as '500ms', '10s', '5m' or '1h'"],
            );
        }
        check("[limits]\ncall_timeout = \"5  s\"\n", &[]);
    }

    #[test]
    fn broken_toml_is_told_with_its_line() {
        check("a = 1\nb = = 2\n", &["the configuration is not TOML: line 2: extra `=`, expected nothing"]);
    }
}
