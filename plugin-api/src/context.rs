//! What a running function may ask of its host and its client.

use crate::abi::{CallContext, Reply, foreign::RSlice, op};
use crate::ask::{Answer, ElicitReply, Form, FormType, Roots, Sampled, Sampling};
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How much a log message for the client matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For finding faults.
    Debug,
    /// Normal events.
    Info,
    /// Normal, but worth a look.
    Notice,
    /// Something is off.
    Warning,
    /// Something failed.
    Error,
    /// A part of the system failed.
    Critical,
    /// Someone must act at once.
    Alert,
    /// Nothing works.
    Emergency,
}

/// Who is on the other side of a call, and what they can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// The name it gave itself.
    pub name: String,
    /// The version it gave itself.
    pub version: String,
    /// It can show the user a form.
    pub elicit_form: bool,
    /// It can ask the user to open a URL.
    pub elicit_url: bool,
    /// It lets its model be asked.
    pub sample: bool,
    /// Its model may be given tools.
    pub sample_tools: bool,
    /// It tells its roots.
    pub roots: bool,
    /// It wants to hear of progress.
    pub progress: bool,
}

/// One call, as its function sees it. Cheap to clone; the call counts as running until the last clone is dropped.
///
/// # Running again
/// A function that asks the client something may be run again from its start, with the answers it already has. Asks have
/// keys for this reason, and a step that must happen once goes into [`Context::once`].
#[derive(Clone)]
pub struct Context {
    api: Arc<CallContext>,
}

impl Context {
    pub(crate) fn new(api: CallContext) -> Self {
        Self { api: Arc::new(api) }
    }

    /// Whether nobody waits for the answer any more. An `async fn` is dropped then; a plain `fn` should look now and then.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.api.is_cancelled()
    }

    /// Resolves when the call is cancelled.
    pub async fn cancelled(&self) {
        if self.request(op::CANCELLED, &Value::Null).await.is_err() {
            // A host that does not know the question never cancels in this way.
            std::future::pending::<()>().await;
        }
    }

    /// How long the call may still take; nothing where it is not bounded.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.query(op::DEADLINE).map(Duration::from_millis)
    }

    /// Names the call in logs.
    #[must_use]
    pub fn call_id(&self) -> String {
        self.query(op::CALL_ID).unwrap_or_default()
    }

    /// Who is on the other side.
    #[must_use]
    pub fn client(&self) -> Client {
        self.query(op::CLIENT).unwrap_or_default()
    }

    /// Tells the client how far the work is: `done` of `total`. Only growing values of `done` are passed on.
    pub fn progress(&self, done: f64, total: impl Into<Option<f64>>) {
        self.notify(op::PROGRESS, &json!({"progress": done, "total": total.into()}));
    }

    /// As [`Context::progress`], with a word about what happens.
    pub fn progress_with(&self, done: f64, total: impl Into<Option<f64>>, message: impl Into<String>) {
        self.notify(op::PROGRESS, &json!({"progress": done, "total": total.into(), "message": message.into()}));
    }

    /// A log message for the client. For the operator's log use `tracing`.
    pub fn log(&self, level: LogLevel, data: impl Into<Value>) {
        self.notify(op::LOG, &json!({"level": level, "data": data.into()}));
    }

    /// As [`Context::log`], under the name of a part of the plugin.
    pub fn log_as(&self, logger: &str, level: LogLevel, data: impl Into<Value>) {
        self.notify(op::LOG, &json!({"level": level, "logger": logger, "data": data.into()}));
    }

    /// Announces that a resource has new content, to those who asked to hear of it.
    pub fn resource_updated(&self, uri: &str) {
        self.notify(op::RESOURCE_UPDATED, &json!({"uri": uri}));
    }

    /// Announces that what the plugin offers has changed: its dynamic resources, say.
    pub fn manifest_changed(&self) {
        self.notify(op::MANIFEST_CHANGED, &Value::Null);
    }

    /// Frees the client's connection: it comes back for the answer after about `retry`. For work that takes minutes.
    pub fn release_connection(&self, retry: Duration) {
        self.notify(op::RELEASE, &json!({"retry_ms": retry.as_millis() as u64}));
    }

    /// Shows the user a form and waits for it.
    ///
    /// # Errors
    /// When the client has no forms, fails or does not answer in time.
    pub async fn elicit(&self, key: &str, message: &str, form: Form) -> Result<Answer<Value>> {
        let payload = json!({"key": key, "mode": "form", "message": message, "schema": form.into_schema()});
        self.ask::<ElicitReply>(op::ELICIT, &payload).await.map(ElicitReply::into_answer)
    }

    /// Shows the user a form with the fields of `T`, and waits for it.
    ///
    /// # Errors
    /// As [`Context::elicit`]; also when `T` is not flat, or the answer does not fit it.
    pub async fn elicit_as<T: FormType>(&self, key: &str, message: &str) -> Result<Answer<T>> {
        let answer = self.elicit(key, message, Form::of::<T>()?).await?;
        match answer {
            Answer::Accepted(value) => Ok(Answer::Accepted(serde_json::from_value(value)?)),
            Answer::Declined => Ok(Answer::Declined),
            Answer::Cancelled => Ok(Answer::Cancelled),
        }
    }

    /// Asks the user to open a URL. Accepting says that the user agreed, not that they are done there: that is announced
    /// with [`Context::url_done`], under the same `key`.
    ///
    /// # Errors
    /// When the client cannot open URLs, fails or does not answer in time.
    pub async fn elicit_url(&self, key: &str, message: &str, url: &str) -> Result<Answer<()>> {
        let payload = json!({"key": key, "mode": "url", "message": message, "url": url});
        Ok(match self.ask::<ElicitReply>(op::ELICIT, &payload).await?.into_answer() {
            Answer::Accepted(_) => Answer::Accepted(()),
            Answer::Declined => Answer::Declined,
            Answer::Cancelled => Answer::Cancelled,
        })
    }

    /// Announces that the user is done at a URL.
    pub fn url_done(&self, id: &str) {
        self.notify(op::ELICITATION_DONE, &json!({"id": id}));
    }

    /// Asks the client's model.
    ///
    /// # Errors
    /// When the client does not let its model be asked, or not with tools; when it refuses or does not answer in time.
    pub async fn sample(&self, key: &str, sampling: Sampling) -> Result<Sampled> {
        self.ask(op::SAMPLE, &json!({"key": key, "params": sampling})).await
    }

    /// The folders that the client opens to the plugin.
    ///
    /// # Errors
    /// When the client has no roots, or does not answer in time.
    pub async fn roots(&self, key: &str) -> Result<Roots> {
        self.ask(op::ROOTS, &json!({"key": key})).await
    }

    /// Does a step once, however often the function is run: later runs get the value of the first.
    ///
    /// # Errors
    /// When the step fails; then it is not recorded.
    pub async fn once<T, F>(&self, key: &str, step: impl FnOnce() -> F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T>>,
    {
        if let Some(value) = self.ask::<Option<Value>>(op::ONCE_GET, &json!({"key": key})).await? {
            return Ok(serde_json::from_value(value)?);
        }
        let value = step().await?;
        self.ask::<Value>(op::ONCE_PUT, &json!({"key": key, "value": value})).await?;
        Ok(value)
    }

    /// Waits for a future in a plain `fn`, which runs on a thread that may block.
    ///
    /// # Panics
    /// In an `async fn` or an inline function; use `.await` there.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::runtime::Handle::current().block_on(future)
    }

    async fn ask<T: DeserializeOwned>(&self, op: &str, payload: &Value) -> Result<T> {
        Ok(serde_json::from_slice(&self.request(op, payload).await?)?)
    }

    async fn request(&self, op: &str, payload: &Value) -> Result<Vec<u8>> {
        let payload = payload.to_string();
        let request = self.api.request(op.into(), RSlice::from(payload.as_bytes()));
        match request.await {
            Reply::ROk(bytes) => Ok(bytes.into()),
            Reply::RErr(failure) => Err(Error::from(failure)),
        }
    }

    fn notify(&self, op: &str, payload: &Value) {
        let payload = payload.to_string();
        self.api.notify(op.into(), RSlice::from(payload.as_bytes()));
    }

    fn query<T: DeserializeOwned>(&self, op: &str) -> Option<T> {
        let bytes = self.api.query(op.into()).into_option()?;
        serde_json::from_slice(&bytes).ok()
    }
}
