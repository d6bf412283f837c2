//! Arguments of a tool, from words: `key=value`, JSON, or a file with JSON. What does not fit its schema is told before
//! anything is called.

use super::output::columns;
use crate::plugin::visible;
use crate::protocol::Validator;
use crate::registry::closest;
use serde_json::{Map, Value};
use std::io::Read as _;

/// The arguments that words mean, for a tool of this name with this schema.
///
/// Nothing is no arguments; one word that begins with `{` is JSON, `@FILE` a file with JSON, `-` JSON on standard input. All
/// else is `key=value`, of the type that the schema says, or `key:=JSON`. A key that stands there again makes a list.
///
/// # Errors
/// What is wrong, and what the tool takes.
///
/// # Blocking
/// Reads files.
pub(super) fn read(tool: &str, schema: &Value, words: &[String]) -> Result<Value, String> {
    let arguments = match words {
        [] => Value::Object(Map::new()),
        [word] if word.starts_with('{') => json(word, "the arguments")?,
        [word] if word == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| format!("standard input cannot be read: {error}"))?;
            json(&text, "standard input")?
        }
        [word] if word.starts_with('@') => {
            let file = &word[1..];
            let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
            json(&text, file)?
        }
        words => pairs(schema, words)?,
    };
    let problems = problems(schema, &arguments);
    if problems.is_empty() {
        return Ok(arguments);
    }
    Err(format!("the arguments do not fit tool '{tool}': {}\n{}", problems.join("; "), taken(tool, schema)))
}

fn json(text: &str, what: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("{what} is not JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err(format!("{what} is no JSON object")) }
}

fn pairs(schema: &Value, words: &[String]) -> Result<Value, String> {
    let mut arguments = Map::new();
    for word in words {
        let Some((key, value)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("'{word}' is no argument: write key=value, key:=JSON, one JSON object, or @FILE"));
        };
        let twice = || format!("{}: is there more than once", key.trim_end_matches(':'));
        if let Some(key) = key.strip_suffix(':') {
            let value = serde_json::from_str(value).map_err(|error| format!("{key}: this is not JSON: {error}"))?;
            if arguments.insert(key.to_owned(), value).is_some() {
                return Err(twice());
            }
            continue;
        }
        let property = meant(schema, &schema["properties"][key]);
        let is_list = types(schema, property).contains(&"array") && !value.trim_start().starts_with('[');
        if is_list {
            let item = typed(schema, &property["items"], value);
            let list = arguments.entry(key.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().ok_or_else(|| format!("{key}: is there as a list and as JSON"))?.push(item);
        } else if arguments.insert(key.to_owned(), typed(schema, property, value)).is_some() {
            return Err(twice());
        }
    }
    Ok(Value::Object(arguments))
}

/// A word as the type that a schema says. What is none of them stays text, for the schema to judge.
fn typed(whole: &Value, schema: &Value, word: &str) -> Value {
    let text = || Value::String(word.to_owned());
    let types = types(whole, schema);
    if types.contains(&"string") {
        return text();
    }
    let parsed: Option<Value> = serde_json::from_str(word).ok();
    match parsed {
        // Without a word about its type, text is text unless it can be nothing else.
        Some(value) if !types.is_empty() || !value.is_string() => value,
        _ => text(),
    }
}

/// What a schema refers to, within the `whole` one.
fn meant<'a>(whole: &'a Value, schema: &'a Value) -> &'a Value {
    /// References that refer to references; more go in circles.
    const MOST: usize = 8;
    let mut found = schema;
    for _ in 0..MOST {
        // One that is wrapped, to say something more of it, is meant as well.
        let wrapped = found["allOf"].as_array().filter(|all| all.len() == 1).and_then(|all| all.first());
        let reference = [Some(found), wrapped].into_iter().flatten().find_map(|it| it["$ref"].as_str());
        let Some(target) = reference.and_then(|it| whole.pointer(it.strip_prefix('#')?)) else {
            break;
        };
        found = target;
    }
    found
}

/// The types that a schema allows, as far as it says so itself or in its alternatives.
fn types<'a>(whole: &'a Value, schema: &'a Value) -> Vec<&'a str> {
    let schema = meant(whole, schema);
    let own = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    let alternatives = alternatives.flat_map(|it| types(whole, it));
    let is_text = values(whole, schema).into_iter().any(Value::is_string);
    own.into_iter().chain(alternatives).chain(is_text.then_some("string")).collect()
}

/// The values that a schema names, if it names them all.
fn values<'a>(whole: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let schema = meant(whole, schema);
    let listed = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
    let alternatives = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    listed.chain(alternatives.flat_map(|it| values(whole, it))).collect()
}

/// What is wrong with arguments, in words of their own names.
fn problems(schema: &Value, arguments: &Value) -> Vec<String> {
    let Some(given) = arguments.as_object() else {
        return vec!["they are no object".to_owned()];
    };
    let known = schema["properties"].as_object();
    let is_closed = schema["additionalProperties"] == false;
    let unknown = given.keys().filter(|key| is_closed && known.is_none_or(|known| !known.contains_key(*key)));
    let mut told: Vec<String> = unknown
        .map(|key| {
            let names = known.into_iter().flat_map(|known| known.keys().map(String::as_str));
            let meant = closest(key, names).map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
            format!("there is no argument '{key}'{meant}")
        })
        .collect();
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    told.extend(required.filter(|name| !given.contains_key(*name)).map(|name| format!("'{name}' is missing")));
    if told.is_empty()
        && let Ok(validator) = Validator::of(schema)
        && let Err(error) = validator.check_value(arguments)
    {
        told.push(error.replace("'/", "'"));
    }
    told
}

/// What a tool takes: one line for each argument.
fn taken(tool: &str, schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object().filter(|all| !all.is_empty()) else {
        return format!("'{tool}' takes no arguments");
    };
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
    let rows: Vec<[String; 4]> = properties
        .iter()
        .map(|(name, property)| {
            let mut kinds = types(schema, property);
            kinds.retain(|kind| *kind != "null");
            kinds.sort_unstable();
            kinds.dedup();
            let values = values(schema, property);
            let words = values.iter().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
            let values = (!values.is_empty()).then(|| words.collect::<Vec<_>>().join("|"));
            let default = &property["default"];
            let need = match (required(name), default) {
                (true, _) => "required".to_owned(),
                (false, Value::Null) => "optional".to_owned(),
                (false, default) => format!("default {default}"),
            };
            let about = property["description"].as_str().and_then(|text| text.lines().next()).unwrap_or_default();
            [name.clone(), values.unwrap_or_else(|| kinds.join("|")), need, about.to_owned()].map(|text| visible(&text))
        })
        .collect();
    format!("'{tool}' takes:\n{}", columns(rows, None).trim_end())
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::{Value, json};

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "description": "Whom to greet.\nMore."},
                "count": {"type": ["integer", "null"], "minimum": 1},
                "loud": {"type": "boolean", "default": false},
                "tags": {"type": "array", "items": {"type": "string"}},
                "sizes": {"type": "array", "items": {"type": "integer"}},
                "mood": {"enum": ["good", "bad"]},
                "any": {},
            },
            "required": ["name"],
        })
    }

    #[track_caller]
    fn is(words: &[&str], expected: Value) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(read("greet", &schema(), &words), Ok(expected));
    }

    #[track_caller]
    fn why(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let told = read("greet", &schema(), &words).unwrap_err();
        told.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn words_have_the_types_of_the_schema() {
        is(&["name=12", "count=3", "loud=true"], json!({"name": "12", "count": 3, "loud": true}));
        is(
            &["name=a=b", "tags=x", "tags=1", "sizes=1", "sizes=2"],
            json!({"name": "a=b", "tags": ["x", "1"], "sizes": [1, 2]}),
        );
        is(&["name=", "tags=[\"y\"]", "mood=good"], json!({"name": "", "tags": ["y"], "mood": "good"}));
        is(&["name=x", "any=5", "count:=null"], json!({"name": "x", "any": 5, "count": null}));
        is(&["name=x", "any=five", "sizes:=[]"], json!({"name": "x", "any": "five", "sizes": []}));
        is(&["{\"name\": \"x\"}"], json!({"name": "x"}));
    }

    #[test]
    fn references_are_followed() {
        let schema = json!({
            "$defs": {
                "Means": {"oneOf": [{"const": "train", "description": "By rail."}, {"const": "ship"}]},
                "Id": {"type": "string"},
                "Ids": {"type": "array", "items": {"$ref": "#/$defs/Id"}},
                "Loop": {"$ref": "#/$defs/Loop"},
            },
            "properties": {
                "by": {"$ref": "#/$defs/Means"}, "id": {"allOf": [{"$ref": "#/$defs/Id"}], "description": "Whose."},
                "ids": {"$ref": "#/$defs/Ids"}, "loop": {"$ref": "#/$defs/Loop"},
            },
            "required": ["by"],
        });
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let read = |given: &[&str]| read("book", &schema, &words(given));
        let expected = json!({"by": "train", "id": "42", "ids": ["1"]});
        assert_eq!(read(&["by=train", "id=42", "ids=1"]), Ok(expected));
        assert!(read(&[]).unwrap_err().contains("by    train|ship  required"), "{}", read(&[]).unwrap_err());
    }

    #[test]
    fn what_does_not_fit_is_told_by_name() {
        assert_eq!(
            why(&["nam=x"]),
            "the arguments do not fit tool 'greet': there is no argument 'nam'; did you mean 'name'?; 'name' is missing"
        );
        assert_eq!(
            why(&["name=x", "count=0"]),
            "the arguments do not fit tool 'greet': 'count': value is less than the minimum of 1"
        );
        assert!(why(&["name=x", "count=many"]).contains("'count'"), "{}", why(&["name=x", "count=many"]));
        assert_eq!(why(&["x"]), "'x' is no argument: write key=value, key:=JSON, one JSON object, or @FILE");
        assert_eq!(why(&["name=x", "name=y"]), "name: is there more than once");
        assert_eq!(why(&["any:=1", "any:=2"]), "any: is there more than once");
        assert!(why(&["{"]).starts_with("the arguments is not JSON: "));
        assert!(why(&["name:=x"]).starts_with("name: this is not JSON: "));
    }

    #[test]
    fn what_the_tool_takes_is_shown() {
        let told = read("greet", &schema(), &[]).unwrap_err();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[1], "'greet' takes:");
        assert_eq!(lines[2], "  name   string    required       Whom to greet.");
        assert_eq!(lines[4], "  loud   boolean   default false");
        assert_eq!(lines[7], "  mood   good|bad  optional");
        let none = read("now", &json!({"type": "object", "additionalProperties": false}), &["a=1".to_owned()]);
        assert!(none.unwrap_err().ends_with("\n'now' takes no arguments"));
    }
}
