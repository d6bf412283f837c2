//! Schemas that can be compiled for certain, told without compiling them: those that derives write. The meta-schema itself takes
//! longer to compile than a host takes to load ten plugins.
//!
//! What is not known here is not plain, and its compiler judges it: patterns, other dialects, identifiers, other references.
//! <https://json-schema.org/draft/2020-12/meta/validation>, `applicator`, `meta-data`.

use serde_json::{Map, Value};
use std::collections::HashSet;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Whether a schema is one of 2020-12 that can be compiled, and every reference in it leads to one of its own definitions.
pub(super) fn is_plain(schema: &Value) -> bool {
    let Value::Object(root) = schema else { return schema.is_boolean() };
    let dialect = root.get("$schema").is_none_or(|dialect| dialect == DIALECT);
    let definitions = root.get("$defs").map(Value::as_object);
    dialect && definitions != Some(None) && Plain { definitions: definitions.flatten() }.members(root, true)
}

struct Plain<'a> {
    definitions: Option<&'a Map<String, Value>>,
}

impl Plain<'_> {
    fn schema(&self, schema: &Value) -> bool {
        match schema {
            Value::Bool(_) => true,
            Value::Object(members) => self.members(members, false),
            _ => false,
        }
    }

    fn schemas(&self, schemas: &Value) -> bool {
        schemas.as_array().is_some_and(|schemas| !schemas.is_empty() && schemas.iter().all(|it| self.schema(it)))
    }

    fn named(&self, schemas: &Value) -> bool {
        let is_plain = |(name, schema): (&String, &Value)| !name.starts_with('$') && self.schema(schema);
        schemas.as_object().is_some_and(|schemas| schemas.iter().all(is_plain))
    }

    fn members(&self, members: &Map<String, Value>, is_root: bool) -> bool {
        members.iter().all(|(key, value)| match key.as_str() {
            "$schema" => is_root,
            "$defs" => is_root && self.named(value),
            "$ref" => self.leads_to_own(value),
            "title" | "description" | "format" | "$comment" => value.is_string(),
            "type" => is_type(value) || is_set_of(value, is_type),
            "properties" => self.named(value),
            "required" => value.as_array().is_some_and(Vec::is_empty) || is_set_of(value, Value::is_string),
            "items" | "additionalProperties" | "propertyNames" | "contains" | "not" | "if" | "then" | "else" => {
                self.schema(value)
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => self.schemas(value),
            "enum" | "examples" => value.is_array() && is_mere_value(value),
            "const" | "default" => is_mere_value(value),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
            "multipleOf" => value.as_f64().is_some_and(|number| number > 0.0),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minContains"
            | "maxContains" => value.is_u64(),
            "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" => value.is_boolean(),
            // What MCP has clients repeat in headers, and what else is nobody's keyword.
            other => other.starts_with("x-") && !value.is_object() && !value.is_array(),
        })
    }

    fn leads_to_own(&self, reference: &Value) -> bool {
        let name = reference.as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
        name.is_some_and(|name| {
            let is_as_it_stands = |it: char| it.is_ascii_alphanumeric() || it == '_';
            name.chars().all(is_as_it_stands) && self.definitions.is_some_and(|known| known.contains_key(name))
        })
    }
}

fn is_type(name: &Value) -> bool {
    let types = ["array", "boolean", "integer", "null", "number", "object", "string"];
    name.as_str().is_some_and(|name| types.contains(&name))
}

/// Whether it is an array with items, all of them such and none of them twice.
fn is_set_of(value: &Value, is_such: impl Fn(&Value) -> bool) -> bool {
    let Some(items) = value.as_array().filter(|items| !items.is_empty()) else { return false };
    let names: HashSet<_> = items.iter().filter_map(Value::as_str).collect();
    names.len() == items.len() && items.iter().all(is_such)
}

/// A value that nobody takes for a part of the schema, wherever it is looked for.
fn is_mere_value(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().all(|(name, value)| !name.starts_with('$') && is_mere_value(value)),
        Value::Array(items) => items.iter().all(is_mere_value),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Validator;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use serde_json::json;
    use std::cell::Cell;

    #[test]
    fn what_derives_write_is_plain() {
        let nested = json!({
            "$schema": DIALECT, "title": "Booking", "type": "object", "additionalProperties": false,
            "$defs": {"Seat_2": {"oneOf": [{"const": "aisle"}, {"enum": ["window", 1, null]}]}},
            "properties": {
                "seat": {"$ref": "#/$defs/Seat_2", "description": "Where."},
                "guests": {"type": ["integer", "null"], "minimum": 0, "maximum": 9, "default": null},
                "notes": {"type": "array", "items": {"type": "string", "maxLength": 80}, "uniqueItems": true, "default": []},
                "region": {"type": "string", "x-mcp-header": "Region"},
            },
            "required": ["seat"],
        });
        for schema in [nested, json!(true), json!({}), json!({"type": "object", "properties": {}, "required": []})] {
            assert!(is_plain(&schema), "{schema}");
        }
    }

    #[test]
    fn what_its_compiler_must_judge_is_not() {
        for schema in [
            json!(7),
            json!({"type": "text"}),
            json!({"type": []}),
            json!({"type": ["string", "string"]}),
            json!({"required": ["a", "a"]}),
            json!({"properties": {"a": 1}}),
            json!({"properties": {"$id": {"type": "string"}}}),
            json!({"anyOf": []}),
            json!({"minLength": -1}),
            json!({"multipleOf": 0}),
            json!({"pattern": "a"}),
            json!({"$id": "https://example.com"}),
            json!({"$ref": "#/$defs/a"}),
            json!({"$ref": "#", "type": "object"}),
            json!({"$ref": "#/$defs/a~1b", "$defs": {"a/b": true}}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            json!({"properties": {"a": {"$schema": DIALECT}}}),
            json!({"properties": {"a": {"$defs": {"b": true}}}}),
            json!({"default": {"$schema": DIALECT}}),
            json!({"unheard": {}}),
            json!({"$defs": []}),
        ] {
            assert!(!is_plain(&schema), "{schema}");
        }
    }

    /// Values that are no schemas.
    fn value() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(&["string", "object", "a", "b", "^a", "date", "$id", ""]);
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (-1..3_i64).prop_map(Value::from),
            (-1.5..1.5_f64).prop_map(Value::from),
            word.prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            let names = prop::sample::select(&["a", "$id", "$ref", "type"]).prop_map(str::to_owned);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(names, inner, 0..3).prop_map(|members| json!(members)),
            ]
        })
    }

    /// Schemas whose keywords mostly have values that fit, and some that are unheard of.
    fn schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(true)), Just(json!({})), Just(json!({"type": "integer"})), value()];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let key = |keys: &'static [&'static str]| prop::sample::select(keys);
            let names = || key(&["a", "b", "$id", "$ref"]).prop_map(str::to_owned);
            let words = || key(&["string", "null", "array", "a"]);
            let member = prop_oneof![
                (
                    key(&["items", "not", "if", "then", "contains", "propertyNames", "additionalProperties"]),
                    inner.clone()
                ),
                (
                    key(&["properties", "$defs"]),
                    prop::collection::btree_map(names(), inner.clone(), 0..3).prop_map(|it| json!(it))
                ),
                (key(&["anyOf", "oneOf", "prefixItems"]), prop::collection::vec(inner, 0..3).prop_map(Value::from)),
                (key(&["type", "required", "enum"]), prop::collection::vec(words(), 0..3).prop_map(Value::from)),
                (key(&["type", "title", "format", "pattern", "$id", "x-a", "b"]), words().prop_map(Value::from)),
                (
                    key(&["minimum", "minLength", "maxItems", "minContains", "multipleOf"]),
                    (-1..3_i64).prop_map(Value::from)
                ),
                (key(&["minimum", "maxLength", "multipleOf"]), (-1.5..1.5_f64).prop_map(Value::from)),
                (key(&["uniqueItems", "deprecated"]), any::<bool>().prop_map(Value::from)),
                (key(&["const", "default", "enum", "examples"]), value()),
                (key(&["$ref"]), key(&["#/$defs/a", "#/$defs/b", "#", "#/$defs/$id", "a"]).prop_map(Value::from)),
            ];
            prop::collection::vec(member, 0..4)
                .prop_map(|members| json!(members.into_iter().collect::<std::collections::BTreeMap<_, _>>()))
        })
    }

    #[test]
    fn what_is_plain_compiles() {
        let mut runner = TestRunner::new(ProptestConfig { cases: 4000, ..ProptestConfig::default() });
        let plain = Cell::new(0);
        let judged = runner.run(&(schema(), schema()), |(mut schema, definition)| {
            if let Some(members) = schema.as_object_mut() {
                members.insert("$defs".to_owned(), json!({"a": definition}));
            }
            if is_plain(&schema) {
                plain.set(plain.get() + 1);
                let compiled = Validator::of(&schema);
                prop_assert!(compiled.is_ok(), "{}: {:?}", schema, compiled.err());
            }
            Ok(())
        });
        assert_eq!(judged, Ok(()));
        assert!(plain.get() > 400, "{} of them are plain", plain.get());
    }
}
