//! The official SDKs as clients of both eras, over both transports. Each does everything a client can and prints what
//! worked.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod rust;

use mcp_host_tests::{Host, HostBuilder, accept, call, repository, retry, run_peer_setup, stateless_call, text};
use serde_json::json;
use std::process::Command;

const STEPS: [&str; 15] = [
    "connect mcp-host",
    "list",
    "call",
    "structured",
    "error",
    "progress",
    "cancel",
    "sampling",
    "elicitation",
    "roots",
    "resources, prompts and completion",
    "resource update",
    "list changed",
    "log",
    "close",
];

/// Which generation of an SDK: each speaks one era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Era {
    Stateful,
    Stateless,
}

fn everything() -> HostBuilder {
    Host::with(&["everything"])
}

/// Runs a client, whose words end with those that reach the host, and holds it to all steps.
#[track_caller]
fn check(mut client: Command, over_http: bool, era: Era) {
    let run = client.env("PEERS", run_peer_setup()).output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    let worked: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    let mut expected = STEPS.to_vec();
    // Only streams of sessions can be resumed, and the newer SDKs have no client of tasks.
    if era == Era::Stateful {
        let behind = expected.iter().position(|step| *step == "roots").unwrap();
        expected.insert(behind + 1, "tasks");
    }
    if over_http && era == Era::Stateful {
        expected.insert(expected.len() - 1, "reconnect");
    }
    assert_eq!(worked, expected, "{}", String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

fn typescript(era: Era) -> Command {
    let mut client = Command::new(run_peer_setup().join("node_modules/node/bin/node"));
    let script = if era == Era::Stateful { "client.mjs" } else { "stateless.mjs" };
    client.arg(repository().join("tests/peers").join(script));
    client
}

fn python(era: Era) -> Command {
    let (folder, script) = if era == Era::Stateful { ("python", "client.py") } else { ("python2", "stateless.py") };
    let mut client = Command::new(run_peer_setup().join(folder).join("bin/python"));
    client.arg(repository().join("tests/peers").join(script));
    client
}

fn over_stdio(mut client: Command, era: Era) {
    let builder = everything();
    let host = builder.command(&["--stdio"]);
    client.arg("stdio").arg(host.get_program()).args(host.get_args());
    check(client, false, era);
}

#[test]
fn typescript_over_stdio() {
    over_stdio(typescript(Era::Stateful), Era::Stateful);
}

#[test]
fn typescript_of_the_stateless_era_over_stdio() {
    over_stdio(typescript(Era::Stateless), Era::Stateless);
}

#[test]
fn python_over_stdio() {
    over_stdio(python(Era::Stateful), Era::Stateful);
}

#[test]
fn python_of_the_stateless_era_over_stdio() {
    over_stdio(python(Era::Stateless), Era::Stateless);
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_over_stdio() {
    let builder = everything();
    rust::over_stdio(&builder.command(&["--stdio"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_of_the_stateless_era_over_stdio() {
    let builder = everything();
    rust::stateless::over_stdio(&builder.command(&["--stdio"])).await;
}

/// All of them at once against one process, whose standard input is one more client's.
#[tokio::test(flavor = "multi_thread")]
async fn all_clients_of_both_eras_at_once() {
    let (host, mut own) = everything().serve_both();
    let url = format!("http://{}/mcp", host.address());
    own.initialize("2025-11-25");
    let mut runs = Vec::new();
    for era in [Era::Stateful, Era::Stateless] {
        for mut client in [typescript(era), python(era)] {
            client.args(["http", &url]);
            runs.push(tokio::task::spawn_blocking(move || check(client, true, era)));
        }
    }
    let (one, other) = (url.clone(), url);
    runs.push(tokio::spawn(async move { rust::over_http(&one).await }));
    runs.push(tokio::spawn(async move { rust::stateless::over_http(&other).await }));
    // Meanwhile the pipe has both eras on it, asking through the same tool.
    let pipe = tokio::task::spawn_blocking(move || {
        for id in 0..50 {
            let arguments = json!({"message": "who?"});
            let content = json!({"username": format!("u{id}"), "email": "e@example.com"});
            let asked = own.ask(&stateless_call(3 * id + 1, "test_elicitation", arguments.clone()));
            let request = stateless_call(3 * id + 1, "test_elicitation", arguments.clone());
            let done = own.ask(&retry(&request, 3 * id + 2, &asked, json!({"user": accept(content.clone())})));
            assert!(text(&done).contains(&format!("\"u{id}\"")), "{done}");
            own.send(&call(3 * id + 3, "test_elicitation", arguments));
            let live = loop {
                let message = own.receive();
                if message["method"] == "elicitation/create" {
                    break message;
                }
            };
            own.send(&json!({"jsonrpc": "2.0", "id": live["id"], "result": accept(content)}));
            let done = loop {
                let message = own.receive();
                if message["id"] == 3 * id + 3 {
                    break message;
                }
            };
            assert!(text(&done).contains(&format!("\"u{id}\"")), "{done}");
        }
    });
    for run in runs {
        run.await.unwrap();
    }
    pipe.await.unwrap();
}
