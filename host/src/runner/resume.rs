//! What a stopped host has left behind: run again, or failed with the reason.

use super::Runner;
use crate::protocol::WireError;
use crate::task::{Outcome, Replaced, Task};
use crate::wire::code;
use futures_util::future::join_all;
use mcp_plugin_api::manifest::OnRestart;
use std::sync::Arc;

impl Runner {
    /// Takes up the tasks of runners that are gone. To be called before any client is served, with all plugins loaded; and now
    /// and then after that, for what could not be taken up.
    pub async fn take_up(self: &Arc<Self>) {
        let left_behind = match self.store.left_behind(&self.id).await {
            Ok(tasks) => tasks,
            Err(error) => {
                tracing::warn!(%error, "tasks of an earlier run cannot be taken up yet");
                return;
            }
        };
        // One whose time is over is not begun again: it is forgotten soon.
        let now = self.clock.now();
        let is_kept = |task: &Task| task.expires().is_none_or(|expires| now < expires);
        let left_behind: Vec<Task> = left_behind.into_iter().filter(is_kept).collect();
        if left_behind.is_empty() {
            return;
        }
        // Side by side, so that they share what writing costs.
        let taken = join_all(left_behind.iter().map(|task| self.take(task))).await;
        let again = taken.iter().filter(|again| **again).count();
        tracing::info!(again, failed = taken.len() - again, "took up tasks of an earlier run");
    }

    /// Takes up a task; whether it is run again.
    async fn take(self: &Arc<Self>, task: &Task) -> bool {
        let adopted = match self.adopted(task) {
            Ok(adopted) => adopted,
            Err(reason) => {
                let error = WireError { code: code::INTERNAL_ERROR, message: reason, data: None };
                self.end(&task.id, Outcome::Error(error)).await;
                return false;
            }
        };
        match self.store.replace(adopted).await {
            Ok(Replaced::Done) => {
                self.drain.spawn_work(Arc::clone(self).run(task.id.clone(), None));
                true
            }
            // Another host was quicker, or its client has cancelled it.
            Ok(Replaced::Stale) => false,
            Err(error) => {
                tracing::error!(task = %task.id, %error, "a task cannot be taken up yet");
                false
            }
        }
    }

    /// The task as this runner's, or why it is not run again.
    fn adopted(&self, task: &Task) -> Result<Task, String> {
        let runs = task.running().map_or(0, |running| running.runs);
        if task.work.on_restart == OnRestart::Fail {
            let reason =
                "the host was restarted while this ran; it is not run again, because nobody knows how far it came";
            return Err(reason.to_owned());
        }
        // One that ends its host would end it for ever.
        if runs >= self.limits.max_runs {
            return Err(format!("it was begun {runs} times, and each time the host ended before it did"));
        }
        let next = task.next(self.clock.now(), |running| running.begun().into());
        let next = next.map_err(|ended| ended.to_string())?;
        Ok(Task { runner: self.id.clone(), message: Some("run again after a restart".to_owned()), ..next })
    }
}
