//! The official conformance suite against a running host: no failure, and no warning.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, run_peer_setup};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Scenarios that the suite does not score yet, and that must run all the same.
const PENDING: [&str; 3] = ["json-schema-2020-12", "server-sse-polling", "server-session-lifecycle"];

/// Runs the suite with these words, and gives how many scenarios ran.
#[track_caller]
fn run(words: &[&str]) -> usize {
    let peers = run_peer_setup();
    let host = Host::with(&["everything"]).serve_http();
    let results = tempfile::tempdir().unwrap();
    let suite = Command::new(peers.join("node_modules/node/bin/node"))
        .arg(peers.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args(["server", "--url", &format!("http://{}/mcp", host.address())])
        .args(words)
        .arg("-o")
        .arg(results.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&suite.stdout);
    assert!(suite.status.success(), "{words:?}:\n{told}{}", String::from_utf8_lossy(&suite.stderr));
    let scenarios: Vec<_> = fs::read_dir(results.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    for pending in PENDING.iter().filter(|_| words.contains(&"2025-11-25")) {
        let ran = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().contains(pending);
        assert!(scenarios.iter().any(ran), "{pending} did not run");
    }
    scenarios.iter().for_each(|scenario| assert_clean(scenario));
    scenarios.len()
}

/// The suite's exit code tells failures only.
#[track_caller]
fn assert_clean(scenario: &Path) {
    let checks: Vec<Value> = serde_json::from_slice(&fs::read(scenario.join("checks.json")).unwrap()).unwrap();
    assert!(!checks.is_empty(), "{}: no checks", scenario.display());
    for check in checks {
        let status = check["status"].as_str().unwrap();
        assert!(!matches!(status, "FAILURE" | "WARNING"), "{}: {check:#}", scenario.display());
    }
}

#[test]
fn every_requirement_of_2025_11_25_is_met() {
    assert_eq!(run(&["--requirements", "2025-11-25"]), 33);
}

#[test]
fn every_scenario_of_the_stateful_revisions_passes() {
    assert_eq!(run(&["--suite", "all", "--spec-version", "2025-11-25"]), 33);
    assert_eq!(run(&["--suite", "all", "--spec-version", "2025-06-18"]), 27);
    assert_eq!(run(&["--suite", "all", "--spec-version", "2025-03-26"]), 1);
}
