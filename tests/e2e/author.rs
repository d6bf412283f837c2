//! The author's side: a new plugin, its own tests, and a plugin that is served while it is written.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests take turns on plain threads")]

use mcp_host_tests::{
    Host, Http, artifact, call, eventually, health, repository, request, run_peer_setup, target, text,
};
use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// Waits for its turn: builds wait for each other, and whoever waits for a change would wait for those of all others.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where and how new plugins are built: what they have in common is built once, and nobody debugs them.
fn build_environment() -> [(&'static str, PathBuf); 2] {
    [("CARGO_TARGET_DIR", target().join("author")), ("CARGO_PROFILE_DEV_DEBUG", "0".into())]
}

/// Has the host write a new plugin.
#[track_caller]
fn new_plugin(folder: &Path, name: &str, template: &str) -> PathBuf {
    let path = folder.join(name);
    let made = Command::new(artifact("mcp-host"))
        .arg("new")
        .arg(&path)
        .args(["--template", template, "--path"])
        .arg(repository().join("plugin-api"))
        .output()
        .unwrap();
    let told = String::from_utf8(made.stdout).unwrap();
    assert!(told.starts_with(&format!("created plugin '{name}' in {}\n", path.display())), "{told}{:?}", made.stderr);
    // The versions that everything here is built with.
    fs::copy(repository().join("Cargo.lock"), path.join("Cargo.lock")).unwrap();
    path
}

fn cargo(plugin: &Path, words: &[&str]) -> Output {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(words).current_dir(plugin).envs(build_environment()).env_remove("UPDATE_DEFINITIONS");
    cargo.output().unwrap()
}

#[track_caller]
fn cargo_passes(plugin: &Path, words: &[&str]) -> String {
    let Output { status, stdout, stderr } = cargo(plugin, words);
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "cargo {words:?}\n{stdout}\n{stderr}");
    stdout
}

#[test]
fn every_template_builds_and_passes_its_own_tests() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    for template in ["tool", "resource", "prompt", "task", "app"] {
        let plugin = new_plugin(folder.path(), &format!("my-{template}"), template);
        let told = cargo_passes(&plugin, &["test"]);
        for test in ["the_library_", "clients_are_told_what_was_reviewed ... ok"] {
            assert!(told.contains(test), "{told}");
        }
        cargo_passes(&plugin, &["fmt", "--check"]);
        cargo_passes(&plugin, &["clippy", "--all-targets", "--", "--deny", "warnings"]);
    }
}

#[test]
fn a_changed_definition_fails_the_plugins_own_test_and_is_written_on_demand() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let plugin = new_plugin(folder.path(), "changed", "tool");
    let source = plugin.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, text.replace("Greets someone by name.", "Greets someone warmly.")).unwrap();
    let failed = cargo(&plugin, &["test", "--test", "plugin"]);
    let told = String::from_utf8_lossy(&failed.stdout).into_owned();
    assert!(!failed.status.success());
    assert!(told.contains("-      \"description\": \"Greets someone by name.\","), "{told}");
    assert!(told.contains("+      \"description\": \"Greets someone warmly.\","), "{told}");
    let mut update = Command::new(env!("CARGO"));
    update.args(["test", "--test", "plugin"]).current_dir(&plugin);
    update.envs(build_environment()).env("UPDATE_DEFINITIONS", "1");
    assert!(update.output().unwrap().status.success());
    cargo_passes(&plugin, &["test", "--test", "plugin"]);
}

#[test]
fn nothing_is_made_over_what_is_there() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let plugin = new_plugin(folder.path(), "once", "tool");
    let again = Command::new(artifact("mcp-host")).arg("new").arg(&plugin).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let told = String::from_utf8(again.stderr).unwrap();
    assert_eq!(told, format!("mcp-host: {} is not empty: nothing is written over\n", plugin.display()));
    let bad = Command::new(artifact("mcp-host")).args(["new", "/tmp/Bad Name"]).output().unwrap();
    let told = String::from_utf8(bad.stderr).unwrap();
    assert!(told.ends_with("; 'bad-name' would do\n"), "{told}");
}

/// A host that serves a plugin while it is written.
#[track_caller]
fn dev(plugin: &Path) -> Host {
    // What takes long is done before anything waits.
    cargo_passes(plugin, &["build"]);
    dev_in(plugin)
}

/// Serves the crates of a folder that are built already.
#[track_caller]
fn dev_in(folder: &Path) -> Host {
    let mut command = dev_command(folder);
    command.args(["--http", "127.0.0.1:0"]);
    Host::with(&[]).serve_http_with(command)
}

fn dev_command(folder: &Path) -> Command {
    let mut command = Command::new(artifact("mcp-host"));
    command.arg("dev").arg(folder).envs(build_environment()).env_remove("MCP_HOST_LOG").env_remove("RUST_BACKTRACE");
    command
}

fn greeting(client: &Http, id: u64) -> String {
    text(&client.ask(&call(id, "greet", json!({"name": "Ada"})))).to_owned()
}

/// Saves a source with something replaced.
fn save(plugin: &Path, from: &str, to: &str) {
    let source = plugin.join("src/lib.rs");
    let text = fs::read_to_string(&source).unwrap();
    assert!(text.contains(from), "{from} is not in\n{text}");
    fs::write(source, text.replace(from, to)).unwrap();
}

#[test]
fn a_saved_change_is_live_and_no_call_is_lost() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let plugin = new_plugin(folder.path(), "live", "tool");
    let host = dev(&plugin);
    let mut client = host.http();
    client.initialize("2025-11-25");
    assert_eq!(greeting(&client, 1), "Hello, Ada!");
    let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = host.http();
                client.initialize("2025-11-25");
                while !over.load(Ordering::Relaxed) {
                    let told = greeting(&client, 1);
                    assert!(["Hello, Ada!", "Bonjour, Ada!"].contains(&told.as_str()), "{told}");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        save(&plugin, "format!(\"Hello, {name}!\")", "format!(\"Bonjour, {name}!\")");
        eventually("the change to be live", || (greeting(&client, 2) == "Bonjour, Ada!").then_some(()));
        over.store(true, Ordering::Relaxed);
    });
    assert!(calls.load(Ordering::Relaxed) > 0);
    assert!(host.log().contains("tool greet "), "a line for each call:\n{}", host.log());
    // A mistake: cargo's words, and what there was before.
    save(&plugin, "async fn greet", "asyn fn greet");
    host.wait_for_log("the build failed: what was built last, if anything was, goes on being served");
    assert!(host.log().contains("expected one of `!` or `::`, found keyword `fn`"), "{}", host.log());
    assert_eq!(greeting(&client, 3), "Bonjour, Ada!");
    // Mended, with one tool more: clients hear that the list has changed.
    let mut news = client.get_stream(None);
    save(
        &plugin,
        "asyn fn greet",
        "async fn part(&self) -> &'static str { \"Adieu\" }\n    /// Greets.\n    #[tool]\n    async fn greet",
    );
    assert_eq!(news.next_message()["method"], "notifications/tools/list_changed");
    let list = client.ask(&request(4, "tools/list", json!({})));
    let names: Vec<_> = list["result"]["tools"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["part", "greet"]);
    assert_eq!(text(&client.ask(&call(5, "part", json!({})))), "Adieu");
    host.wait_for_log("tool part ");
}

#[test]
fn manifests_and_folders_may_change_too() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let plugin = new_plugin(folder.path(), "shifting", "tool");
    let host = dev(&plugin);
    let mut client = host.http();
    client.initialize("2025-11-25");
    assert_eq!(greeting(&client, 1), "Hello, Ada!");
    let manifest = fs::read_to_string(plugin.join("Cargo.toml")).unwrap();
    fs::write(plugin.join("Cargo.toml"), manifest.replace("version = \"0.1.0\"", "version = \"0.2.0\"")).unwrap();
    host.wait_for_log("plugin=\"shifting\" version=\"0.2.0\" generation=2");
    // A folder that is made again under its old name, as a checkout does it, twice.
    for (before, after) in [("Hello,", "Salut,"), ("Salut,", "Ciao,")] {
        fs::rename(plugin.join("src"), plugin.join("old")).unwrap();
        fs::create_dir(plugin.join("src")).unwrap();
        let source = fs::read_to_string(plugin.join("old/lib.rs")).unwrap();
        fs::write(plugin.join("src/lib.rs"), source.replace(before, after)).unwrap();
        fs::remove_dir_all(plugin.join("old")).unwrap();
        eventually("the change to be live", || greeting(&client, 2).starts_with(after).then_some(()));
    }
    // Under another name it is another plugin, and the one before is built no more.
    let manifest = fs::read_to_string(plugin.join("Cargo.toml")).unwrap();
    fs::write(plugin.join("Cargo.toml"), manifest.replace("name = \"shifting\"", "name = \"shifted\"")).unwrap();
    eventually("the plugin of the new name", || health(&client, "shifted").filter(|it| it["state"] == "ready"));
    eventually("the end of the old one", || health(&client, "shifting").is_none().then_some(()));
    eventually("its tool", || (greeting(&client, 3) == "Ciao, Ada!").then_some(()));
}

#[test]
fn a_plugin_that_comes_beside_others_is_built_too() {
    let _alone = alone();
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let second = new_plugin(elsewhere.path(), "second", "resource");
    for plugin in [&new_plugin(folder.path(), "first", "tool"), &second] {
        cargo_passes(plugin, &["build"]);
    }
    let host = dev_in(folder.path());
    // A folder that becomes a crate while it is there.
    fs::create_dir(folder.path().join("second")).unwrap();
    fs::rename(second.join("Cargo.toml"), folder.path().join("second/Cargo.toml")).unwrap();
    // Without its source it is none yet.
    host.wait_for_log("second/Cargo.toml: cargo cannot read it");
    for part in ["tests", "Cargo.lock", "src"] {
        fs::rename(second.join(part), folder.path().join("second").join(part)).unwrap();
    }
    eventually("the second plugin", || health(&host.http(), "second").filter(|it| it["state"] == "ready"));
    assert_eq!(health(&host.http(), "first").unwrap()["state"], "ready");
}

#[test]
fn a_new_plugin_answers_a_real_client() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let plugin = new_plugin(folder.path(), "real", "tool");
    let host = dev(&plugin);
    let client = r"
import asyncio, sys
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

async def main():
    async with streamablehttp_client(sys.argv[1]) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        print([tool.name for tool in (await session.list_tools()).tools])
        print((await session.call_tool('greet', {'name': 'Ada'})).content[0].text)

asyncio.run(main())
";
    let mut python = Command::new(run_peer_setup().join("python/bin/python"));
    let told = python.args(["-c", client]).arg(format!("http://{}/mcp", host.address())).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&told.stdout),
        "['greet']\nHello, Ada!\n",
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
}

#[test]
fn the_inspector_runs_on_what_is_served_and_ends_with_it() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let plugin = new_plugin(folder.path(), "inspected", "tool");
    cargo_passes(&plugin, &["build"]);
    // In the place of npx, which would fetch it: says how it was called, and stays.
    let (bin, said) = (folder.path().join("bin"), folder.path().join("said"));
    fs::create_dir(&bin).unwrap();
    let script = format!("#!/bin/sh\necho \"$$ $*\" > {0}.half\nmv {0}.half {0}\nexec sleep 600\n", said.display());
    fs::write(bin.join("npx"), script).unwrap();
    fs::set_permissions(bin.join("npx"), fs::Permissions::from_mode(0o755)).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = dev_command(&plugin);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command.args(["--http", &format!("127.0.0.1:{port}"), "--inspector"]).env("PATH", path);
    let mut host = Host::with(&[]).serve_http_with(command);
    let called = eventually("the inspector", || fs::read_to_string(&said).ok());
    let (process, words) = called.trim().split_once(' ').unwrap();
    let url = format!("http://127.0.0.1:{port}/mcp");
    assert_eq!(words, format!("--yes @modelcontextprotocol/inspector --transport http --server-url {url}"));
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(0));
    // One that has ended and that nobody has asked for has no words.
    let words = || fs::read(Path::new("/proc").join(process).join("cmdline")).unwrap_or_default();
    eventually("the inspector's end", || words().is_empty().then_some(()));
}

#[test]
fn a_folder_without_plugins_is_told() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let told = |folder: &Path| {
        let failed = Command::new(artifact("mcp-host")).arg("dev").arg(folder).output().unwrap();
        assert_eq!(failed.status.code(), Some(1));
        String::from_utf8(failed.stderr).unwrap()
    };
    assert!(told(folder.path()).contains("has no Cargo.toml, and no folder in it has one"), "{}", told(folder.path()));
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/lib.rs"), "").unwrap();
    let manifest = "[package]\nname = \"x\"\nedition = \"2024\"\n";
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    assert!(told(folder.path()).contains("no crate in"), "{}", told(folder.path()));
}

#[test]
fn every_example_is_served_and_does_what_it_teaches() {
    let _alone = alone();
    // The plugin, its tool, the arguments, and the beginning of what it says.
    let lessons = [
        ("hello", "h_greet", json!({"name": "Ada"}), "Hello, Ada!"),
        ("example-app", "throw", json!({"count": 2, "seed": 1}), "{\"dice\":[1,5]"),
        ("example-arguments", "book", json!({"to": "Oslo", "by": "train"}), "1 to Oslo by Train"),
        ("example-asking", "pay", json!({"cents": 5}), ""),
        ("example-blocking", "boil", json!({"milliseconds": 1}), "boiled"),
        ("example-caching", "", json!({}), ""),
        ("example-clients", "who", json!({}), "harness 1"),
        ("example-content", "catalogue", json!({}), "two cards"),
        ("example-errors", "divide", json!({"cents": 1, "guests": 0}), "there are no guests"),
        ("example-grants", "has_token", json!({}), ""),
        ("example-progress", "count", json!({"to": 2}), "counted to 2"),
        ("example-prompts", "", json!({}), ""),
        ("example-resources", "", json!({}), ""),
        ("example-state", "open", json!({"open": true}), "open"),
        ("example-structured", "report", json!({}), "21.5 degrees"),
        ("example-tasks", "index", json!({"books": 2}), "2 books"),
        ("example-typed-config", "greet", json!({"name": "Ada"}), "Good day, Ada!"),
    ];
    let folders = fs::read_dir(repository().join("sdk-examples")).unwrap().count();
    assert_eq!(lessons.len(), folders, "a new lesson wants a line here");
    let names: Vec<&str> = lessons.iter().map(|(name, ..)| *name).collect();
    let config = "[plugins.hello]\nprefix = \"h_\"\n[plugins.example-asking]\nprefix = \"a_\"\n[plugins.example-typed-config.config]\ngreeting = \"Good day\"\n";
    let host = Host::with(&names).config(config).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let detail = client.get("/health/detailed").json();
    for plugin in detail["plugins"].as_array().unwrap() {
        assert_eq!(plugin["state"], "ready", "{plugin}");
    }
    for (plugin, tool, arguments, expected) in lessons.into_iter().filter(|(.., expected)| !expected.is_empty()) {
        let reply = client.ask(&call(1, tool, arguments));
        assert!(text(&reply).starts_with(expected), "{plugin}: {reply}");
    }
    let read = |uri: &str| {
        client.ask(&request(2, "resources/read", json!({"uri": uri})))["result"]["contents"][0]["text"].clone()
    };
    assert_eq!(read("timetable://lines"), "1\n2\n3");
    assert_eq!(read("shelf://all"), "Middlemarch\nEmma\nVillette");
    let letter = client.ask(&request(3, "prompts/get", json!({"name": "letter", "arguments": {"to": "Ada"}})));
    assert_eq!(letter["result"]["messages"][0]["content"]["text"], "Write a friendly letter to Ada.");
}
