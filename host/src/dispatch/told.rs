//! One line for each call, for whoever wants to see them: the filter `calls=debug` does.

use super::{Incoming, Outcome, Resolution};
use crate::protocol::{Fault, Method};
use serde_json::Value;
use tokio::time::Instant;

/// A call that is watched. Dropped before its end, it says so.
pub(super) struct Told {
    what: String,
    begin: Instant,
    is_over: bool,
}

impl Told {
    /// Watches a call from now on; nothing where nobody wants to see it, or it calls nothing of a plugin's.
    pub(super) fn begin(incoming: &Incoming<'_>) -> Option<Self> {
        if !tracing::enabled!(target: "calls", tracing::Level::DEBUG) {
            return None;
        }
        let (word, key) = match incoming.method {
            Method::CallTool => ("tool", "name"),
            Method::ReadResource => ("resource", "uri"),
            Method::GetPrompt => ("prompt", "name"),
            _ => return None,
        };
        let params: Value = incoming.params.and_then(|it| serde_json::from_str(it.get()).ok()).unwrap_or_default();
        let name = params[key].as_str().unwrap_or("?");
        // A name of many lines would be more than one line.
        let name: String = name.chars().filter(|it| !it.is_control()).take(80).collect();
        Some(Self { what: format!("{word} {name}"), begin: Instant::now(), is_over: false })
    }

    /// The same outcome, and the line when it is here.
    pub(super) fn follow(mut self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Now(result) => {
                self.end(&result);
                Outcome::Now(result)
            }
            Outcome::Later(later) => Outcome::Later(Box::pin(async move {
                let result = later.await;
                self.end(&result);
                result
            })),
        }
    }

    fn end(&mut self, result: &Result<Resolution, Fault>) {
        self.is_over = true;
        let is_error = |json: &[u8]| serde_json::from_slice::<Value>(json).is_ok_and(|it| it["isError"] == true);
        match result {
            Ok(Resolution::Complete(body)) if is_error(&body.json) => self.tell("failed: the tool gave an error"),
            Ok(Resolution::Complete(_)) => self.tell("ok"),
            Ok(Resolution::InputRequired { .. }) => self.tell("asks"),
            Ok(Resolution::Task(_)) => self.tell("becomes a task"),
            Err(fault) => {
                let fault = fault.to_string();
                self.tell(&format!("failed: {}", fault.lines().next().unwrap_or_default()));
            }
        }
    }

    fn tell(&self, outcome: &str) {
        let took = self.begin.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(target: "calls", "{} {took:.1} ms {outcome}", self.what);
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.is_over {
            self.tell("cancelled");
        }
    }
}
