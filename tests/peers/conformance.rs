//! The official conformance suite against one running host: no failure, and no warning.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, run_peer_setup};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs the suite with these words, holds every scenario to be clean, and gives how many there were.
#[track_caller]
fn run(host: &Host, words: &[&str]) -> usize {
    let peers = run_peer_setup();
    let results = tempfile::tempdir().unwrap();
    let suite = Command::new(peers.join("node_modules/node/bin/node"))
        .arg(peers.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args(["server", "--url", &format!("http://{}/mcp", host.address())])
        .args(words)
        .arg("-o")
        .arg(results.path())
        .output()
        .unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&suite.stdout), String::from_utf8_lossy(&suite.stderr));
    assert!(suite.status.success(), "{words:?}:\n{told}");
    let scenarios: Vec<_> = fs::read_dir(results.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    scenarios.iter().for_each(|scenario| assert_clean(scenario));
    assert!(!scenarios.is_empty(), "{words:?}: nothing ran:\n{told}");
    scenarios.len()
}

/// The suite's exit code and summary tell failures only.
#[track_caller]
fn assert_clean(scenario: &Path) {
    let checks: Vec<Value> = serde_json::from_slice(&fs::read(scenario.join("checks.json")).unwrap()).unwrap();
    assert!(!checks.is_empty(), "{}: no checks", scenario.display());
    for check in checks {
        let status = check["status"].as_str().unwrap();
        assert!(!matches!(status, "FAILURE" | "WARNING"), "{}: {check:#}", scenario.display());
    }
}

/// One host for all of it, one run after the other: what a scenario leaves behind must not harm the next.
#[test]
fn every_scenario_passes_in_every_revision() {
    let host = Host::with(&["everything", "hello"]).serve_http();
    assert_eq!(run(&host, &["--requirements", "2026-07-28"]), 50);
    assert_eq!(run(&host, &["--requirements", "2025-11-25"]), 33);
    // Each scenario at the revision that it is of, those of extensions included.
    assert_eq!(run(&host, &["--suite", "all"]), 65);
    assert_eq!(run(&host, &["--suite", "all", "--spec-version", "2026-07-28"]), 40);
    assert_eq!(run(&host, &["--suite", "all", "--spec-version", "2025-11-25"]), 33);
    assert_eq!(run(&host, &["--suite", "all", "--spec-version", "2025-06-18"]), 27);
    assert_eq!(run(&host, &["--suite", "all", "--spec-version", "2025-03-26"]), 1);
}

/// Whatever a call needs of its host goes to the other process and back.
#[test]
fn every_scenario_passes_with_the_plugin_in_a_worker() {
    let host = Host::with(&["everything", "hello"]).config("[plugin_defaults]\nisolation = \"worker\"").serve_http();
    assert_eq!(run(&host, &["--suite", "all"]), 65);
}
