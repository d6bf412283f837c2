//! A plain HTTP/1.1 client on a bare socket: it says exactly what it is told.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A client of one host; it may have a session.
#[derive(Clone)]
pub struct Http {
    address: SocketAddr,
    /// The session's id, sent with every request.
    pub session: Option<String>,
}

/// A response, whole.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers, in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

/// A response whose body is a stream of events.
pub struct Stream {
    /// Its status.
    pub status: u16,
    /// Its headers, in lower case.
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    body: String,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: Option<String>,
    /// How soon the client is to come back.
    pub retry: Option<u64>,
    /// Its data; nothing where it has none, or empty data.
    pub data: Option<Value>,
}

const PATIENCE: Duration = Duration::from_secs(20);

impl Http {
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, session: None }
    }

    /// A connection of its own.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The headers that a good client sends.
    #[must_use]
    pub fn usual_headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![
            ("Host".to_owned(), self.address.to_string()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
        ];
        headers.extend(self.session.clone().map(|session| ("Mcp-Session-Id".to_owned(), session)));
        headers
    }

    /// Begins a request on a connection of its own.
    #[must_use]
    pub fn begin(&self, verb: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        let mut head = format!("{verb} {path} HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes()).unwrap();
        // A host that has refused already may have closed.
        let _ = stream.write_all(body);
        stream
    }

    /// A request with exactly these headers, and its whole response.
    #[track_caller]
    #[must_use]
    pub fn exchange(&self, verb: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Reply {
        Stream::read(self.begin(verb, path, headers, body)).whole()
    }

    /// A request with the usual headers, some replaced or added; a value of `""` leaves one out.
    #[track_caller]
    #[must_use]
    pub fn exchange_with(&self, verb: &str, changes: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut headers = self.usual_headers();
        for (name, value) in changes {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            if !value.is_empty() {
                headers.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        self.exchange(verb, "/mcp", &headers, body)
    }

    /// Posts a message.
    #[track_caller]
    #[must_use]
    pub fn post(&self, message: &Value) -> Reply {
        self.exchange("POST", "/mcp", &self.usual_headers(), message.to_string().as_bytes())
    }

    /// Posts a message and follows the response.
    #[must_use]
    pub fn post_stream(&self, message: &Value) -> Stream {
        Stream::read(self.begin("POST", "/mcp", &self.usual_headers(), message.to_string().as_bytes()))
    }

    /// Follows the session's own stream, or resumes behind an event.
    #[must_use]
    pub fn get_stream(&self, last_event: Option<&str>) -> Stream {
        let mut headers = self.usual_headers();
        headers.extend(last_event.map(|id| ("Last-Event-ID".to_owned(), id.to_owned())));
        Stream::read(self.begin("GET", "/mcp", &headers, b""))
    }

    /// Gets a path.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Reply {
        self.exchange("GET", path, &self.usual_headers(), b"")
    }

    /// Opens a session of a revision with capabilities, and tells that it is ready.
    #[track_caller]
    pub fn initialize_with(&mut self, params: Value) -> Value {
        let reply = self.post(&crate::request(0, "initialize", params));
        assert_eq!(reply.status, 200, "{}", reply.body);
        self.session = Some(reply.header("mcp-session-id").expect("a session id").to_owned());
        let initialized = self.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        assert_eq!((initialized.status, initialized.body.as_str()), (202, ""));
        reply.json()
    }

    /// Opens a session of a revision, as a client that can do everything.
    #[track_caller]
    pub fn initialize(&mut self, revision: &str) -> Value {
        self.initialize_with(crate::initialize(revision))
    }

    /// Posts a request and gives status and reply. Without a reply: whether a part of one came.
    ///
    /// # Errors
    /// `true` when a response was cut off.
    pub fn outcome(&self, path: &str, headers: &[(String, String)], request: &Value) -> Result<(u16, Value), bool> {
        let connect = || {
            let stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok::<_, std::io::Error>(stream)
        };
        let mut stream = connect().map_err(|_| false)?;
        let body = request.to_string();
        let mut head = format!("POST {path} HTTP/1.1\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(head.as_bytes()).map_err(|_| false)?;
        let mut reply = Stream::read(stream);
        if reply.status == 0 {
            return Err(false);
        }
        let status = reply.status;
        if reply.header("content-type") == Some("text/event-stream") {
            let messages = reply.messages();
            let reply = messages.into_iter().find(|it| it["id"] == request["id"] && it.get("method").is_none());
            return reply.map(|reply| (status, reply)).ok_or(true);
        }
        serde_json::from_str(&reply.whole().body).map(|reply| (status, reply)).map_err(|_| true)
    }

    /// Posts a stateless request, and gives the connection: it is closed when that is dropped.
    #[must_use]
    pub fn stream_begun(&self, request: &Value) -> TcpStream {
        self.begin("POST", "/mcp", &self.stateless_headers(request), request.to_string().as_bytes())
    }

    /// Posts a request and gives its reply, of whatever status; nothing where the host is not there, or leaves meanwhile.
    #[must_use]
    pub fn try_exchange(&self, path: &str, headers: &[(String, String)], request: &Value) -> Option<Value> {
        self.outcome(path, headers, request).ok().map(|(_, reply)| reply)
    }

    /// Posts a request and gives its reply, out of JSON or the end of a stream.
    #[track_caller]
    #[must_use]
    pub fn ask(&self, request: &Value) -> Value {
        let mut stream = self.post_stream(request);
        if stream.status != 200 {
            let reply = stream.whole();
            panic!("status {}: {}", reply.status, reply.body);
        }
        if stream.header("content-type") == Some("application/json") {
            return serde_json::from_str(&stream.whole().body).unwrap();
        }
        let reply = stream.messages().into_iter().find(|it| it["id"] == request["id"] && it.get("method").is_none());
        reply.expect("a reply at the end of the stream")
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

impl Reply {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }
}

impl Stream {
    /// Reads the head of a response.
    #[must_use]
    pub fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            let read = reader.read_line(&mut line).unwrap_or(0);
            if read == 0 || line == "\r\n" {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let status = head.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let headers = head
            .iter()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, reader, body: String::new() }
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// More of the body; false at its end.
    fn more(&mut self) -> bool {
        if find(&self.headers, "transfer-encoding") != Some("chunked") {
            let mut rest = String::new();
            if let Some(length) = find(&self.headers, "content-length").and_then(|length| length.parse::<usize>().ok())
            {
                let mut bytes = vec![0; length - self.body.len().min(length)];
                let read = self.reader.read_exact(&mut bytes);
                self.body.push_str(&String::from_utf8_lossy(&bytes));
                return read.is_ok() && !bytes.is_empty();
            }
            let read = self.reader.read_to_string(&mut rest).unwrap_or(0);
            self.body.push_str(&rest);
            return read > 0;
        }
        let mut size = String::new();
        if self.reader.read_line(&mut size).unwrap_or(0) == 0 {
            return false;
        }
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut chunk = vec![0; size + 2];
        if self.reader.read_exact(&mut chunk).is_err() || size == 0 {
            return false;
        }
        self.body.push_str(&String::from_utf8_lossy(&chunk[..size]));
        true
    }

    /// The next event; comments are passed over. Nothing at the end.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.body.find("\n\n") {
                let block: String = self.body.drain(..end + 2).collect();
                let field = |name: &str| {
                    block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start().to_owned())
                };
                let event = Event {
                    id: field("id:"),
                    retry: field("retry:").and_then(|value| value.parse().ok()),
                    data: field("data:")
                        .filter(|data| !data.is_empty())
                        .map(|data| serde_json::from_str(&data).unwrap()),
                };
                if event != (Event { id: None, retry: None, data: None }) {
                    return Some(event);
                }
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// The data of the next event, which must have this name and need not be JSON.
    #[track_caller]
    pub fn next_text(&mut self, name: &str) -> String {
        while !self.body.contains("\n\n") {
            assert!(self.more(), "the stream has ended");
        }
        let end = self.body.find("\n\n").unwrap_or_default();
        let block: String = self.body.drain(..end + 2).collect();
        assert!(block.starts_with(&format!("event: {name}\n")), "{block}");
        block.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default().to_owned()
    }

    /// The next message of the stream.
    #[track_caller]
    pub fn next_message(&mut self) -> Value {
        loop {
            match self.next_event() {
                Some(Event { data: Some(message), .. }) => return message,
                Some(_) => {}
                None => panic!("the stream has ended"),
            }
        }
    }

    /// All messages to the end of the stream.
    pub fn messages(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next_event()).filter_map(|event| event.data).collect()
    }

    /// The whole response.
    #[must_use]
    pub fn whole(mut self) -> Reply {
        while self.more() {}
        Reply { status: self.status, headers: self.headers, body: self.body }
    }
}
