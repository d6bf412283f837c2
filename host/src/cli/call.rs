//! One call from the command line: the way of every call, with nobody on the other side.

use super::arguments;
use crate::app::App;
use crate::call::{AskError, AskFuture, Asked, Call, Deadline, LogMessage, Peer, Progress};
use crate::dispatch::{Beginning, Incoming, Outcome, Resolution, TaskWish};
use crate::protocol::{Ask, AskRequest, ClientProfile, Dialect, Method, RequestMeta};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// A client that can do nothing but wait; what it is told goes to stderr.
#[derive(Default)]
struct Terminal(ClientProfile);

impl Peer for Terminal {
    fn client(&self) -> &ClientProfile {
        &self.0
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn progress(&self, progress: Progress) {
        let total = progress.total.map_or_else(String::new, |total| format!(" of {total}"));
        let _ = writeln!(std::io::stderr(), "{}{total} {}", progress.done, progress.message.unwrap_or_default());
    }

    fn log(&self, message: LogMessage) {
        let _ = writeln!(std::io::stderr(), "{:?}: {}", message.level, message.data);
    }

    fn release(&self, _retry: Duration) {}

    fn elicitation_done(&self, _id: &str) {}

    fn consult(&self, _key: &str, _ask: Ask) -> Asked {
        Asked::Answered(Err(AskError::MissingCapability("a client".to_owned())))
    }

    fn ask(&self, _key: &str, _request: AskRequest) -> AskFuture<'_> {
        Box::pin(async { Err(AskError::Gone) })
    }
}

/// Calls a tool with arguments in words.
///
/// # Errors
/// What went wrong, for people.
pub(super) async fn call(app: &App, tool: &str, words: &[String]) -> Result<Value, String> {
    // A tool that is not there is told of by whoever finds it.
    let arguments = match app.dispatcher.registry().snapshot().tool(tool) {
        Some(known) => {
            let schema = serde_json::from_str(known.definition.input_schema.get()).unwrap_or_default();
            arguments::read(tool, &schema, words)?
        }
        None => json!({}),
    };
    let params = serde_json::value::to_raw_value(&json!({"name": tool, "arguments": arguments}))
        .map_err(|error| error.to_string())?;
    let begin = |beginning: Beginning<'_>| {
        let deadline = Deadline::new(beginning.timeouts.call, beginning.timeouts.max_call);
        let cancel = app.drain.cancellation().child_token();
        Ok(Arc::new(Call::new(Arc::new(Terminal::default()), deadline, cancel)))
    };
    let incoming = Incoming {
        dialect: Dialect::negotiate(""),
        method: Method::CallTool,
        params: Some(&params),
        meta: &RequestMeta::of(Some(&params)),
        tasks: TaskWish::Unknown,
        begin: &begin,
    };
    let result = match app.dispatcher.dispatch(&incoming) {
        Outcome::Now(result) => result,
        Outcome::Later(outcome) => outcome.await,
    };
    match result.map_err(|fault| fault.to_string())? {
        Resolution::Complete(body) => serde_json::from_slice(&body.json).map_err(|error| error.to_string()),
        Resolution::InputRequired { .. } | Resolution::Task(_) => {
            Err("it asks, and nobody is there to answer".to_owned())
        }
    }
}
