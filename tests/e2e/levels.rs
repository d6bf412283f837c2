//! Two levels of the ABI: an old plugin in a newer host and a newer plugin in an older host. The newer level has one
//! appended field and one appended method.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, artifact, build, call, plugin_file, target, text};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The host and the plugin of the next level, in a folder of their own.
fn next_level() -> (PathBuf, PathBuf) {
    // With what else brings features to the crates that these two are made of: nothing of those is built again then.
    let beside = ["mcp-host-tests", "mcp-host-bench", "fetch", "git", "villain", "example-app", "mcp-plugin-skills"];
    let packages = ["mcp-host", "hello"].into_iter().chain(beside).flat_map(|package| ["-p", package]);
    let features = ["--features", "mcp-plugin-api/testing,mcp-host/abi-next"];
    let targets = ["--lib", "--bin", "mcp-host", "--test", "levels"];
    build(&packages.chain(features).chain(targets).collect::<Vec<_>>());
    let folder = target().join("abi-next");
    fs::create_dir_all(&folder).unwrap();
    let keep = |name: &str| {
        fs::copy(target().join("debug").join(name), folder.join(name)).unwrap();
        folder.join(name)
    };
    (keep("mcp-host"), keep("libhello.so"))
}

fn level(host: &Path, plugin: &Path) -> u64 {
    let told = Command::new(host).args(["inspect", "--json"]).arg(plugin).output().unwrap();
    serde_json::from_slice::<serde_json::Value>(&told.stdout).unwrap()["level"].as_u64().unwrap()
}

/// Uses a plugin in a host, and gives the host's log.
#[track_caller]
fn greet(host: &Path, plugin: &Path) -> String {
    let (mut host, mut client) = Host::with(&[]).file(plugin).binary(host.to_owned()).serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
    client.close();
    assert_eq!(host.wait().code(), Some(0));
    host.log()
}

#[test]
fn levels_meet_in_both_directions() {
    let (newer_host, newer_plugin) = next_level();
    let (older_host, older_plugin) = (artifact("mcp-host"), plugin_file("hello"));
    assert_eq!((level(&older_host, &older_plugin), level(&older_host, &newer_plugin)), (1, 2));

    let log = greet(&newer_host, &newer_plugin);
    assert!(log.contains("appended built_by=\"rustc\" health=\"healthy\" level=2"), "{log}");
    // What an older plugin lacks reads as absent, and runs the default body.
    let log = greet(&newer_host, &older_plugin);
    assert!(log.contains("appended health=null level=1"), "{log}");
    greet(&older_host, &newer_plugin);
    greet(&older_host, &older_plugin);
}
