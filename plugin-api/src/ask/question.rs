//! Several questions at once, and the answers to them.

use super::{Answer, ElicitReply, Form, FormType, Roots, Sampled, Sampling};
use crate::abi::op;
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A question to the client, for [`crate::Context::ask_all`].
#[derive(Debug, Clone)]
pub struct Question {
    pub(crate) key: String,
    pub(crate) op: &'static str,
    pub(crate) payload: Value,
}

impl Question {
    /// A form for the user, as in [`crate::Context::elicit`].
    #[must_use]
    pub fn form(key: &str, message: &str, form: Form) -> Self {
        let payload = json!({"key": key, "mode": "form", "message": message, "schema": form.into_schema()});
        Self { key: key.to_owned(), op: op::ELICIT, payload }
    }

    /// A form with the fields of `T`, as in [`crate::Context::elicit_as`].
    ///
    /// # Errors
    /// When `T` is not flat.
    pub fn form_of<T: FormType>(key: &str, message: &str) -> Result<Self> {
        Ok(Self::form(key, message, Form::of::<T>()?))
    }

    /// A URL for the user to open, as in [`crate::Context::elicit_url`].
    #[must_use]
    pub fn url(key: &str, message: &str, url: &str) -> Self {
        let payload = json!({"key": key, "mode": "url", "message": message, "url": url});
        Self { key: key.to_owned(), op: op::ELICIT, payload }
    }

    /// A question to the client's model, as in [`crate::Context::sample`].
    #[must_use]
    pub fn sample(key: &str, sampling: Sampling) -> Self {
        Self { key: key.to_owned(), op: op::SAMPLE, payload: json!({"key": key, "params": sampling}) }
    }

    /// The client's roots, as in [`crate::Context::roots`].
    #[must_use]
    pub fn roots(key: &str) -> Self {
        Self { key: key.to_owned(), op: op::ROOTS, payload: json!({"key": key}) }
    }
}

/// The answers to several questions, by their keys.
#[derive(Debug, Clone, Default)]
pub struct Answers(pub(crate) Map<String, Value>);

impl Answers {
    /// What the user did with a form.
    ///
    /// # Errors
    /// When no form was asked under this key.
    pub fn form(&self, key: &str) -> Result<Answer<Value>> {
        Ok(self.read::<ElicitReply>(key)?.into_answer())
    }

    /// What the user did with a form, as a type.
    ///
    /// # Errors
    /// As [`Answers::form`]; also when the answer does not fit.
    pub fn form_as<T: FormType>(&self, key: &str) -> Result<Answer<T>> {
        self.form(key)?.decoded()
    }

    /// What the user did with a URL.
    ///
    /// # Errors
    /// When no URL was asked under this key.
    pub fn url(&self, key: &str) -> Result<Answer<()>> {
        Ok(self.form(key)?.without_value())
    }

    /// What the client's model said.
    ///
    /// # Errors
    /// When the model was not asked under this key.
    pub fn sampled(&self, key: &str) -> Result<Sampled> {
        self.read(key)
    }

    /// The client's roots.
    ///
    /// # Errors
    /// When they were not asked for under this key.
    pub fn roots(&self, key: &str) -> Result<Roots> {
        self.read(key)
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let answer = self.0.get(key).ok_or_else(|| Error::new(format!("nothing was asked under the key '{key}'")))?;
        Ok(serde_json::from_value(answer.clone())?)
    }
}
