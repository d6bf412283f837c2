//! Request ids, kept as the JSON they came as.

use serde_json::value::RawValue;
use std::sync::Arc;

/// A request's id: a JSON string or integer, echoed byte for byte (2025-era J-02).
///
/// Integers beyond any machine type are kept too, because they are never converted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

impl Id {
    /// The longest id that is accepted, in bytes. It is held for as long as the call runs.
    pub const MAX_BYTES: usize = 1024;

    /// An id from its JSON, unless it is neither string nor integer, or too long.
    #[must_use]
    pub fn from_raw(raw: &RawValue) -> Option<Self> {
        Self::from_json(raw.get())
    }

    fn from_json(json: &str) -> Option<Self> {
        let is_string = json.starts_with('"');
        let digits = json.strip_prefix('-').unwrap_or(json);
        let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (json.len() <= Self::MAX_BYTES && (is_string || is_integer)).then(|| Self(json.into()))
    }

    /// The id as JSON.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_integers_are_ids() {
        for json in ["1", "-7", "\"1\"", "\"\"", "123456789012345678901234567890"] {
            assert_eq!(Id::from_json(json).map(|id| id.as_json().to_owned()), Some(json.to_owned()));
        }
    }

    #[test]
    fn other_json_is_not_an_id() {
        for json in ["null", "1.5", "1e3", "true", "[1]", "{}", "-"] {
            assert_eq!(Id::from_json(json), None, "{json}");
        }
    }

    #[test]
    fn the_longest_id_is_accepted_and_one_more_byte_is_not() {
        let longest = format!("\"{}\"", "x".repeat(Id::MAX_BYTES - 2));
        assert!(Id::from_json(&longest).is_some());
        assert_eq!(Id::from_json(&format!("\"{}\"", "x".repeat(Id::MAX_BYTES - 1))), None);
    }
}
