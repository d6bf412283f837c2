//! The official SDKs as clients, over both transports. Each does everything a client can and prints what worked.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod rust;

use mcp_host_tests::{Host, HostBuilder, repository, run_peer_setup};
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

/// Runs a client, whose words end with those that reach the host, and holds it to all steps.
#[track_caller]
fn check(mut client: Command, over_http: bool) {
    let run = client.env("PEERS", run_peer_setup()).output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    let worked: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("ok ")).collect();
    let mut expected = STEPS.to_vec();
    if over_http {
        expected.insert(STEPS.len() - 1, "reconnect");
    }
    assert_eq!(worked, expected, "{}", String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

fn everything() -> HostBuilder {
    Host::with(&["everything"])
}

fn typescript() -> Command {
    let mut client = Command::new(run_peer_setup().join("node_modules/node/bin/node"));
    client.arg(repository().join("tests/peers/client.mjs"));
    client
}

fn python() -> Command {
    let mut client = Command::new(run_peer_setup().join("python/bin/python"));
    client.arg(repository().join("tests/peers/client.py"));
    client
}

#[track_caller]
fn over_http(mut client: Command) {
    let host = everything().serve_http();
    client.args(["http", &format!("http://{}/mcp", host.address())]);
    check(client, true);
}

#[track_caller]
fn over_stdio(mut client: Command) {
    let builder = everything();
    let host = builder.command(&["--stdio"]);
    client.arg("stdio").arg(host.get_program()).args(host.get_args());
    check(client, false);
}

#[test]
fn typescript_over_http() {
    over_http(typescript());
}

#[test]
fn typescript_over_stdio() {
    over_stdio(typescript());
}

#[test]
fn python_over_http() {
    over_http(python());
}

#[test]
fn python_over_stdio() {
    over_stdio(python());
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_over_http() {
    let host = everything().serve_http();
    rust::over_http(&format!("http://{}/mcp", host.address())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_over_stdio() {
    let builder = everything();
    rust::over_stdio(&builder.command(&["--stdio"])).await;
}
