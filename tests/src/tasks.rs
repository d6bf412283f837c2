//! Tasks, as a good client of either era follows them.

use crate::{Http, PREFIX, eventually, full_meta, request, stateless};
use serde_json::{Value, json};

/// The extension of tasks.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

/// `_meta` of a client that can do everything, and follows tasks.
#[must_use]
pub fn task_meta() -> Value {
    let mut meta = full_meta();
    meta[format!("{PREFIX}/clientCapabilities")]["extensions"] = json!({TASKS: {}});
    meta
}

/// A stateless request of a client that follows tasks.
#[must_use]
pub fn with_tasks(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"] = task_meta();
    stateless(id, method, params)
}

/// A client of tasks, of one era.
#[derive(Clone)]
pub struct Tasks {
    /// Over which it speaks.
    pub http: Http,
    stateless: bool,
}

impl Tasks {
    /// A client of the extension.
    #[must_use]
    pub fn stateless(http: Http) -> Self {
        Self { http, stateless: true }
    }

    /// A client of 2025-11-25, with a session.
    #[must_use]
    pub fn stateful(mut http: Http) -> Self {
        http.initialize("2025-11-25");
        Self { http, stateless: false }
    }

    /// Begins a task, and gives its id; nothing where the host is not there or refuses.
    #[must_use]
    pub fn try_begin(&self, tool: &str, arguments: &Value) -> Option<String> {
        let reply = self.try_ask("tools/call", json!({"name": tool, "arguments": arguments, "task": {}}))?;
        let result = &reply["result"];
        let task = if self.stateless { result } else { &result["task"] };
        task["taskId"].as_str().map(str::to_owned)
    }

    /// Begins a task, and gives its id.
    #[track_caller]
    #[must_use]
    pub fn begin(&self, tool: &str, arguments: Value) -> String {
        self.try_begin(tool, &arguments).expect("a task")
    }

    /// Asks something; nothing where the host is not there.
    #[must_use]
    pub fn try_ask(&self, method: &str, params: Value) -> Option<Value> {
        let (request, headers) = if self.stateless {
            let request = with_tasks(1, method, params);
            let headers = self.http.stateless_headers(&request);
            (request, headers)
        } else {
            (request(1, method, params), self.http.usual_headers())
        };
        self.http.try_exchange("/mcp", &headers, &request)
    }

    /// Asks something.
    #[track_caller]
    #[must_use]
    pub fn ask(&self, method: &str, params: Value) -> Value {
        self.try_ask(method, params).expect("a reply")
    }

    /// How a task stands.
    #[track_caller]
    #[must_use]
    pub fn get(&self, id: &str) -> Value {
        let reply = self.ask("tasks/get", json!({"taskId": id}));
        assert!(reply["result"].is_object(), "{reply}");
        reply["result"].clone()
    }

    /// Waits until a task stands so, and gives it.
    #[track_caller]
    #[must_use]
    pub fn until(&self, id: &str, status: &str) -> Value {
        eventually(&format!("the status '{status}'"), || {
            let task = self.get(id);
            let now = task["status"].as_str().unwrap();
            assert!(now == status || !is_terminal(now), "{task}");
            (now == status).then_some(task)
        })
    }
}

/// Whether nothing follows a status.
fn is_terminal(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled")
}
