//! A plain client over standard input and output.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio as Piped};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// A client that sends what it is told, and sees every line.
pub struct Stdio {
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// The server, where this has started it.
    server: Option<Child>,
}

impl Drop for Stdio {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Stdio {
    pub(crate) fn new(input: ChildStdin, output: ChildStdout) -> Self {
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { input: Some(input), lines, server: None }
    }

    /// Starts a server that speaks over its standard input and output, and gives a client of it, with which it ends.
    #[track_caller]
    #[must_use]
    pub fn start(mut server: Command) -> Self {
        server.stdin(Piped::piped()).stdout(Piped::piped()).stderr(Piped::null());
        let mut child = server.spawn().unwrap_or_else(|error| panic!("{server:?}: {error}"));
        let mut client = Self::new(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        client.server = Some(child);
        client
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        self.send_bytes(format!("{message}\n").as_bytes());
    }

    /// The next line; every line must be a message.
    #[track_caller]
    pub fn receive(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a message: {line}"))
    }

    /// The next line, if one comes within a time.
    #[must_use]
    pub fn receive_within(&self, time: Duration) -> Option<Value> {
        match self.lines.recv_timeout(time) {
            Ok(line) => Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a message: {line}"))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Sends a request and gives its reply; what comes before it is dropped.
    #[track_caller]
    pub fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        loop {
            let reply = self.receive();
            if reply["id"] == request["id"] && reply.get("method").is_none() {
                return reply;
            }
        }
    }

    /// Opens a session of a revision.
    #[track_caller]
    pub fn initialize(&mut self, revision: &str) -> Value {
        let reply = self.ask(&crate::request(0, "initialize", crate::initialize(revision)));
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        reply
    }

    /// Ends the input.
    pub fn close(&mut self) {
        self.input = None;
    }

    /// All lines to the end of the output.
    #[must_use]
    pub fn rest(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.receive_within(PATIENCE)).collect()
    }
}
