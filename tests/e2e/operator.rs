//! The operator's side: configuration, selection, clashes, readiness, commands.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, HostBuilder, call, request, text};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Output, Stdio};

fn run(builder: &HostBuilder, words: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = builder.command(words).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_tool_is_called_from_the_command_line() {
    let builder = Host::with(&["everything", "hello"]);
    assert_eq!(run(&builder, &["call", "greet", r#"{"name":"you"}"#]).1, "Hello, you!\n");
    let (code, told, _) = run(&builder, &["call", "--json", "test_structured"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["structuredContent"]["humidity"]), (0, &json!(65)));
    let (code, told, _) = run(&builder, &["call", "test_error_handling"]);
    assert_eq!((code, told.as_str()), (1, "This tool intentionally returns an error for testing\n"));
    let (code, told, error) = run(&builder, &["call", "gret"]);
    assert_eq!((code, told.as_str()), (1, ""));
    assert_eq!(error, "mcp-host: unknown tool 'gret'; did you mean 'greet'?\n");
    assert_eq!(run(&builder, &["call", "test_prints_to_stdout"]).1, "printed\n");
    assert!(run(&builder, &["call", "test_tool_with_progress"]).2.contains("50 of 100"));
}

#[test]
fn arguments_are_words_json_or_a_file() {
    let builder = Host::with(&["everything", "hello"]);
    assert_eq!(run(&builder, &["call", "greet", "name=42"]).1, "Hello, 42!\n");
    assert_eq!(run(&builder, &["call", "add", "a=2", "b=40"]).1, "42\n");
    let file = builder.folder_path().join("arguments.json");
    std::fs::write(&file, r#"{"name": "file"}"#).unwrap();
    assert_eq!(run(&builder, &["call", "greet", &format!("@{}", file.display())]).1, "Hello, file!\n");
    let mut piped = builder.command(&["call", "greet", "-"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"name": "pipe"}"#).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"Hello, pipe!\n");
    let (code, told, error) = run(&builder, &["call", "greet", "nam=x"]);
    assert_eq!((code, told.as_str()), (1, ""));
    let expected = "mcp-host: the arguments do not fit tool 'greet': there is no argument 'nam'; did you mean 'name'?; \
                    'name' is missing\n'greet' takes:\n  name  string  required\n";
    assert_eq!(error, expected);
    assert!(run(&builder, &["call", "add", "a=x", "b=1"]).2.contains("'a': value is not of type"));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let builder = Host::with(&["hello"]);
    // A terminal as Python makes one.
    let on_terminal = |environment: &[(&str, &str)]| {
        let words = builder.command(&["list"]);
        let mut python = std::process::Command::new("python3");
        python.args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))"]).arg(words.get_program());
        python.args(words.get_args()).env_remove("NO_COLOR").env("TERM", "xterm");
        let output = python.envs(environment.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = on_terminal(&[]);
    assert!(told.contains("\u{1b}[1mhello\u{1b}[0m 1.0.0 (\u{1b}[32mready\u{1b}[0m"), "{told:?}");
    for plain in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let told = on_terminal(&[plain]);
        assert!(told.contains("hello 1.0.0 (ready") && !told.contains('\u{1b}'), "{told:?}");
    }
    assert!(!run(&builder, &["list"]).1.contains('\u{1b}'));
}

#[test]
fn plugins_are_listed_and_checked() {
    let builder = Host::with(&["everything", "hello"]);
    let (code, told, _) = run(&builder, &["list"]);
    assert_eq!(code, 0);
    assert!(told.contains("hello 1.0.0 (ready, in-process)\n  tool  greet  Greets someone by name.\n"), "{told}");
    let (_, told, _) = run(&builder, &["list", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["tools"].as_array().unwrap().last().unwrap()["name"], "greet");
    assert_eq!(run(&builder, &["check"]), (0, "everything: ready\nhello: ready\nok\n".to_owned(), String::new()));
    std::fs::write(builder.plugins().join("bad.so"), "text").unwrap();
    let (code, told, _) = run(&builder, &["check"]);
    assert_eq!((code, told.lines().next()), (1, Some("bad.so: refused: it is not a native library")));
}

#[test]
fn a_bad_configuration_is_told_whole() {
    let builder =
        Host::with(&["hello"]).config("[http]\naddres = \"x\"\n[plugins.hello]\nprefix = \"a b\"\nallow = 5\n");
    let (code, told, error) = run(&builder, &["check"]);
    assert_eq!((code, told.as_str()), (2, ""));
    assert!(error.contains("http.addres: there is no such key; did you mean 'address'?"), "{error}");
    assert!(error.contains("plugins.hello.allow"), "{error}");
}

#[test]
fn secrets_of_a_configuration_are_not_told() {
    let builder = Host::with(&["hello"])
        .environment("TOKEN", "hunter2")
        .config("[http]\nmax_headers = \"${TOKEN}\"\nheader_timeout = \"${TOKEN}\"\n[log]\nformat = \"${TOKEN}\"\n");
    let (code, told, error) = run(&builder, &["check"]);
    assert_eq!((code, told.as_str()), (2, ""));
    assert!(
        error.contains("http.max_headers") && error.contains("http.header_timeout") && error.contains("log.format")
    );
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_schema_and_completions_are_printed() {
    let builder = Host::with(&[]);
    let binary = builder.command(&[]).get_program().to_owned();
    let print = |words: &[&str]| {
        let output = std::process::Command::new(&binary).args(words).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let schema: Value = serde_json::from_str(&print(&["config", "schema"])).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["plugins"].is_object());
    assert!(print(&["completions", "bash"]).contains("mcp-host"));
}

#[test]
fn plugins_are_selected_prefixed_and_bounded() {
    let config = "
        [plugins.everything]
        prefix = \"all_\"
        allow = [\"test_*\", \"echo\"]
        deny = [\"test_block\"]
        [plugins.hello]
        enabled = false
    ";
    let (_host, mut client) = Host::with(&["everything", "hello"]).config(config).serve_stdio();
    client.initialize("2025-11-25");
    let tools = client.ask(&request(1, "tools/list", json!({})))["result"]["tools"].clone();
    let names: Vec<&str> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"all_echo") && names.contains(&"all_test_simple_text"));
    assert!(!names.iter().any(|name| ["all_add", "all_test_block", "greet"].contains(name)), "{names:?}");
    assert_eq!(text(&client.ask(&call(2, "all_echo", json!({"message": "m"})))), "m");
    assert_eq!(client.ask(&call(3, "all_test_block", json!({"ms": 1})))["error"]["code"], -32602);
    assert!(client.ask(&request(4, "prompts/get", json!({"name": "all_test_simple_prompt"})))["result"].is_object());
}

#[test]
fn a_typed_configuration_reaches_its_plugin() {
    let config = "[plugins.time.config]\nlocal_timezone = \"Asia/Tokyo\"";
    let (_host, mut client) = Host::with(&["time"]).config(config).serve_stdio();
    client.initialize("2025-11-25");
    let now = client.ask(&call(1, "get_current_time", json!({})));
    assert_eq!(now["result"]["structuredContent"]["timezone"], "Asia/Tokyo");
    let builder = Host::with(&["time"]).config("[plugins.time.config]\nlocal_timezon = \"x\"");
    let (code, told, _) = run(&builder, &["check"]);
    assert_eq!(code, 1);
    assert!(told.contains("unknown field `local_timezon`, expected `local_timezone`"), "{told}");
    let schemas: Value = serde_json::from_str(&run(&Host::with(&["time"]), &["list", "--json"]).1).unwrap();
    assert!(schemas["configSchemas"]["time"]["properties"]["local_timezone"].is_object());
}

#[test]
fn a_host_without_a_required_plugin_is_up_but_not_ready() {
    let failing = "[plugins.guest]\nrequired = true\n[plugins.guest.config]\nstart = \"fail\"";
    for config in ["[plugins.missing]\nrequired = true", failing] {
        let host = Host::with(&["hello", "guest"]).config(config).serve_http();
        let mut client = host.http();
        assert_eq!(client.get("/health").status, 200);
        let ready = client.get("/health/ready");
        assert_eq!((ready.status, ready.body.as_str()), (503, "not ready\n"), "{config}");
        client.initialize("2025-11-25");
        assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
    }
}

#[test]
fn clashes_are_decided_by_name_and_told_with_both_owners() {
    let config = "[plugins.example-typed-config.config]\ngreeting = \"Good day\"\n";
    let builder = Host::with(&["hello", "example-typed-config"]).config(config);
    let (code, told, _) = run(&builder, &["check"]);
    assert_eq!(code, 1);
    let clash =
        "tool 'greet' of plugin 'hello' is left out: plugin 'example-typed-config' has it; give one of them a prefix";
    assert!(told.contains(clash), "{told}");
    assert_eq!(run(&builder, &["call", "greet", r#"{"name":"you"}"#]).1, "Good day, you!\n");
    let builder = builder.config("[plugins.hello]\nprefix = \"h_\"");
    assert_eq!(run(&builder, &["check"]).0, 0);
    assert_eq!(run(&builder, &["call", "h_greet", r#"{"name":"you"}"#]).1, "Hello, you!\n");
}

#[test]
fn the_plugins_in_the_box_need_no_configuration() {
    let builder = Host::with(&["everything", "filesystem", "hello", "sqlite", "time"]);
    let (code, told, _) = run(&builder, &["check"]);
    assert_eq!((code, told.lines().last()), (0, Some("ok")), "{told}");
    assert!(run(&builder, &["call", "list_directory", r#"{"path":"."}"#]).1.contains("no folder is allowed yet"));
}

#[test]
fn an_address_in_use_is_named() {
    let taken = Host::with(&["hello"]).serve_http();
    let builder = Host::with(&["hello"]);
    let address = taken.address().to_string();
    let output = builder.command(&["--http", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("the address {address} cannot be listened on")), "{error}");
}

#[test]
fn both_transports_can_be_served_at_once() {
    use std::io::Write as _;
    let builder = Host::with(&["everything"]).config("stdio = true\n[http]\naddress = \"127.0.0.1:0\"");
    let (mut host, mut client) = builder.serve_stdio();
    client.initialize("2025-11-25");
    host.wait_for_log("listening on http://");
    assert_eq!(text(&client.ask(&call(1, "echo", json!({"message": "pipe"})))), "pipe");
    client.close();
    // The other transport goes on when the pipe has ended.
    let log = host.log();
    let address = log.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(mcp_host_tests::Stream::read(connection).status, 200);
    host.signal("TERM");
    assert_eq!(host.wait().code(), Some(0));
}
