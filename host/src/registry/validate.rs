//! JSON Schema, compiled once. Nothing is ever fetched: a reference to another document is an error of the schema.

use serde_json::Value;
use serde_json::value::RawValue;

/// Judges values by a schema.
pub struct Validator(jsonschema::Validator);

/// Problems that one message names.
const MAX_PROBLEMS: usize = 5;

impl Validator {
    /// Compiles a schema; 2020-12 unless its `$schema` says otherwise (2025-era J-09).
    ///
    /// # Errors
    /// Why it is none, or uses a dialect that is not known.
    pub fn compile(schema: &RawValue) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(schema.get()).map_err(|error| error.to_string())?;
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
        options.build(&schema).map(Self).map_err(|error| error.to_string())
    }

    /// Judges a value.
    ///
    /// # Errors
    /// What does not fit and where, without the values: they may be secret.
    pub fn check(&self, json: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let problems: Vec<String> = self
            .0
            .iter_errors(&value)
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
