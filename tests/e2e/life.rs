//! The life of a plugin while the host serves: found, replaced, followed, taken out, retired. What may be opened at all is in
//! `opening`.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{
    FAST, Host, Http, System, call, compile_c, eventually, health, in_worker, library_name, plugin_file, put,
    put_version, request, stateless_call, system, text, version, version_bytes, version_text, versioned,
    wait_for_state,
};
use serde_json::json;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

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
fn a_folder_that_takes_the_place_of_another_is_followed() {
    let host = versioned("").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let (folder, other, old) = (host.folder().join("plugins"), host.folder().join("other"), host.folder().join("old"));
    // As many as there are ways: another one is moved to where it was, or it is made anew.
    fs::create_dir(&other).unwrap();
    put_version(&other, 2);
    fs::rename(&folder, &old).unwrap();
    fs::rename(&other, &folder).unwrap();
    // Meanwhile there may be none.
    let told = || client.ask(&call(1, "version", json!({})))["result"]["content"][0]["text"].clone();
    let serves = |number| move || (told() == version_text(number)).then_some(());
    eventually("the second version", serves(2));
    fs::remove_dir_all(&folder).unwrap();
    eventually("its end", || health(&client, "versioned").is_none().then_some(()));
    fs::create_dir(&folder).unwrap();
    put_version(&folder, 3);
    eventually("the third version", serves(3));
    put_version(&folder, 4);
    eventually("the fourth version", serves(4));
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
fn a_version_that_is_no_plugin_leaves_the_old_one() {
    let host = versioned("").serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let built = tempfile::tempdir().unwrap();
    let library = built.path().join("library.so");
    compile_c("int answer(void) { return 42; }", &library, &[]);
    put(&host.folder().join("plugins"), &library_name("versioned"), &fs::read(&library).unwrap());
    let told = eventually("the refusal", || health(&client, "versioned").filter(|it| it["reason"].is_string()));
    let reason = told["reason"].as_str().unwrap();
    assert_eq!(reason, "its newest file is refused, the one before is served: it is a library, but no plugin");
    assert_eq!(version(&client), version_text(1));
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
fn what_is_served_is_heard_while_another_version_loads() {
    let config = format!("{FAST}[plugins.guest]\nmax_faults = 3\nretry_after = \"1h\"\n");
    let builder = Host::with(&["guest"]).config(&config);
    let file = builder.folder_path().join("config.toml");
    let host = builder.serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    let text_of = fs::read_to_string(&file).unwrap();
    // The next one does not return from its start, for as long as it may.
    fs::write(&file, format!("{text_of}[plugins.guest.config]\nstart = \"hang\"\n")).unwrap();
    let images = || {
        let maps = fs::read_to_string(format!("/proc/{}/maps", host.id())).unwrap();
        (maps.lines().filter(|line| line.contains("staged") && line.contains("r-xp")).count() == 2).then_some(())
    };
    eventually("the opening of the next one", images);
    for _ in 0..3 {
        let reply = client.ask(&call(1, "panics", json!({"secret": "s"})));
        assert_eq!(reply["error"]["message"], "plugin 'guest' failed: it panicked");
    }
    let list = || client.ask(&request(2, "tools/list", json!({}))).to_string();
    eventually("the end of what fails", || (!list().contains("\"panics\"")).then_some(()));
    assert_eq!(text(&client.ask(&call(1, "works", json!({})))), "works");
    // The other one still loads: it is neither served nor refused.
    let guest = health(&client, "guest").unwrap();
    assert_eq!(
        (&guest["generation"], guest["reason"].as_str()),
        (&json!(1), Some("tool 'panics' is out: it panicked; it is tried again"))
    );
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
