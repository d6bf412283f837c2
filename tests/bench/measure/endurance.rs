//! What long use leaves behind: nothing. Sessions that are opened and abandoned, tasks that expire, and a mix of everything
//! with faults; meanwhile memory, descriptors and threads of the host are watched: the first two must stay where they are, threads
//! within what their pools may have, and in the end all must be as in the beginning.
//!
//! `measure endurance soak SESSIONS TASKS SECONDS [FILE.svg]` prints the figures, draws the curve, and fails where something grows.
//! `measure endurance kill ROUNDS` kills a host under load so many times, and reports what came of all that it had acknowledged.

use crate::curve::{Curve, Sample};
use mcp_host_tests::{Host, KeepAlive, PREFIX, chaos, meta_with};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Clients at a time.
const CLIENTS: usize = 16;

pub(crate) fn run(words: &[String]) {
    let number = |index: usize, default: usize| words.get(index).map_or(default, |word| word.parse().unwrap());
    match words.first().map(String::as_str) {
        Some("kill") => {
            let report = chaos::run(number(1, 100));
            println!("{report}");
            assert!(report.lost.is_empty(), "something was lost");
        }
        _ => soak(number(1, 1_000_000), number(2, 100_000), number(3, 3600), words.get(4).map(String::as_str)),
    }
}

fn soak(sessions: usize, tasks: usize, seconds: usize, picture: Option<&str>) {
    let config = "[tasks]\nttl = \"3s\"\nmax_tasks = 100000\nmax_per_client = 100000\n[sessions]\nidle_timeout = \"20s\"\nmax_sessions = 10000\nresume_for = \"5s\"\n[limits]\ncall_timeout = \"5s\"\n[log]\nfilter = \"error,plugin=off,mcp_host::app=info\"\n[plugins.guest]\nprefix = \"guest_\"";
    let host = Host::with(&["worker", "guest", "hello"]).config(config).serve_http();
    let (address, pid) = (host.address(), host.id());
    let began = Instant::now();
    let curve = Curve::default();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                curve.add(sample(pid, began.elapsed()));
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        curve.begin("sessions", began.elapsed());
        let opened = Instant::now();
        spread(sessions, |client, number| open_and_abandon(client, address, number));
        println!("{sessions} sessions opened and abandoned in {:.0} s", opened.elapsed().as_secs_f64());
        curve.begin("tasks", began.elapsed());
        let begun = Instant::now();
        spread(tasks, begin_task);
        println!("{tasks} tasks begun in {:.0} s", begun.elapsed().as_secs_f64());
        let gone = Instant::now();
        while kept(&host) > 0 {
            assert!(gone.elapsed() < Duration::from_secs(60), "{} tasks are still kept", kept(&host));
            std::thread::sleep(Duration::from_millis(200));
        }
        println!("all of them expired {:.0} s later", gone.elapsed().as_secs_f64());
        curve.begin("mixed, with faults", began.elapsed());
        let rounds = churn(address, Duration::from_secs(seconds as u64));
        println!("{rounds} things done in {seconds} s of everything, with faults");
        curve.begin("quiet", began.elapsed());
        std::thread::sleep(Duration::from_secs(30));
        over.store(true, Ordering::Relaxed);
    });
    println!("{curve}");
    if let Some(picture) = picture {
        fs::write(picture, curve.to_svg()).unwrap();
    }
    curve.assert_flat("mixed, with faults");
    curve.assert_bounded("mixed, with faults");
    curve.assert_back("quiet");
    let detail = host.http().get("/health/detailed").json();
    println!("at the end: {} sessions, {} calls, {}", detail["sessions"], detail["calls"], detail["tasks"]);
    assert_eq!((&detail["sessions"], &detail["calls"], &detail["tasks"]["kept"]), (&json!(0), &json!(0), &json!(0)));
}

/// What the process has now.
fn sample(pid: u32, at: Duration) -> Sample {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    Sample { at, resident_kib: field("VmRSS:"), descriptors, threads: field("Threads:") }
}

fn kept(host: &Host) -> u64 {
    host.http().get("/health/detailed").json()["tasks"]["kept"].as_u64().unwrap()
}

/// Does something so many times, by all clients.
fn spread(times: usize, work: impl Fn(&mut KeepAliveClient, u64) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= times {
                        return;
                    }
                    work(&mut client, number as u64);
                }
            });
        }
    });
}

/// A client, once it has an address.
type KeepAliveClient = Option<KeepAlive>;

static ADDRESS: std::sync::OnceLock<SocketAddr> = std::sync::OnceLock::new();

fn connected(client: &mut KeepAliveClient) -> &mut KeepAlive {
    client.get_or_insert_with(|| KeepAlive::new(*ADDRESS.get().expect("the host listens")))
}

fn open_and_abandon(client: &mut KeepAliveClient, address: SocketAddr, number: u64) {
    let _ = ADDRESS.set(address);
    let request = mcp_host_tests::request(number, "initialize", mcp_host_tests::initialize("2025-11-25")).to_string();
    let (status, session, _) = connected(client).post(&[], &request).expect("an answer");
    assert!(status == 200 && session.is_some());
}

fn begin_task(client: &mut KeepAliveClient, number: u64) {
    let (status, body) =
        stateless(client, number, "steps", json!({"steps": 1, "pause_ms": 1}), true).expect("an answer");
    assert!(status == 200 && body["result"]["resultType"] == "task", "{body}");
}

fn stateless(
    client: &mut KeepAliveClient,
    number: u64,
    tool: &str,
    arguments: Value,
    task: bool,
) -> Option<(u16, Value)> {
    let (request, headers) = stateless_request(number, tool, arguments, task);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (status, _, body) = connected(client).post(&headers, &request)?;
    let text = String::from_utf8_lossy(&body);
    // The answer is the last event of a stream.
    let json = text.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&text);
    Some((status, serde_json::from_str(json).unwrap_or_default()))
}

fn stateless_request(number: u64, tool: &str, arguments: Value, task: bool) -> (String, Vec<(&'static str, String)>) {
    let extensions = if task { json!({mcp_host_tests::TASKS: {}}) } else { json!({}) };
    let meta = meta_with(json!({"elicitation": {"form": {}}, "extensions": extensions}));
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    let request = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params});
    let headers = vec![
        (
            "MCP-Protocol-Version",
            request["params"]["_meta"][format!("{PREFIX}/protocolVersion")].as_str().unwrap().to_owned(),
        ),
        ("Mcp-Method", "tools/call".to_owned()),
        ("Mcp-Name", tool.to_owned()),
    ];
    (request.to_string(), headers)
}

/// Everything at once, for a time: calls of both kinds, tasks that end, are cancelled, ask or expire, sessions, clients that
/// leave in the middle, plugins that panic and block, and what is no request at all.
fn churn(address: SocketAddr, time: Duration) -> u64 {
    let _ = ADDRESS.set(address);
    let (end, rounds) = (Instant::now() + time, AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..CLIENTS as u64 {
            let rounds = &rounds;
            scope.spawn(move || {
                let mut client = None;
                // The same in each run: what differs is how they meet.
                let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(thread + 1);
                while Instant::now() < end {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    one_of_many(&mut client, random);
                    rounds.fetch_add(1, Ordering::Relaxed);
                    // A load that leaves the machine some room: what is looked for here is growth, not speed.
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
    });
    rounds.into_inner()
}

fn one_of_many(client: &mut KeepAliveClient, random: u64) {
    let number = random >> 8;
    match random % 20 {
        0..=4 => drop(stateless(client, number, "greet", json!({"name": "Ada"}), false)),
        5..=6 => drop(stateless(client, number, "steps", json!({"steps": 3, "pause_ms": 5}), false)),
        7..=8 => drop(stateless(client, number, "steps", json!({"steps": 2, "pause_ms": 5}), true)),
        9 => drop(stateless(client, number, "ask_word", json!({"file": "/dev/null"}), true)),
        10..=11 => {
            let begun = stateless(client, number, "steps", json!({"steps": 100, "pause_ms": 20}), true);
            if let Some(id) = begun.and_then(|(_, reply)| reply["result"]["taskId"].as_str().map(str::to_owned)) {
                cancel(client, number, &id);
            }
        }
        12 => drop(stateless(client, number, "deaf", json!({"ms": 30}), false)),
        13 => drop(stateless(client, number, "guest_panics", json!({"secret": "s"}), false)),
        14 => {
            let (request, headers) = stateless_request(number, "steps", json!({"steps": 50, "pause_ms": 20}), false);
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            connected(client).post_and_leave(&headers, &request, Duration::from_millis(number % 50));
        }
        15 => connected(client)
            .leave_behind(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"half"),
        16 => drop(connected(client).post(&[], "{\"jsonrpc\":\"2.0\",\"id\":1,")),
        _ => session(client, number),
    }
}

fn cancel(client: &mut KeepAliveClient, number: u64, id: &str) {
    let meta = meta_with(json!({"extensions": {mcp_host_tests::TASKS: {}}}));
    let request = json!({
        "jsonrpc": "2.0", "id": number, "method": "tasks/cancel", "params": {"taskId": id, "_meta": meta},
    });
    let headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tasks/cancel"), ("Mcp-Name", id)];
    let _ = connected(client).post(&headers, &request.to_string());
}

/// A session with a call in it, a task for one in two, and no farewell.
fn session(client: &mut KeepAliveClient, number: u64) {
    let open = mcp_host_tests::request(number, "initialize", mcp_host_tests::initialize("2025-11-25")).to_string();
    let Some((200, Some(session), _)) = connected(client).post(&[], &open) else {
        return;
    };
    let headers = [("Mcp-Session-Id", session.as_str())];
    let mut params = json!({"name": "steps", "arguments": {"steps": 1, "pause_ms": 1}});
    if number.is_multiple_of(2) {
        params["task"] = json!({"ttl": 2000});
    }
    let call = mcp_host_tests::request(number, "tools/call", params).to_string();
    let _ = connected(client).post(&headers, &call);
}
