//! What a stopped host has left behind: run again, or failed with the reason.

use super::Runner;
use crate::protocol::WireError;
use crate::task::{Outcome, Replaced, Task};
use crate::wire::code;
use mcp_plugin_api::manifest::OnRestart;
use std::sync::Arc;

impl Runner {
    /// Takes up the tasks of runners that are gone. To be called before any client is served, with all plugins loaded.
    pub async fn take_up(self: &Arc<Self>) {
        let left_behind = match self.store.left_behind(&self.id).await {
            Ok(tasks) => tasks,
            Err(error) => {
                tracing::error!(%error, "tasks of an earlier run cannot be taken up");
                return;
            }
        };
        let (mut again, mut failed) = (0, 0);
        for task in left_behind {
            match self.adopted(&task) {
                Ok(adopted) => match self.store.replace(adopted.clone()).await {
                    Ok(Replaced::Done) => {
                        again += 1;
                        let arguments = adopted.work.arguments.clone();
                        self.drain.spawn_work(Arc::clone(self).run(adopted, arguments, None));
                    }
                    // Another host was quicker.
                    Ok(Replaced::Stale) => {}
                    Err(error) => tracing::error!(task = %task.id, %error, "a task cannot be taken up"),
                },
                Err(reason) => {
                    failed += 1;
                    let error = WireError { code: code::INTERNAL_ERROR, message: reason, data: None };
                    self.end(&task.id, Outcome::Error(error)).await;
                }
            }
        }
        if again + failed > 0 {
            tracing::info!(again, failed, "took up tasks of an earlier run");
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
