//! Hostile and unlucky peers: each gets the right status or code, memory stays flat, and other clients notice nothing.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_types, reason = "tests of real processes run on real time")]

use mcp_host_tests::{Host, Http, Stream, call, eventually, request, text};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

/// A client that is affected by nothing.
#[track_caller]
fn assert_unaffected(client: &Http) {
    assert_eq!(text(&client.ask(&call(1, "echo", json!({"message": "unaffected"})))), "unaffected");
}

fn opened(host: &Host) -> Http {
    let mut client = host.http();
    client.initialize("2025-11-25");
    client
}

#[test]
fn garbage_on_lines_is_answered_and_survived() {
    let (_host, mut client) = Host::with(&["everything"]).config("[limits]\nmax_message_size = \"1KiB\"").serve_stdio();
    client.initialize("2025-11-25");
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{{\"a\":{}{}}}}}",
        "[".repeat(400),
        "]".repeat(400)
    );
    let long = format!("{{\"pad\":\"{}\"}}", "x".repeat(5000));
    let cases: [(&[u8], i64); 12] = [
        (b"hello", -32700),
        (b"{", -32700),
        (b"\xff\xfe{}", -32700),
        (b"\0\0\0", -32700),
        (deep.as_bytes(), -32700),
        (b"{}", -32600),
        (b"[]", -32600),
        (b"7", -32600),
        (br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (long.as_bytes(), -32600),
    ];
    for (line, code) in cases {
        client.send_bytes(line);
        client.send_bytes(b"\n");
        let reply = client.receive();
        assert_eq!(reply["error"]["code"], code, "{}", String::from_utf8_lossy(line));
    }
    // Doubled keys inside the params are refused too; blank lines and CRLF are accepted (2025-era S-01).
    client.send_bytes(
        b"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"name\":\"add\"}}\n",
    );
    assert_eq!(client.receive()["error"]["code"], -32602);
    client.send_bytes(b"\r\n  \n\n{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"ping\"}\r\n");
    assert_eq!(client.receive()["id"], 4);
    assert_eq!(text(&client.ask(&call(5, "echo", json!({"message": "still here"})))), "still here");
}

#[test]
fn a_message_at_the_limit_is_taken_and_one_more_byte_is_not() {
    let (_host, mut client) = Host::with(&["everything"]).config("[limits]\nmax_message_size = \"2KiB\"").serve_stdio();
    client.initialize("2025-11-25");
    let sized = |size: usize| {
        let empty = call(1, "echo", json!({"message": ""})).to_string().len();
        call(1, "echo", json!({"message": "x".repeat(size - empty)}))
    };
    assert_eq!(text(&client.ask(&sized(2048))).len(), 2048 - call(1, "echo", json!({"message": ""})).to_string().len());
    client.send(&sized(2049));
    assert_eq!(client.receive()["error"]["code"], -32600);
}

#[test]
fn garbage_in_bodies_has_its_code_and_status() {
    let host = Host::with(&["everything"]).serve_http();
    let client = opened(&host);
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{{\"a\":{}{}}}}}",
        "[".repeat(70),
        "]".repeat(70)
    );
    let cases: [(&[u8], i64); 8] = [
        (b"", -32700),
        (b"hello", -32700),
        (b"\xff\xfe", -32700),
        (deep.as_bytes(), -32700),
        (b"{}", -32600),
        (br#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#, -32600),
        (br#"{"jsonrpc":"2.0","ID":1,"method":5}"#, -32600),
        (br#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
    ];
    for (body, code) in cases {
        let reply = client.exchange_with("POST", &[], body);
        assert_eq!(
            (reply.status, reply.json()["error"]["code"].clone()),
            (400, json!(code)),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    let large = br#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}"#;
    assert!(client.exchange_with("POST", &[], large).body.contains("123456789012345678901234567890"));
    assert_unaffected(&client);
}

#[test]
fn headers_that_do_not_fit_have_their_status() {
    let host = Host::with(&["everything"]).serve_http();
    let client = opened(&host);
    let ping = request(1, "ping", json!({})).to_string();
    let status = |changes: &[(&str, &str)]| client.exchange_with("POST", changes, ping.as_bytes()).status;
    assert_eq!(status(&[("Accept", "text/html")]), 406, "2025-era H-04");
    assert_eq!(status(&[("Accept", "")]), 200);
    assert_eq!(status(&[("Content-Type", "text/plain")]), 415, "2025-era H-05");
    assert_eq!(status(&[("Content-Type", "")]), 415);
    assert_eq!(status(&[("Content-Type", "application/json; charset=utf-8")]), 200);
    assert_eq!(status(&[("Host", "evil.example.com")]), 403, "2025-era H-02");
    assert_eq!(status(&[("Host", "")]), 403);
    assert_eq!(status(&[("Origin", "http://evil.example.com")]), 403, "2025-era H-02");
    assert_eq!(status(&[("Origin", "null")]), 403);
    assert_eq!(status(&[("Origin", "http://localhost:5173")]), 200);
    for (name, value) in [
        ("Host", "localhost"),
        ("Content-Type", "application/json"),
        ("Mcp-Session-Id", client.session.as_deref().unwrap()),
        ("Origin", "http://localhost"),
    ] {
        let mut headers = client.usual_headers();
        headers.push((name.to_owned(), value.to_owned()));
        headers.push((name.to_owned(), value.to_owned()));
        let reply = client.exchange("POST", "/mcp", &headers, ping.as_bytes());
        assert!((400..500).contains(&reply.status), "doubled {name}: {}", reply.status);
    }
    assert_unaffected(&client);
}

#[test]
fn bodies_and_headers_are_bounded_at_the_limit() {
    let config = "[http]\nmax_body_size = \"2KiB\"\nmax_headers = 20\nmax_header_size = \"8KiB\"";
    let host = Host::with(&["everything"]).config(config).serve_http();
    let client = opened(&host);
    let sized = |size: usize| {
        let ping = request(1, "ping", json!({})).to_string();
        format!("{ping}{}", " ".repeat(size - ping.len()))
    };
    assert_eq!(client.exchange_with("POST", &[], sized(2048).as_bytes()).status, 200);
    assert_eq!(client.exchange_with("POST", &[], sized(2049).as_bytes()).status, 413);
    let with_headers = |count: usize| {
        let mut headers = client.usual_headers();
        // Two more are written by the client itself: Connection and Content-Length.
        headers.extend((headers.len() + 2..count).map(|index| (format!("X-{index}"), "x".to_owned())));
        client.exchange("POST", "/mcp", &headers, sized(2048).as_bytes()).status
    };
    assert_eq!(with_headers(20), 200);
    // The connection is closed with bytes unread, so the answer itself may be lost on the way.
    assert!(matches!(with_headers(21), 431 | 0));
    let long = "x".repeat(9000);
    let status = client.exchange_with("POST", &[("X-Long", &long)], sized(2048).as_bytes()).status;
    assert!(matches!(status, 431 | 0), "{status}");
    assert_unaffected(&client);
}

#[test]
fn a_body_without_a_length_is_bounded_too() {
    let host = Host::with(&["everything"]).config("[http]\nmax_body_size = \"2KiB\"").serve_http();
    let client = opened(&host);
    let mut connection = client.connect();
    let session = client.session.clone().unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: {session}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 1024, "x".repeat(1024));
    for _ in 0..3 {
        let _ = connection.write_all(chunk.as_bytes());
    }
    assert_eq!(Stream::read(connection).status, 413);
    assert_unaffected(&client);
}

#[test]
fn half_sent_bodies_and_headers_are_given_up() {
    let host =
        Host::with(&["everything"]).config("[http]\nbody_timeout = \"300ms\"\nheader_timeout = \"300ms\"").serve_http();
    let client = opened(&host);
    let mut half_body = client.connect();
    half_body.write_all(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"json").unwrap();
    let mut half_head = client.connect();
    half_head.write_all(b"POST /mcp HTTP/1.1\r\nHost: loc").unwrap();
    let mut idle = client.connect();
    let began = Instant::now();
    assert_eq!(Stream::read(half_body).status, 408);
    let mut rest = Vec::new();
    let _ = half_head.read_to_end(&mut rest);
    let _ = idle.read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(10), "the host has closed them");
    assert_unaffected(&client);
}

#[test]
fn readers_that_stall_are_disconnected() {
    const BYTES: usize = 8 << 20;
    let config = "[http]\nwrite_timeout = \"500ms\"\n[log]\nfilter = \"mcp_host=debug\"";
    let host = Host::with(&["everything"]).config(config).serve_http();
    let stalled = opened(&host);
    let other = opened(&host);
    // An answer that is larger than all buffers of the socket, and nobody reads it.
    let body = call(1, "echo", json!({"message": "x".repeat(BYTES)})).to_string();
    let mut connection = stalled.begin("POST", "/mcp", &stalled.usual_headers(), body.as_bytes());
    assert_unaffected(&other);
    host.wait_for_log("the other end does not read");
    let mut read = Vec::new();
    let _ = connection.read_to_end(&mut read);
    assert!(read.len() < BYTES, "the rest was not waited for");
    assert_unaffected(&other);
}

#[test]
fn vanishing_clients_leave_nothing_behind() {
    const CLIENTS: usize = 20_000;
    let host = Host::with(&["everything"]).config("[sessions]\nmax_sessions = 1000").serve_http();
    let busy = opened(&host);
    let stream = busy.get_stream(None);
    let body = request(0, "initialize", mcp_host_tests::initialize("2025-11-25")).to_string();
    let message = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let initialize = |count: usize| {
        // Twenty from each connection, which then vanishes with the last answer unread.
        const FROM_ONE: usize = 20;
        for _ in 0..count / FROM_ONE {
            let mut connection = host.http().connect();
            for number in 1..=FROM_ONE {
                connection.write_all(message.as_bytes()).unwrap();
                let mut answer = Vec::new();
                while number < FROM_ONE && !answer.ends_with(b"}") {
                    let mut bytes = [0; 4096];
                    let read = connection.read(&mut bytes).unwrap();
                    assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
                    answer.extend_from_slice(&bytes[..read]);
                }
                assert!(number == FROM_ONE || answer.starts_with(b"HTTP/1.1 200"));
            }
        }
    };
    initialize(CLIENTS / 2);
    let half_way = host.resident_kib();
    initialize(CLIENTS / 2);
    let grown = host.resident_kib().saturating_sub(half_way);
    assert!(grown < 4 * 1024, "{grown} KiB more after the second half");
    assert_unaffected(&busy);
    drop(stream);
}

#[test]
fn too_many_calls_are_told_to_come_later() {
    let host = Host::with(&["everything"]).config("[sessions]\nmax_calls = 2").serve_http();
    let client = opened(&host);
    let mut running: Vec<_> =
        (1..=2).map(|id| client.post_stream(&call(id, "test_sleep", json!({"ms": 3000})))).collect();
    let _ = running.iter_mut().map(Stream::next_event).collect::<Vec<_>>();
    let refused = client.ask(&call(3, "test_sleep", json!({"ms": 1})));
    assert_eq!(refused["error"]["message"], "too many calls are under way; try again later");
    assert_eq!(text(&running[0].next_message()), "slept 3000 ms");
    assert_eq!(text(&running[1].next_message()), "slept 3000 ms");
    assert_unaffected(&client);
}

#[test]
fn calls_of_a_deaf_plugin_keep_their_places() {
    let config = "[limits]\ncall_timeout = \"100ms\"\n[plugins.everything]\nmax_calls = 2";
    let (_host, mut client) = Host::with(&["everything", "hello"]).config(config).serve_stdio();
    client.initialize("2025-11-25");
    for id in 1..=2 {
        let reply = client.ask(&call(id, "test_block", json!({"ms": 2000})));
        assert!(reply["error"]["message"].as_str().unwrap().contains("did not answer"));
    }
    let refused = client.ask(&call(3, "echo", json!({"message": "full"})));
    assert_eq!(refused["error"]["message"], "too many calls are under way; try again later");
    assert_eq!(text(&client.ask(&call(4, "greet", json!({"name": "other"})))), "Hello, other!");
    eventually("the deaf calls have returned", || {
        let reply = client.ask(&call(5, "echo", json!({"message": "room"})));
        reply.get("result").map(|_: &Value| ())
    });
}

#[test]
fn a_flood_of_messages_to_a_client_that_is_away_is_bounded() {
    let host = Host::with(&["everything"]).config("[sessions]\nstream_events = 8").serve_http();
    let client = opened(&host);
    let watched = json!({"uri": "test://watched-resource"});
    let _ = client.ask(&request(1, "resources/subscribe", watched.clone()));
    for id in 2..52 {
        let _ = client.ask(&call(id, "test_touch_resource", watched.clone()));
    }
    let mut own = client.get_stream(None);
    assert_eq!(own.next_event().unwrap().id.as_deref(), Some("0-0"));
    let first = own.next_event().unwrap();
    let number: u64 = first.id.unwrap().trim_start_matches("0-").parse().unwrap();
    assert!(number >= 40, "the oldest have made room: {number}");
}
