//! Ends of the host, in order and not: what was accepted is answered, what was begun is there again.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests of real processes run on real time")]

use mcp_host_tests::{Host, HostBuilder, Tasks, call, chaos, eventually, stateless_call, text};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn worker() -> HostBuilder {
    Host::with(&["worker", "hello"])
}

/// Killed at any moment, again and again: the report of a run with a hundred rounds is in `docs/measurements.md`.
#[test]
fn nothing_is_lost_when_the_host_is_killed() {
    let report = chaos::run(12);
    assert_eq!(report.lost, Vec::<String>::new(), "{report}");
    assert!(report.acknowledged > 50 && report.answered > 100, "{report}");
    assert!(report.completed > 0 && report.failed_by_restart > 0, "{report}");
}

/// SIGTERM under load: each call is answered or refused cleanly, and the host is gone in time. What was begun is seen by what
/// the plugin writes down.
#[test]
fn a_host_that_is_told_to_end_answers_what_it_has_taken() {
    let mut host = worker().config("[limits]\ndrain_timeout = \"5s\"").serve_http();
    let (stop, answered, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (http, folder) = (host.http(), host.folder().join("begun"));
    fs::create_dir(&folder).unwrap();
    let (exit, took) = std::thread::scope(|scope| {
        for client in 0..8 {
            let (http, folder, stop, answered, refused) = (http.clone(), &folder, &stop, &answered, &refused);
            scope.spawn(move || {
                let mut number = client * 1_000_000;
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    // 25 calls a second of each, half of which take a while.
                    next += Duration::from_millis(40);
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                    let file = folder.join(number.to_string());
                    let request = match number % 2 {
                        0 => stateless_call(number, "greet", json!({"name": "Ada"})),
                        _ => stateless_call(number, "count", json!({"to": 3, "file": file, "pause_ms": 100})),
                    };
                    let headers = http.stateless_headers(&request);
                    match http.outcome("/mcp", &headers, &request) {
                        Ok((200, reply)) => {
                            assert!(reply["result"]["content"].is_array(), "{reply}");
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok((503, reply)) => {
                            assert_eq!(reply["error"]["message"], "the host is shutting down; try again later");
                            assert!(!file.exists(), "{number} was refused, and begun");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok((status, reply)) => panic!("{status}: {reply}"),
                        // The connection was refused, or closed without a byte.
                        Err(false) => {
                            assert!(!file.exists(), "{number} was begun, and not answered");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(true) => panic!("a response was cut off"),
                    }
                }
            });
        }
        eventually("the load", || (answered.load(Ordering::Relaxed) > 150).then_some(()));
        let began = Instant::now();
        host.signal("TERM");
        let exit = host.wait();
        let took = began.elapsed();
        // Whoever comes now finds nobody.
        let before = refused.load(Ordering::Relaxed);
        eventually("a client that finds nobody", || (refused.load(Ordering::Relaxed) > before).then_some(()));
        stop.store(true, Ordering::Relaxed);
        (exit, took)
    });
    assert_eq!(exit.code(), Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(host.log().contains("all_calls_finished=true"), "{}", host.log());
}

/// Over a pipe as over HTTP: what is under way is answered, and what comes is refused.
#[test]
fn a_host_that_ends_answers_its_pipe_too() {
    let (mut host, mut client) = worker().serve_stdio();
    client.initialize("2025-11-25");
    let file = host.folder().join("lines");
    client.send(&call(1, "count", json!({"to": 3, "file": file, "pause_ms": 200})));
    eventually("its begin", || fs::read_to_string(&file).ok());
    host.signal("TERM");
    host.wait_for_log("draining");
    let refused = client.ask(&call(2, "greet", json!({"name": "Ada"})));
    assert_eq!(refused["error"]["message"], "the host is shutting down; try again later");
    let done = client.receive();
    assert_eq!((&done["id"], text(&done)), (&json!(1), "counted to 3"));
    assert_eq!(host.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut host = worker().config("[limits]\ndrain_timeout = \"60s\"").serve_http();
    let http = host.http();
    let slow = stateless_call(1, "steps", json!({"steps": 1, "pause_ms": 60_000}));
    let _open = http.stream_begun(&slow);
    eventually("the call", || (http.get("/health/detailed").json()["calls"] == 1).then_some(()));
    host.signal("TERM");
    host.wait_for_log("draining");
    assert_eq!(http.get("/health/ready").status, 503, "readiness drops first");
    let began = Instant::now();
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Tasks are not cancelled by the end of their host: they are failed or run again by the next one, as their tool says.
#[test]
fn tasks_outlive_a_host_that_ends_in_order() {
    let mut host = worker().config("[limits]\ndrain_timeout = \"300ms\"").serve_http();
    let tasks = Tasks::stateless(host.http());
    let file = |name: &str| host.folder().join(name);
    let (again, once, asking) = (file("again"), file("once"), file("asking"));
    let reruns = tasks.begin("count", json!({"to": 40, "file": again, "pause_ms": 20}));
    let fails = tasks.begin("count_once", json!({"to": 4000, "file": once, "pause_ms": 20}));
    let asks = tasks.begin("ask_word", json!({"file": asking}));
    let _ = tasks.until(&asks, "input_required");
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(0));
    let host = host.kill().serve_http();
    let tasks = Tasks::stateless(host.http());
    let failed = tasks.until(&fails, "failed");
    assert!(failed["error"]["message"].as_str().unwrap().starts_with("the host was restarted while this ran"));
    assert_eq!(tasks.get(&asks)["inputRequests"]["word"]["params"]["message"], "Which word?");
    assert_eq!(tasks.until(&reruns, "completed")["result"]["content"][0]["text"], "counted to 40");
    let lines = fs::read_to_string(again).unwrap();
    let begins: Vec<&str> = lines.lines().filter(|line| line.starts_with("begin")).collect();
    assert!(begins.len() == 2 && begins[0] == "begin 0" && begins[1] != "begin 0", "{lines}");
    assert_eq!(fs::read_to_string(once).unwrap().matches("begin").count(), 1);
}

/// A state folder that nobody can write to: whoever wants a task is told, and everything else goes on.
#[test]
fn without_a_place_for_tasks_everything_else_goes_on() {
    let builder = worker();
    let state = builder.plugins().parent().unwrap().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("tasks"), "in the way").unwrap();
    let host = builder.serve_http();
    host.wait_for_log("no task can be kept");
    let tasks = Tasks::stateless(host.http());
    let refused = tasks.ask("tools/call", json!({"name": "steps", "arguments": {"steps": 1, "pause_ms": 1}}));
    assert_eq!(refused["error"]["code"], -32603, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("no task can be kept now"), "{message}");
    assert!(!message.contains("state"), "the machine is nobody's business: {message}");
    assert_eq!(host.http().get("/health/ready").status, 200);
    assert_eq!(text(&host.http().ask_stateless(&stateless_call(2, "greet", json!({"name": "Ada"})))), "Hello, Ada!");
    // As soon as there is a place, there are tasks.
    fs::remove_file(state.join("tasks")).unwrap();
    eventually("a task", || tasks.try_begin("steps", &json!({"steps": 1, "pause_ms": 1})));
}

/// A read-only state folder, for a host that is not root.
#[test]
fn a_read_only_state_folder_is_told() {
    let builder = worker();
    let folder = builder.plugins().parent().unwrap().to_owned();
    fs::create_dir_all(folder.join("state/tasks")).unwrap();
    fs::create_dir_all(folder.join("state/staged")).unwrap();
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let builder = if is_root { builder.as_user(65534) } else { builder };
    fs::set_permissions(folder.join("state/tasks"), fs::Permissions::from_mode(0o555)).unwrap();
    let host = builder.serve_http();
    host.wait_for_log("no task can be kept");
    let tasks = Tasks::stateless(host.http());
    let refused = tasks.ask("tools/call", json!({"name": "steps", "arguments": {"steps": 1, "pause_ms": 1}}));
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("no task can be kept now"), "{refused}");
    assert_eq!(text(&host.http().ask_stateless(&stateless_call(2, "greet", json!({"name": "Ada"})))), "Hello, Ada!");
    fs::set_permissions(folder.join("state/tasks"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// A disk without room: `setrlimit` makes writes fail as a full disk does.
#[test]
fn a_full_disk_takes_no_new_task_and_loses_none() {
    let host = worker().ignoring("XFSZ").serve_http();
    let tasks = Tasks::stateless(host.http());
    let small = json!({"steps": 1, "pause_ms": 1});
    let done = tasks.begin("steps", small.clone());
    let _ = tasks.until(&done, "completed");
    let running = tasks.begin("steps", json!({"steps": 1, "pause_ms": 1500}));
    let limit = |bytes: &str| {
        let pid = host.id().to_string();
        assert!(
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status().unwrap().success()
        );
    };
    limit("4096");
    let refused = eventually("a refusal", || {
        let reply = tasks.ask("tools/call", json!({"name": "steps", "arguments": small}));
        reply.get("error").is_some().then_some(reply)
    });
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("no task can be kept now"), "{refused}");
    assert_eq!(text(&host.http().ask_stateless(&stateless_call(2, "greet", json!({"name": "Ada"})))), "Hello, Ada!");
    host.wait_for_log("the end of a task cannot be written");
    limit("unlimited");
    // What ended meanwhile is written now, and what was kept is there.
    let ended = tasks.until(&running, "completed");
    assert_eq!(ended["result"]["content"][0]["text"], "1 steps");
    assert_eq!(tasks.get(&done)["status"], "completed");
    let again = tasks.begin("steps", small);
    let _ = tasks.until(&again, "completed");
}

/// A host that cannot listen does not touch what it would take up.
#[test]
fn a_host_that_cannot_serve_leaves_tasks_alone() {
    let host = worker().serve_http();
    let tasks = Tasks::stateless(host.http());
    let id = tasks.begin("ask_word", json!({"file": host.folder().join("steps")}));
    let _ = tasks.until(&id, "input_required");
    let builder = host.kill();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = builder.command(&["--http", &address]).output().unwrap();
    assert!(!failed.status.success());
    let host = builder.serve_http();
    let tasks = Tasks::stateless(host.http());
    assert_eq!(tasks.get(&id)["status"], "input_required");
}

/// Cancellation in every way that there is reaches the plugin's code.
#[test]
fn every_way_to_cancel_reaches_the_code() {
    let host = worker().serve_http();
    let cancelled = |name: &str, cancel: &dyn Fn(&std::path::Path)| {
        let file = host.folder().join(name);
        cancel(&file);
        eventually(name, || fs::read_to_string(&file).ok()?.contains("cancelled").then_some(()));
    };
    let begun = |file: &std::path::Path| {
        eventually("its begin", || fs::read_to_string(file).ok());
    };
    cancelled("a closed stream", &|file| {
        let open = host.http().stream_begun(&stateless_call(1, "heeds", json!({"file": file})));
        begun(file);
        drop(open);
    });
    let mut http = host.http();
    http.initialize("2025-11-25");
    cancelled("a notification", &|file| {
        let _open = http.begin(
            "POST",
            "/mcp",
            &http.usual_headers(),
            call(1, "heeds", json!({"file": file})).to_string().as_bytes(),
        );
        begun(file);
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
        assert_eq!(http.post(&cancel).status, 202);
    });
    cancelled("the end of its session", &|file| {
        let _open = http.begin(
            "POST",
            "/mcp",
            &http.usual_headers(),
            call(2, "heeds", json!({"file": file})).to_string().as_bytes(),
        );
        begun(file);
        assert_eq!(http.exchange("DELETE", "/mcp", &http.usual_headers(), b"").status, 204);
    });
    cancelled("a task's own", &|file| {
        let tasks = Tasks::stateless(host.http());
        let id = tasks.begin("heeds", json!({"file": file}));
        begun(file);
        let _ = tasks.ask("tasks/cancel", json!({"taskId": id}));
    });
    let short = worker().config("[limits]\ncall_timeout = \"300ms\"\ndrain_timeout = \"300ms\"").serve_http();
    let file = short.folder().join("a deadline");
    let _: Value = short.http().ask_stateless(&stateless_call(3, "heeds", json!({"file": file})));
    eventually("a deadline", || fs::read_to_string(&file).ok()?.contains("cancelled").then_some(()));
    let mut short = worker().config("[limits]\ndrain_timeout = \"300ms\"").serve_http();
    let file = short.folder().join("a drain");
    let _open = short.http().stream_begun(&stateless_call(4, "heeds", json!({"file": file})));
    begun(&file);
    short.signal("TERM");
    assert_eq!(short.wait().code(), Some(0));
    assert!(fs::read_to_string(&file).unwrap().contains("cancelled"));
}
