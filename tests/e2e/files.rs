//! Bad files: each is refused by name with the reason, and never stops the healthy ones.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host::plugin::{InspectError, inspect_bytes};
use mcp_host_tests::{Host, System, build, call, compile_c, library_name, plugin_file, request, system, target, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// C of a library with a metadata section, and what else is wanted.
fn with_metadata(metadata: &str, more: &str) -> String {
    let section = if system() == System::Native { ".mcp_plugin" } else { ".mcpplug" };
    format!(
        "struct section {{ char magic[8]; unsigned length; char json[4000]; }};\n\
         __attribute__((used, section({section:?}))) const struct section MCP_PLUGIN_METADATA =\n\
         {{ \"MCPPLUG\", {}, {metadata:?} }};\n{more}\n",
        metadata.len()
    )
}

fn metadata(changes: &[(&str, Value)]) -> String {
    let mut metadata = json!({
        "format": 1, "name": "crafted", "version": "1.0.0", "description": "", "abi": "abi_stable-0.11", "level": 1,
        "api": "1.0.0", "panic": "unwind",
    });
    for (key, value) in changes {
        metadata[*key] = value.clone();
    }
    metadata.to_string()
}

const ROOT: &str = "char _mcp_plugin_root[4096] = {1};";

/// Serves one file beside a healthy plugin, and gives what became of the file.
#[track_caller]
fn check(make: impl FnOnce(&Path), expected_state: &str, expected_reason: &str) {
    let builder = Host::with(&["hello"]);
    let file = builder.plugins().join(library_name("bad"));
    make(&file);
    let mut host = builder.serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
    let detail = client.get("/health/detailed").json();
    let plugins = detail["plugins"].as_array().unwrap();
    let is_bad = |plugin: &&Value| plugin["name"] != "hello" || plugin["state"] != "ready";
    let bad = plugins.iter().find(is_bad).unwrap_or_else(|| panic!("{detail}"));
    assert_eq!(bad["state"], expected_state, "{bad}");
    let reason = bad["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(expected_reason), "{reason}");
    assert!(host.is_running());
}

#[test]
fn files_that_are_no_libraries() {
    check(|file| fs::write(file, "just text").unwrap(), "refused", "it is not a native library");
    check(|file| fs::write(file, "").unwrap(), "refused", "it is empty");
    check(|file| fs::write(file, b"\x7fELF").unwrap(), "refused", "");
    // A hole, which takes no room.
    let vast = |file: &Path| fs::File::create(file).unwrap().set_len((1 << 30) + 1).unwrap();
    check(vast, "refused", "it has more than 1073741824 bytes");
}

#[test]
fn truncated_libraries() {
    let whole = fs::read(plugin_file("hello")).unwrap();
    for part in [64, 5000, whole.len() / 2, whole.len() - 100] {
        check(|file| fs::write(file, &whole[..part]).unwrap(), "refused", "it is truncated");
    }
}

/// What is cut is not opened at all: it would end the process that maps it.
#[test]
fn a_library_that_is_cut_anywhere_is_refused_before_it_is_opened() {
    const PAGE: usize = 4096;
    let whole = fs::read(plugin_file("hello")).unwrap();
    inspect_bytes(&whole).unwrap();
    for end in (0..whole.len()).step_by(PAGE) {
        let refused = inspect_bytes(&whole[..end]).expect_err("it is cut");
        let is_named = match &refused {
            InspectError::Empty => end == 0,
            InspectError::Truncated(_) => true,
            _ => false,
        };
        assert!(is_named, "cut at {end}: {refused}");
    }
}

/// Which part of it is loaded is certain, and that one is judged.
#[test]
fn universal_libraries_have_one_part_for_a_machine() {
    let own: u32 = if cfg!(target_arch = "aarch64") { 0x0100_000c } else { 0x0100_0007 };
    let library = fs::read(plugin_file("hello")).unwrap();
    let length = u32::try_from(library.len()).unwrap();
    let universal = |kinds: &[u32]| {
        let parts = kinds.iter().flat_map(|kind| [own, *kind, 4096, length, 12]);
        let header = [0xcafe_babe, kinds.len() as u32].into_iter().chain(parts);
        let mut bytes: Vec<u8> = header.flat_map(u32::to_be_bytes).collect();
        bytes.resize(4096, 0);
        bytes.extend(&library);
        inspect_bytes(&bytes).unwrap_err().to_string()
    };
    assert_eq!(universal(&[]), "it is a universal library without a part");
    assert_eq!(universal(&[3]), "it is a universal library of what is no library of macOS");
    assert_eq!(universal(&[3, 8]), "it is a universal library with several parts for this machine");
}

#[test]
fn libraries_for_another_machine() {
    check(
        |file| {
            let mut bytes = fs::read(plugin_file("hello")).unwrap();
            // AArch64 or, where that is ours, x86-64: in the header of ELF, and in that of PE, which is after its signature.
            let is_arm = cfg!(target_arch = "aarch64");
            let (at, other): (usize, u16) = match system() {
                System::Native => (18, if is_arm { 62 } else { 183 }),
                System::Windows { .. } => {
                    let header = u32::from_le_bytes(bytes[0x3c..0x40].try_into().unwrap());
                    (usize::try_from(header).unwrap() + 4, if is_arm { 0x8664 } else { 0xaa64 })
                }
            };
            bytes[at..at + 2].copy_from_slice(&other.to_le_bytes());
            fs::write(file, bytes).unwrap();
        },
        "refused",
        if system() == System::Native { "it is built for Elf/" } else { "it is built for Pe/" },
    );
}

#[test]
fn libraries_that_are_no_plugins_are_passed_over() {
    check(|file| compile_c("int answer(void) { return 42; }", file, &[]), "not a plugin", "");
}

#[test]
fn libraries_without_the_symbol() {
    check(
        |file| compile_c(&with_metadata(&metadata(&[]), ""), file, &[]),
        "refused",
        "it lacks the symbol '_mcp_plugin_root'",
    );
}

#[test]
fn libraries_that_need_another_library() {
    check(
        |file| {
            let folder = tempfile::tempdir().unwrap();
            let needed = folder.path().join("libneeded.so");
            compile_c("int needed(void) { return 1; }", &needed, &["-Wl,-soname,libneeded.so"]);
            let source = with_metadata(
                &metadata(&[]),
                &format!("{ROOT}\nint needed(void); int use(void) {{ return needed(); }}"),
            );
            compile_c(&source, file, &["-L", folder.path().to_str().unwrap(), "-lneeded"]);
        },
        "quarantined",
        "libneeded.so: cannot open shared object file",
    );
}

#[test]
fn libraries_whose_header_is_not_one() {
    check(
        |file| compile_c(&with_metadata(&metadata(&[]), ROOT), file, &[]),
        "quarantined",
        "its ABI header is not readable",
    );
}

#[test]
fn metadata_that_does_not_fit() {
    let crafted = |changes: &[(&str, Value)]| with_metadata(&metadata(changes), ROOT);
    let cases = [
        (crafted(&[("format", json!(2))]), "metadata format 2 is newer than this host's 1"),
        (crafted(&[("abi", json!("c-1"))]), "it speaks the ABI 'c-1', this host speaks 'abi_stable-0.11'"),
        (
            crafted(&[("api", json!("2.0.0"))]),
            "it is built with mcp-plugin-api 2.0.0, this host has 1.0.0: update mcp-host",
        ),
        (
            crafted(&[("api", json!("0.9.0"))]),
            "it is built with mcp-plugin-api 0.9.0, this host has 1.0.0: rebuild the plugin",
        ),
        (crafted(&[("api", json!("one"))]), "its API version 'one' is not a version"),
        (crafted(&[("panic", json!("abort"))]), "it is built with panic = \"abort\""),
        (crafted(&[("name", json!("../evil"))]), "it has no usable name"),
        (with_metadata("{\"format\":1}", ROOT), "its metadata is broken: the metadata is not readable"),
        (with_metadata("not json", ROOT), "its metadata is broken"),
    ];
    for (source, reason) in cases {
        check(|file| compile_c(&source, file, &[]), "refused", reason);
    }
}

#[test]
fn a_plugin_that_is_built_to_abort() {
    build(&["-p", "hello", "--profile", "abort"]);
    check(
        |file| {
            fs::copy(target().join("abort/libhello.so"), file).unwrap();
        },
        "refused",
        "it is built with panic = \"abort\"",
    );
}

#[test]
fn a_second_file_with_the_same_plugin_is_refused_and_the_first_named() {
    let builder = Host::with(&["hello"]);
    fs::copy(plugin_file("hello"), builder.plugins().join(library_name("second"))).unwrap();
    let host = builder.serve_http();
    let plugins = host.http().get("/health/detailed").json()["plugins"].clone();
    let states: Vec<&Value> = plugins.as_array().unwrap().iter().map(|plugin| &plugin["state"]).collect();
    assert_eq!(states, ["ready", "refused"]);
    let reason = plugins[1]["reason"].as_str().unwrap();
    assert!(
        reason.ends_with(&format!(
            "{} has a plugin of this name already: remove one of the two files",
            library_name("hello")
        )),
        "{reason}"
    );
}

#[test]
fn inspect_reads_without_running() {
    let host = Host::with(&["everything"]);
    let inspected = host.command(&[]).get_program().to_owned();
    let run = |file: &Path| {
        let output = std::process::Command::new(&inspected).args(["inspect", "--json"]).arg(file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told, _) = run(&plugin_file("everything"));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, &told["name"], &told["panic"], &told["level"]),
        (Some(0), &json!("everything"), &json!("unwind"), &json!(1))
    );
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("x.so");
    fs::write(&text, "text").unwrap();
    let (code, _, error) = run(&text);
    assert_eq!(code, Some(1));
    assert!(error.contains("it is not a native library"), "{error}");
    // A constructor would leave a trace if it ran.
    let trace = folder.path().join("trace");
    let library = folder.path().join("runs.so");
    let constructor = format!(
        "#include <stdio.h>\n{ROOT}\n__attribute__((constructor)) void run(void) {{ fclose(fopen({:?}, \"w\")); }}",
        trace.to_str().unwrap()
    );
    compile_c(&with_metadata(&metadata(&[]), &constructor), &library, &[]);
    assert_eq!(run(&library).0, Some(0));
    assert!(!trace.exists());
}

#[test]
fn links_and_open_folders_are_refused() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let builder = Host::with(&["hello"]);
    symlink(plugin_file("everything"), builder.plugins().join("link.so")).unwrap();
    let host = builder.serve_http();
    let detail = host.http().get("/health/detailed").json();
    assert!(detail["problems"][0].as_str().unwrap().contains("link.so is a symbolic link"), "{detail}");
    assert_eq!(detail["plugins"].as_array().unwrap().len(), 1);

    let builder = Host::with(&["hello"]);
    fs::set_permissions(builder.plugins(), fs::Permissions::from_mode(0o777)).unwrap();
    let host = builder.serve_http();
    let detail = host.http().get("/health/detailed").json();
    assert!(detail["problems"][0].as_str().unwrap().contains("is writable for everyone"), "{detail}");
    assert_eq!(detail["plugins"], json!([]));
}

#[test]
fn a_file_that_is_overwritten_while_it_is_served_harms_nothing() {
    let mut host = Host::with(&["hello"]).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    // In place, as `cp` does it: the mapped copy is another file.
    fs::write(host.folder().join("plugins/libhello.so"), "overwritten").unwrap();
    assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
    assert_eq!(client.ask(&request(2, "ping", json!({})))["result"], json!({}));
    assert!(host.is_running());
}
