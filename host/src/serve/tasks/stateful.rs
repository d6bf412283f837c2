//! Tasks of 2025-11-25: the client says which call becomes one, and a stream on which it waits carries its questions
//! (2025-era K).

use super::questions::{Questions, take};
use crate::call::Teller;
use crate::dispatch::{TaskDue, TaskWish};
use crate::outlet::Outlet;
use crate::protocol::{
    Dialect, Fault, ListParams, Method, RELATED_TASK, RequestMeta, ResultBody, TaskForm, TaskParams, TaskWanted,
    read_params, with_related_task,
};
use crate::rt::InFlightGuard;
use crate::runner::{Order, Runner};
use crate::serve::Server;
use crate::serve::server::span_of;
use crate::serve::stateful::Answer;
use crate::session::{Admitted, Session};
use crate::task::{Change, ListPlace, Outcome, Page, Task, TaskId, Told};
use crate::wire::{self, Id, Request};
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument as _;

/// What a request holds while it is under way.
pub(in crate::serve) type Held = (InFlightGuard, Admitted);

impl Server {
    /// Whether a session's request is to become a task, and which.
    pub(in crate::serve) fn wish(
        &self,
        session: &Session,
        method: Method,
        meta: &RequestMeta<'_>,
    ) -> Result<(TaskWish, TaskWanted), Fault> {
        // What was not declared is ignored (2025-era K-02).
        let declared = self.runner.is_some() && session.dialect.features.tasks == TaskForm::Core;
        if !declared || method != Method::CallTool {
            return Ok((TaskWish::Unknown, TaskWanted::default()));
        }
        Ok(match meta.wanted_task()? {
            Some(wanted) => (TaskWish::Demanded, wanted),
            None => (TaskWish::Declined, TaskWanted::default()),
        })
    }

    /// Begins a task of a session.
    pub(in crate::serve) fn begin_stateful(
        self: &Arc<Self>,
        session: &Arc<Session>,
        request: &Request<'_>,
        meta: &RequestMeta<'_>,
        (due, wanted): (TaskDue, TaskWanted),
        held: Held,
    ) -> Answer {
        let dialect = session.dialect;
        let begun = meta.progress_token().and_then(|token| {
            let params = meta.named_params(request.params)?;
            Ok((self.tasks()?, token, params.arguments.map(RawValue::to_owned)))
        });
        let (runner, progress_token, arguments) = match begun {
            Ok((runner, token, arguments)) => (Arc::clone(runner), token, arguments),
            Err(fault) => return self.now(dialect, &request.id, Err(fault)),
        };
        let follower = Arc::clone(session);
        let server = Arc::clone(self);
        let told = move |id: &TaskId| {
            server.followers.follow(id, &follower);
            let meta = json!({RELATED_TASK: {"taskId": id.as_str()}});
            let teller = Teller::new(follower.standalone_outlet(), progress_token.as_ref()).with_meta(meta);
            let session = Arc::downgrade(&follower);
            let least = move || session.upgrade().map_or(crate::protocol::LogLevel::Emergency, |it| it.log_level());
            Some(Told { teller: Arc::new(teller), least: Box::new(least) })
        };
        let order = Order {
            dialect,
            owner: session.principal.clone(),
            client: session.client.clone(),
            due,
            arguments,
            answers: BTreeMap::new(),
            ttl: wanted.ttl.map(Duration::from_millis),
            told: Box::new(told),
        };
        let (server, id) = (Arc::clone(self), request.id.clone());
        let begun = async move {
            let begun = runner.begin(order).await;
            let cancelled = held.1.is_cancelled_by_client();
            drop(held);
            match begun {
                // Nobody has its name.
                Ok(task) if cancelled => {
                    let _ = runner.cancel(&task.id).await;
                    None
                }
                Ok(task) => Some(server.encoder.task_created(dialect, &id, &task.shown())),
                Err(fault) => Some(server.reply(dialect, &id, Err(fault)).bytes),
            }
        };
        Answer::Later(Box::pin(begun.instrument(span_of(dialect, request))))
    }

    /// Answers a request about tasks.
    pub(in crate::serve) fn stateful_task(
        self: &Arc<Self>,
        session: &Arc<Session>,
        method: Method,
        request: &Request<'_>,
        outlet: &Arc<dyn Outlet>,
        held: Held,
    ) -> Answer {
        let dialect = session.dialect;
        let asked = self.tasks().map(Arc::clone).and_then(|runner| match method {
            Method::ListTasks => {
                // 2025-era K-10.
                if self.offered_tasks(&session.principal) != crate::protocol::OfferedTasks::Listed {
                    return Err(Fault::UnknownMethod { method: "tasks/list".to_owned() });
                }
                Ok((runner, String::new(), place(request.params)?))
            }
            _ => {
                let params: TaskParams<'_> = read_params(request.params)?;
                Ok((runner, params.task_id.to_string(), None))
            }
        });
        let (runner, task, place) = match asked {
            Ok(asked) => asked,
            Err(fault) => return self.now(dialect, &request.id, Err(fault)),
        };
        let (server, session, id, outlet) =
            (Arc::clone(self), Arc::clone(session), request.id.clone(), Arc::clone(outlet));
        let (permit, admitted) = held;
        // Whoever waits does no work: it holds no place of those who do.
        let permit = Some(permit).filter(|_| method != Method::AwaitTask);
        let answered = async move {
            let cancelled = admitted.cancel.clone();
            let result = tokio::select! {
                biased;
                () = cancelled.cancelled() => Err(Fault::Cancelled),
                result = async {
                    match method {
                        Method::GetTask => server.get_task(&session, &runner, &task).await,
                        Method::CancelTask => server.cancel_task(&session, &runner, &task).await,
                        Method::ListTasks => server.list_tasks(&session, &runner, place).await,
                        _ => return server.await_task(&session, &runner, &task, &outlet, &id).await,
                    }
                    .map(|body| server.encoder.complete(dialect, &id, &body))
                } => result,
            };
            let by_client = admitted.is_cancelled_by_client();
            drop((permit, admitted));
            match result {
                Ok(reply) => Some(reply),
                Err(Fault::Cancelled) if by_client => None,
                Err(fault) => Some(server.reply(dialect, &id, Err(fault)).bytes),
            }
        };
        Answer::Later(Box::pin(answered.instrument(span_of(dialect, request))))
    }

    /// `tasks/get` (2025-era K-07).
    async fn get_task(&self, session: &Session, runner: &Runner, id: &str) -> Result<ResultBody, Fault> {
        let task = runner.find(id, &session.principal, TaskForm::Core).await?;
        Ok(shown(session.dialect, &task))
    }

    /// `tasks/cancel` (2025-era K-11).
    async fn cancel_task(&self, session: &Session, runner: &Runner, id: &str) -> Result<ResultBody, Fault> {
        let task = runner.find(id, &session.principal, TaskForm::Core).await?;
        match runner.cancel(&task.id).await? {
            Change::Done(task) => Ok(shown(session.dialect, &task)),
            Change::Ended(task) => Err(Fault::TaskEnded { status: task.status().word(session.dialect) }),
            Change::Gone => Err(Fault::UnknownTask),
        }
    }

    /// `tasks/list` (2025-era K-10).
    async fn list_tasks(
        &self,
        session: &Session,
        runner: &Runner,
        place: Option<ListPlace>,
    ) -> Result<ResultBody, Fault> {
        /// Records are read whole, results included.
        const MAX_PAGE: usize = 100;
        let page = self.dispatcher.limits().page_size.min(MAX_PAGE);
        let Page { tasks, next } = runner.list(&session.principal, TaskForm::Core, place, page).await?;
        let listed: Vec<Value> = tasks.iter().map(|task| task.shown().members(session.dialect).into()).collect();
        let mut result = json!({"tasks": listed});
        if let Some(next) = next {
            result["nextCursor"] = next.encode().into();
        }
        Ok(result.into())
    }

    /// `tasks/result`: waits for the end, and puts the task's questions to the client meanwhile (2025-era K-08, K-14).
    async fn await_task(
        &self,
        session: &Arc<Session>,
        runner: &Runner,
        task: &str,
        outlet: &Arc<dyn Outlet>,
        id: &Id,
    ) -> Result<Bytes, Fault> {
        let found = runner.find(task, &session.principal, TaskForm::Core).await?;
        let mut watch = runner.store().changes().watch(&found.id);
        let mut attendance = self.followers.attend(&found.id);
        let mut questions = Questions::new(session, outlet);
        loop {
            // Looked at only now: what has changed before the watch began is seen here.
            let found = runner.find(task, &session.principal, TaskForm::Core).await?;
            let Some(running) = found.running() else {
                return ended(session.dialect, &found, id);
            };
            questions.follow(&found.id, running, attendance.is_ours());
            tokio::select! {
                () = watch.changed() => {}
                () = attendance.changed() => {}
                // Whoever waits is told to come again; the task goes on.
                () = self.drain().draining() => return Err(Fault::ShuttingDown),
                () = questions.left_alone() => return Err(Fault::Cancelled),
                (key, answer) = questions.next() => take(runner, &found, key, answer).await?,
            }
        }
    }
}

/// The reply with what a task has come to: exactly what its call would have come to (2025-era K-08).
fn ended(dialect: &Dialect, task: &Task, id: &Id) -> Result<Bytes, Fault> {
    match task.outcome() {
        Some(Outcome::Result { json, .. }) => {
            let result = with_related_task(json, task.id.as_str());
            Ok(wire::result_reply(id, result.to_string().as_bytes()))
        }
        Some(Outcome::Error(error)) => {
            let data = error.data.as_ref().map(ToString::to_string);
            Ok(wire::error_reply(Some(id), error.code, &error.message, data.as_deref().map(str::as_bytes)))
        }
        Some(Outcome::Cancelled) => Err(Fault::TaskCancelled),
        None => Err(Fault::HostFailed { reason: format!("a task was taken for ended in {}", dialect.revision) }),
    }
}

fn shown(dialect: &Dialect, task: &Task) -> ResultBody {
    Value::Object(task.shown().members(dialect)).into()
}

/// Where a list goes on.
fn place(params: Option<&RawValue>) -> Result<Option<ListPlace>, Fault> {
    let params: ListParams<'_> = read_params(params)?;
    let foreign = || Fault::invalid_params("this cursor is not one of ours");
    params.cursor.as_deref().map(|cursor| ListPlace::decode(cursor).ok_or_else(foreign)).transpose()
}
