//! JSON Schema 2020-12 of Rust types, and what of it the typed decoding already enforces.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The schema of a tool's arguments. Its root is always an object.
#[must_use]
pub fn of_arguments<T: JsonSchema>() -> Value {
    let mut schema = of::<T>();
    if let Value::Object(root) = &mut schema {
        root.entry("type").or_insert_with(|| "object".into());
        root.entry("properties").or_insert_with(|| Map::new().into());
    }
    schema
}

/// The schema of any type.
#[must_use]
pub(crate) fn of<T: JsonSchema>() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    if let Value::Object(root) = &mut schema {
        // The dialect is the protocol's default, and the title only repeats a Rust name.
        root.shift_remove("$schema");
        root.shift_remove("title");
    }
    schema
}

/// The schema of a type without references, as a form needs it.
#[must_use]
pub(crate) fn inlined<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Keywords that say nothing about which values are valid, or that serde enforces as it decodes.
const ENFORCED: &[&str] = &[
    "$ref",
    "$defs",
    "$schema",
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "default",
    "title",
    "description",
    "additionalProperties",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "prefixItems",
];

/// Whether decoding into the type that gave this schema refuses all that the schema refuses.
///
/// Conservative: a keyword that is not known to be enforced makes the host validate.
#[must_use]
pub(crate) fn is_enforced_by_decoding(schema: &Value) -> bool {
    let Value::Object(schema) = schema else {
        return schema.is_boolean();
    };
    schema.iter().all(|(keyword, value)| match keyword.as_str() {
        "properties" | "$defs" => {
            value.as_object().is_some_and(|schemas| schemas.values().all(is_enforced_by_decoding))
        }
        "items" | "additionalProperties" => is_enforced_by_decoding(value),
        "anyOf" | "oneOf" | "prefixItems" => {
            value.as_array().is_some_and(|schemas| schemas.iter().all(is_enforced_by_decoding))
        }
        // The bounds that schemars gives unsigned and small integers are the type's own.
        "format" | "minimum" | "maximum" | "minItems" | "maxItems" => is_bound_of_the_type(schema, keyword),
        keyword => ENFORCED.contains(&keyword),
    })
}

fn is_bound_of_the_type(schema: &Map<String, Value>, keyword: &str) -> bool {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    match keyword {
        "format" => {
            ["uint", "uint8", "uint16", "uint32", "uint64", "int", "int8", "int16", "int32", "int64", "float", "double"]
                .contains(&format)
        }
        "minimum" => {
            format.starts_with("uint") && schema["minimum"].as_u64() == Some(0)
                || format == "int8" && schema["minimum"].as_i64() == Some(i8::MIN.into())
                || format == "int16" && schema["minimum"].as_i64() == Some(i16::MIN.into())
        }
        "maximum" => match format {
            "uint8" => schema["maximum"].as_u64() == Some(u8::MAX.into()),
            "uint16" => schema["maximum"].as_u64() == Some(u16::MAX.into()),
            "int8" => schema["maximum"].as_i64() == Some(i8::MAX as i64),
            "int16" => schema["maximum"].as_i64() == Some(i16::MAX.into()),
            _ => false,
        },
        // Of tuples and arrays, whose length serde enforces.
        _ => schema.contains_key("prefixItems"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Plain {
        name: String,
        age: u8,
        small: i16,
        tags: Option<Vec<String>>,
        pair: (u32, f64),
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Ranged {
        #[schemars(range(min = 1, max = 9))]
        count: u32,
    }

    #[test]
    fn plain_types_are_enforced_by_decoding() {
        assert!(is_enforced_by_decoding(&of_arguments::<Plain>()), "{}", of_arguments::<Plain>());
    }

    #[test]
    fn a_range_is_left_to_the_host() {
        assert!(!is_enforced_by_decoding(&of_arguments::<Ranged>()));
    }

    #[test]
    fn a_unit_has_an_empty_object_for_arguments() {
        #[derive(JsonSchema)]
        #[schemars(deny_unknown_fields)]
        struct Nothing {}
        assert_eq!(
            of_arguments::<Nothing>(),
            json!({"type": "object", "additionalProperties": false, "properties": {}})
        );
    }
}
