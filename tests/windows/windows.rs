//! What is different on Windows, and what users there run first. Wine runs the host, this system its clients.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests of real processes run on real time")]

use mcp_host_tests::{
    Host, Http, System, call, eventually, health, host_program, in_worker, plugin_file, system, text, told,
};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by whoever deals with services: Wine takes a process that says it is a service for the one that it has started last, whoever
/// started it.
fn services() -> MutexGuard<'static, ()> {
    static SERVICES: Mutex<()> = Mutex::new(());
    SERVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program of Windows.
fn wine(program: &str, words: &[&str]) -> Command {
    let System::Windows { wine, .. } = system() else { panic!("tests/windows/run sets MCP_TEST_WINE") };
    let mut command = Command::new(wine);
    command.arg(program).args(words);
    command
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_shelf_works() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(folder.path().join("notes.txt"), "one\r\ntwo\r\n").unwrap();
    let root = told(folder.path());
    let config = format!(
        "[plugins.filesystem.config]\nroots = [{root:?}]\n[plugins.sqlite.config]\npath = {:?}\n",
        told(&state.path().join("birds.db"))
    );
    let (host, mut client) = Host::with(&["filesystem", "sqlite", "time"]).config(&config).serve_both();
    client.initialize("2025-11-25");
    let mut said = |tool: &str, arguments: Value| text(&client.ask(&call(1, tool, arguments))).to_owned();
    assert_eq!(said("read_text_file", json!({"path": "notes.txt"})), "one\r\ntwo\r\n");
    assert_eq!(said("read_text_file", json!({"path": format!(r"{root}\notes.txt"), "head": 1})), "one");
    said("create_directory", json!({"path": "deep/er"}));
    said("write_file", json!({"path": r"deep\er\new.txt", "content": "written"}));
    assert_eq!(fs::read_to_string(folder.path().join("deep/er/new.txt")).unwrap(), "written");
    said("move_file", json!({"source": "deep/er/new.txt", "destination": "moved.txt"}));
    assert_eq!(fs::read_to_string(folder.path().join("moved.txt")).unwrap(), "written");
    assert_eq!(said("list_directory", json!({"path": "."})), "[DIR] deep\n[FILE] moved.txt\n[FILE] notes.txt");
    for outside in [r"..\outside.txt", r"C:\windows\win.ini", r"\\server\share\x"] {
        let reply = client.ask(&call(2, "write_file", json!({"path": outside, "content": "x"})));
        assert_eq!(reply["result"]["isError"], true, "{outside}: {reply}");
    }
    let mut said = |tool: &str, arguments: Value| text(&client.ask(&call(1, tool, arguments))).to_owned();
    said("create_table", json!({"query": "CREATE TABLE birds (name TEXT)"}));
    said("write_query", json!({"query": "INSERT INTO birds VALUES ('wren'), ('owl')"}));
    assert_eq!(
        said("read_query", json!({"query": "SELECT count(*) AS n FROM birds"})),
        r#"{"columns":["n"],"rows":[[2]],"truncated":false}"#
    );
    // The same over HTTP, for a client of the other era.
    let convert =
        json!({"source_timezone": "Europe/Berlin", "time": "2026-07-01T12:00", "target_timezone": "Asia/Tokyo"});
    let reply = host.http().ask_stateless(&mcp_host_tests::stateless_call(3, "convert_time", convert));
    assert_eq!(reply["result"]["structuredContent"]["target"]["datetime"], "2026-07-01T19:00:00+09:00", "{reply}");
}

#[test]
fn what_windows_cannot_enforce_is_refused_and_said_before() {
    let builder = Host::with(&["villain", "hello"]).config("[plugins.villain]\nisolation = \"worker\"\n");
    let inspected =
        wine(host_program().to_str().unwrap(), &["inspect", &told(&plugin_file("villain"))]).output().unwrap();
    let says = "not enforceable on this system: filesystem, network, files, subprocesses by name;";
    assert!(printed(&inspected).contains(says), "{}", printed(&inspected));
    let host = builder.serve_http();
    let bad = health(&host.http(), "villain").unwrap();
    assert_eq!(bad["state"], "refused");
    let reason = bad["reason"].as_str().unwrap();
    assert!(reason.contains("this system cannot enforce: filesystem, network;"), "{reason}");
    assert_eq!(health(&host.http(), "hello").unwrap()["state"], "ready");
    // An operator who takes that reads what holds and what does not.
    let config = in_worker("villain") + "[plugins.villain.grants]\nmemory = \"64MiB\"\n";
    let served = Host::with(&["villain"]).config(&config).serve_http();
    let enforced = health(&served.http(), "villain").unwrap()["enforced"].clone();
    assert_eq!(enforced, json!(["memory: job object", "subprocesses: job object"]));
    let not_enforced = &health(&served.http(), "villain").unwrap()["not_enforced"];
    assert_eq!(*not_enforced, json!(["filesystem: Windows has no way", "network: Windows has no way"]));
}

/// A service of this Windows, deleted when this is dropped.
struct Service(String);

impl Service {
    fn create(name: &str, command: &str) -> Self {
        let service = Self(name.to_owned());
        // One of this name may still be about to be deleted, or a run that was cut off has left it.
        eventually("a new service", || {
            service.control("delete");
            wine("sc", &["create", name, "binPath=", command]).output().unwrap().status.success().then_some(())
        });
        service
    }

    fn control(&self, verb: &str) -> String {
        printed(&wine("sc", &[verb, &self.0]).output().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.control("stop");
        self.control("delete");
    }
}

#[test]
fn the_stop_of_a_service_lets_calls_finish() {
    let _alone = services();
    // Wine ends its services with the last program that somebody runs: this one.
    let (_somebody, _client) = Host::with(&["hello"]).serve_stdio();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::copy(plugin_file("everything"), folder.path().join("plugins/everything.dll")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "plugin_dirs = [{:?}]\nstate_dir = {:?}\n[http]\naddress = \"127.0.0.1:{port}\"\n[log]\nfile = {:?}\n",
        told(&folder.path().join("plugins")),
        told(&folder.path().join("state")),
        told(&folder.path().join("log.txt")),
    );
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let command =
        format!("{} serve --service --config {}", told(&host_program()), told(&folder.path().join("config.toml")));
    let service = Service::create("mcp-host-test", &command);
    service.control("start");
    let log = || fs::read_to_string(folder.path().join("log.txt")).unwrap_or_default();
    eventually("the service to listen", || log().contains("listening on").then_some(()));
    let mut client = Http::new(([127, 0, 0, 1], port).into());
    client.initialize("2025-11-25");
    let finished = std::thread::scope(|scope| {
        let slow = scope.spawn(|| client.ask(&call(1, "test_sleep", json!({"ms": 1500}))));
        eventually("the call", || (client.get("/health/detailed").json()["calls"] == 1).then_some(()));
        service.control("stop");
        slow.join().unwrap()
    });
    assert_eq!(text(&finished), "slept 1500 ms");
    eventually("its end", || log().contains("all_calls_finished=true").then_some(()));
    eventually("what Windows says of it", || {
        let state = service.control("query");
        (state.contains("STOPPED") && state.contains("WIN32_EXIT_CODE    : 0")).then_some(())
    });
}

/// Starts a service whose configuration is wrong, and waits until it has ended as such a one does.
fn start_misconfigured() -> Service {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), "[http]\naddress = 7\n").unwrap();
    let command =
        format!("{} serve --service --config {}", told(&host_program()), told(&folder.path().join("config.toml")));
    let service = Service::create("mcp-host-misconfigured", &command);
    service.control("start");
    eventually("what Windows says of it", || {
        let state = service.control("query");
        // 1066: the service has a code of its own.
        (state.contains("STOPPED") && state.contains("WIN32_EXIT_CODE    : 1066")).then_some(())
    });
    service
}

#[test]
fn a_service_that_cannot_be_configured_ends_with_a_code_of_its_own() {
    let _alone = services();
    let (_somebody, _client) = Host::with(&["hello"]).serve_stdio();
    start_misconfigured();
}

#[test]
fn the_end_of_a_worker_shows_though_what_it_has_started_goes_on() {
    let config = in_worker("villain") + "[plugins.villain.grants]\nsubprocesses = [\"C:/any.exe\"]\n";
    let (_host, mut client) = Host::with(&["villain"]).config(&config).serve_stdio();
    client.initialize("2025-11-25");
    let reply = client.ask(&call(1, "abort_and_leave_a_child", json!({})));
    let reason = "plugin 'villain' failed: its process was ended by exception 0xc0000409 (abort)";
    assert_eq!(reply["error"]["message"], reason);
    assert_eq!(text(&client.ask(&call(2, "works", json!({})))), "works");
}

#[test]
fn what_plugins_print_is_no_message_in_a_worker_either() {
    let config = in_worker("everything") + &in_worker("villain");
    let (host, mut client) = Host::with(&["everything", "villain"]).config(&config).serve_both();
    client.initialize("2025-11-25");
    let printed = client.ask(&call(1, "test_prints_to_stdout", json!({})));
    assert!(printed["result"].is_object(), "{printed}");
    // A runtime that is not there when the host begins.
    assert_eq!(text(&client.ask(&call(2, "print_by_another_runtime", json!({})))), "printed");
    host.wait_for_log("by another runtime");
    for name in ["process", "works"] {
        assert!(client.ask(&call(3, name, json!({})))["result"].is_object());
    }
    assert_eq!(health(&host.http(), "everything").unwrap()["restarts"], 0);
}

#[test]
fn a_service_that_nobody_has_started_says_so() {
    let _alone = services();
    let (_somebody, _client) = Host::with(&["hello"]).serve_stdio();
    // With one that still runs, Wine would have this one wait for its place.
    drop(start_misconfigured());
    let builder = Host::with(&["hello"]);
    let refused = builder.command(&["--service", "--http", "127.0.0.1:0"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(printed(&refused).contains("this is no service that Windows has started"), "{}", printed(&refused));
    let refused = builder.command(&["--service"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(printed(&refused).contains("it needs --http"), "{}", printed(&refused));
}

#[test]
fn a_file_on_the_shelf_can_be_overwritten_and_removed_while_it_is_served() {
    let host = Host::with(&["hello"]).config("[watch]\nsettle = \"20ms\"\n").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let greeting = |client: &Http| client.ask(&call(1, "greet", json!({"name": "you"})));
    assert_eq!(text(&greeting(&client)), "Hello, you!");
    // As a user of Windows does it: what is served is a copy, so the file itself is nobody's.
    let file = told(&host.folder().join("plugins/hello.dll"));
    let from = told(&plugin_file("versioned"));
    let copied = wine("cmd", &["/c", "copy", "/y", &from, &file]).output().unwrap();
    assert!(copied.status.success(), "{}", printed(&copied));
    eventually("the other plugin", || {
        let reply = client.ask(&call(2, "version", json!({})));
        (reply["error"].is_null()).then_some(())
    });
    let removed = wine("cmd", &["/c", "del", &file]).output().unwrap();
    assert!(
        removed.status.success() && !Path::new(&host.folder().join("plugins/hello.dll")).exists(),
        "{}",
        printed(&removed)
    );
    eventually("its end", || (!client.ask(&call(3, "version", json!({})))["error"].is_null()).then_some(()));
}
