//! Pages of a real server on this machine, good and bad.

use super::Fetch;
use mcp_plugin_api::serde_json::{Value, json};
use mcp_plugin_api::testing::{Kit, Script};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

const PAGE: &str = r#"<!DOCTYPE html>
<html><head><title>Test Page</title><style>p{color:red}</style><script>var x=1;</script></head>
<body><nav><a href="/">Home</a> <a href="/about">About</a></nav>
<article><h1>Main heading</h1><p>First <b>bold</b> and <em>emph</em> paragraph with a <a href="/rel?x=1&y=2">relative link</a>, an <a href="https://example.org/abs">absolute link</a> &amp; an entity &lt;tag&gt;.</p>
<h2>List</h2><ul><li>one</li><li>two<ul><li>nested</li></ul></li></ul><ol><li>first</li><li>second</li></ol>
<pre><code class="language-py">def f():
    return 1
</code></pre><p>Inline <code>code</code>.</p>
<table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>
<blockquote>Quote</blockquote><img src="/i.png" alt="pic"><hr><p>Line<br>break</p></article>
<footer>Footer text</footer><script>alert(1)</script></body></html>"#;

/// A web server: paths with whole responses.
struct Site {
    address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = Self { address: listener.local_addr().unwrap(), pages: Arc::default(), asked: Arc::default() };
        let (pages, asked) = (Arc::clone(&site.pages), Arc::clone(&site.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (pages, asked) = (Arc::clone(&pages), Arc::clone(&asked));
                std::thread::spawn(move || answer(stream, &pages, &asked));
            }
        });
        site
    }

    fn page(self, path: &str, head: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut whole =
            format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).into_bytes();
        whole.extend(body);
        self.pages.lock().insert(path.to_owned(), whole);
        self
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked for, with who asked.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }
}

fn answer(mut stream: TcpStream, pages: &Mutex<HashMap<String, Vec<u8>>>, asked: &Mutex<Vec<String>>) {
    let (mut path, mut agent) = (String::new(), String::new());
    for line in
        BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok).take_while(|line| !line.is_empty())
    {
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap().to_owned();
        }
        if let Some((_, value)) = line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            agent = value.split(';').next().unwrap().to_owned();
        }
    }
    asked.lock().push(format!("{path} {agent}"));
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let page = pages.lock().get(&path).cloned().unwrap_or(missing);
    let _ = stream.write_all(&page);
}

fn kit(mut config: Value) -> Kit {
    config["networks"] = json!(["127.0.0.1"]);
    Kit::start::<Fetch>(config).unwrap()
}

fn outcome(kit: &Kit, arguments: Value) -> Result<String, String> {
    match kit.tool("fetch", arguments, &Script::new()) {
        Ok(result) if result.is_error => Err(result.text()),
        Ok(result) => Ok(result.text()),
        Err(error) => Err(error.message().to_owned()),
    }
}

#[track_caller]
fn fetch(kit: &Kit, url: &str) -> String {
    outcome(kit, json!({"url": url})).unwrap()
}

#[track_caller]
fn fails(kit: &Kit, url: &str) -> String {
    outcome(kit, json!({"url": url})).unwrap_err()
}

#[test]
fn a_page_is_read_as_its_article() {
    let site = Site::new().page("/page.html", "200 OK\r\nContent-Type: text/html; charset=utf-8", PAGE);
    let kit = kit(json!({}));
    let url = site.url("/page.html");
    let told = fetch(&kit, &url);
    let expected = "## Main heading\n\nFirst **bold** and *emph* paragraph with a [relative link]({origin}/rel?x=1&y=2), an \
                    [absolute link](https://example.org/abs) & an entity \\<tag>.\n\n## List\n\n- one\n- two\n    - \
                    nested\n\n1. first\n2. second\n\n```\ndef f():\n    return 1\n```\n\nInline `code`.\n\n\n| A | B |\n| - | - \
                    |\n| 1 | 2 |\n\n> Quote\n\n![pic]({origin}/i.png)\n\n---\n\nLine  \nbreak";
    let expected = expected.replace("{origin}", &site.url(""));
    assert_eq!(told, format!("Contents of {url}:\n{expected}"));
    assert_eq!(
        site.asked(),
        ["/robots.txt mcp-host-fetch/1.0 (Autonomous", "/page.html mcp-host-fetch/1.0 (Autonomous"]
    );
    let raw = outcome(&kit, json!({"url": url, "raw": true, "max_length": 9})).unwrap();
    let before =
        "Content type text/html; charset=utf-8 cannot be simplified to markdown, but here is the raw content:\n";
    let cut = "<error>Content truncated. Call the fetch tool with a start_index of 9 to get more content.</error>";
    assert_eq!(raw, format!("{before}Contents of {url}:\n<!DOCTYPE\n\n{cut}"));
    let prompt = kit.prompt("fetch", json!({"url": url}), &Script::new()).unwrap();
    let told = mcp_plugin_api::serde_json::to_value(&prompt.messages).unwrap();
    assert!(told[0]["content"]["text"].as_str().unwrap().starts_with("## Main heading\n"), "{told}");
}

#[test]
fn other_things_come_as_they_are_piece_by_piece() {
    let site = Site::new()
        .page("/uni", "200 OK\r\nContent-Type: text/plain; charset=utf-8", "a😀bcde")
        .page("/latin", "200 OK\r\nContent-Type: text/plain; charset=iso-8859-1", b"caf\xe9")
        .page(
            "/cyrillic",
            "200 OK\r\nContent-Type: Text/HTML",
            b"<html><head><meta charset=windows-1251></head><body><p>\xcf\xf0\xe8\xe2\xe5\xf2 all</p></body></html>",
        )
        .page("/none", "200 OK\r\nContent-Type: text/plain", "");
    let kit = kit(json!({}));
    let piece = |start: usize, length: usize| {
        let told = outcome(&kit, json!({"url": site.url("/uni"), "start_index": start, "max_length": length})).unwrap();
        told.split_once(":\nContents of ").unwrap().1.split_once(":\n").unwrap().1.to_owned()
    };
    assert!(piece(0, 2).starts_with("a😀\n\n<error>Content truncated. Call the fetch tool with a start_index of 2 "));
    assert!(piece(2, 2).starts_with("bc\n\n"));
    assert_eq!(piece(4, 2), "de");
    assert_eq!(piece(6, 2), "<error>No more content available.</error>");
    assert!(fetch(&kit, &site.url("/latin")).ends_with(":\ncafé"));
    assert!(fetch(&kit, &site.url("/cyrillic")).ends_with(":\nПривет all"));
    assert!(fails(&kit, &site.url("/uni").replace("127", "user:pw@127")).ends_with("a password in it is not fetched"));
    let script = Script::new();
    script.cancel();
    let late = kit.tool("fetch", json!({"url": site.url("/uni")}), &script).unwrap();
    assert!(late.is_error, "{}", late.text());
    assert!(fetch(&kit, &site.url("/none")).ends_with(":\n<error>No more content available.</error>"));
}

#[test]
fn pages_without_an_article_are_told() {
    let site = Site::new()
        .page("/empty", "200 OK\r\nContent-Type: text/html", "<html><head><title>t</title></head><body></body></html>")
        .page("/untyped", "200 OK", "<p>hello <b>no type</b></p>");
    let kit = kit(json!({}));
    assert!(fetch(&kit, &site.url("/empty")).ends_with(":\n<error>Page failed to be simplified from HTML</error>"));
    assert!(fetch(&kit, &site.url("/untyped")).ends_with(":\nhello **no type**"));
}

#[test]
fn robots_are_heeded_unless_a_user_asks() {
    let site = Site::new()
        .page("/robots.txt", "200 OK\r\nContent-Type: text/plain", "User-agent: *\nDisallow: /private\n")
        .page("/private/x", "200 OK\r\nContent-Type: text/plain", "secret")
        .page("/open", "200 OK\r\nContent-Type: text/plain", "open")
        .page("/moved", "302 Found\r\nLocation: /private/x", "");
    let careful = kit(json!({}));
    assert!(fetch(&careful, &site.url("/open")).ends_with(":\nopen"));
    for path in ["/private/x", "/moved"] {
        let told = fails(&careful, &site.url(path));
        let reason =
            "specifies that autonomous fetching of this page is not allowed, <useragent>mcp-host-fetch/1.0 (Autonomous";
        assert!(told.contains(reason) && told.contains("<robots>\nUser-agent: *\nDisallow: /private\n"), "{told}");
    }
    site.asked();
    let prompt = careful.prompt("fetch", json!({"url": site.url("/private/x")}), &Script::new()).unwrap();
    let text = mcp_plugin_api::serde_json::to_value(&prompt.messages).unwrap()[0]["content"]["text"].clone();
    assert!(text.as_str().unwrap().ends_with(":\nsecret"), "{text}");
    assert_eq!(site.asked(), ["/private/x mcp-host-fetch/1.0 (User-Specified"]);
    let careless = kit(json!({"robots_txt": false, "user_agent": "X/1"}));
    assert!(fetch(&careless, &site.url("/private/x")).ends_with("secret"));
    assert_eq!(site.asked(), ["/private/x X/1"]);
    let site = site.page("/robots.txt", "403 Forbidden", "");
    assert!(
        fails(&careful, &site.url("/open")).contains("received status 403 so assuming that autonomous fetching is not")
    );
    let site = site.page("/robots.txt", "500 Oops", "");
    assert!(fetch(&careful, &site.url("/open")).ends_with("open"));
}

#[test]
fn only_addresses_that_are_public_or_granted_are_asked() {
    let site = Site::new().page("/x", "200 OK\r\nContent-Type: text/plain", "x");
    let port = site.address.port();
    let public = Kit::start::<Fetch>(json!({})).unwrap();
    for host in
        ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0", "169.254.169.254"]
    {
        let told = fails(&public, &format!("http://{host}:{port}/x"));
        assert!(
            told.starts_with("Refused to fetch http://") && told.contains("which is not a public address"),
            "{told}"
        );
    }
    assert_eq!(site.asked(), [] as [&str; 0]);
    // Nor by a detour: where a granted address leads is judged again.
    let (from, to) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.2:{port}/x"));
    let site = site.page("/away", &format!("302 Found\r\nLocation: {to}"), "");
    let told = fails(&kit(json!({})), &format!("{from}/away"));
    assert!(told.contains("127.0.0.2 resolves to 127.0.0.2, which is not a public address"), "{told}");
    let site = site.page("/file", "302 Found\r\nLocation: file:///etc/passwd", "");
    assert!(fails(&kit(json!({})), &format!("{from}/file")).ends_with("only http and https are fetched"));
    drop(site);
    let bad = Kit::start::<Fetch>(json!({"networks": ["home"]})).err().unwrap();
    assert_eq!(bad.message(), "networks: 'home' is no network: try '10.0.0.0/8'");
}

#[test]
fn bounds_hold() {
    let site = Site::new()
        .page("/big", "200 OK\r\nContent-Type: text/plain", "x".repeat(2001))
        .page("/fits", "200 OK\r\nContent-Type: text/plain", "x".repeat(2000))
        .page("/loop", "302 Found\r\nLocation: /loop", "");
    let kit = kit(json!({"max_bytes": 2000, "max_redirects": 3, "timeout_ms": 400}));
    assert!(fails(&kit, &site.url("/big")).ends_with("it has more than 2000 bytes, which are allowed"));
    fetch(&kit, &site.url("/fits"));
    site.asked();
    assert!(fails(&kit, &site.url("/loop")).ends_with("there are more than 3 redirects"));
    assert_eq!(site.asked().iter().filter(|it| it.starts_with("/loop")).count(), 4);
    assert!(fails(&kit, &site.url("/missing")).ends_with("/missing - status code 404"));
    // One that takes the connection and says nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let told = fails(&kit, &format!("http://{}/x", deaf.local_addr().unwrap()));
    assert!(told.contains("due to a connection issue"), "{told}");
    for bad in ["not a url", "ftp://127.0.0.1/x", "file:///etc/passwd", ""] {
        assert!(!fails(&kit, bad).is_empty());
    }
    assert!(fails(&kit, "http://127.0.0.1:1/x").contains("Failed to fetch robots.txt http://127.0.0.1:1/robots.txt"));
}

#[test]
fn a_call_that_is_given_up_ends_whoever_is_asked() {
    // It takes the connection and says nothing, for longer than the call may take.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", deaf.local_addr().unwrap());
    let kit = kit(json!({"timeout_ms": 3_600_000}));
    let script = Script::new();
    let told = std::thread::scope(|scope| {
        let call = scope.spawn(|| kit.tool("fetch", json!({"url": url}), &script));
        let _connection = deaf.accept().unwrap();
        script.cancel();
        call.join().unwrap()
    });
    assert_eq!(told.unwrap().text(), "nobody waits for the page any more");
}
