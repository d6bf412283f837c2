//! Arguments that clients repeat in headers, so that proxies can route by them (2026-07-28 ).

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// An argument that clients repeat in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirroredParam {
    /// The header is `Mcp-Param-` and this.
    pub header: String,
    /// Where the argument is: names of members, from the root.
    path: Vec<String>,
}

/// The keyword.
const KEYWORD: &str = "x-mcp-header";

/// Keywords whose value is a map of schemas.
const SCHEMA_MAPS: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Keywords whose value is data.
const DATA: &[&str] = &["default", "const", "enum", "examples"];

/// Integers that every client writes exactly.
const MAX_INTEGER: f64 = ((1_u64 << 53) - 1) as f64;

impl MirroredParam {
    /// The arguments of a schema that are repeated.
    ///
    /// # Errors
    /// The first use of the keyword that breaks its rules: clients would leave the tool out.
    pub fn all(schema: &RawValue) -> Result<Vec<Self>, String> {
        // Almost all schemas are done here.
        if !schema.get().contains(KEYWORD) {
            return Ok(Vec::new());
        }
        let schema: Value = serde_json::from_str(schema.get()).map_err(|error| error.to_string())?;
        let mut walk = Walk::default();
        walk.schema(&schema, true)?;
        Ok(walk.found)
    }

    /// The argument, if it is there and not `null`.
    #[must_use]
    pub fn value<'a>(&self, arguments: &'a Value) -> Option<&'a Value> {
        self.path.iter().try_fold(arguments, |value, key| value.get(key)).filter(|value| !value.is_null())
    }

    /// Whether a header says what the argument says (2026-07-28 X-04).
    #[must_use]
    pub fn is_said_by(header: &str, value: &Value) -> bool {
        match value {
            Value::String(text) => header == text,
            Value::Bool(value) => header == if *value { "true" } else { "false" },
            Value::Number(number) => {
                let exact = |number: f64| number.abs() <= MAX_INTEGER && number.fract() == 0.0;
                let said = header.parse::<f64>().ok().filter(|_| is_plain_number(header));
                number.as_f64().zip(said).is_some_and(|(number, said)| exact(number) && number == said)
            }
            _ => false,
        }
    }
}

/// `-12.50`: no exponent, no sign of plus, no words.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[derive(Default)]
struct Walk {
    path: Vec<String>,
    names: HashSet<String>,
    found: Vec<MirroredParam>,
}

impl Walk {
    /// Looks at a schema, which is `reachable` from the root by `properties` alone, or not.
    fn schema(&mut self, schema: &Value, reachable: bool) -> Result<(), String> {
        match schema {
            Value::Object(members) => {
                if let Some(name) = members.get(KEYWORD) {
                    self.annotation(name, members, reachable)?;
                }
                for (keyword, value) in members {
                    self.keyword(keyword, value, reachable)?;
                }
                Ok(())
            }
            Value::Array(schemas) => schemas.iter().try_for_each(|schema| self.schema(schema, false)),
            _ => Ok(()),
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value, reachable: bool) -> Result<(), String> {
        match value {
            Value::Object(schemas) if SCHEMA_MAPS.contains(&keyword) => {
                let reachable = reachable && keyword == "properties";
                for (name, schema) in schemas {
                    self.path.push(name.clone());
                    self.schema(schema, reachable)?;
                    self.path.pop();
                }
                Ok(())
            }
            _ if DATA.contains(&keyword) || keyword == KEYWORD => Ok(()),
            value => self.schema(value, false),
        }
    }

    fn annotation(&mut self, name: &Value, schema: &Map<String, Value>, reachable: bool) -> Result<(), String> {
        let place = self.path.join(".");
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let name = name.as_str().filter(|name| !name.is_empty() && name.len() <= 64 && name.bytes().all(token));
        let Some(name) = name else {
            return Err(format!("'{KEYWORD}' of '{place}' must be 1 to 64 characters that a header's name may have"));
        };
        if !reachable || self.path.is_empty() {
            return Err(format!("'{KEYWORD}' may stand on properties only, and on theirs; not at '{place}'"));
        }
        if !matches!(schema.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
            return Err(format!("'{KEYWORD}' of '{place}' needs the type string, integer or boolean"));
        }
        if !self.names.insert(name.to_ascii_lowercase()) {
            return Err(format!("'{KEYWORD}' has '{name}' twice"));
        }
        self.found.push(MirroredParam { header: name.to_owned(), path: self.path.clone() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all(schema: Value) -> Result<Vec<MirroredParam>, String> {
        MirroredParam::all(&RawValue::from_string(schema.to_string()).unwrap())
    }

    #[test]
    fn properties_and_theirs_are_found() {
        let found = all(json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "where": {"type": "object", "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone"}}},
            "x-mcp-header": {"type": "string"},
        }}))
        .unwrap();
        let told: Vec<(&str, String)> = found.iter().map(|it| (it.header.as_str(), it.path.join("."))).collect();
        assert_eq!(told, [("Region", "region".to_owned()), ("Zone", "where.zone".to_owned())]);
        let arguments = json!({"where": {"zone": 3}, "region": null});
        assert_eq!(found[1].value(&arguments), Some(&json!(3)));
        assert_eq!(found[0].value(&arguments), None);
        assert_eq!(all(json!({"properties": {"a": {"default": {"x-mcp-header": ""}}}})), Ok(vec![]));
    }

    #[track_caller]
    fn refused(schema: Value, expected: &str) {
        let reason = all(schema.clone()).unwrap_err();
        assert!(reason.contains(expected), "{schema}: {reason}");
    }

    #[test]
    fn any_other_place_or_value_is_refused() {
        let marked = |name: &str| json!({"type": "string", "x-mcp-header": name});
        for place in [
            json!({"properties": {"a": {"type": "array", "items": marked("A")}}}),
            json!({"oneOf": [{"properties": {"a": marked("A")}}]}),
            json!({"if": {"properties": {"a": marked("A")}}}),
            json!({"$defs": {"a": marked("A")}}),
            json!({"patternProperties": {"a": marked("A")}}),
            json!({"not": marked("A")}),
            marked("A"),
        ] {
            refused(place, "may stand on properties only");
        }
        for name in [json!(""), json!("a b"), json!("a\r\nb"), json!("é"), json!(7)] {
            refused(
                json!({"properties": {"a": {"type": "string", "x-mcp-header": name}}}),
                "must be 1 to 64 characters",
            );
        }
        for kind in [json!("number"), json!("object"), json!(["string", "null"]), Value::Null] {
            refused(json!({"properties": {"a": {"type": kind, "x-mcp-header": "A"}}}), "needs the type");
        }
        refused(json!({"properties": {"a": marked("Same"), "b": marked("sAME")}}), "twice");
    }

    #[test]
    fn headers_say_strings_exactly_and_integers_by_their_value() {
        for (header, value, says) in [
            ("a", json!("a"), true),
            ("A", json!("a"), false),
            ("true", json!(true), true),
            ("True", json!(true), false),
            ("42", json!(42), true),
            ("42.0", json!(42), true),
            ("-7", json!(-7), true),
            ("4e1", json!(40), false),
            ("+42", json!(42), false),
            ("inf", json!(42), false),
            ("42.5", json!(42.5), false),
            ("9007199254740993", json!(9_007_199_254_740_993_i64), false),
            ("{}", json!({}), false),
        ] {
            assert_eq!(MirroredParam::is_said_by(header, &value), says, "{header} {value}");
        }
    }
}
