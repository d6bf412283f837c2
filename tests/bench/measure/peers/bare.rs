//! The floor: parses a request, and answers it; nothing is checked, kept or found.

use axum::Json;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};
use std::sync::OnceLock;

/// The result of a list, out of the file that `BENCH_LIST` names: that of the host.
fn list() -> &'static str {
    static LIST: OnceLock<String> = OnceLock::new();
    LIST.get_or_init(|| std::fs::read_to_string(std::env::var("BENCH_LIST").unwrap()).unwrap())
}

fn answer(request: &Value) -> Value {
    let result = match request["method"].as_str() {
        Some("tools/call") => {
            let message = request["params"]["arguments"]["message"].as_str().unwrap_or_default();
            json!({"content": [{"type": "text", "text": message}]})
        }
        _ => json!({}),
    };
    json!({"jsonrpc": "2.0", "id": request["id"], "result": result})
}

async fn mcp(Json(request): Json<Value>) -> Response {
    if request["method"] == "tools/list" {
        let reply = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#, request["id"], list());
        return ([(CONTENT_TYPE, "application/json")], Bytes::from(reply)).into_response();
    }
    Json(answer(&request)).into_response()
}

pub(crate) async fn serve_http() {
    super::serve(axum::Router::new().route("/mcp", post(mcp))).await;
}

pub(crate) fn serve_stdio() {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if request.get("id").is_none() {
            continue;
        }
        let mut reply = answer(&request).to_string();
        reply.push('\n');
        output.write_all(reply.as_bytes()).unwrap();
        output.flush().unwrap();
    }
}
