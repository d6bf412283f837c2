//! Questions that a client answers as tasks of its own: it says at once that it will, and is asked how far it is (2025-era
//! K-18).

use super::Session;
use crate::call::AskError;
use crate::outlet::{Delivery, Outlet};
use crate::protocol::{AnswerRule, AskRequest};
use crate::wire;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::time::Duration;

/// What a client says of a task of its own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoteTask {
    task_id: String,
    status: String,
    poll_interval: Option<u64>,
}

/// What a client answers that has begun one.
#[derive(Deserialize)]
struct Created {
    task: RemoteTask,
}

/// How often a client is asked that does not say it, and the bounds for one that does.
const POLL: (Duration, Duration, Duration) =
    (Duration::from_secs(1), Duration::from_millis(50), Duration::from_secs(30));

/// A task of the client for whose result somebody waits; it is cancelled when this is dropped before that is there.
struct Awaited<'a> {
    session: &'a Session,
    outlet: &'a dyn Outlet,
    task_id: String,
    is_over: bool,
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if self.is_over || !self.session.client.tasks.cancel {
            return;
        }
        // Nobody waits for the answer to this.
        let cancel = wire::request(self.session.next_number(), "tasks/cancel", &json!({"taskId": self.task_id}));
        if let Err(cancel) = self.outlet.send(cancel, Delivery::MustKeep) {
            let _ = self.session.standalone().send(cancel, Delivery::MustKeep);
        }
    }
}

impl Session {
    /// Puts a question that the client may answer as a task, or at once.
    pub(super) async fn ask_as_task(
        &self,
        outlet: &dyn Outlet,
        request: &AskRequest,
        rule: &AnswerRule,
    ) -> Result<Box<RawValue>, AskError> {
        let timeout = self.ask_timeout();
        let answered = self.follow_task(outlet, request);
        let answer = tokio::time::timeout(timeout, answered).await.map_err(|_| AskError::TimedOut(timeout))??;
        rule.check(&answer).map_err(AskError::Misfit)?;
        Ok(answer)
    }

    async fn follow_task(&self, outlet: &dyn Outlet, request: &AskRequest) -> Result<Box<RawValue>, AskError> {
        let reply = self.request(outlet, request.method, &request.params, None).await?;
        let Ok(Created { task }) = serde_json::from_str(reply.get()) else {
            return Ok(reply);
        };
        let mut awaited = Awaited { session: self, outlet, task_id: task.task_id.clone(), is_over: false };
        let params = json!({"taskId": task.task_id});
        let mut task = task;
        while matches!(task.status.as_str(), "working" | "input_required") {
            let wait = task.poll_interval.map_or(POLL.0, Duration::from_millis);
            tokio::time::sleep(wait.clamp(POLL.1, POLL.2)).await;
            let state = self.request(outlet, "tasks/get", &params, None).await?;
            task = serde_json::from_str(state.get())
                .map_err(|_| AskError::Refused("the client's task is not of the promised shape".to_owned()))?;
        }
        awaited.is_over = true;
        if task.status == "cancelled" {
            return Err(AskError::Refused("the client has cancelled its task".to_owned()));
        }
        // Of a failed one this is the error.
        self.request(outlet, "tasks/result", &params, None).await
    }
}
