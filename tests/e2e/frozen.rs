//! Plugins as they were built once, of every level of the ABI so far: each loads in today's host, in either isolation.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use mcp_host_tests::{Host, call, repository, text};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// The files that were built of a plugin.
fn frozen(plugin: &str) -> Vec<PathBuf> {
    let folder = repository().join("tests/fixtures/frozen");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_of = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&format!("{plugin}-level-")) && name.ends_with("-x86_64.so")
    };
    let files: Vec<PathBuf> = files.filter(is_of).collect();
    assert!(!files.is_empty(), "there is a file of level 1 at least");
    files
}

#[test]
fn every_level_is_served() {
    for isolation in ["in-process", "worker"] {
        for (hello, asking) in frozen("hello").iter().zip(frozen("example-asking")) {
            let config = format!("[plugin_defaults]\nisolation = {isolation:?}\n");
            let (_host, mut client) = Host::with(&[]).file(hello).file(&asking).config(&config).serve_stdio();
            client.initialize("2025-11-25");
            assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
            client.send(&call(2, "order", json!({})));
            let asked = client.receive();
            assert_eq!(asked["params"]["message"], "What may it be?", "{isolation}, {}", asking.display());
            let answer = json!({"action": "accept", "content": {"drink": "tea", "cups": 2}});
            client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": answer}));
            assert_eq!(text(&client.receive()), "order 1: 2 x Tea");
        }
    }
}
