//! The official conformance suite against one running host: no failure, and no warning.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, run_peer_setup};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Scenarios of an extension that this host does not serve; each is here by its name, so that no other one hides.
const NOT_SERVED: [&str; 10] = [
    "tasks-capability-negotiation",
    "tasks-dispatch-and-envelope",
    "tasks-lifecycle",
    "tasks-mrtr-composition",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-request-state-removal",
    "tasks-required-task-error",
    "tasks-status-notifications",
    "tasks-wire-fields",
];

/// Runs the suite with these words, holds every scenario that is served to be clean, and gives how many those were.
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
    let mut served = 0;
    let mut not_served = BTreeSet::new();
    for entry in fs::read_dir(results.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match NOT_SERVED.iter().find(|scenario| name.starts_with(&format!("server-{scenario}-"))) {
            Some(scenario) => {
                not_served.insert(*scenario);
            }
            None => {
                assert_clean(&path);
                served += 1;
            }
        }
    }
    assert!(served > 0, "{words:?}: nothing ran:\n{told}");
    assert!(not_served.is_empty() || not_served.len() == NOT_SERVED.len(), "{not_served:?}");
    assert!(suite.status.success() || !not_served.is_empty(), "{words:?}:\n{told}");
    served
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
fn everything_that_is_served_passes_in_every_revision() {
    let host = Host::with(&["everything", "hello"]).serve_http();
    assert_eq!(run(&host, &["--requirements", "2026-07-28"]), 40);
    assert_eq!(run(&host, &["--requirements", "2025-11-25"]), 33);
    // Each scenario at the revision that it is of, those of extensions included.
    assert_eq!(run(&host, &["--suite", "all"]), 55);
    assert_eq!(run(&host, &["--suite", "all", "--spec-version", "2026-07-28"]), 40);
    assert_eq!(run(&host, &["--suite", "all", "--spec-version", "2025-11-25"]), 33);
    assert_eq!(run(&host, &["--suite", "all", "--spec-version", "2025-06-18"]), 27);
    assert_eq!(run(&host, &["--suite", "all", "--spec-version", "2025-03-26"]), 1);
}
