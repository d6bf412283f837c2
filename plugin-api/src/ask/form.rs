//! Forms: a flat list of fields, the answer to them, and forms made from types.

use crate::error::{Error, Result};
use crate::schema;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// What the user did with a form or a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// Filled it in and sent it.
    Accepted(T),
    /// Said no.
    Declined,
    /// Closed it.
    Cancelled,
}

impl<T> Answer<T> {
    /// The value, if the user sent one.
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(value) => Some(value),
            Self::Declined | Self::Cancelled => None,
        }
    }

    /// The same without the value.
    pub(crate) fn without_value(self) -> Answer<()> {
        match self {
            Self::Accepted(_) => Answer::Accepted(()),
            Self::Declined => Answer::Declined,
            Self::Cancelled => Answer::Cancelled,
        }
    }
}

impl Answer<Value> {
    /// The same with the value as a type.
    pub(crate) fn decoded<T: DeserializeOwned>(self) -> Result<Answer<T>> {
        Ok(match self {
            Self::Accepted(value) => Answer::Accepted(serde_json::from_value(value)?),
            Self::Declined => Answer::Declined,
            Self::Cancelled => Answer::Cancelled,
        })
    }
}

/// What a client answers to an elicitation.
#[derive(Debug, Deserialize)]
pub(crate) struct ElicitReply {
    action: Action,
    #[serde(default)]
    content: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Decline,
    Cancel,
}

impl ElicitReply {
    pub(crate) fn into_answer(self) -> Answer<Value> {
        match self.action {
            Action::Accept => Answer::Accepted(self.content),
            Action::Decline => Answer::Declined,
            Action::Cancel => Answer::Cancelled,
        }
    }
}

/// Types whose fields can be a form: text, numbers, yes or no, and choices. Implemented for all that decode and have a schema.
pub trait FormType: DeserializeOwned + JsonSchema {}

impl<T: DeserializeOwned + JsonSchema> FormType for T {}

/// A form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form {
    fields: Map<String, Value>,
    required: Vec<String>,
}

impl Form {
    /// A form without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field that must be filled in.
    #[must_use]
    pub fn required(mut self, name: impl Into<String>, field: Field) -> Self {
        let name = name.into();
        self.required.push(name.clone());
        self.fields.insert(name, Value::Object(field.0));
        self
    }

    /// Adds a field that may be left empty.
    #[must_use]
    pub fn optional(mut self, name: impl Into<String>, field: Field) -> Self {
        self.fields.insert(name.into(), Value::Object(field.0));
        self
    }

    /// The form of a struct's fields.
    ///
    /// # Errors
    /// Names the field that is not text, a number, a yes or no, or a choice.
    pub fn of<T: FormType>() -> Result<Self> {
        let root = schema::inlined::<T>();
        let Some(properties) = root.get("properties").and_then(Value::as_object) else {
            return Err(Error::new("a form needs a struct with named fields"));
        };
        let required: Vec<String> = root
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let mut fields = Map::new();
        for (name, property) in properties {
            let field =
                flat_field(property).ok_or_else(|| Error::new(format!("the field '{name}' is too deep for a form")))?;
            fields.insert(name.clone(), field);
        }
        Ok(Self { fields, required })
    }

    pub(crate) fn into_schema(self) -> Value {
        let mut schema = json!({"type": "object", "properties": self.fields});
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        schema
    }
}

/// Keywords that a form's field may have.
const FIELD_KEYWORDS: &[&str] = &[
    "type",
    "title",
    "description",
    "default",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "enum",
    "oneOf",
    "items",
    "minItems",
    "maxItems",
];

/// Brings a field's schema into the restricted form that clients can show.
fn flat_field(schema: &Value) -> Option<Value> {
    let mut field = schema.as_object()?.clone();
    if let Some(inner) = without_null(&field) {
        let about: Vec<(String, Value)> = ["title", "description", "default"]
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), field.get(*key)?.clone())))
            .collect();
        field = inner;
        field.extend(about);
    }
    if field.get("default").is_some_and(Value::is_null) {
        field.shift_remove("default");
    }
    if let Some(choices) = field.shift_remove("oneOf") {
        let choices = titled_choices(&choices)?;
        field.insert("type".into(), "string".into());
        field.insert("oneOf".into(), choices);
    }
    let format = field.get("format").and_then(Value::as_str).map(str::to_owned);
    field.retain(|key, _| FIELD_KEYWORDS.contains(&key.as_str()));
    if let Some(format) = format.filter(|format| ["email", "uri", "date", "date-time"].contains(&format.as_str())) {
        field.insert("format".into(), format.into());
    }
    match field.get("type").and_then(Value::as_str)? {
        "string" | "number" | "integer" | "boolean" => {}
        "array" => {
            let mut items = field.get("items")?.as_object()?.clone();
            if let Some(choices) = items.shift_remove("oneOf") {
                items = Map::from_iter([("anyOf".to_owned(), titled_choices(&choices)?)]);
            } else if items.contains_key("enum") {
                items.retain(|key, _| key == "enum" || key == "type");
            } else {
                return None;
            }
            field.insert("items".into(), items.into());
        }
        _ => return None,
    }
    Some(Value::Object(field))
}

/// What an optional field is when it is there.
fn without_null(field: &Map<String, Value>) -> Option<Map<String, Value>> {
    if let Some(Value::Array(types)) = field.get("type") {
        let rest: Vec<&Value> = types.iter().filter(|name| *name != "null").collect();
        let [only] = rest.as_slice() else { return None };
        let mut field = field.clone();
        field.insert("type".into(), (*only).clone());
        if let Some(Value::Array(values)) = field.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        return Some(field);
    }
    let variants = field.get("anyOf")?.as_array()?;
    let rest: Vec<&Value> = variants.iter().filter(|variant| variant["type"] != "null").collect();
    match rest.as_slice() {
        [only] => only.as_object().cloned(),
        _ => None,
    }
}

/// The choices of a documented enum: each a constant with a title.
fn titled_choices(choices: &Value) -> Option<Value> {
    let mut titled = Vec::new();
    for choice in choices.as_array()? {
        if let Some(value) = choice.get("const") {
            let title = choice.get("title").or_else(|| choice.get("description")).unwrap_or(value);
            titled.push(json!({"const": value, "title": title}));
        } else {
            for value in choice.get("enum")?.as_array()? {
                titled.push(json!({"const": value, "title": value}));
            }
        }
    }
    Some(Value::Array(titled))
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq)]
pub struct Field(Map<String, Value>);

impl Field {
    fn of(kind: &str) -> Self {
        Self(Map::from_iter([("type".to_owned(), kind.into())]))
    }

    /// Text.
    #[must_use]
    pub fn text() -> Self {
        Self::of("string")
    }

    /// Text of a format: `email`, `uri`, `date` or `date-time`.
    #[must_use]
    pub fn formatted(format: &str) -> Self {
        Self::text().set("format", format)
    }

    /// A whole number.
    #[must_use]
    pub fn integer() -> Self {
        Self::of("integer")
    }

    /// A number.
    #[must_use]
    pub fn number() -> Self {
        Self::of("number")
    }

    /// Yes or no.
    #[must_use]
    pub fn boolean() -> Self {
        Self::of("boolean")
    }

    /// One of some values.
    #[must_use]
    pub fn choice<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::text().set("enum", Value::from_iter(values))
    }

    /// One of some values, each with a title: `(value, title)`.
    #[must_use]
    pub fn titled_choice<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::text().set("oneOf", titled(values))
    }

    /// One of some values with titles, in the form of older clients: `(value, title)`.
    #[must_use]
    pub fn legacy_choice<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (values, names): (Vec<&str>, Vec<&str>) = values.into_iter().unzip();
        Self::text().set("enum", Value::from_iter(values)).set("enumNames", Value::from_iter(names))
    }

    /// Any of some values.
    #[must_use]
    pub fn choices<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::of("array").set("items", json!({"type": "string", "enum": Value::from_iter(values)}))
    }

    /// Any of some values, each with a title: `(value, title)`.
    #[must_use]
    pub fn titled_choices<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::of("array").set("items", json!({"anyOf": titled(values)}))
    }

    /// A title for people.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        self.set("title", title)
    }

    /// A line about it.
    #[must_use]
    pub fn description(self, description: &str) -> Self {
        self.set("description", description)
    }

    /// What it holds before the user types.
    #[must_use]
    pub fn default_value(self, value: impl Into<Value>) -> Self {
        self.set("default", value)
    }

    /// The least and the greatest number.
    #[must_use]
    pub fn range(self, minimum: impl Into<Value>, maximum: impl Into<Value>) -> Self {
        self.set("minimum", minimum).set("maximum", maximum)
    }

    /// The least and the greatest length of text, in characters.
    #[must_use]
    pub fn length(self, minimum: u32, maximum: u32) -> Self {
        self.set("minLength", minimum).set("maxLength", maximum)
    }

    /// A regular expression that text must match.
    #[must_use]
    pub fn pattern(self, pattern: &str) -> Self {
        self.set("pattern", pattern)
    }

    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }
}

fn titled<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    values.into_iter().map(|(value, title)| json!({"const": value, "title": title})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, JsonSchema)]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Deserialize, JsonSchema)]
    enum Size {
        /// Fits a pocket
        Small,
        /// Fits a house
        Large,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is read")]
    struct Order {
        /// Who pays
        name: String,
        #[serde(default = "three")]
        count: u8,
        gift: Option<bool>,
        colour: Colour,
        sizes: Vec<Size>,
        shade: Option<Colour>,
    }

    fn three() -> u8 {
        3
    }

    #[test]
    fn a_struct_becomes_a_flat_form() {
        assert_eq!(
            Form::of::<Order>().unwrap().into_schema(),
            json!({
                "type": "object",
                "properties": {
                    "name": {"description": "Who pays", "type": "string"},
                    "count": {"type": "integer", "minimum": 0, "maximum": 255, "default": 3},
                    "gift": {"type": "boolean"},
                    "colour": {"type": "string", "enum": ["Red", "Green"]},
                    "sizes": {"type": "array", "items": {"anyOf": [
                        {"const": "Small", "title": "Fits a pocket"},
                        {"const": "Large", "title": "Fits a house"}
                    ]}},
                    "shade": {"type": "string", "enum": ["Red", "Green"]}
                },
                "required": ["name", "colour", "sizes"]
            })
        );
    }

    #[test]
    fn a_deep_field_is_named() {
        #[derive(Deserialize, JsonSchema)]
        #[expect(dead_code, reason = "only its schema is read")]
        struct Deep {
            inner: Vec<Vec<u8>>,
        }
        assert_eq!(Form::of::<Deep>().unwrap_err().message(), "the field 'inner' is too deep for a form");
    }
}
