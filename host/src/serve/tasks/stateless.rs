//! Tasks of the extension: the server says which call becomes one, and all is asked for with requests that stand for
//! themselves (2026-07-28 K).

use crate::dispatch::{TaskDue, TaskWish};
use crate::protocol::{
    Claims, ClientProfile, Dialect, Fault, Method, NamedParams, ResultBody, Standing, TaskForm, TaskParams,
    UpdateTaskParams, read_params,
};
use crate::replay::Retry;
use crate::rt::InFlight;
use crate::runner::{Order, Runner};
use crate::serve::Server;
use crate::serve::round::{Conversation, Round};
use crate::serve::server::{Reply, guarded_with, refusal, span_of};
use crate::serve::stateless::{Cancel, StatelessAnswer, StatelessRequest};
use crate::task::{Change, Outcome, Task};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

impl Server {
    /// Whether a request of this client may become a task (2026-07-28 K-01, K-02, K-19).
    pub(in crate::serve) fn stateless_wish(&self, client: &ClientProfile) -> TaskWish {
        match (&self.runner, client.tasks.extension) {
            (None, _) => TaskWish::Unknown,
            (Some(_), true) => TaskWish::Offered,
            (Some(_), false) => TaskWish::Declined,
        }
    }

    /// Whether a client may ask about tasks (2026-07-28 K-12, K-19). Comes before anything is looked up.
    pub(in crate::serve) fn check_task_client(&self, method: Method, client: &ClientProfile) -> Result<(), Fault> {
        let by_core = client.tasks.core && matches!(method, Method::GetTask | Method::CancelTask);
        if self.runner.is_some() && (client.tasks.extension || by_core) {
            return Ok(());
        }
        Err(Fault::TasksNotDeclared)
    }

    /// Begins a task for a request that stands for itself, unless its client wants none any more: nobody would have its name.
    pub(in crate::serve) async fn begin_unless(
        self: &Arc<Self>,
        cancelled: &Cancel,
        round: Round,
        conversation: Option<Conversation>,
        due: TaskDue,
    ) -> Option<Reply> {
        tokio::select! {
            biased;
            () = cancelled.cancelled() => None,
            reply = self.begin_stateless(round, conversation, due) => Some(reply),
        }
    }

    /// Begins a task for a request that stands for itself.
    async fn begin_stateless(
        self: &Arc<Self>,
        round: Round,
        conversation: Option<Conversation>,
        due: TaskDue,
    ) -> Reply {
        let (dialect, id) = (round.dialect, round.id.clone());
        match self.begin_round(round, conversation.as_ref(), due).await {
            Ok(task) => {
                let bytes = self.encoder.task_created(dialect, &id, &task.shown());
                Reply { bytes, standing: Standing::Answered }
            }
            Err(fault) => {
                // Nothing was done, so what was used up for it can be used again.
                if let Some(conversation) = &conversation {
                    self.rounds.give_back(&conversation.retry);
                }
                refusal(dialect, &id, &fault)
            }
        }
    }

    async fn begin_round(
        &self,
        round: Round,
        conversation: Option<&Conversation>,
        due: TaskDue,
    ) -> Result<Task, Fault> {
        let runner = self.tasks()?;
        let Conversation { peer, teller, retry: Retry { recorded, .. }, .. } =
            conversation.ok_or_else(|| Fault::HostFailed { reason: "a task without a call".to_owned() })?;
        teller.end();
        let params: NamedParams<'_> = read_params(round.params.as_deref())?;
        let mut due = due;
        for (key, value) in recorded {
            due.recorded.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let order = Order {
            dialect: round.dialect,
            owner: round.principal.clone(),
            client: crate::call::Peer::client(&**peer).clone(),
            due,
            arguments: params.arguments.map(RawValue::to_owned),
            answers: peer.used_answers(),
            ttl: None,
            // Neither progress nor logs are told of tasks (2026-07-28 N-08, K-14).
            told: Box::new(|_| None),
        };
        runner.begin(order).await
    }

    /// Answers a request about tasks.
    pub(in crate::serve) fn stateless_task(
        self: &Arc<Self>,
        asked: StatelessRequest<'_>,
        dialect: &'static Dialect,
        method: Method,
        claims: &Claims<'_>,
    ) -> StatelessAnswer {
        let StatelessRequest { request, principal, .. } = asked;
        let Some(permit) = InFlight::enter(&self.calls) else {
            return StatelessAnswer::Now(refusal(dialect, &request.id, &Fault::Busy));
        };
        // Which tasks a client can see that knows both forms is said by what it speaks.
        let form = if claims.client.tasks.extension { TaskForm::Extension } else { TaskForm::Core };
        let (server, id, principal) = (Arc::clone(self), request.id.clone(), principal.clone());
        let params = request.params.map(RawValue::to_owned);
        let cancel = Cancel::new(CancellationToken::new());
        let cancelled = cancel.clone();
        let answered = async move {
            let asking = async {
                let runner = server.tasks()?;
                let params = params.as_deref();
                match method {
                    Method::UpdateTask => {
                        let params: UpdateTaskParams<'_> = read_params(params)?;
                        let task = runner.find(&params.task_id, &principal, form).await?;
                        runner.answer(&task, &params.input_responses).await?;
                        Ok(json!({}).into())
                    }
                    Method::CancelTask => {
                        let params: TaskParams<'_> = read_params(params)?;
                        let task = runner.find(&params.task_id, &principal, form).await?;
                        cancelled_task(runner, dialect, &task).await
                    }
                    _ => {
                        let params: TaskParams<'_> = read_params(params)?;
                        let task = runner.find(&params.task_id, &principal, form).await?;
                        Ok(Value::Object(detailed(dialect, &task)).into())
                    }
                }
            };
            let result = guarded_with(&cancelled, asking).await?;
            drop(permit);
            // To a client that declares the older tasks alone, there are none but its own (2026-07-28 K-19).
            let result = result.map_err(|fault| match fault {
                Fault::UnknownTask if form == TaskForm::Core => Fault::TasksNotDeclared,
                fault => fault,
            });
            Some(server.reply(dialect, &id, result.map(|body: ResultBody| body.into())))
        };
        StatelessAnswer::Later(Box::pin(answered.instrument(span_of(dialect, request))), cancel)
    }
}

/// `tasks/cancel`: an empty answer, whether it has ended before or not (2026-07-28 K-11). Tasks of the other era answer with
/// themselves (K-19).
async fn cancelled_task(runner: &Runner, dialect: &Dialect, task: &Task) -> Result<ResultBody, Fault> {
    let is_core = task.dialect.features.tasks == TaskForm::Core;
    match runner.cancel(&task.id).await? {
        Change::Done(task) if is_core => Ok(Value::Object(detailed(dialect, &task)).into()),
        Change::Ended(task) if is_core => Err(Fault::TaskEnded { status: task.status().word(task.dialect) }),
        Change::Done(_) | Change::Ended(_) => Ok(json!({}).into()),
        Change::Gone => Err(Fault::UnknownTask),
    }
}

/// A task with all that there is to say of it (2026-07-28 K-07). One of the other era is shown as that writes it (K-19).
pub(in crate::serve) fn detailed(dialect: &Dialect, task: &Task) -> Map<String, Value> {
    if task.dialect.features.tasks != TaskForm::Extension {
        return task.shown().members(task.dialect);
    }
    let mut members = task.shown().members(dialect);
    if let Some(running) = task.running().filter(|running| !running.open.is_empty()) {
        let asks = running.open.iter();
        let asks: Map<String, Value> =
            asks.map(|(key, ask)| (key.clone(), json!({"method": ask.method, "params": ask.params}))).collect();
        members.insert("inputRequests".to_owned(), asks.into());
    }
    match task.outcome() {
        Some(Outcome::Result { json, meta, .. }) => {
            let mut result: Value = serde_json::from_str(json.get()).unwrap_or_default();
            if let (Some(result), Some(meta)) = (result.as_object_mut(), meta) {
                result.insert("_meta".to_owned(), meta.clone().into());
            }
            members.insert("result".to_owned(), result);
        }
        Some(Outcome::Error(error)) => {
            members.insert("error".to_owned(), error.to_value());
        }
        Some(Outcome::Cancelled) | None => {}
    }
    members
}
