//! A plugin that is replaced again and again under load: no call fails, none that is made after a swap was announced gets the
//! version before it, and what the swaps leave behind is bounded.
//!
//! `measure swaps [SWAPS] [MODE]` prints the figures and fails where a call does or something grows. `MODE` is `default`, in which
//! the first versions stay in the host's process and the others go to workers; `worker`; or `in-process`, without a bound.

use mcp_host_tests::{
    Host, KeepAlive, PREFIX, call, initialize, put, request, stateless_call, version_bytes, version_text,
};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// Callers at a time, half of them of each era.
const CALLERS: usize = 64;

/// What a version that stays in the process may keep of its own: 50 to 140 KiB were measured before there was a host.
const MAX_ANONYMOUS_KIB: f64 = 160.0;

/// Versions that the host keeps in its process where nothing else is said.
const DEFAULT_RESIDENT: usize = 16;

pub(crate) fn run(words: &[String]) {
    let swaps: usize = words.first().map_or(1000, |word| word.parse().unwrap());
    let mode = words.get(1).map_or("default", String::as_str);
    let config = match mode {
        "default" => "",
        "worker" => "isolation = \"worker\"\n",
        "in-process" => "max_resident = 1000000\n",
        other => panic!("there is no mode '{other}'"),
    };
    let config = format!(
        "[watch]\nsettle = \"5ms\"\n[log]\nfilter = \"error,mcp_host::app=info\"\n[plugins.versioned]\n{config}"
    );
    let builder = Host::with(&["hello"]).config(&config);
    put(&builder.plugins(), "versioned.so", &version_bytes(1));
    let host = builder.serve_http();
    // What a host under this load has, before the first swap.
    let (announced, over, calls) = (AtomicUsize::new(1), AtomicBool::new(false), AtomicUsize::new(0));
    let began = Instant::now();
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        // Also where an assertion fails: the callers would go on for ever.
        let _end = Flag(&over);
        for caller in 0..CALLERS {
            let (announced, over, calls, address) = (&announced, &over, &calls, host.address());
            scope.spawn(move || make_calls(caller, address, announced, over, calls));
        }
        let mut listener = host.http();
        listener.initialize("2025-11-25");
        let mut news = listener.get_stream(None);
        for number in 2..2 + swaps {
            put(&host.folder().join("plugins"), "versioned.so", &version_bytes(number));
            assert_eq!(news.next_message()["method"], "notifications/tools/list_changed", "swap {number}");
            announced.store(number, Ordering::SeqCst);
            if (number - 1) % (swaps / 10).max(1) == 0 {
                samples.push(Sample::of(&host, number - 1));
            }
        }
    });
    let (seconds, calls) = (began.elapsed().as_secs_f64(), calls.into_inner());
    println!(
        "{swaps} swaps ({mode}) under {CALLERS} callers in {seconds:.0} s: {calls} calls, none failed, none too old"
    );
    println!(
        "| swaps | resident MiB | of it anonymous | descriptors | maps | threads | staged files |\n|---|---|---|---|---|---|---|"
    );
    samples.iter().for_each(|sample| println!("{sample}"));
    // The first half is warm-up: allocators, pools and connections find their size.
    let (first, last) = (&samples[samples.len() / 2 - 1], &samples[samples.len() - 1]);
    let per_swap =
        |of: fn(&Sample) -> u64| (of(last) as f64 - of(first) as f64) / (last.swaps - first.swaps).max(1) as f64;
    let (resident, anonymous) = (per_swap(|it| it.resident_kib), per_swap(|it| it.anonymous_kib));
    println!("for each swap after the first {}: {resident:.0} KiB resident, {anonymous:.0} KiB anonymous", first.swaps);
    // An image that stays mapped costs its file, most of which the layout check touches, and its own data.
    let image = version_bytes(1).len() as f64 / 1024.0;
    assert!(resident <= image + 256.0, "{resident:.0} KiB for each swap");
    assert!(anonymous <= MAX_ANONYMOUS_KIB, "{anonymous:.0} KiB of its own memory for each swap");
    // An image whose tokio knows signals, as those of this workspace do, keeps a pair of sockets for them.
    let of_images = if mode == "in-process" { 2 * (last.swaps - first.swaps) } else { 0 };
    assert!(last.descriptors <= first.descriptors + 16 + of_images, "descriptors grow");
    assert!(last.threads <= first.threads + 40, "threads grow");
    assert!(last.maps <= first.maps + 5 * DEFAULT_RESIDENT + 100 || mode == "in-process", "maps grow");
    assert!(last.staged <= 8, "copies are left");
}

/// Raised when this is dropped.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls until it is over. An answer that is none ends the benchmark.
fn make_calls(caller: usize, address: SocketAddr, announced: &AtomicUsize, over: &AtomicBool, calls: &AtomicUsize) {
    let mut client = KeepAlive::new(address);
    let open = request(0, "initialize", initialize("2025-11-25")).to_string();
    let (_, session, _) = client.post(&[], &open).expect("an answer");
    let session = session.expect("a session");
    let (tool, arguments) = if caller % 8 < 2 { ("slow_version", json!({"ms": 20})) } else { ("version", json!({})) };
    while !over.load(Ordering::Relaxed) {
        let at_least = announced.load(Ordering::SeqCst);
        let answer = if caller.is_multiple_of(2) {
            client.post(&[("Mcp-Session-Id", &session)], &call(1, tool, arguments.clone()).to_string())
        } else {
            let request = stateless_call(1, tool, arguments.clone());
            let revision = request["params"]["_meta"][format!("{PREFIX}/protocolVersion")].as_str().unwrap();
            let headers = [("MCP-Protocol-Version", revision), ("Mcp-Method", "tools/call"), ("Mcp-Name", tool)];
            client.post(&headers, &request.to_string())
        };
        let (status, _, body) = answer.expect("an answer");
        let reply: Value = serde_json::from_slice(&body).unwrap_or_default();
        let told = reply["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(status == 200 && !told.is_empty(), "a call failed: {status} {}", String::from_utf8_lossy(&body));
        assert!(told >= version_text(at_least).as_str(), "{told} after {at_least} was announced");
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the host has at some moment.
struct Sample {
    swaps: usize,
    resident_kib: u64,
    anonymous_kib: u64,
    descriptors: usize,
    maps: usize,
    threads: u64,
    staged: usize,
}

impl Sample {
    fn of(host: &Host, swaps: usize) -> Self {
        let process = format!("/proc/{}", host.id());
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let rollup = fs::read_to_string(format!("{process}/smaps_rollup")).unwrap();
        let anonymous = rollup.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
        let threads = status.lines().find(|line| line.starts_with("Threads:")).unwrap();
        Self {
            swaps,
            resident_kib: host.resident_kib(),
            anonymous_kib: anonymous.split_whitespace().nth(1).unwrap().parse().unwrap(),
            descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count(),
            maps: fs::read_to_string(format!("{process}/maps")).unwrap().lines().count(),
            threads: threads.split_whitespace().nth(1).unwrap().parse().unwrap(),
            staged: fs::read_dir(host.folder().join("state/staged")).unwrap().count(),
        }
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { swaps, resident_kib, anonymous_kib, descriptors, maps, threads, staged } = self;
        let (resident, anonymous) = (resident_kib / 1024, anonymous_kib / 1024);
        write!(formatter, "| {swaps} | {resident} | {anonymous} | {descriptors} | {maps} | {threads} | {staged} |")
    }
}
