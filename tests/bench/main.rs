//! What a call costs on the wire: CPU seconds of the host for 100,000 calls of an echo tool over HTTP, in each era, against
//! a bare axum handler that parses and answers JSON, in the same run.
//!
//! `cargo run --release -p mcp-host-tests --bin wire-cost` prints the figures and fails above the bounds. Words: calls,
//! connections, rounds.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(clippy::print_stdout, reason = "it prints its figures")]
#![allow(clippy::disallowed_types, reason = "it measures real time")]

use axum::Json;
use axum::routing::post;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The host may cost this many times the floor.
const BOUND: f64 = 2.0;

/// A stateless call may cost this many times a stateful one. It is to cost the same, though its message is twice as long;
/// the rest is what one run differs from the next.
const ERA_BOUND: f64 = 1.25;

/// How calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// With a session.
    Stateful,
    /// With everything in the request.
    Stateless,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "floor") {
        return serve_floor();
    }
    let number = |index: usize, default: usize| words.get(index).map_or(default, |word| word.parse().unwrap());
    let (calls, connections, rounds) = (number(0, 100_000), number(1, 16), number(2, 3));
    let binaries = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let (mut ratios, mut era_ratios) = (Vec::new(), Vec::new());
    println!("| | CPU s per 100,000 calls | calls/s | ratio |\n|---|---|---|---|");
    for _ in 0..rounds {
        let floor = measure(&Server::floor(&binaries), calls, connections);
        let stateful = measure(&Server::host(&binaries, Form::Stateful), calls, connections);
        let stateless = measure(&Server::host(&binaries, Form::Stateless), calls, connections);
        for (name, (cpu, speed)) in
            [("bare axum", floor), ("mcp-host, 2025-11-25", stateful), ("mcp-host, 2026-07-28", stateless)]
        {
            println!("| {name} | {cpu:.2} | {speed:.0} | {:.2} |", cpu / floor.0);
        }
        ratios.push(stateful.0.max(stateless.0) / floor.0);
        era_ratios.push(stateless.0 / stateful.0);
    }
    let ratio = median(ratios);
    println!("median ratio of the dearer era {ratio:.2}, at most {BOUND:.2} is allowed");
    let era_ratio = median(era_ratios);
    println!("median ratio of stateless to stateful {era_ratio:.2}, at most {ERA_BOUND:.2} is allowed");
    assert!(ratio <= BOUND, "a call costs {ratio:.2} times the floor");
    assert!(era_ratio <= ERA_BOUND, "a stateless call costs {era_ratio:.2} times a stateful one");
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// The floor: a bare handler.
#[tokio::main]
async fn serve_floor() {
    async fn echo(Json(request): Json<Value>) -> Json<Value> {
        let message = request["params"]["arguments"]["message"].as_str().unwrap_or_default();
        let content = json!([{"type": "text", "text": message}]);
        Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": {"content": content}}))
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("listening on http://{}/mcp", listener.local_addr().unwrap());
    axum::serve(listener, axum::Router::new().route("/mcp", post(echo))).await.unwrap();
}

/// A server in a process of its own.
struct Server {
    child: Child,
    address: SocketAddr,
    /// Headers that every request has beside the usual ones.
    headers: String,
    /// The members of `params` beside those of the call.
    meta: Option<Value>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(mut command: Command, folder: tempfile::TempDir) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on http://") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server has ended");
        }
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Self { child, address, headers: String::new(), meta: None, _folder: folder }
    }

    fn floor(binaries: &Path) -> Self {
        let mut command = Command::new(binaries.join("wire-cost"));
        command.arg("floor");
        Self::start(command, tempfile::tempdir().unwrap())
    }

    fn host(binaries: &Path, form: Form) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plugins: PathBuf = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        std::fs::copy(binaries.join("libeverything.so"), plugins.join("libeverything.so")).unwrap();
        let config = folder.path().join("config.toml");
        std::fs::write(&config, format!("state_dir = {:?}", folder.path().join("state"))).unwrap();
        let mut command = Command::new(binaries.join("mcp-host"));
        command.args(["--http", "127.0.0.1:0", "--plugins-dir"]).arg(plugins).arg("--config").arg(config);
        let mut server = Self::start(command, folder);
        if form == Form::Stateless {
            server.headers =
                "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n".to_owned();
            server.meta = Some(json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "b", "version": "1"},
            }));
            return server;
        }
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
        let mut stream = BufReader::new(TcpStream::connect(server.address).unwrap());
        stream.get_mut().write_all(&server.request(&body)).unwrap();
        let (head, _) = response(&mut stream);
        let session =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("mcp-session-id: ").map(str::to_owned));
        let session = session.unwrap();
        server.headers = format!("MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {}\r\n", session.trim());
        server
    }

    fn request(&self, body: &str) -> Vec<u8> {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.headers,
            body.len()
        )
        .into_bytes()
    }

    /// CPU seconds of the process so far.
    fn cpu_seconds(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS_PER_SECOND
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU seconds for 100,000 calls, and calls in a second.
fn measure(server: &Server, calls: usize, connections: usize) -> (f64, f64) {
    run(server, calls / 10, connections);
    let (cpu, began) = (server.cpu_seconds(), Instant::now());
    run(server, calls, connections);
    let spent = (server.cpu_seconds() - cpu) * 100_000.0 / calls as f64;
    (spent, calls as f64 / began.elapsed().as_secs_f64())
}

fn run(server: &Server, calls: usize, connections: usize) {
    std::thread::scope(|scope| {
        for connection in 0..connections {
            scope.spawn(move || {
                let mut stream = BufReader::new(TcpStream::connect(server.address).unwrap());
                stream.get_mut().set_nodelay(true).unwrap();
                for index in 0..calls / connections {
                    let (id, message) = (connection * calls + index, format!("m{index}"));
                    let mut params = json!({"name": "echo", "arguments": {"message": message}});
                    if let Some(meta) = &server.meta {
                        params["_meta"] = meta.clone();
                    }
                    let body =
                        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string();
                    stream.get_mut().write_all(&server.request(&body)).unwrap();
                    let (_, body) = response(&mut stream);
                    let reply: Value = serde_json::from_slice(&body).unwrap();
                    assert_eq!(
                        (reply["id"].as_u64(), reply["result"]["content"][0]["text"].as_str()),
                        (Some(id as u64), Some(&*message))
                    );
                }
            });
        }
    });
}

/// One response: head and body.
fn response(stream: &mut BufReader<TcpStream>) -> (String, Vec<u8>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "the connection has ended: {head}");
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}
