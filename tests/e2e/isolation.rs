//! Plugins in processes of their own: what a call needs works across the boundary, and what a guest breaks is its own.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests of real processes run on real time")]

use mcp_host_tests::{
    Host, HostBuilder, Stdio, System, call, eventually, health, host_program, in_worker, processes_of, request, system,
    text,
};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;

/// The guest in a worker.
fn worker() -> String {
    format!("{}kill_after = \"300ms\"\nmax_faults = 1000\n", in_worker("villain"))
}

/// A host with the guest in a worker that is granted this.
fn with_grants(grants: &str) -> HostBuilder {
    let limits = "[limits]\ncall_timeout = \"2s\"\n";
    Host::with(&["villain", "hello"]).config(&format!("{limits}{}[plugins.villain.grants]\n{grants}", worker()))
}

#[track_caller]
fn tool(client: &mut Stdio, tool: &str, arguments: Value) -> Value {
    client.ask(&call(1, tool, arguments))
}

/// What a tool says: its text, whether it went well or not.
#[track_caller]
fn said(client: &mut Stdio, name: &str, arguments: Value) -> String {
    let reply = tool(client, name, arguments);
    text(&reply).to_owned()
}

#[track_caller]
fn assert_refused(said: &str) {
    let refused = ["PermissionDenied", "Operation not permitted", "Permission denied"];
    assert!(refused.iter().any(|word| said.contains(word)), "it was not refused: {said}");
}

#[track_caller]
fn assert_unaffected(client: &mut Stdio) {
    assert_eq!(said(client, "greet", json!({"name": "you"})), "Hello, you!");
    assert_eq!(said(client, "works", json!({})), "works", "the guest itself is started again");
}

#[test]
fn what_ends_a_worker_ends_its_calls_with_the_reason_and_nothing_else() {
    let (mut host, mut client) = with_grants("memory = \"256MiB\"").serve_stdio();
    client.initialize("2025-11-25");
    let ends: &[(&str, &str)] = match system() {
        System::Native => &[
            ("segfault", "its process was ended by signal 11 (segmentation fault)"),
            ("abort", "its process was ended by signal 6 (abort)"),
            ("exit", "its process ended with exit code 0"),
            ("overflow_stack", "its process was ended by signal 11 (segmentation fault)"),
        ],
        // Wine itself hangs where a stack is used up.
        System::Windows { .. } => &[
            ("segfault", "its process was ended by exception 0xc0000005 (access violation)"),
            ("abort", "its process was ended by exception 0xc0000409 (abort)"),
            ("exit", "its process ended with exit code 0"),
        ],
    };
    for (name, reason) in ends {
        let reply = tool(&mut client, name, json!({}));
        assert_eq!(reply["error"]["code"], -32603, "{name}: {reply}");
        assert_eq!(reply["error"]["message"], format!("plugin 'villain' failed: {reason}"), "{name}");
        assert_unaffected(&mut client);
    }
    assert!(host.is_running());
}

#[test]
fn memory_has_a_bound() {
    let (mut host, mut client) = with_grants("memory = \"256MiB\"").serve_stdio();
    client.initialize("2025-11-25");
    let reply = tool(&mut client, "allocate", json!({"mebibytes": 1024}));
    assert_eq!(reply["error"]["message"], "plugin 'villain' failed: its process was ended by signal 6 (abort)");
    assert_unaffected(&mut client);
    assert_eq!(said(&mut client, "allocate", json!({"mebibytes": 16})), "16 MiB", "within its bound");
    assert_refused(&said(&mut client, "share_memory", json!({"mebibytes": 512})));
    assert_refused(&said(&mut client, "grow_memory", json!({"mebibytes": 512})));
    assert!(host.is_running());
}

#[test]
fn a_worker_that_is_killed_loses_its_own_calls_and_comes_back() {
    let (host, mut client) = with_grants("").serve_both();
    client.initialize("2025-11-25");
    let process = said(&mut client, "process", json!({}));
    client.send(&call(7, "loop_blocking", json!({})));
    eventually("the call", || (health(&host.http(), "villain").unwrap()["calls"] == 1).then_some(()));
    assert!(std::process::Command::new("kill").args(["-9", &process]).status().unwrap().success());
    let reply = client.receive();
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(7), &json!(-32603)));
    assert_eq!(reply["error"]["message"], "plugin 'villain' failed: its process was ended by signal 9 (killed)");
    assert_unaffected(&mut client);
    assert_ne!(said(&mut client, "process", json!({})), process);
    assert_eq!(health(&host.http(), "villain").unwrap()["restarts"], 1);
}

#[test]
fn a_call_that_never_ends_costs_its_process_its_life() {
    for name in ["loop_inline", "loop_blocking"] {
        let (host, mut client) = with_grants("").serve_stdio();
        client.initialize("2025-11-25");
        let process = said(&mut client, "process", json!({}));
        client.send(&call(7, name, json!({})));
        // One that holds the thread that reads does not hold the others up.
        for _ in 0..20 {
            assert_eq!(said(&mut client, "works", json!({})), "works");
        }
        let reply = client.receive();
        assert_eq!(reply["error"]["message"], "plugin 'villain' did not answer within 2s", "{name}");
        // Through its end and its start, no other call is lost.
        eventually("its next process", || (said(&mut client, "process", json!({})) != process).then_some(()));
        host.wait_for_log("a call did not end that nobody waits for: its process is killed");
        assert_unaffected(&mut client);
    }
}

#[test]
fn a_guest_asks_its_host_in_the_middle_of_an_inline_function() {
    let (_host, mut client) = with_grants("").serve_stdio();
    client.initialize("2025-11-25");
    for _ in 0..100 {
        assert_eq!(said(&mut client, "who", json!({})), "harness");
    }
    assert_eq!(said(&mut client, "close_stdout", json!({})), "closed");
    assert_unaffected(&mut client);
}

#[test]
fn several_workers_share_the_calls_and_one_that_ends_is_not_missed() {
    let config = format!("{}workers = 3\n", worker());
    let (host, mut client) = Host::with(&["villain", "hello"]).config(&config).serve_both();
    client.initialize("2025-11-25");
    let processes: std::collections::BTreeSet<String> =
        (0..9).map(|_| said(&mut client, "process", json!({}))).collect();
    assert_eq!(processes.len(), 3);
    let first = processes.first().unwrap();
    assert!(std::process::Command::new("kill").args(["-9", first]).status().unwrap().success());
    eventually("its restart", || (health(&host.http(), "villain").unwrap()["restarts"] == 1).then_some(()));
    for _ in 0..9 {
        assert_ne!(&said(&mut client, "process", json!({})), first);
    }
}

#[test]
fn workers_end_with_their_host_however_it_ends() {
    let builder = with_grants("");
    let own = builder.folder_path().join("own-host");
    std::fs::copy(host_program(), &own).unwrap();
    let (host, mut client) = builder.binary(own.clone()).serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(said(&mut client, "works", json!({})), "works");
    assert!(processes_of(&own) >= 2, "the host and its worker");
    let _builder = host.kill();
    eventually("the worker's end", || (processes_of(&own) == 0).then_some(()));
}

#[test]
fn files_need_a_grant() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["read", "write", "none"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("file"), name).unwrap();
    }
    let grants = format!("read = [{:?}]\nwrite = [{:?}]\n", path("read"), path("write"));
    let (_host, mut client) = with_grants(&grants).serve_stdio();
    client.initialize("2025-11-25");
    let read = |client: &mut Stdio, name: &str| said(client, "read_file", json!({"path": path(name)}));
    let write = |client: &mut Stdio, name: &str| said(client, "write_file", json!({"path": path(name)}));
    assert_eq!(read(&mut client, "read/file"), "read");
    assert_eq!(read(&mut client, "write/file"), "write");
    assert_eq!(write(&mut client, "write/other"), "written");
    assert_refused(&read(&mut client, "none/file"));
    assert_refused(&write(&mut client, "read/other"));
    assert_refused(&write(&mut client, "none/other"));
    assert_refused(&said(&mut client, "read_file", json!({"path": "/etc/passwd"})));
    assert_refused(&said(&mut client, "read_file", json!({"path": "/proc/1/environ"})));
    // What may be read may not be given to others.
    assert_refused(&said(&mut client, "give_away", json!({"path": path("read/file")})));
    // A grant is where it was, whatever is put in its place.
    std::fs::rename(path("read"), path("moved")).unwrap();
    std::os::unix::fs::symlink("/etc", path("read")).unwrap();
    let reply = tool(&mut client, "abort", json!({}));
    assert!(reply["error"].is_object());
    _host.wait_for_log("a part of it is a symbolic link now");
}

#[test]
fn its_own_file_is_not_its_to_write() {
    let (host, mut client) = with_grants("").serve_stdio();
    client.initialize("2025-11-25");
    let own: Vec<_> =
        std::fs::read_dir(host.folder().join("state/staged")).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(own.len(), 2);
    for file in own {
        assert_refused(&said(&mut client, "write_file", json!({"path": file})));
        assert_refused(&said(&mut client, "give_away", json!({"path": file})));
    }
    assert_refused(&said(&mut client, "write_file", json!({"path": host.folder().join("plugins/libvillain.so")})));
    assert_unaffected(&mut client);
}

#[test]
fn the_network_needs_a_grant() {
    let (open, closed) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let (open_port, closed_port) = (port(&open), port(&closed));
    let free = port(&TcpListener::bind("127.0.0.1:0").unwrap());
    let connect = |client: &mut Stdio, port: u16| said(client, "connect", json!({"port": port}));
    let listen = |client: &mut Stdio, port: u16| said(client, "listen", json!({"port": port}));

    let (_host, mut client) = with_grants("").serve_stdio();
    client.initialize("2025-11-25");
    assert_refused(&connect(&mut client, open_port));
    assert_refused(&listen(&mut client, free));
    assert_refused(&said(&mut client, "send_udp", json!({})));

    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("named");
    let _named = std::os::unix::net::UnixDatagram::bind(&named).unwrap();
    assert_refused(&said(&mut client, "send_to", json!({"path": named})));
    let socket = folder.path().join("socket");
    let _unix = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let ports = format!("connect = [{open_port}]\nlisten = [{free}]\nread = [{:?}]\n", folder.path());
    let (_host, mut client) = with_grants(&ports).serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(connect(&mut client, open_port), "connected");
    assert_refused(&connect(&mut client, closed_port));
    assert_eq!(listen(&mut client, free), "listening");
    assert_refused(&listen(&mut client, 0));
    assert_refused(&said(&mut client, "send_udp", json!({})));
    assert_refused(&said(&mut client, "connect_unix", json!({"path": socket})));

    let (_host, mut client) = with_grants(&format!("connect = [{open_port}]\nudp = true\n")).serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(said(&mut client, "send_udp", json!({})), "bound");
    assert_refused(&connect(&mut client, closed_port));

    let (_host, mut client) = with_grants("network = \"on\"").serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(connect(&mut client, closed_port), "connected");
    assert_eq!(listen(&mut client, 0), "listening");
    assert_eq!(said(&mut client, "send_udp", json!({})), "bound");
    assert_refused(&said(&mut client, "connect_unix", json!({"path": socket})));
}

#[test]
fn other_processes_need_a_grant() {
    let (_host, mut client) = with_grants("").serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(said(&mut client, "fork", json!({"count": 20})), "0 started");
    assert_refused(&said(&mut client, "run", json!({"program": "/bin/echo"})));
    assert_refused(&said(&mut client, "become_program", json!({"program": "/bin/true"})));
    assert_refused(&said(&mut client, "signal_host", json!({})));
    assert_refused(&said(&mut client, "hold_host_back", json!({})));
    assert_refused(&said(&mut client, "own_for_host", json!({})));

    let (_host, mut client) = with_grants("subprocesses = [\"/bin/echo\"]").serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(said(&mut client, "run", json!({"program": "/bin/echo"})), "hello");
    assert_eq!(said(&mut client, "run_by_name", json!({"name": "echo"})), "hello");
    assert_refused(&said(&mut client, "run", json!({"program": "/bin/cat"})));
    assert_refused(&said(&mut client, "signal_host", json!({})));
}

#[test]
fn the_environment_needs_a_grant() {
    let builder = with_grants("env = [\"GRANTED\"]").environment("GRANTED", "yes").environment("SECRET", "hunter2");
    let (_host, mut client) = builder.serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(said(&mut client, "environment", json!({"name": "GRANTED"})), "yes");
    assert_eq!(said(&mut client, "environment", json!({"name": "SECRET"})), "not set");
}

#[test]
fn files_and_time_have_bounds() {
    let config = format!("{}[plugins.villain.grants]\nfiles = 32\ncpu_time = \"1s\"\n", worker());
    let (host, mut client) = Host::with(&["villain", "hello"]).config(&config).serve_stdio();
    client.initialize("2025-11-25");
    assert_eq!(said(&mut client, "compute", json!({"seconds": 0})), "computed");
    assert_eq!(said(&mut client, "open_files", json!({"count": 8})), "8 files");
    assert!(said(&mut client, "open_files", json!({"count": 64})).contains("Too many open files"));
    let reply = tool(&mut client, "compute", json!({"seconds": 20}));
    assert_eq!(
        reply["error"]["message"],
        "plugin 'villain' failed: its process was ended by signal 24 (its processor time is used up)"
    );
    host.wait_for_log("it is started again");
    assert_unaffected(&mut client);
}

#[test]
fn the_report_says_what_is_enforced() {
    let host = with_grants("connect = [443]").serve_http();
    let villain = health(&host.http(), "villain").unwrap();
    assert_eq!((&villain["isolation"], &villain["not_enforced"]), (&json!("worker"), &Value::Null), "{villain}");
    assert_eq!(villain["state"], "ready");
    let enforced: Vec<&str> = villain["enforced"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let by = |what: &str| enforced.iter().find(|it| it.starts_with(what)).unwrap_or_else(|| panic!("{enforced:?}"));
    assert_eq!(
        (*by("files"), *by("subprocesses"), *by("signals")),
        ("files: rlimit", "subprocesses: seccomp", "signals: seccomp")
    );
    assert!(by("filesystem").starts_with("filesystem: landlock"), "{enforced:?}");
    assert!(by("network").starts_with("network: landlock"), "{enforced:?}");
    // What it wants and has not got is told; a port that is granted is not.
    assert_eq!(villain["not_granted"], json!(["env API_KEY", "read /etc/hosts"]));
    let inspected = std::process::Command::new(mcp_host_tests::artifact("mcp-host"))
        .arg("inspect")
        .arg(mcp_host_tests::plugin_file("villain"))
        .output()
        .unwrap();
    let told = String::from_utf8(inspected.stdout).unwrap();
    assert!(
        told.contains("  wants        network 443\n  wants        env API_KEY\n  wants        read /etc/hosts\n"),
        "{told}"
    );
}

#[test]
fn a_grant_that_cannot_be_is_named() {
    let host = with_grants("read = [\"/no/such/folder\"]").serve_http();
    let villain = health(&host.http(), "villain").unwrap();
    assert_eq!(villain["state"], "refused");
    let reason = villain["reason"].as_str().unwrap();
    assert!(reason.contains("the granted path /no/such/folder cannot be opened"), "{reason}");
}

#[test]
fn everything_that_a_call_needs_works_in_a_worker() {
    let config = in_worker("everything") + &in_worker("guest");
    let (host, mut client) = Host::with(&["everything", "guest"]).config(&config).serve_stdio();
    client.initialize("2025-11-25");
    // Progress and logs come before the answer, in their order.
    let meta = json!({"name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": "p"}});
    client.send(&request(1, "tools/call", meta));
    let mut told = Vec::new();
    let reply = loop {
        let message = client.receive();
        if message["id"] == 1 {
            break message;
        }
        told.push(message["params"]["progress"].clone());
    };
    assert_eq!(told, [json!(0.0), json!(50.0), json!(100.0)], "{reply}");
    // A question goes to the client and its answer to the function.
    client.send(&call(2, "test_elicitation", json!({"message": "Who?"})));
    let asked = client.receive();
    assert_eq!(asked["method"], "elicitation/create");
    let answer = json!({"action": "accept", "content": {"username": "ada", "email": "a@b.c"}});
    client.send(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": answer}));
    let reply = client.receive();
    assert!(text(&reply).contains("ada"), "{reply}");
    // What it logs, and a panic, go to the operator with plugin and call.
    assert_eq!(said(&mut client, "logs", json!({})), "logged");
    host.wait_for_log("told to the operator");
    let reply = tool(&mut client, "panics_in_future", json!({}));
    assert_eq!(reply["error"]["message"], "plugin 'guest' failed: it panicked");
    host.wait_for_log("panicked in a future");
    // A cancelled call ends inside.
    client.send(&call(3, "panics_in_drop", json!({"ms": 60_000})));
    client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}}));
    host.wait_for_log("panicked in drop");
    assert_eq!(client.receive_within(Duration::from_millis(50)), None);
}

#[test]
fn a_worker_that_always_ends_does_not_hold_up_the_end_of_the_host() {
    let (mut host, mut client) = with_grants("").serve_stdio();
    client.initialize("2025-11-25");
    for _ in 0..4 {
        assert!(tool(&mut client, "abort", json!({}))["error"].is_object());
    }
    let began = std::time::Instant::now();
    client.close();
    assert_eq!(host.wait().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
}

#[test]
fn a_tool_that_ends_its_process_again_and_again_is_out_and_its_siblings_stay() {
    let config = in_worker("villain") + "max_faults = 3\nretry_after = \"1h\"\n";
    let (_host, mut client) = Host::with(&["villain", "hello"]).config(&config).serve_stdio();
    client.initialize("2025-11-25");
    for _ in 0..3 {
        assert!(tool(&mut client, "abort", json!({}))["error"].is_object());
    }
    eventually("it to be out", || (tool(&mut client, "abort", json!({}))["error"]["code"] == -32602).then_some(()));
    assert_eq!(said(&mut client, "works", json!({})), "works");
}

#[test]
fn a_tool_that_ends_its_process_with_others_in_it_is_out_too() {
    let config = in_worker("villain") + "max_faults = 3\nretry_after = \"1h\"\n";
    let (host, mut client) = Host::with(&["villain"]).config(&config).serve_both();
    client.initialize("2025-11-25");
    for round in 0..3 {
        // Nobody knows which of the two it was: it counts against each.
        client.send(&call(7, "loop_blocking", json!({})));
        eventually("the call", || (health(&host.http(), "villain").unwrap()["calls"] == 1).then_some(()));
        client.send(&call(8, "abort", json!({})));
        let mut ended: Vec<u64> = Vec::new();
        while ended.len() < 2 {
            // In between it is told that the list has changed.
            ended.extend(client.receive()["id"].as_u64());
        }
        ended.sort_unstable();
        assert_eq!(ended, [7, 8], "round {round}");
        // What answers between two crashes is not what they are counted against.
        assert_eq!(said(&mut client, "works", json!({})), "works");
    }
    let refused = |client: &mut Stdio, name| tool(client, name, json!({}))["error"]["code"] == -32602;
    eventually("it to be out", || refused(&mut client, "abort").then_some(()));
}

#[test]
fn a_tool_that_runs_out_of_time_again_and_again_is_out() {
    let limits = "[limits]\ncall_timeout = \"200ms\"\n".to_owned();
    let config = limits + &in_worker("villain") + "max_faults = 3\nretry_after = \"1h\"\nkill_after = \"1h\"\n";
    let (_host, mut client) = Host::with(&["villain", "hello"]).config(&config).serve_stdio();
    client.initialize("2025-11-25");
    for _ in 0..3 {
        let reply = tool(&mut client, "loop_blocking", json!({}));
        assert_eq!(reply["error"]["message"], "plugin 'villain' did not answer within 200ms");
    }
    eventually("it to be out", || {
        (tool(&mut client, "loop_blocking", json!({}))["error"]["code"] == -32602).then_some(())
    });
    assert_eq!(said(&mut client, "works", json!({})), "works");
}

#[test]
fn a_tool_that_does_not_end_when_it_is_given_up_is_out_too() {
    // In a worker, when its process is killed for it; in the host, when its time is over.
    let in_worker = in_worker("villain") + "max_faults = 2\nretry_after = \"1h\"\nkill_after = \"200ms\"\n";
    let in_process =
        "[limits]\ncall_timeout = \"500ms\"\n[plugins.guest]\nmax_faults = 2\nretry_after = \"1h\"\n".to_owned();
    for (plugin, name, config) in [("villain", "loop_blocking", in_worker), ("guest", "never_returns", in_process)] {
        let (host, mut client) = Host::with(&[plugin]).config(&config).serve_both();
        client.initialize("2025-11-25");
        let listed = |client: &mut Stdio| {
            let list = client.ask(&request(1, "tools/list", json!({})));
            list["result"]["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == name)
        };
        for id in [7, 8] {
            assert!(listed(&mut client), "one is not too many: {name}");
            assert_eq!(said(&mut client, "works", json!({})), "works", "its process runs");
            client.send(&call(id as u64, name, json!({})));
            let begun = || host.log().matches("it never returns").count() == id - 6;
            eventually("the call", || begun().then_some(()));
            client.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
            if plugin == "villain" {
                eventually("its end", || (health(&host.http(), plugin).unwrap()["calls"] == 0).then_some(()));
            }
        }
        eventually("it to be out", || (!listed(&mut client)).then_some(()));
        assert_eq!(said(&mut client, "works", json!({})), "works");
    }
}

#[test]
fn a_copy_that_was_changed_is_not_started_again() {
    let (host, mut client) = with_grants("").serve_stdio();
    client.initialize("2025-11-25");
    for file in std::fs::read_dir(host.folder().join("state/staged")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        // Beside it, and then in its place: what is mapped is not touched.
        std::fs::write(path.with_extension("new"), bytes).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
    }
    assert!(tool(&mut client, "abort", json!({}))["error"].is_object());
    host.wait_for_log("somebody has changed the private copy since it was checked");
}
