//! The load: connections that each ask, wait for the answer, look at it, and ask again. One thread serves them all.

use crate::process::{self, Place};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A tool that says back its message, by name.
    Call(&'static str),
    /// A ping.
    Ping,
    /// All tools.
    List,
}

/// A revision, and the session where it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speech {
    /// 2025-11-25 in a session; a server without sessions has none.
    Session(Option<String>),
    /// 2026-07-28.
    Stateless,
}

/// What a load has shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// How many there were.
    pub answers: usize,
    /// Answers in a second.
    pub rate: f64,
    /// Half of the answers came within this many µs.
    pub p50: f64,
    /// Of a hundred answers 99 came within this many µs.
    pub p99: f64,
    /// The part of its time that the thread of the load was busy: near 1 the figures above are its own.
    pub busy: f64,
}

/// Ids and messages have as many digits each, so that all requests have one length.
const FIRST: u64 = 1_000_000;

/// Tools of a list.
const LISTED: usize = 1000;

/// Where the number stands in a request until it is known.
const PLACE: &str = "1000000";

/// A request in which only the number differs from one to the next.
struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

/// A server, spoken to in one way.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub speech: Speech,
}

impl Target {
    /// The body of a request.
    fn body(&self, op: Op) -> String {
        let meta = match self.speech {
            Speech::Session(_) => "",
            Speech::Stateless => {
                r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#
            }
        };
        let comma = if meta.is_empty() { "" } else { "," };
        let (method, params) = match op {
            Op::Call("typed") => (
                "tools/call",
                format!(
                    r#"{{"name":"typed","arguments":{{"message":"message-{PLACE}","count":3,"address":{{"street":"Main Street 1","city":"Springfield"}}}}{comma}{meta}}}"#
                ),
            ),
            Op::Call(name) => (
                "tools/call",
                format!(r#"{{"name":"{name}","arguments":{{"message":"message-{PLACE}"}}{comma}{meta}}}"#),
            ),
            Op::Ping => ("ping", format!("{{{meta}}}")),
            Op::List => ("tools/list", format!("{{{meta}}}")),
        };
        format!(r#"{{"jsonrpc":"2.0","id":{PLACE},"method":"{method}","params":{params}}}"#)
    }

    fn headers(&self, op: Op) -> String {
        match (&self.speech, op) {
            (Speech::Session(None), _) => String::new(),
            (Speech::Session(Some(session)), _) => {
                format!("MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n")
            }
            (Speech::Stateless, op) => {
                let (method, name) = match op {
                    Op::Call(name) => ("tools/call", format!("Mcp-Name: {name}\r\n")),
                    Op::Ping => ("ping", String::new()),
                    Op::List => ("tools/list", String::new()),
                };
                format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}")
            }
        }
    }

    fn template(&self, op: Op) -> Template {
        let bytes = self.post(&self.headers(op), &self.body(op));
        let places = memchr::memmem::find_iter(&bytes, PLACE).collect();
        Template { bytes, places }
    }

    fn post(&self, headers: &str, body: &str) -> Vec<u8> {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .into_bytes()
    }

    /// Opens a session, and speaks in it from now on.
    pub fn open_session(&mut self) {
        let id = self.new_session();
        self.speech = Speech::Session(Some(id));
    }

    /// Opens a session, and gives its id.
    #[must_use]
    pub fn new_session(&self) -> String {
        runtime().block_on(async {
            let mut connection = Connection::open(self.address).await;
            self.initialize(&mut connection).await
        })
    }

    /// Opens as many sessions, and leaves them.
    pub fn open_sessions(&self, count: usize) {
        runtime().block_on(async {
            let mut connection = Connection::open(self.address).await;
            for _ in 0..count {
                self.initialize(&mut connection).await;
            }
        });
    }

    /// Opens as many streams of changes, which are open until what this gives is dropped.
    #[must_use]
    pub fn open_streams(&self, count: usize) -> Vec<std::net::TcpStream> {
        use std::io::{Read as _, Write as _};
        const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let headers = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
        let request = self.post(headers, BODY);
        let open = |_| {
            let mut stream = std::net::TcpStream::connect(self.address).unwrap();
            stream.write_all(&request).unwrap();
            let mut head = [0; 12];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(&head, b"HTTP/1.1 200");
            stream
        };
        (0..count).map(open).collect()
    }

    async fn initialize(&self, connection: &mut Connection) -> String {
        let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        connection.stream.write_all(&self.post("", body)).await.unwrap();
        connection.response().await;
        let id = connection.session.take().expect("a session");
        let headers = format!("MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {id}\r\n");
        let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        connection.stream.write_all(&self.post(&headers, body)).await.unwrap();
        connection.response().await;
        id
    }

    /// The result of one request, as it is on the wire.
    #[must_use]
    pub fn result(&self, op: Op) -> String {
        #[derive(Deserialize)]
        struct Reply {
            result: Box<serde_json::value::RawValue>,
        }
        runtime().block_on(async {
            let mut connection = Connection::open(self.address).await;
            connection.stream.write_all(&self.template(op).bytes).await.unwrap();
            let reply: Reply = serde_json::from_slice(connection.response().await).unwrap();
            reply.result.get().to_owned()
        })
    }

    /// Asks as often over as many connections.
    #[must_use]
    pub fn load(&self, op: Op, requests: usize, connections: usize) -> Shown {
        std::thread::scope(|scope| {
            let loading = scope.spawn(|| {
                process::pin(Place::Load);
                runtime().block_on(self.ask_many(op, requests, connections))
            });
            loading.join().unwrap()
        })
    }

    async fn ask_many(&self, op: Op, requests: usize, connections: usize) -> Shown {
        let each = (requests / connections).max(1);
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push((self.template(op), Connection::open(self.address).await));
        }
        let mut times: Vec<Duration> = Vec::with_capacity(requests);
        let (began, used) = (Instant::now(), process::own_cpu_seconds());
        let asking = open.into_iter().enumerate().map(|(index, (template, connection))| {
            tokio::spawn(ask(op, template, connection, FIRST + (index * each) as u64, each))
        });
        for asking in asking.collect::<Vec<_>>() {
            times.extend(asking.await.unwrap());
        }
        let took = began.elapsed().as_secs_f64();
        let (rate, busy) = (times.len() as f64 / took, (process::own_cpu_seconds() - used) / took);
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
        Shown { answers: times.len(), rate, p50: at(0.5), p99: at(0.99), busy }
    }
}

async fn ask(op: Op, mut template: Template, mut connection: Connection, first: u64, count: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count);
    let mut length = 0;
    for number in first..first + count as u64 {
        let digits = number.to_string();
        for place in &template.places {
            template.bytes[*place..*place + PLACE.len()].copy_from_slice(digits.as_bytes());
        }
        let began = Instant::now();
        connection.stream.write_all(&template.bytes).await.unwrap();
        let body = connection.response().await;
        times.push(began.elapsed());
        check(op, body, number, &digits, &mut length);
    }
    times
}

/// Holds an answer to be the one that was asked for.
fn check(op: Op, body: &[u8], number: u64, digits: &str, length: &mut usize) {
    #[derive(Deserialize)]
    struct Reply<'a> {
        id: u64,
        #[serde(borrow)]
        result: Contents<'a>,
    }
    #[derive(Deserialize)]
    struct Contents<'a> {
        #[serde(borrow, default)]
        content: Vec<Text<'a>>,
    }
    #[derive(Deserialize)]
    struct Text<'a> {
        text: &'a str,
    }
    let shown = || String::from_utf8_lossy(&body[..body.len().min(300)]);
    if op == Op::List {
        // Read once, and compared from then on by length and id: reading it takes longer than answering.
        if *length == 0 {
            let reply: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert_eq!(reply["id"], number);
            assert_eq!(reply["result"]["tools"].as_array().map(Vec::len), Some(LISTED));
            assert_eq!(reply["result"].get("nextCursor"), None);
            *length = body.len();
        }
        assert_eq!(body.len(), *length, "{}", shown());
        assert!(memchr::memmem::find(&body[..64], digits.as_bytes()).is_some(), "{}", shown());
        return;
    }
    let reply: Reply<'_> = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", shown()));
    assert_eq!(reply.id, number);
    if let Op::Call(_) = op {
        assert_eq!(reply.result.content[0].text.strip_prefix("message-"), Some(digits), "{}", shown());
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A connection that stays.
struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
    body: Vec<u8>,
    /// Bytes of the last response, which go when the next one is read.
    used: usize,
    /// The session that the last response opened.
    session: Option<String>,
}

/// The head of a response.
struct Head {
    bytes: usize,
    /// Nothing where it comes in chunks.
    length: Option<usize>,
    is_stream: bool,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, bytes: Vec::with_capacity(4096), body: Vec::new(), used: 0, session: None }
    }

    async fn more(&mut self) {
        let read = self.stream.read_buf(&mut self.bytes).await.unwrap();
        assert!(read > 0, "the connection has ended: {}", String::from_utf8_lossy(&self.bytes));
    }

    fn head(&mut self) -> Option<Head> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(bytes) = response.parse(&self.bytes).unwrap() else {
            return None;
        };
        let of = |name: &str| {
            let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        assert!(matches!(response.code, Some(200..=204)), "{}", String::from_utf8_lossy(&self.bytes));
        self.session = of("mcp-session-id").map(str::to_owned);
        let is_stream = of("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let length = match of("transfer-encoding") {
            Some(_) => None,
            None => Some(of("content-length").map_or(0, |length| length.parse().unwrap())),
        };
        Some(Head { bytes, length, is_stream })
    }

    /// The body of the next response, or the last message of a stream.
    async fn response(&mut self) -> &[u8] {
        self.bytes.drain(..self.used);
        let head = loop {
            match (!self.bytes.is_empty()).then(|| self.head()).flatten() {
                Some(head) => break head,
                None => self.more().await,
            }
        };
        if let Some(length) = head.length {
            self.used = head.bytes + length;
            while self.bytes.len() < self.used {
                self.more().await;
            }
            return &self.bytes[head.bytes..self.used];
        }
        self.body.clear();
        let mut at = head.bytes;
        loop {
            let chunk = match httparse::parse_chunk_size(&self.bytes[at..]).unwrap() {
                httparse::Status::Complete((start, length)) if self.bytes.len() >= at + start + length as usize + 2 => {
                    (at + start, length as usize)
                }
                _ => {
                    self.more().await;
                    continue;
                }
            };
            let (start, length) = chunk;
            self.body.extend_from_slice(&self.bytes[start..start + length]);
            at = start + length + 2;
            if length == 0 {
                self.used = at;
                break;
            }
        }
        if !head.is_stream {
            return &self.body;
        }
        let last = memchr::memmem::rfind(&self.body, b"data: ").expect("an event") + "data: ".len();
        let end = memchr::memchr(b'\n', &self.body[last..]).map_or(self.body.len(), |end| last + end);
        &self.body[last..end]
    }
}
