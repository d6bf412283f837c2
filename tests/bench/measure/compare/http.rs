//! CPU of each kind of request over HTTP.

use super::report::{Bound, Line, Report};
use super::server::{Host, IN_PROCESS, Server, THOUSAND, WORKER};
use mcp_host_bench::load::{Op, Speech};
use mcp_host_bench::process::cpu_seconds;

/// A kind of load: its name, what is asked, over how many connections, and how many times the floor it may cost.
struct Load {
    name: &'static str,
    op: Op,
    connections: usize,
    /// Of the host, in-process.
    goal: f64,
    limit: f64,
    /// The host that is asked.
    host: Host,
    /// One in so many requests is made: the others are dearer.
    share: usize,
}

const LOADS: [Load; 8] = [
    echo("a tool called over 16 connections", Op::Call("echo"), 16, 1.15),
    echo("a tool called over 64 connections", Op::Call("echo"), 64, 1.15),
    echo("a typed async tool called over 16 connections", Op::Call("typed"), 16, 1.25),
    echo("a typed async tool called over 64 connections", Op::Call("typed"), 64, 1.25),
    echo("ping over 16 connections", Op::Ping, 16, 1.10),
    echo("ping over 64 connections", Op::Ping, 64, 1.10),
    list("a list of 1,000 tools over 16 connections", 16),
    list("a list of 1,000 tools over 64 connections", 64),
];

const fn echo(name: &'static str, op: Op, connections: usize, goal: f64) -> Load {
    Load { name, op, connections, goal, limit: goal + 0.6, host: IN_PROCESS, share: 1 }
}

const fn list(name: &'static str, connections: usize) -> Load {
    Load { name, op: Op::List, connections, goal: 1.2, limit: 2.0, host: THOUSAND, share: 8 }
}

/// An era, and what its lines are called.
struct Era {
    name: &'static str,
    speech: Speech,
    floor: &'static str,
    sdk: &'static str,
    host: &'static str,
    worker: &'static str,
}

const ERAS: [Era; 2] = [
    Era {
        name: "2025-11-25",
        speech: Speech::Session(None),
        floor: "bare axum, the message of 2025-11-25",
        sdk: "rmcp, 2025-11-25",
        host: "mcp-host, 2025-11-25",
        worker: "mcp-host with workers, 2025-11-25",
    },
    Era {
        name: "2026-07-28",
        speech: Speech::Stateless,
        floor: "bare axum, the message of 2026-07-28",
        sdk: "rmcp, 2026-07-28",
        host: "mcp-host, 2026-07-28",
        worker: "mcp-host with workers, 2026-07-28",
    },
];

pub(crate) fn compare(report: &mut Report, requests: usize, rounds: usize) {
    for load in &LOADS {
        for round in 0..rounds {
            for era in &ERAS {
                // There is no ping in the stateless era.
                if load.op != Op::Ping || era.name == "2025-11-25" {
                    measure(report, load, era, requests / load.share, round);
                }
            }
        }
        report.print(load.name);
    }
    for load in &LOADS {
        for era in ERAS.iter().filter(|era| load.op != Op::Ping || era.name == "2025-11-25") {
            let [cpu, ratio, rate, _, p99, _] = report.line(load.name, era.host).medians();
            let floor = report.line(load.name, era.floor).medians();
            let name = format!("{}, {}", load.name, era.name);
            report.say(
                format!("CPU of {name}, times the floor"),
                ratio,
                "",
                Bound::AtMost { goal: load.goal, limit: load.limit },
            );
            if matches!(load.op, Op::Call("echo")) {
                let bound = Bound::AtMost { goal: 2.0, limit: 10.0 };
                report.say(format!("p99 of {name}, times the floor"), p99 / floor[4], "", bound);
                let sdk = report.line(load.name, era.sdk).medians();
                report.say(format!("CPU of rmcp for {name}, times the host"), sdk[0] / cpu, "", Bound::None);
                let worker = report.line(load.name, era.worker).medians();
                let bound = match load.connections {
                    64 => Bound::AtLeast { goal: 0.4, limit: 0.2 },
                    _ => Bound::None,
                };
                report.say(format!("rate with workers of {name}, times in-process"), worker[2] / rate, "", bound);
            }
        }
    }
}

/// One round: each server in turn, each newly started and alone; another one is the first each time.
fn measure(report: &mut Report, load: &Load, era: &Era, requests: usize, round: usize) {
    let list = match load.op {
        Op::List => Server::host(&load.host, era.speech.clone()).list(),
        _ => String::new(),
    };
    let speech = || era.speech.clone();
    let floor = || Server::floor(speech(), &list);
    let host = || Server::host(&load.host, speech());
    let sdk = || Server::rmcp(speech());
    let worker = || Server::host(&WORKER, speech());
    let mut servers: Vec<(&'static str, &dyn Fn() -> Server)> = vec![(era.floor, &floor), (era.host, &host)];
    if matches!(load.op, Op::Call(_)) {
        servers.extend([(era.sdk, &sdk as &dyn Fn() -> Server), (era.worker, &worker)]);
    }
    if round == 0 {
        report.lines.extend(servers.iter().map(|(name, _)| Line::new(load.name.to_owned(), name)));
    }
    let first = round % servers.len();
    servers.rotate_left(first);
    let mut floor_cpu = 0.0;
    for (name, start) in servers {
        let server = start();
        server.warm_up(load.op, load.connections);
        let before = cpu_seconds(&server.process);
        let shown = server.target.load(load.op, requests, load.connections);
        let cpu = (cpu_seconds(&server.process) - before) * 100_000.0 / shown.answers as f64;
        if name == era.floor {
            floor_cpu = cpu;
        }
        let line = report.lines.iter_mut().find(|line| line.load == load.name && line.server == name).unwrap();
        line.cpu.push(cpu);
        line.rate.push(shown.rate);
        line.p50.push(shown.p50);
        line.p99.push(shown.p99);
        line.busy.push(shown.busy);
    }
    let names = [era.floor, era.host, era.sdk, era.worker];
    for line in report.lines.iter_mut().filter(|line| line.load == load.name && names.contains(&line.server)) {
        line.ratio.extend(line.cpu.last().map(|cpu| cpu / floor_cpu));
    }
}
