//! A client that keeps its connection, for loads that would use up the system's ports.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A client over one connection at a time.
pub struct KeepAlive {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// A response: status, the session that it opens, body.
pub type Response = (u16, Option<String>, Vec<u8>);

impl KeepAlive {
    /// A client of an address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Posts a body, and gives the response; nothing when the connection broke.
    pub fn post(&mut self, headers: &[(&str, &str)], body: &str) -> Option<Response> {
        self.send(headers, body)?;
        let response = self.stream.as_mut().and_then(read_response);
        if response.is_none() {
            self.stream = None;
        }
        response
    }

    /// Sends what may be no request at all, and leaves without reading.
    pub fn leave_behind(&mut self, bytes: &[u8]) {
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.write_all(bytes);
        }
    }

    /// Sends a request, and leaves without reading the response.
    pub fn post_and_leave(&mut self, headers: &[(&str, &str)], body: &str, stay: Duration) {
        self.stream = None;
        if self.send(headers, body).is_some() {
            std::thread::sleep(stay);
        }
        self.stream = None;
    }

    fn send(&mut self, headers: &[(&str, &str)], body: &str) -> Option<()> {
        let address = self.address;
        if self.stream.is_none() {
            let stream = TcpStream::connect(address).ok()?;
            stream.set_nodelay(true).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
            self.stream = Some(BufReader::new(stream));
        }
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let sent = self.stream.as_mut()?.get_mut().write_all(head.as_bytes());
        if sent.is_err() {
            self.stream = None;
        }
        sent.ok()
    }
}

fn read_response(stream: &mut BufReader<TcpStream>) -> Option<Response> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut chunked, mut session) = (0, false, None);
    loop {
        line.clear();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "transfer-encoding" => chunked = true,
            "mcp-session-id" => session = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    if !chunked {
        stream.read_exact(&mut body).ok()?;
        return Some((status, session, body));
    }
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some((status, session, body));
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
