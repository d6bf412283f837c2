//! The life of a plugin while the host serves: found, replaced, refused, taken out, retired; and who may be loaded at all.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{
    Host, HostBuilder, Http, System, call, compile_c, eventually, host_program, in_worker, library_name, plugin_file,
    processes_of, put, put_version, request, stateless_call, system, text, version_bytes, version_text,
};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const FAST: &str = "[watch]\nsettle = \"20ms\"\n";

fn health(client: &Http, plugin: &str) -> Option<Value> {
    let detail = client.get("/health/detailed").json();
    detail["plugins"].as_array().unwrap().iter().find(|it| it["name"] == plugin).cloned()
}

#[track_caller]
fn wait_for_state(host: &Host, plugin: &str, state: &str) -> Value {
    eventually(&format!("'{plugin}' to be {state}"), || {
        health(&host.http(), plugin).filter(|found| found["state"] == state)
    })
}

/// A host with the first version of a plugin.
fn versioned(config: &str) -> HostBuilder {
    let builder = Host::with(&["hello"]).config(&format!("{FAST}{config}"));
    put_version(&builder.plugins(), 1);
    builder
}

#[track_caller]
fn version(client: &Http) -> String {
    text(&client.ask(&call(1, "version", json!({})))).to_owned()
}

/// Raised when this is dropped.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Swaps a plugin under callers of both eras: none fails, and none that asks after a swap was announced gets an older version.
fn swap_under_load(config: &str) {
    const SWAPS: usize = 8;
    const CALLERS: usize = 16;
    let host = versioned(config).serve_http();
    let mut first = host.http();
    first.initialize("2025-11-25");
    let mut news = first.get_stream(None);
    let announced = AtomicUsize::new(1);
    let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // Also where an assertion fails: the callers would go on for ever.
        let _end = Flag(&over);
        for caller in 0..CALLERS {
            let (host, announced, over, calls) = (&host, &announced, &over, &calls);
            scope.spawn(move || {
                let mut client = host.http();
                client.initialize("2025-11-25");
                while !over.load(Ordering::Relaxed) {
                    let at_least = announced.load(Ordering::SeqCst);
                    let tool = if caller % 4 == 0 { "slow_version" } else { "version" };
                    let arguments = if caller % 4 == 0 { json!({"ms": 30}) } else { json!({}) };
                    let reply = if caller % 2 == 0 {
                        client.ask(&call(1, tool, arguments))
                    } else {
                        client.ask_stateless(&stateless_call(1, tool, arguments))
                    };
                    let told = text(&reply).to_owned();
                    assert!(told >= version_text(at_least), "{told} after {at_least} was announced");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 2..2 + SWAPS {
            put_version(&host.folder().join("plugins"), number);
            let told = news.next_message();
            assert_eq!(told["method"], "notifications/tools/list_changed");
            announced.store(number, Ordering::SeqCst);
        }
        let before = calls.load(Ordering::Relaxed);
        eventually("calls after the last swap", || (calls.load(Ordering::Relaxed) > before + 50).then_some(()));
    });
    assert_eq!(version(&first), version_text(1 + SWAPS));
    let gone = || health(&host.http(), "versioned").filter(|it| it["draining_generations"] == 0);
    let last = eventually("the end of the others", gone);
    assert_eq!(last["generation"], 1 + SWAPS);
}

#[test]
fn a_plugin_is_swapped_under_load_in_process() {
    swap_under_load("");
}

#[test]
fn a_plugin_is_swapped_under_load_in_a_worker() {
    swap_under_load(&in_worker("versioned"));
}

#[test]
fn both_eras_hear_of_a_swap_once() {
    let host = versioned("").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut stateful = client.get_stream(None);
    let listen = json!({"notifications": {"toolsListChanged": true}});
    let mut stateless = client.stream_stateless(&mcp_host_tests::stateless(7, "subscriptions/listen", listen));
    assert_eq!(stateless.next_message()["method"], "notifications/subscriptions/acknowledged");
    for number in 2..5 {
        put_version(&host.folder().join("plugins"), number);
        for told in [stateful.next_message(), stateless.next_message()] {
            assert_eq!(told["method"], "notifications/tools/list_changed");
        }
        assert_eq!(version(&client), version_text(number), "it is served when it is announced");
    }
    // Nothing was told twice: the next thing that is told is of another swap.
    put(&host.folder().join("plugins"), &library_name("everything"), &fs::read(plugin_file("everything")).unwrap());
    let mut kinds: Vec<String> = Vec::new();
    while !kinds.iter().any(|kind| kind.contains("prompts")) {
        kinds.push(stateful.next_message()["method"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds.iter().filter(|kind| kind.contains("tools")).count(), 1, "{kinds:?}");
}

#[test]
fn a_version_that_cannot_be_served_leaves_the_old_one() {
    let host = versioned("").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let bytes = version_bytes(2);
    // Written in place, and cut short.
    fs::write(host.folder().join("plugins").join(library_name("versioned")), &bytes[..bytes.len() / 2]).unwrap();
    let told = eventually("the refusal", || health(&client, "versioned").filter(|it| it["reason"].is_string()));
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.starts_with("its newest file is refused, the one before is served: it is truncated"), "{reason}");
    assert_eq!(version(&client), version_text(1));
    put(&host.folder().join("plugins"), &library_name("versioned"), &bytes);
    eventually("the second version", || (version(&client) == version_text(2)).then_some(()));
}

#[test]
fn a_version_that_does_not_start_leaves_the_old_one_and_is_told() {
    let config = format!("{FAST}[plugins.guest]\nallow = [\"works\"]\n");
    let builder = Host::with(&["guest"]).config(&config);
    let file = builder.folder_path().join("config.toml");
    let mut host = builder.serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let text_of = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text_of}[plugins.guest.config]\nstart = \"fail\"\n")).unwrap();
    let reason = "its new configuration is refused, the one before is served: it did not start: there is no coffee";
    let told = || health(&host.http(), "guest").filter(|it| it["reason"] == reason);
    assert_eq!(eventually("the refusal", told)["state"], "ready");
    assert_eq!(text(&client.ask(&call(1, "works", json!({})))), "works");
    assert!(host.is_running());
}

#[test]
fn files_come_and_go() {
    let host = Host::with(&["hello"]).config(FAST).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let plugins = host.folder().join("plugins");
    put_version(&plugins, 3);
    wait_for_state(&host, "versioned", "ready");
    assert_eq!(version(&client), version_text(3));
    // The same plugin in another file, at once.
    fs::rename(plugins.join(library_name("versioned")), plugins.join(library_name("other"))).unwrap();
    eventually("the other file", || {
        assert_eq!(version(&client), version_text(3), "it is served all the time");
        health(&client, "versioned").filter(|it| it["file"].as_str().unwrap().ends_with(&library_name("other")))
    });
    assert_eq!(health(&client, "versioned").unwrap()["generation"], 1, "and is not loaded again");
    fs::remove_file(plugins.join(library_name("other"))).unwrap();
    eventually("its end", || health(&host.http(), "versioned").is_none().then_some(()));
    let reply = client.ask(&call(1, "version", json!({})));
    assert_eq!(reply["error"]["code"], -32602, "{reply}");
    let left = |host: &Host| -> Vec<String> {
        let entries = fs::read_dir(host.folder().join("state/staged")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    // Windows lets nobody remove what is mapped: there its name goes, and the file with the next start.
    let is_there = |name: &String| system() == System::Native || !name.ends_with(".removed");
    eventually("the end of its copy", || (left(&host).iter().filter(|name| is_there(name)).count() == 1).then_some(()));
    let again = host.kill().serve_http();
    eventually("what was left behind is gone", || (left(&again).len() == 1).then_some(()));
}

#[test]
fn a_file_that_is_being_written_is_left_until_it_is_whole() {
    use std::io::Write as _;
    let host = Host::with(&["hello"]).config("[watch]\nsettle = \"1s\"\n").serve_http();
    let bytes = version_bytes(5);
    let mut file = fs::File::create(host.folder().join("plugins").join(library_name("versioned"))).unwrap();
    for part in bytes.chunks(bytes.len() / 20 + 1) {
        file.write_all(part).unwrap();
        file.flush().unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(file);
    wait_for_state(&host, "versioned", "ready");
    assert!(!host.log().contains("truncated"), "no part of it was read");
}

#[test]
fn a_signal_and_a_changed_file_apply_what_the_operator_says_of_plugins() {
    let builder = versioned("[plugins.hello]\nprefix = \"one_\"\n");
    let file = builder.folder_path().join("config.toml");
    let host = builder.serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let greets = |client: &Http, name: &str| {
        client.ask(&call(1, name, json!({"name": "you"})))["result"]["content"][0]["text"] == "Hello, you!"
    };
    assert!(greets(&client, "one_greet"));
    let text_of = fs::read_to_string(&file).unwrap();
    fs::write(&file, text_of.replace("one_", "two_")).unwrap();
    eventually("the new prefix", || greets(&client, "two_greet").then_some(()));
    // A file that cannot be changes nothing.
    fs::write(&file, text_of.replace("prefix", "prefax")).unwrap();
    host.wait_for_log("the one before holds");
    assert!(greets(&client, "two_greet"));
    fs::write(&file, text_of.replace("prefix = \"one_\"", "enabled = false")).unwrap();
    host.signal("HUP");
    wait_for_state(&host, "hello", "disabled");
    assert!(!greets(&client, "two_greet"));
    assert_eq!(version(&client), version_text(1), "the others stay");
    assert_eq!(health(&client, "versioned").unwrap()["generation"], 1, "and are not loaded again");
}

#[test]
fn without_a_watch_a_signal_is_all_it_takes() {
    let builder = Host::with(&["hello"]).config("[watch]\nenabled = false\n");
    put_version(&builder.plugins(), 1);
    let host = builder.serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    put_version(&host.folder().join("plugins"), 2);
    host.signal("HUP");
    eventually("the second version", || (version(&client) == version_text(2)).then_some(()));
}

/// C of a library that does something when it is opened.
fn with_constructor(body: &str) -> String {
    let metadata = json!({
        "format": 1, "name": "crafted", "version": "1.0.0", "description": "", "abi": "abi_stable-0.11", "level": 1,
        "api": "1.0.0", "panic": "unwind",
    })
    .to_string();
    let (headers, section) = match system() {
        System::Native => (["unistd.h", "fcntl.h", "sys/socket.h"].as_slice(), ".mcp_plugin"),
        System::Windows { .. } => (["windows.h"].as_slice(), ".mcpplug"),
    };
    let headers: String = headers.iter().map(|header| format!("#include <{header}>\n")).collect();
    format!(
        "#include <stdlib.h>\n#include <stdio.h>\n{headers}\
         struct section {{ char magic[8]; unsigned length; char json[4000]; }};\n\
         __attribute__((used, section(\"{section}\"))) const struct section MCP_PLUGIN_METADATA =\n\
         {{ \"MCPPLUG\", {}, {metadata:?} }};\nchar _mcp_plugin_root[4096] = {{1}};\n\
         __attribute__((constructor)) void run(void) {{ {body} }}\n",
        metadata.len()
    )
}

/// The time that a start may take: long enough for a plugin that does no harm, where much else runs.
fn start_timeout() -> &'static str {
    if system() == System::Native { "3s" } else { "10s" }
}

/// What a library may do when it is opened, and what is said of that.
fn harms() -> [(&'static str, &'static str); 4] {
    match system() {
        System::Native => [
            ("*(volatile int *)8 = 1;", "its process was ended by signal 11 (segmentation fault)"),
            ("abort();", "its process was ended by signal 6 (abort)"),
            ("exit(0);", "its process ended with exit code 0"),
            ("for (;;) pause();", "it did not return within 3s"),
        ],
        System::Windows { .. } => [
            // The loader catches what goes wrong in it.
            ("*(volatile int *)8 = 1;", "the system cannot load it"),
            ("abort();", "its process ended with exit code 3"),
            ("exit(0);", "its process ended with exit code 0"),
            ("for (;;) Sleep(1000);", "it did not return within 10s"),
        ],
    }
}

#[test]
fn what_does_harm_when_it_is_opened_is_put_aside_before_it_can() {
    for (body, reason) in harms() {
        let reason = reason.replace("it did not return", "that did not end");
        let builder = Host::with(&["hello"]).config(&format!("[limits]\nstart_timeout = {:?}\n", start_timeout()));
        compile_c(&with_constructor(body), &builder.plugins().join(library_name("bad")), &[]);
        let mut host = builder.serve_http();
        let mut client = host.http();
        client.initialize("2025-11-25");
        let bad = health(&client, "crafted").unwrap();
        assert_eq!(bad["state"], "quarantined", "{body}: {bad}");
        let told = bad["reason"].as_str().unwrap();
        let is_told = match reason.starts_with("the system") {
            true => told.starts_with(&format!("it is in quarantine: it cannot be opened: {reason}")),
            false => told.starts_with(&format!("it is in quarantine: when it was opened, {reason};")),
        };
        assert!(is_told, "{body}: {told}");
        assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
        assert!(host.is_running());
    }
}

#[test]
fn what_does_harm_when_it_is_opened_in_a_worker_harms_the_worker() {
    for (body, reason) in harms() {
        let config = format!("[limits]\nstart_timeout = {:?}\n{}", start_timeout(), in_worker("crafted"));
        let builder = Host::with(&["hello"]).config(&config);
        compile_c(&with_constructor(body), &builder.plugins().join(library_name("bad")), &[]);
        let host = builder.serve_http();
        let bad = health(&host.http(), "crafted").unwrap();
        assert_eq!(bad["state"], "refused", "{body}");
        assert!(bad["reason"].as_str().unwrap().starts_with(reason), "{body}: {bad}");
    }
}

#[test]
fn what_hangs_while_it_is_opened_ends_with_its_host() {
    // It reads nothing, so it does not see that its host is gone.
    let hangs = format!("fputs(\"it hangs\\n\", stderr); fflush(stderr); {}", harms()[3].0);
    for config in [String::new(), in_worker("crafted")] {
        let builder = Host::with(&["hello"]).config(&config);
        compile_c(&with_constructor(&hangs), &builder.plugins().join(library_name("bad")), &[]);
        let own = builder.folder_path().join("own-host");
        fs::copy(host_program(), &own).unwrap();
        let builder = builder.binary(own.clone());
        let log = builder.folder_path().join("log");
        let mut command = builder.command(&["--http", "127.0.0.1:0"]);
        let mut host = command.stdin(Stdio::null()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        eventually("its process", || fs::read_to_string(&log).unwrap().contains("it hangs").then_some(()));
        assert!(processes_of(&own) >= 2);
        host.kill().unwrap();
        host.wait().unwrap();
        eventually("the end of both", || (processes_of(&own) == 0).then_some(()));
    }
}

#[test]
fn what_a_worker_has_started_that_does_not_open_ends_with_it() {
    let config = in_worker("crafted") + "[plugins.crafted.grants]\nsubprocesses = [\"/bin/true\"]\n";
    let builder = Host::with(&["hello"]).config(&config);
    let leaves = "if (fork() == 0) { sleep(300); _exit(0); }";
    compile_c(&with_constructor(leaves), &builder.plugins().join(library_name("bad")), &[]);
    let own = builder.folder_path().join("own-host");
    fs::copy(host_program(), &own).unwrap();
    let host = builder.binary(own.clone()).serve_http();
    let reason = health(&host.http(), "crafted").unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("its ABI header is not readable"), "{reason}");
    eventually("the end of what it has started", || (processes_of(&own) == 1).then_some(()));
}

#[test]
fn what_is_opened_the_first_time_can_change_nothing() {
    let trace = std::env::temp_dir().join(format!("mcp-host-trace-{}", std::process::id()));
    let body = format!(
        "int made = open({:?}, O_CREAT | O_WRONLY, 0600); int net = socket(AF_INET, SOCK_STREAM, 0); int child = fork();\n\
         if (child == 0) _exit(0);\n if (made >= 0 || net >= 0 || child > 0) abort();",
        trace.to_str().unwrap()
    );
    let builder = Host::with(&["hello"]);
    compile_c(&with_constructor(&body), &builder.plugins().join(library_name("bad")), &[]);
    let host = builder.serve_http();
    // All three were denied: it went on, and ends there because its header is none.
    let reason = health(&host.http(), "crafted").unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("its ABI header is not readable"), "{reason}");
    assert!(!trace.exists());
}

/// Runs the host's own program beside a host.
fn run(builder: &HostBuilder, words: &[&str]) -> Output {
    builder.command(words).output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_verdict_is_kept_and_cleared_by_name() {
    let builder = Host::with(&["hello"]).config(FAST);
    let bad = builder.plugins().join(library_name("bad"));
    // It fails as long as there is no file beside it.
    let flag = builder.plugins().join("flag");
    compile_c(&with_constructor(&format!("if (access({:?}, F_OK)) abort();", flag.to_str().unwrap())), &bad, &[]);
    let first = builder.serve_http();
    assert_eq!(health(&first.http(), "crafted").unwrap()["state"], "quarantined");
    fs::write(flag, "").unwrap();
    let builder = first.kill();
    let listed = printed(&run(&builder, &["list"]));
    assert!(listed.contains("crafted 1.0.0 (quarantined)"), "{listed}");
    let host = builder.serve_http();
    let told = health(&host.http(), "crafted").unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(told.contains("signal 6 (abort)"), "it is not opened again: {told}");
    let config = host.folder().join("config.toml");
    let mut clear = Command::new(mcp_host_tests::artifact("mcp-host"));
    clear.args(["plugins", "clear", "crafted", "--config"]).arg(&config).arg("--plugins-dir").arg(host.folder());
    assert_eq!(printed(&clear.output().unwrap()), "1 verdict on 'crafted' is forgotten\n");
    eventually("another try", || {
        let told = health(&host.http(), "crafted")?["reason"].as_str()?.to_owned();
        told.contains("its ABI header is not readable").then_some(())
    });
}

#[test]
fn only_pinned_files_are_opened_where_that_is_said() {
    let sums = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("f"), bytes).unwrap();
        let sum = Command::new("sha256sum").arg(folder.path().join("f")).output().unwrap();
        String::from_utf8(sum.stdout).unwrap()[..64].to_owned()
    };
    let pin = sums(&version_bytes(1));
    let host = versioned(&format!("[plugins.versioned]\ntrust = \"pinned\"\nsha256 = [\"{pin}\"]\n")).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    assert_eq!(version(&client), version_text(1));
    put_version(&host.folder().join("plugins"), 2);
    let refused = eventually("the refusal", || {
        health(&client, "versioned").filter(|it| it["reason"].as_str().is_some_and(|it| it.contains("is not pinned")))
    });
    let told = format!("its SHA-256 is {}, which is not pinned", sums(&version_bytes(2)));
    assert!(refused["reason"].as_str().unwrap().contains(&told), "{refused}");
    assert_eq!(version(&client), version_text(1), "the one before is served");
    // What is served is not trusted any more.
    let config = host.folder().join("config.toml");
    let said = fs::read_to_string(&config).unwrap();
    fs::write(&config, said.replace(&pin, &sums(b"something else"))).unwrap();
    wait_for_state(&host, "versioned", "refused");
    assert_eq!(client.ask(&call(1, "version", json!({})))["error"]["code"], -32602);
}

#[test]
fn a_plugin_that_comes_back_while_its_last_calls_end_is_served() {
    let host = versioned("").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let file = host.folder().join("plugins").join(library_name("versioned"));
    let away = host.folder().join("away.so");
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let mut client = host.http();
            client.initialize("2025-11-25");
            text(&client.ask(&call(1, "slow_version", json!({"ms": 1500})))).to_owned()
        });
        eventually("the call", || (health(&client, "versioned")?["calls"] == 1).then_some(()));
        fs::rename(&file, &away).unwrap();
        wait_for_state(&host, "versioned", "draining");
        fs::rename(&away, &file).unwrap();
        let back = wait_for_state(&host, "versioned", "ready");
        assert_eq!(back["draining_generations"], 1, "the call goes on: {back}");
        assert_eq!(slow.join().unwrap(), version_text(1), "and is answered");
    });
    eventually("its end", || (health(&client, "versioned")?["draining_generations"] == 0).then_some(()));
    assert_eq!(version(&client), version_text(1));
    assert_eq!(
        health(&client, "versioned").unwrap()["resident_generations"],
        2,
        "an image that came back is another one"
    );
}

#[test]
fn a_file_that_would_end_the_host_leaves_the_old_one() {
    mcp_host_tests::build(&["-p", "hello", "--profile", "abort"]);
    let host = Host::with(&["hello"]).config(FAST).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let aborting = fs::read(mcp_host_tests::target().join("abort/libhello.so")).unwrap();
    put(&host.folder().join("plugins"), "libhello.so", &aborting);
    let told = eventually("the refusal", || health(&client, "hello").filter(|it| it["reason"].is_string()));
    assert!(told["reason"].as_str().unwrap().contains("panic = \"abort\""), "{told}");
    assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
}

#[test]
fn a_plugin_that_would_end_the_host_runs_in_a_worker_and_never_in_the_host() {
    mcp_host_tests::build(&["-p", "hello", "--profile", "abort"]);
    let builder = Host::with(&[]).config(&format!("{FAST}[plugins.hello]\nisolation = \"worker\"\n"));
    let builder = builder.file(&mcp_host_tests::target().join("abort/libhello.so"));
    let config = builder.folder_path().join("config.toml");
    let mut host = builder.serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
    let said = fs::read_to_string(&config).unwrap();
    fs::write(&config, said.replace("\"worker\"", "\"in-process\"")).unwrap();
    let refused = wait_for_state(&host, "hello", "refused");
    assert!(refused["reason"].as_str().unwrap().contains("panic = \"abort\""), "{refused}");
    assert_eq!(client.ask(&call(1, "greet", json!({"name": "you"})))["error"]["code"], -32602);
    assert!(host.is_running());
}

#[test]
fn a_folder_that_is_named_twice_is_looked_at_once() {
    let builder = Host::with(&["hello"]);
    let folder = builder.plugins();
    let host = builder.config(&format!("plugin_dirs = [{folder:?}, {:?}]\n{FAST}", folder.join("."))).serve_http();
    put_version(&folder, 1);
    wait_for_state(&host, "versioned", "ready");
    let detail = host.http().get("/health/detailed").json();
    let states: Vec<_> = detail["plugins"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ready", "ready"], "{detail}");
}

#[test]
fn a_configuration_at_a_relative_path_is_followed_too() {
    let builder = Host::with(&["hello"]);
    let folder = builder.folder_path();
    let text_of = format!("state_dir = \"state\"\nplugin_dirs = [\"plugins\"]\n{FAST}");
    fs::write(folder.join("own.toml"), &text_of).unwrap();
    let mut command = Command::new(mcp_host_tests::artifact("mcp-host"));
    command.args(["--config", "own.toml", "--http", "127.0.0.1:0"]).current_dir(&folder);
    let host = builder.serve_http_with(command);
    let mut client = host.http();
    client.initialize("2025-11-25");
    fs::write(folder.join("own.toml"), format!("{text_of}[plugins.hello]\nprefix = \"new_\"\n")).unwrap();
    eventually("the prefix", || {
        let reply = client.ask(&call(1, "new_greet", json!({"name": "you"})));
        (reply["result"]["content"][0]["text"] == "Hello, you!").then_some(())
    });
}

#[test]
fn the_figures_of_plugins_are_there_for_monitors() {
    let builder = versioned("");
    fs::copy(plugin_file("hello"), builder.plugins().join("other.so")).unwrap();
    let host = builder.serve_http();
    put_version(&host.folder().join("plugins"), 2);
    eventually("the swap", || (health(&host.http(), "versioned")?["generation"] == 2).then_some(()));
    let told = host.http().get("/metrics");
    assert_eq!(told.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let lines: Vec<&str> = told.body.lines().collect();
    for line in [
        "# TYPE mcp_host_plugin_state gauge",
        "mcp_host_plugin_state{plugin=\"versioned\",state=\"ready\"} 1",
        "mcp_host_plugin_transitions_total{plugin=\"versioned\",state=\"ready\"} 2",
        "mcp_host_plugin_generation{plugin=\"versioned\"} 2",
        "mcp_host_plugin_resident_generations{plugin=\"hello\"} 1",
        "mcp_host_sessions 0",
        "# EOF",
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{}", told.body);
    }
    let mut series: Vec<&str> =
        lines.iter().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0).collect();
    series.sort_unstable();
    let all = series.len();
    series.dedup();
    assert_eq!(series.len(), all, "each series is told once");
}

#[test]
fn only_signed_files_are_opened_where_that_is_said() {
    let keys = tempfile::tempdir().unwrap();
    let path = |name: &str| keys.path().join(name).to_str().unwrap().to_owned();
    let host = |words: &[&str]| Command::new(mcp_host_tests::artifact("mcp-host")).args(words).output().unwrap();
    let made = printed(&host(&["keygen", &path("own")]));
    let trusted = made.lines().find(|line| line.starts_with("trusted_keys")).unwrap();
    assert!(host(&["keygen", &path("other")]).status.success());
    assert!(!host(&["keygen", &path("own")]).status.success(), "a key is not overwritten");
    let builder = Host::with(&["hello"]).config(&format!("{trusted}\n{FAST}[plugins.versioned]\ntrust = \"signed\"\n"));
    let file: PathBuf = builder.plugins().join(library_name("versioned"));
    put_version(&builder.plugins(), 1);
    let served = builder.serve_http();
    let mut client = served.http();
    client.initialize("2025-11-25");
    let reason = || health(&served.http(), "versioned").unwrap()["reason"].as_str().unwrap_or_default().to_owned();
    let missing = format!("it has no signature: put one beside it, as {}.minisig", library_name("versioned"));
    assert!(reason().contains(&missing), "{}", reason());
    let file = file.to_str().unwrap();
    assert!(host(&["sign", file, "--key", &path("other.key")]).status.success());
    eventually("the other key to be refused", || reason().contains("is not one by a key in").then_some(()));
    assert!(host(&["sign", file, "--key", &path("own.key")]).status.success());
    wait_for_state(&served, "versioned", "ready");
    assert_eq!(version(&client), version_text(1));
    assert_eq!(printed(&host(&["verify", file, "--key", &path("own.pub")])), format!("{file}: signed with this key\n"));
    assert!(!host(&["verify", file, "--key", &path("other.pub")]).status.success());
    // Another file under the old signature.
    put_version(&served.folder().join("plugins"), 2);
    eventually("the new file to be refused", || reason().contains("is not one by a key in").then_some(()));
    assert_eq!(version(&client), version_text(1));
}

#[test]
fn locked_definitions_are_served_when_they_are_approved() {
    let builder = versioned("[plugins.versioned]\ndefinitions = \"locked\"\n");
    let locked = run(&builder, &["lock"]);
    assert!(printed(&locked).trim().ends_with("mcp-host.lock"), "{}", printed(&locked));
    let host = builder.serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    assert_eq!(version(&client), version_text(1));
    // The words of one tool change with the version; the other's do not.
    put_version(&host.folder().join("plugins"), 2);
    eventually("the second version", || {
        let reply = client.ask(&call(1, "slow_version", json!({"ms": 0})));
        (text(&reply) == version_text(2)).then_some(())
    });
    let reply = client.ask(&call(1, "version", json!({})));
    assert_eq!(reply["error"]["code"], -32602, "{reply}");
    let problem = client.get("/health/detailed").json()["problems"][0].as_str().unwrap().to_owned();
    assert!(
        problem.starts_with("tool 'version' of plugin 'versioned' is withheld: its definition is not the one"),
        "{problem}"
    );
    let approve = |words: &[&str]| {
        let config = host.folder().join("config.toml");
        let mut command = Command::new(mcp_host_tests::artifact("mcp-host"));
        command.arg("approve").args(words).arg("--config").arg(config);
        command.arg("--plugins-dir").arg(host.folder().join("plugins")).stdin(Stdio::null());
        printed(&command.output().unwrap())
    };
    let shown = approve(&["versioned"]);
    assert!(shown.contains("    - Says its version, which is VERSION-000001."), "{shown}");
    assert!(shown.contains("    + Says its version, which is VERSION-000002."), "{shown}");
    assert!(shown.contains("nothing was approved"), "{shown}");
    assert!(approve(&["versioned", "--yes"]).ends_with("approved\n"));
    eventually("what was approved", || {
        let reply = client.ask(&call(1, "version", json!({})));
        (reply["result"]["content"][0]["text"] == version_text(2)).then_some(())
    });
}

#[test]
fn a_tool_that_fails_again_and_again_is_out_and_its_siblings_stay() {
    let config = format!("{FAST}[plugins.guest]\nmax_faults = 3\nretry_after = \"2s\"\n");
    let host = Host::with(&["guest", "hello"]).config(&config).serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let mut news = client.get_stream(None);
    for _ in 0..3 {
        let reply = client.ask(&call(1, "panics", json!({"secret": "s"})));
        assert_eq!(reply["error"]["message"], "plugin 'guest' failed: it panicked");
    }
    assert_eq!(news.next_message()["method"], "notifications/tools/list_changed");
    let reply = client.ask(&call(1, "panics", json!({"secret": "s"})));
    assert!(reply["error"]["message"].as_str().unwrap().starts_with("unknown tool 'panics'"), "{reply}");
    assert_eq!(text(&client.ask(&call(1, "works", json!({})))), "works");
    let guest = health(&client, "guest").unwrap();
    assert_eq!(
        (&guest["state"], &guest["reason"]),
        (&json!("ready"), &json!("tool 'panics' is out: it panicked; it is tried again"))
    );
    // It is tried again; the first fault takes it out at once, for longer.
    assert_eq!(news.next_message()["method"], "notifications/tools/list_changed");
    let reply = client.ask(&call(1, "panics", json!({"secret": "s"})));
    assert_eq!(reply["error"]["message"], "plugin 'guest' failed: it panicked");
    assert_eq!(news.next_message()["method"], "notifications/tools/list_changed");
    assert!(!client.ask(&request(2, "tools/list", json!({}))).to_string().contains("\"panics\""));
}

#[test]
fn a_plugin_with_too_many_versions_goes_to_a_worker() {
    let host = versioned("[plugins.versioned]\nmax_resident = 2\n").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    for number in 2..5 {
        put_version(&host.folder().join("plugins"), number);
        eventually("the next version", || (version(&client) == version_text(number)).then_some(()));
    }
    let told = health(&client, "versioned").unwrap();
    assert_eq!((&told["isolation"], &told["resident_generations"]), (&json!("worker"), &json!(2)));
    host.wait_for_log("the next one goes to a worker process");
}

#[test]
fn an_old_version_that_comes_back_starts_in_an_image_of_its_own() {
    let host = versioned("").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    for number in [2, 1, 2, 1] {
        put_version(&host.folder().join("plugins"), number);
        eventually("the version", || (version(&client) == version_text(number)).then_some(()));
    }
    let maps = fs::read_to_string(format!("/proc/{}/maps", host.id())).unwrap();
    let mut images: Vec<&str> = maps.lines().filter(|line| line.contains("staged")).collect();
    images.retain(|line| line.contains(" r-xp ") || line.contains("r-xp"));
    assert_eq!(images.len(), 1 + 5, "one image for each generation, and that of the other plugin");
}

#[test]
fn a_copy_that_was_swapped_after_the_check_is_never_loaded() {
    let host = versioned("").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    // Whoever may write into the private folder changes what was staged: it is made anew from what was judged.
    let staged = host.folder().join("state/staged");
    for file in fs::read_dir(&staged).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    put_version(&host.folder().join("plugins"), 2);
    eventually("the second version", || (version(&client) == version_text(2)).then_some(()));
    let builder = host.kill();
    for file in fs::read_dir(&staged).unwrap() {
        fs::write(file.unwrap().path(), "something else").unwrap();
    }
    let again = builder.serve_http();
    let mut client = again.http();
    client.initialize("2025-11-25");
    assert_eq!(version(&client), version_text(2));
}
