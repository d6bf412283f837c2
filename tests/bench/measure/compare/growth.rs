//! Whether a call costs the same where there is much else: tools, sessions, streams of changes; and what an idle session takes.

use super::report::{Bound, Report};
use super::server::{Host, Server};
use mcp_host_bench::load::{Op, Speech};
use mcp_host_bench::median;
use mcp_host_bench::process::{cpu_seconds, memory_kib};

/// How many there are of each, at most.
const MANY: usize = 10_000;

/// How many there are at least.
const FEW: usize = 10;

/// Connections of the load.
const CONNECTIONS: usize = 16;

/// Room for as many connections.
const ROOM: &str = "[http]\nmax_connections = 20000\n";

pub(crate) fn compare(report: &mut Report, requests: usize, rounds: usize) {
    let streams = streams();
    assert!(streams > FEW, "too few files may be open");
    let mut memory = Vec::new();
    let mut ratios = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        let few = Server::host(&Host { tools: FEW, config: ROOM }, Speech::Session(None));
        let cost = cpu_of(&few, requests);
        let many = Server::host(&Host { tools: MANY, config: ROOM }, Speech::Session(None));
        ratios[0].push(cpu_of(&many, requests) / cost);
        drop(many);
        let (before, _) = memory_kib(&few.process);
        few.target.open_sessions(MANY);
        let (after, _) = memory_kib(&few.process);
        memory.push(after.saturating_sub(before) as f64 / MANY as f64);
        ratios[1].push(cpu_of(&few, requests) / cost);
        drop(few);
        let listened = Server::host(&Host { tools: FEW, config: ROOM }, Speech::Stateless);
        let few_streams = listened.target.open_streams(FEW);
        let cost = cpu_of(&listened, requests);
        let many_streams = listened.target.open_streams(streams - FEW);
        ratios[2].push(cpu_of(&listened, requests) / cost);
        drop((few_streams, many_streams));
    }
    println!();
    let bound = Bound::AtMost { goal: 1.5, limit: 3.0 };
    report.say(format!("memory of an idle session, of {MANY}"), median(memory), "KiB", bound);
    let names = [format!("{MANY} tools"), format!("{MANY} sessions"), format!("{streams} streams of changes")];
    for (name, ratios) in names.into_iter().zip(ratios) {
        let bound = Bound::AtMost { goal: 1.1, limit: 2.0 };
        report.say(format!("CPU of a call with {name}, times that with {FEW}"), median(ratios), "", bound);
    }
}

fn cpu_of(server: &Server, requests: usize) -> f64 {
    server.warm_up(Op::Call("echo"), CONNECTIONS);
    let before = cpu_seconds(&server.process);
    let _ = server.target.load(Op::Call("echo"), requests, CONNECTIONS);
    cpu_seconds(&server.process) - before
}

/// As many as this process may have open, and the host.
fn streams() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(500).min(MANY)
}
