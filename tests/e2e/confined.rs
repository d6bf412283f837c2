//! What a worker has of its host: what is granted and nothing else, as the pages of the plugins in the box say it; and no part in how
//! the host ends.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, Stdio, call, eventually, health, in_worker, repository, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The configuration on a plugin's page, with folders that are here in place of its own.
fn of_page(plugin: &str, places: &[(&str, &Path)]) -> String {
    let page = fs::read_to_string(repository().join(format!("docs/shelf/{plugin}.md"))).unwrap();
    let (_, behind) = page.split_once("```toml\n").unwrap();
    let mut config = behind.split_once("```").unwrap().0.to_owned();
    for (of_page, here) in places {
        assert!(config.contains(of_page), "{config}");
        config = config.replace(of_page, here.to_str().unwrap());
    }
    config
}

#[track_caller]
fn said(client: &mut Stdio, tool: &str, arguments: Value) -> String {
    let reply = client.ask(&call(1, tool, arguments));
    assert_ne!(reply["result"]["isError"], true, "{reply}");
    text(&reply).to_owned()
}

#[test]
fn git_works_as_its_page_grants_it_and_says_what_is_missing() {
    let place = tempfile::tempdir().unwrap();
    let (home, source) = (place.path().join("home"), place.path().join("src"));
    fs::create_dir_all(source.join("project")).unwrap();
    fs::create_dir(&home).unwrap();
    fs::write(home.join(".gitconfig"), "[user]\n\tname = Ada\n\temail = ada@example.com\n").unwrap();
    let git = Command::new("git").args(["init", "-q", "-b", "main"]).current_dir(source.join("project")).status();
    assert!(git.unwrap().success());
    fs::write(source.join("project/notes.txt"), "one\n").unwrap();
    let places = [("/home/ada/.gitconfig", &*home.join(".gitconfig")), ("/home/ada/src", &*source)];
    let mut config = of_page("git", &places);
    // What this machine has beside it.
    if Path::new("/etc/gitconfig").exists() {
        config = config.replace("read = [", "read = [\"/etc/gitconfig\", ");
    }
    let serve = |config: &str| Host::with(&["git"]).environment("HOME", home.to_str().unwrap()).config(config);
    let (_host, mut client) = serve(&config).serve_stdio();
    client.initialize("2025-11-25");
    let root = source.join("project");
    said(&mut client, "git_add", json!({"repo_path": root, "files": ["notes.txt"]}));
    said(&mut client, "git_commit", json!({"repo_path": root, "message": "First"}));
    let log = said(&mut client, "git_log", json!({"repo_path": root}));
    assert!(log.contains("Ada") && log.contains("First"), "{log}");
    // One file too few.
    let without = config.replace(&format!("\"{}\"", home.join(".gitconfig").display()), "");
    let host = serve(&without).serve_http();
    let reason = health(&host.http(), "git").unwrap()["reason"].as_str().unwrap().to_owned();
    let missing = home.join(".gitconfig").display().to_string();
    assert!(reason.contains("git's own configuration may not be read") && reason.contains(&missing), "{reason}");
}

#[test]
fn files_and_pages_work_as_their_pages_grant_it() {
    let notes = tempfile::tempdir().unwrap();
    fs::write(notes.path().join("a.txt"), "hello").unwrap();
    let site = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/page", site.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in site.incoming().map_while(Result::ok) {
            let body = "<html><body><article><h1>Title</h1><p>What it says.</p></article></body></html>";
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n", body.len());
            let _ = std::io::Read::read(&mut &stream, &mut [0; 4096]);
            let _ =
                std::io::Write::write_all(&mut &stream, format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        }
    });
    let network = Path::new("127.0.0.0/8");
    let mut config =
        of_page("filesystem", &[("/home/ada/notes", notes.path())]) + &of_page("fetch", &[("10.1.0.0/16", network)]);
    // A page needs no more memory than this.
    config.push_str("memory = \"256MiB\"\n");
    let (_host, mut client) = Host::with(&["filesystem", "fetch"]).config(&config).serve_stdio();
    client.initialize("2025-11-25");
    let file = notes.path().join("a.txt");
    assert_eq!(said(&mut client, "read_text_file", json!({"path": file})), "hello");
    said(&mut client, "edit_file", json!({"path": file, "edits": [{"oldText": "hello", "newText": "bye"}]}));
    assert_eq!(fs::read_to_string(&file).unwrap(), "bye");
    let page = said(&mut client, "fetch", json!({"url": url}));
    assert!(page.contains("What it says."), "{page}");
}

#[test]
fn what_is_kept_is_kept_by_workers_too() {
    let state = tempfile::tempdir().unwrap();
    let database = of_page("sqlite", &[("/var/lib/birds.db", &*state.path().join("birds.db"))]);
    let graph = of_page("memory", &[("/var/lib/mcp-host", state.path())]);
    let folder = state.path().to_str().unwrap();
    let mut config = database + &graph + &of_page("time", &[]);
    for plugin in ["sqlite", "memory", "time"] {
        let section = format!("[plugins.{plugin}]\n");
        assert!(config.contains(&section), "{config}");
        config = config.replace(&section, &format!("{section}isolation = \"worker\"\nworkers = 2\n"));
        config.push_str(&format!("[plugins.{plugin}.grants]\nwrite = [{folder:?}]\n"));
    }
    for round in 0..2 {
        let (host, mut client) = Host::with(&["sqlite", "memory", "time"]).config(&config).serve_both();
        client.initialize("2025-11-25");
        for plugin in ["sqlite", "memory", "time"] {
            assert_eq!(health(&host.http(), plugin).unwrap()["state"], "ready", "{plugin}");
        }
        if round == 0 {
            said(&mut client, "create_table", json!({"query": "CREATE TABLE birds (name TEXT)"}));
            said(&mut client, "write_query", json!({"query": "INSERT INTO birds VALUES ('wren')"}));
            let ada = json!({"entities": [{"name": "Ada", "entityType": "person", "observations": ["Likes math"]}]});
            said(&mut client, "create_entities", ada);
        }
        let rows = said(&mut client, "read_query", json!({"query": "SELECT name FROM birds"}));
        assert!(rows.contains("wren"), "{rows}");
        assert!(said(&mut client, "read_graph", json!({})).contains("Likes math"));
        let time = said(&mut client, "get_current_time", json!({"timezone": "Europe/Berlin"}));
        assert!(time.contains("Europe/Berlin"), "{time}");
    }
}

#[test]
fn the_example_of_grants_has_what_it_is_granted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("words"), "aardvark\nzebra\n").unwrap();
    let words = folder.path().join("words");
    let serve = |grants: &str| {
        let config =
            format!("[plugins.example-grants]\nisolation = \"worker\"\n[plugins.example-grants.grants]\n{grants}");
        let (host, mut client) =
            Host::with(&["example-grants"]).environment("EXAMPLE_TOKEN", "t").config(&config).serve_stdio();
        client.initialize("2025-11-25");
        (host, client)
    };
    let granted = format!("env = [\"EXAMPLE_TOKEN\"]\nread = [{:?}]\n", folder.path().to_str().unwrap());
    let (_host, mut client) = serve(&granted);
    assert_eq!(said(&mut client, "has_token", json!({})), "true");
    assert_eq!(said(&mut client, "first_line", json!({"file": words})), "aardvark");
    let (_host, mut client) = serve("");
    assert_eq!(said(&mut client, "has_token", json!({})), "false");
    let reply = client.ask(&call(2, "first_line", json!({"file": words})));
    let told = if reply["error"].is_null() { text(&reply).to_owned() } else { reply["error"]["message"].to_string() };
    assert!(told.contains("ermission denied"), "{reply}");
}

/// As systemd stops a service: every process of it gets the signal.
#[test]
fn what_ends_a_service_lets_the_calls_in_its_workers_finish() {
    let (mut host, mut client) = Host::with(&["everything"]).config(&in_worker("everything")).serve_both();
    client.initialize("2025-11-25");
    client.send(&call(7, "test_sleep", json!({"ms": 3000})));
    eventually("the call", || (health(&host.http(), "everything").unwrap()["calls"] == 1).then_some(()));
    for worker in workers_of(host.id()) {
        assert!(Command::new("kill").args(["-TERM", &worker]).status().unwrap().success());
    }
    host.signal("TERM");
    assert_eq!(text(&client.receive()), "slept 3000 ms");
    assert_eq!(host.wait().code(), Some(0));
}

/// The processes whose parent is this one.
fn workers_of(host: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{host}/task")).unwrap().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let found: Vec<String> = children.flat_map(|all| all.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let found: Vec<String> = found.into_iter().filter(|child| !child.is_empty()).collect();
    assert!(!found.is_empty(), "it has no worker");
    found
}

#[test]
fn what_a_host_has_open_is_not_open_in_a_worker() {
    let builder = Host::with(&["villain"]).config(&in_worker("villain"));
    let secret = builder.folder_path().join("secret");
    fs::write(&secret, "of the host").unwrap();
    // Left open by whoever has started the host.
    let left_open = fs::File::open(&secret).unwrap();
    rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
    let (host, mut client) = builder.serve_stdio();
    client.initialize("2025-11-25");
    let worker = said(&mut client, "process", json!({}));
    let has_it = |process: &str| {
        let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
        open.filter_map(|it| fs::read_link(it.path()).ok()).any(|leads_to| leads_to == secret)
    };
    assert!(has_it(&host.id().to_string()) && !has_it(&worker), "the host has it, its worker does not");
}
