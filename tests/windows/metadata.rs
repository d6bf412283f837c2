//! One plugin, built for three systems: this one says the same of each, and runs none of them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::target;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What the host for this system says of a file.
fn inspected(file: &PathBuf) -> Value {
    let output = Command::new(target().join("debug/mcp-host")).args(["inspect", "--json"]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_plugin_that_is_built_for_three_systems_is_inspected_on_one() {
    // What tests/windows/run has built, one for each.
    let built = |name: &str| PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("{name} names a file")));
    let files = ["MCP_TEST_LINUX_PLUGIN", "MCP_TEST_WINDOWS_PLUGIN", "MCP_TEST_MACOS_PLUGIN"].map(built);
    let mut digests = Vec::new();
    for file in &files {
        let mut told = inspected(file);
        digests.push(told.as_object_mut().unwrap().remove("sha256").unwrap());
        let expected = serde_json::json!({
            "format": 1, "name": "villain", "version": "1.0.0",
            "description": "Ends its process, and reaches for what it was not granted.",
            "abi": "abi_stable-0.11", "level": 1, "api": "1.0.0", "panic": "unwind",
            "wants": ["network 443", "env API_KEY", "read /etc/hosts"], "unenforceable": [],
        });
        assert_eq!(told, expected, "{}", file.display());
    }
    // As macOS has it for several machines at once.
    let single = fs::read(&files[2]).unwrap();
    let (arm, start) = (0x0100_000c_u32, 1_u32 << 14);
    let header = [0xcafe_babe, 1, arm, 0, start, u32::try_from(single.len()).unwrap(), 14];
    let mut universal: Vec<u8> = header.into_iter().flat_map(u32::to_be_bytes).collect();
    universal.resize(start as usize, 0);
    universal.extend(single);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libuniversal.dylib");
    fs::write(&file, &universal).unwrap();
    assert_eq!(inspected(&file)["wants"], serde_json::json!(["network 443", "env API_KEY", "read /etc/hosts"]));
    digests.sort_by_key(Value::to_string);
    digests.dedup();
    assert_eq!(digests.len(), 3, "they are three files");
}
