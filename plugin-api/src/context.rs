//! What a running function may ask of its host and its client.

use crate::abi::{CallContext, Reply, failure, foreign::RSlice, op};
use crate::ask::{Answer, Answers, ElicitReply, Form, FormType, Question, Roots, Sampled, Sampling};
use crate::error::{Error, Result};
use crate::log;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Something that not every client can do, or does for this plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Shows the user a form.
    ElicitForm,
    /// Asks the user to open a URL.
    ElicitUrl,
    /// Lets its model be asked.
    Sample,
    /// Lets its model be asked, and be given tools.
    SampleTools,
    /// Tells its roots.
    Roots,
}

impl Capability {
    /// The name of the protocol: a path through what clients declare.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::ElicitForm => "elicitation",
            Self::ElicitUrl => "elicitation.url",
            Self::Sample => "sampling",
            Self::SampleTools => "sampling.tools",
            Self::Roots => "roots",
        }
    }
}

/// The trace that a call is part of, for calls of the plugin's own to other services (W3C Trace Context and Baggage).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceContext {
    /// The header `traceparent`.
    pub traceparent: Option<String>,
    /// The header `tracestate`.
    pub tracestate: Option<String>,
    /// The header `baggage`.
    pub baggage: Option<String>,
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
    /// It shows the pages that tools have.
    pub apps: bool,
}

impl Client {
    /// Whether it can do something.
    #[must_use]
    pub fn can(&self, capability: Capability) -> bool {
        match capability {
            Capability::ElicitForm => self.elicit_form,
            Capability::ElicitUrl => self.elicit_url,
            Capability::Sample => self.sample,
            Capability::SampleTools => self.sample_tools,
            Capability::Roots => self.roots,
        }
    }
}

/// One call, as its function sees it. Cheap to clone; the call counts as running until the last clone is dropped.
///
/// # Running again
/// A client may be one that cannot be asked while a call runs. Then a function that asks something is ended where it asks,
/// and run again from its start when the answer is there, with all the answers that it already has: maybe in another
/// process, long after. So every question has a key, which must be the same each time and one of its own in the call, and
/// a step that must happen once goes into [`Context::once`].
///
/// # Tasks
/// A tool that is marked `task = "optional"` or `task = "required"` may run as a task: its client has its id instead of an
/// answer, and fetches the result when it is there. Questions are then put to the client while the function waits. A host that
/// starts again fails what it has left behind, or runs it again (`restart = "rerun"`) with its last [`Context::checkpoint`].
#[derive(Clone)]
pub struct Context {
    call: Arc<Call>,
}

struct Call {
    api: CallContext,
    /// Questions that wait for their answer.
    open: AtomicUsize,
    /// Steps that are being done, which must not be ended by a question beside them.
    steps: AtomicUsize,
}

/// A question that waits; it counts until this is dropped.
struct OpenQuestion<'a>(&'a AtomicUsize);

impl Drop for OpenQuestion<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A step that is being done; it is over when this is dropped.
struct Step<'a> {
    context: &'a Context,
    key: &'a str,
}

impl<'a> Step<'a> {
    fn begin(context: &'a Context, key: &'a str) -> Self {
        context.call.steps.fetch_add(1, Ordering::AcqRel);
        Self { context, key }
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.context.call.steps.fetch_sub(1, Ordering::AcqRel);
        self.context.notify(op::STEP_OVER, &json!({"key": self.key}));
    }
}

/// The value of a step that was done before; it may be `null`.
#[derive(Deserialize)]
struct Recorded {
    value: Value,
}

/// The task that a call runs for.
#[derive(Deserialize)]
struct TaskOfCall {
    id: String,
    #[serde(default, deserialize_with = "there")]
    checkpoint: Option<Value>,
}

/// Keeps a checkpoint that is `null` apart from none.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What a function that is to be run again unwinds with. No panic: nothing went wrong, and no hook hears of it.
struct Suspended;

impl Context {
    pub(crate) fn new(api: CallContext) -> Self {
        Self { call: Arc::new(Call { api, open: AtomicUsize::new(0), steps: AtomicUsize::new(0) }) }
    }

    /// The function waits: tells the host, if it waits for answers only.
    pub(crate) fn waits(&self) {
        if self.call.open.load(Ordering::Acquire) > 0 && self.call.steps.load(Ordering::Acquire) == 0 {
            self.notify(op::WAITING, &Value::Null);
        }
    }

    /// Whether nobody waits for the answer any more. An `async fn` is dropped then; a plain `fn` should look now and then.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.call.api.is_cancelled()
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

    /// Holds the client to something before any work is done.
    ///
    /// # Errors
    /// When it cannot do this; the client is told what it lacks.
    pub fn require(&self, capability: Capability) -> Result<()> {
        if self.client().can(capability) { Ok(()) } else { Err(Error::missing_capability(capability)) }
    }

    /// The trace that the call is part of, if its client says so.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.query(op::TRACE)
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
        let reply: ElicitReply = self.put(&Question::form(key, message, form)).await?;
        Ok(reply.into_answer())
    }

    /// Shows the user a form with the fields of `T`, and waits for it.
    ///
    /// # Errors
    /// As [`Context::elicit`]; also when `T` is not flat, or the answer does not fit it.
    pub async fn elicit_as<T: FormType>(&self, key: &str, message: &str) -> Result<Answer<T>> {
        self.elicit(key, message, Form::of::<T>()?).await?.decoded()
    }

    /// Asks the user to open a URL. Accepting says that the user agreed, not that they are done there: that is announced
    /// with [`Context::url_done`], under the same `key`.
    ///
    /// # Errors
    /// When the client cannot open URLs, fails or does not answer in time.
    pub async fn elicit_url(&self, key: &str, message: &str, url: &str) -> Result<Answer<()>> {
        let reply: ElicitReply = self.put(&Question::url(key, message, url)).await?;
        Ok(reply.into_answer().without_value())
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
        self.put(&Question::sample(key, sampling)).await
    }

    /// The folders that the client opens to the plugin.
    ///
    /// # Errors
    /// When the client has no roots, or does not answer in time.
    pub async fn roots(&self, key: &str) -> Result<Roots> {
        self.put(&Question::roots(key)).await
    }

    /// Asks several things at once; each has a key of its own. The client gets them together.
    ///
    /// # Errors
    /// When one of them cannot be asked or is not answered.
    ///
    /// ```
    /// # use mcp_plugin_api::prelude::*;
    /// # async fn tool(ctx: &Context) -> Result<String> {
    /// let name = Form::new().required("name", Field::text());
    /// let answers = ctx.ask_all([Question::form("who", "Who are you?", name), Question::roots("roots")]).await?;
    /// let Answer::Accepted(form) = answers.form("who")? else { return Ok("nobody".into()) };
    /// Ok(format!("{} has {} roots", form["name"], answers.roots("roots")?.roots.len()))
    /// # }
    /// ```
    pub async fn ask_all(&self, questions: impl IntoIterator<Item = Question>) -> Result<Answers> {
        let asked = questions.into_iter().map(async |question| {
            let answer: Value = self.put(&question).await?;
            Ok::<_, Error>((question.key, answer))
        });
        Ok(Answers(futures_util::future::try_join_all(asked).await?.into_iter().collect()))
    }

    /// Does a step once, however often the function is run: later runs get the value of the first. The function is not
    /// ended by a question while a step is being done.
    ///
    /// # Errors
    /// When the step fails; then it is not recorded. When another one with its key is being done, or 1,024 others are. When the steps
    /// of the call have more than 16 MiB in all, in JSON; then this one was done, and is not recorded: record where a large value is.
    pub async fn once<T, F>(&self, key: &str, step: impl FnOnce() -> F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T>>,
    {
        if let Some(Recorded { value }) = self.ask(op::ONCE_GET, &json!({"key": key})).await? {
            return Ok(serde_json::from_value(value)?);
        }
        let _step = Step::begin(self, key);
        let value = step().await?;
        self.ask::<Value>(op::ONCE_PUT, &json!({"key": key, "value": value})).await?;
        Ok(value)
    }

    /// The id of the task that the call runs for; nothing where it is a call that its client waits for.
    #[must_use]
    pub fn task_id(&self) -> Option<String> {
        self.task().map(|task| task.id)
    }

    /// Keeps how far a task is, on disk where the host keeps tasks there: a function that is run again after a restart
    /// (`restart = "rerun"`) gets it from [`Context::last_checkpoint`]. Each replaces the one before. Outside of tasks nothing
    /// is kept, for nothing is run again. Where it cannot be kept for now, on a full disk say, the work goes on, and the one
    /// before still holds for a later run.
    ///
    /// # Errors
    /// When the value is no JSON, or the task is over.
    pub async fn checkpoint(&self, value: &(impl Serialize + ?Sized)) -> Result<()> {
        let value = serde_json::to_value(value)?;
        self.ask::<Value>(op::CHECKPOINT, &json!({"value": value})).await?;
        Ok(())
    }

    /// The last checkpoint of the task; nothing at first, and outside of tasks.
    ///
    /// # Errors
    /// When what was kept is not a `T`.
    pub fn last_checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let kept = self.task().and_then(|task| task.checkpoint);
        Ok(kept.map(serde_json::from_value).transpose()?)
    }

    /// Says that what comes before the task is over, in a tool that is marked `asks_first`: its client gets the task, and the
    /// function is run again from its start, with the answers that it has, until it comes here. Nothing happens here where
    /// the call is a task already, or becomes none.
    ///
    /// # Errors
    /// When the host has no tasks.
    pub async fn begin_task(&self) -> Result<()> {
        self.ask::<Value>(op::BEGIN_TASK, &Value::Null).await?;
        Ok(())
    }

    fn task(&self) -> Option<TaskOfCall> {
        self.query(op::TASK)
    }

    /// Waits for a future in a plain `fn`, which runs on a thread that may block.
    ///
    /// # Panics
    /// In an `async fn` or an inline function; use `.await` there.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let waited = std::future::poll_fn(|waker| {
            let polled = future.as_mut().poll(waker);
            if polled.is_pending() {
                self.waits();
            }
            polled
        });
        tokio::runtime::Handle::current().block_on(waited)
    }

    /// Puts a question to the client.
    async fn put<T: DeserializeOwned>(&self, question: &Question) -> Result<T> {
        let answer = {
            self.call.open.fetch_add(1, Ordering::AcqRel);
            let _open = OpenQuestion(&self.call.open);
            self.request(question.op, &question.payload).await
        };
        self.decoded(answer)
    }

    fn decoded<T: DeserializeOwned>(&self, answer: Result<Vec<u8>>) -> Result<T> {
        match answer {
            Ok(answer) => Ok(serde_json::from_slice(&answer)?),
            // Nothing of the function may run any more, not even what it does about errors. What was spawned by the
            // function is not part of it, and gets the error.
            Err(error) if error.kind() == failure::SUSPENDED && log::is_in_call(self) => {
                std::panic::resume_unwind(Box::new(Suspended))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether both are of one call.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.call, &other.call)
    }

    async fn ask<T: DeserializeOwned>(&self, op: &str, payload: &Value) -> Result<T> {
        self.decoded(self.request(op, payload).await)
    }

    async fn request(&self, op: &str, payload: &Value) -> Result<Vec<u8>> {
        let payload = payload.to_string();
        let request = self.call.api.request(op.into(), RSlice::from(payload.as_bytes()));
        match request.await {
            Reply::ROk(bytes) => Ok(bytes.into()),
            Reply::RErr(failure) => Err(Error::from(failure)),
        }
    }

    fn notify(&self, op: &str, payload: &Value) {
        let payload = payload.to_string();
        self.call.api.notify(op.into(), RSlice::from(payload.as_bytes()));
    }

    fn query<T: DeserializeOwned>(&self, op: &str) -> Option<T> {
        let bytes = self.call.api.query(op.into()).into_option()?;
        serde_json::from_slice(&bytes).ok()
    }
}
