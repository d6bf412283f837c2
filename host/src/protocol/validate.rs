//! JSON Schema, compiled once and bounded (2026-07-28 L-04, L-05). Nothing is ever fetched: a reference to another document
//! is an error of the schema.

use super::plain_schema::is_plain;
use jsonschema::{Draft, PatternOptions};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Judges values by a schema.
#[derive(Debug)]
pub struct Validator {
    schema: LazyLock<Compiled, Box<dyn FnOnce() -> Compiled + Send>>,
    /// How deep values may nest, where every level can multiply the work.
    max_depth: Option<usize>,
    is_of_objects: bool,
}

/// A compiled schema, or why it is none.
type Compiled = Result<jsonschema::Validator, String>;

/// Problems that one message names.
const MAX_PROBLEMS: usize = 5;

/// Bytes of a schema.
const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// Bytes of a schema that may be compiled while a call waits.
const MAX_LATE_BYTES: usize = 1 << 14;

/// Steps back that one pattern may take on one text, where it has parts that need such.
const MAX_BACKTRACKS: usize = 5_000;

/// How often one part of a value may be looked at through references that lead back to themselves.
const MAX_LOOKS: f64 = 4096.0;

impl Validator {
    /// Compiles a schema; 2020-12 unless its `$schema` says otherwise (2025-era J-09). One that can be compiled for certain is
    /// compiled when the first value is judged: many never are.
    ///
    /// # Errors
    /// Why it is none, or uses a dialect that is not known.
    pub fn compile(schema: &RawValue) -> Result<Self, String> {
        let text = schema.get();
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(format!("it has more than {MAX_SCHEMA_BYTES} bytes"));
        }
        let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        let schema = parse(text)?;
        if text.len() > MAX_LATE_BYTES || !is_plain(&schema) {
            return Self::of(&schema);
        }
        let text: Box<str> = text.into();
        Self::with(&schema, Box::new(move || compiled(&parse(&text)?)))
    }

    /// Compiles what all that is compiled late needs, which takes milliseconds, once in a process.
    ///
    /// # Blocking
    /// Computes.
    pub fn make_ready() {
        let _ = jsonschema::meta::is_valid(&serde_json::json!({"type": "object"}));
    }

    /// Compiles a schema that is parsed already.
    ///
    /// # Errors
    /// As [`Validator::compile`].
    pub fn of(schema: &Value) -> Result<Self, String> {
        let compiled = compiled(schema)?;
        Self::with(schema, Box::new(move || Ok(compiled)))
    }

    fn with(schema: &Value, compile: Box<dyn FnOnce() -> Compiled + Send>) -> Result<Self, String> {
        let references = References::of(schema);
        let looks = references.looks();
        if looks > MAX_LOOKS {
            return Err("its references multiply: too much of it would be looked at again and again".to_owned());
        }
        let looped = references.looped();
        let max_depth = (looped > 1).then(|| (MAX_LOOKS.ln() / (looped as f64).ln()).round() as usize);
        let is_of_objects = schema.get("type").is_some_and(|kind| kind == "object");
        Ok(Self { schema: LazyLock::new(compile), max_depth, is_of_objects })
    }

    /// Whether the schema's root says that values are objects (2026-07-28 L-03).
    #[must_use]
    pub fn is_of_objects(&self) -> bool {
        self.is_of_objects
    }

    /// Judges a value.
    ///
    /// # Errors
    /// What does not fit and where, without the values: they may be secret.
    pub fn check(&self, json: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        self.check_value(&value)
    }

    /// Judges a value that is parsed already.
    ///
    /// # Errors
    /// As [`Validator::check`].
    pub fn check_value(&self, value: &Value) -> Result<(), String> {
        if let Some(max) = self.max_depth
            && depth_of(value) > max
        {
            return Err(format!("the value: nested more than {max} deep, which this schema cannot be checked for"));
        }
        let schema = self.schema.as_ref().map_err(|reason| format!("its schema is not usable: {reason}"))?;
        let problems: Vec<String> = schema
            .iter_errors(value)
            .take(MAX_PROBLEMS)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "the value".to_owned() } else { format!("'{place}'") };
                format!("{place}: {}", error.masked())
            })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }
}

fn compiled(schema: &Value) -> Compiled {
    let options = || jsonschema::options().with_draft(Draft::Draft202012);
    // Without parts that need to go back, a pattern takes as long as its text is.
    let linear = options().with_pattern_options(PatternOptions::regex()).build(schema);
    let built = linear.or_else(|_| {
        let patterns = PatternOptions::fancy_regex().backtrack_limit(MAX_BACKTRACKS);
        options().with_pattern_options(patterns).build(schema)
    });
    built.map_err(|error| error.to_string())
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth_of).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

/// The references within a schema.
struct References {
    /// Where they stand and where they lead, as JSON pointers.
    all: Vec<(String, String)>,
    /// From each target to the targets of all references below it, as often as they stand there.
    below: HashMap<String, Vec<String>>,
}

impl References {
    fn of(schema: &Value) -> Self {
        let mut all = Vec::new();
        collect_references(schema, "", &mut all);
        let targets: HashSet<&String> = all.iter().map(|(_, target)| target).collect();
        let below = targets
            .into_iter()
            .map(|target| {
                let inside = |place: &str| {
                    target.is_empty()
                        || place
                            .strip_prefix(target.as_str())
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                let of_it = all.iter().filter(|(place, _)| inside(place)).map(|(_, other)| other.clone());
                (target.clone(), of_it.collect())
            })
            .collect();
        Self { all, below }
    }

    fn leads_back(&self, target: &str) -> bool {
        let mut seen = HashSet::new();
        let mut next: Vec<&String> = self.below.get(target).into_iter().flatten().collect();
        while let Some(at) = next.pop() {
            if at == target {
                return true;
            }
            if seen.insert(at) {
                next.extend(self.below.get(at).into_iter().flatten());
            }
        }
        false
    }

    /// How many references lead back to themselves. With two of them, each level of a value may be looked at twice as often
    /// as the one above it.
    fn looped(&self) -> usize {
        self.all.iter().filter(|(_, target)| self.leads_back(target)).count()
    }

    /// How often the most looked-at part is reached through references that do not lead back: a chain in which each link
    /// refers twice to the next doubles with every link.
    fn looks(&self) -> f64 {
        let mut known = HashMap::new();
        let starts = self.all.iter().filter(|(_, target)| !self.leads_back(target));
        starts.map(|(_, target)| self.looks_of(target, &mut known)).fold(0.0, f64::max)
    }

    fn looks_of<'a>(&'a self, target: &'a str, known: &mut HashMap<&'a str, f64>) -> f64 {
        if let Some(looks) = known.get(target) {
            return *looks;
        }
        // Met again on the way it would be a loop, and those are bounded by the depth of values.
        known.insert(target, 1.0);
        let below = self.below.get(target).into_iter().flatten();
        let looks = 1.0 + below.map(|next| self.looks_of(next, known)).sum::<f64>();
        known.insert(target, looks);
        looks
    }
}

/// All references within the document: where they stand and where they lead, as JSON pointers. One by name could lead
/// anywhere, so it is taken to lead to the root.
fn collect_references(schema: &Value, place: &str, references: &mut Vec<(String, String)>) {
    /// Looking at more would itself take long; so many bound the depth as far as it can be.
    const MAX: usize = 1_000;
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                let is_reference = matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
                if let Some(reference) = value.as_str().filter(|_| is_reference && references.len() < MAX) {
                    let pointer = reference.strip_prefix('#').filter(|pointer| pointer.starts_with('/'));
                    references.push((place.to_owned(), pointer.unwrap_or_default().to_owned()));
                }
                collect_references(value, &format!("{place}/{key}"), references);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_references(item, &format!("{place}/{index}"), references);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_to_other_documents_are_refused() {
        for reference in ["https://example.com/schema.json", "http://127.0.0.1/x", "file:///etc/passwd", "other.json"] {
            assert!(Validator::of(&json!({"$ref": reference})).is_err(), "{reference}");
        }
        assert!(Validator::of(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}})).is_ok());
    }

    #[test]
    fn what_is_compiled_late_judges_alike() {
        let compile = |text: &str| Validator::compile(&RawValue::from_string(text.to_owned()).unwrap());
        let late = compile(r#"{"type": "object", "properties": {"n": {"type": "integer"}}}"#).unwrap();
        assert!(LazyLock::get(&late.schema).is_none() && late.is_of_objects());
        assert_eq!(late.check(r#"{"n": 1}"#), Ok(()));
        assert_eq!(late.check(r#"{"n": "1"}"#).unwrap_err(), "'/n': value is not of type \"integer\"");
        // What may be none is compiled at once, and so is what takes long.
        assert!(compile(r#"{"type": "text"}"#).is_err());
        let large = format!(r#"{{"description": "{}"}}"#, "a".repeat(MAX_LATE_BYTES));
        assert_eq!(compile(&large).unwrap().check("7"), Ok(()));
    }

    #[test]
    fn references_that_lead_back_are_counted() {
        let tree = json!({"properties": {"children": {"items": {"$ref": "#"}}}});
        assert_eq!(References::of(&tree).looped(), 1);
        let twice = json!({"anyOf": [{"properties": {"c": {"$ref": "#"}}}, {"properties": {"c": {"$ref": "#"}}}]});
        assert_eq!(References::of(&twice).looped(), 2);
        let around = json!({"$defs": {
            "a": {"properties": {"b": {"$ref": "#/$defs/b"}}},
            "b": {"properties": {"a": {"$ref": "#/$defs/a"}}},
            "plain": {"type": "string"},
        }, "properties": {"x": {"$ref": "#/$defs/plain"}, "y": {"$ref": "#/$defs/plain"}}});
        assert_eq!(References::of(&around).looped(), 2);
    }

    #[test]
    fn chains_that_multiply_are_refused() {
        let chain = |links: usize| {
            let link = |at: usize| {
                let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
                (format!("d{at}"), if at < links { json!({"allOf": [next, next]}) } else { json!({"type": "object"}) })
            };
            let definitions: serde_json::Map<String, Value> = (0..=links).map(link).collect();
            Validator::of(&json!({"$ref": "#/$defs/d0", "$defs": definitions}))
        };
        assert_eq!(chain(8).unwrap().check_value(&json!({})), Ok(()));
        assert!(chain(22).unwrap_err().contains("its references multiply"));
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!({}), |inner, _| json!({"c": inner}))
    }

    #[test]
    fn what_multiplies_with_the_depth_is_bounded_by_it() {
        let branch = json!({"properties": {"c": {"$ref": "#"}}, "required": ["d"]});
        let costly = Validator::of(&json!({"anyOf": [branch, branch]})).unwrap();
        assert!(!costly.check_value(&nested(11)).unwrap_err().contains("nested more than"));
        assert!(costly.check_value(&nested(60)).unwrap_err().contains("nested more than 12 deep"));
        let tree = Validator::of(&json!({"properties": {"c": {"$ref": "#"}}})).unwrap();
        assert_eq!(tree.check_value(&nested(60)), Ok(()));
    }

    #[test]
    fn patterns_that_go_back_give_up() {
        let lookahead = Validator::of(&json!({"type": "string", "pattern": "^(?=.*[a-z])(a|aa)+$"})).unwrap();
        assert_eq!(lookahead.check_value(&json!("aaaa")), Ok(()));
        assert!(lookahead.check_value(&json!(format!("{}!", "a".repeat(2000)))).is_err());
        let linear = Validator::of(&json!({"type": "string", "pattern": "^(a|aa)+$"})).unwrap();
        assert!(linear.check_value(&json!(format!("{}!", "a".repeat(100_000)))).is_err());
    }
}
