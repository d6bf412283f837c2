//! Calls over pipes: a thousand written at once, and one at a time.

use super::report::{Bound, Report};
use super::server::{IN_PROCESS, built};
use mcp_host_bench::median;
use mcp_host_bench::process::{self, Place};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Calls that are written at once.
const BURST: usize = 1000;

/// A server behind pipes.
struct Pipes {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    line: String,
}

impl Pipes {
    fn start(mut command: Command) -> Self {
        process::pin(Place::Servers);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        process::pin(Place::Load);
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut pipes = Self { process, input, output: BufReader::new(output), line: String::new() };
        let info = json!({"name": "bench", "version": "1"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info});
        pipes.say(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string());
        assert_eq!(pipes.hear()["id"], 0);
        pipes.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        pipes
    }

    fn say(&mut self, message: &str) {
        self.input.write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> Value {
        self.line.clear();
        assert!(self.output.read_line(&mut self.line).unwrap() > 0, "the server has ended");
        serde_json::from_str(&self.line).unwrap()
    }

    /// Calls in a second, where each waits for the one before.
    fn one_at_a_time(&mut self, calls: usize) -> f64 {
        let mut taken = Duration::ZERO;
        for id in 0..calls {
            let line = format!("{}\n", call(id));
            self.line.clear();
            let began = Instant::now();
            self.input.write_all(line.as_bytes()).unwrap();
            assert!(self.output.read_line(&mut self.line).unwrap() > 0, "the server has ended");
            taken += began.elapsed();
            let reply: Value = serde_json::from_str(&self.line).unwrap();
            assert_eq!((&reply["id"], &reply["result"]["content"][0]["text"]), (&json!(id), &json!(message(id))));
        }
        calls as f64 / taken.as_secs_f64()
    }

    /// Calls in a second, where a thousand are written at once.
    fn at_once(&mut self, bursts: usize) -> f64 {
        let lines: String = (0..BURST).map(|id| format!("{}\n", call(id))).collect();
        let mut seconds = 0.0;
        for _ in 0..bursts {
            let began = Instant::now();
            let (input, output) = (&mut self.input, &mut self.output);
            let heard = std::thread::scope(|scope| {
                scope.spawn(|| input.write_all(lines.as_bytes()).unwrap());
                let mut heard = Vec::with_capacity(BURST);
                for _ in 0..BURST {
                    let mut line = String::with_capacity(200);
                    assert!(output.read_line(&mut line).unwrap() > 0, "the server has ended");
                    heard.push(line);
                }
                heard
            });
            seconds += began.elapsed().as_secs_f64();
            let mut heard: Vec<Value> = heard.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            heard.sort_by_key(|reply| reply["id"].as_u64());
            for (id, reply) in heard.iter().enumerate() {
                assert_eq!((&reply["id"], &reply["result"]["content"][0]["text"]), (&json!(id), &json!(message(id))));
            }
        }
        (bursts * BURST) as f64 / seconds
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn message(id: usize) -> String {
    format!("message-{id:07}")
}

fn call(id: usize) -> String {
    let params = json!({"name": "echo", "arguments": {"message": message(id)}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

fn peer(kind: &str) -> Command {
    let mut command = Command::new(built().join("measure"));
    command.args(["peer", kind, "stdio"]);
    command
}

pub(crate) fn compare(report: &mut Report, calls: usize, rounds: usize) {
    let names = ["bare loop", "mcp-host", "rmcp"];
    let mut rates = [const { [Vec::new(), Vec::new()] }; 3];
    for _ in 0..rounds {
        for (name, rates) in names.iter().zip(&mut rates) {
            let folder = tempfile::tempdir().unwrap();
            let mut pipes = Pipes::start(match *name {
                "bare loop" => peer("bare"),
                "rmcp" => peer("rmcp"),
                _ => IN_PROCESS.command(folder.path()),
            });
            // Warm, and each measured as often.
            pipes.one_at_a_time(calls / 10);
            rates[0].push(pipes.one_at_a_time(calls));
            pipes.at_once(2);
            rates[1].push(pipes.at_once((calls / BURST).max(3) * 3));
        }
    }
    println!("\nOver stdio, in a second\n\n| | one at a time | {BURST} at once |\n|---|---|---|");
    let medians = rates.map(|rates| rates.map(median));
    for (name, [one, many]) in names.iter().zip(medians) {
        println!("| {name} | {one:.0} | {many:.0} |");
    }
    println!();
    let [[bare_one, bare_many], [one, many], [sdk_one, sdk_many]] = medians;
    report.say("rate of rmcp over stdio, one at a time, times the bare loop", sdk_one / bare_one, "", Bound::None);
    report.say(
        format!("rate of rmcp over stdio, {BURST} at once, times the bare loop"),
        sdk_many / bare_many,
        "",
        Bound::None,
    );
    report.say(
        "rate over stdio, one at a time, times the bare loop",
        one / bare_one,
        "",
        Bound::AtLeast { goal: 0.93, limit: 0.5 },
    );
    report.say(
        format!("rate over stdio, {BURST} at once, times the bare loop"),
        many / bare_many,
        "",
        Bound::AtLeast { goal: 0.6, limit: 0.3 },
    );
}
