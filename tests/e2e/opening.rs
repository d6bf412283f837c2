//! What may be opened at all, and what it may do meanwhile: harm is found before it reaches the host, and only files and
//! definitions that somebody vouches for are served where that is said. No library here may harm the machine that tests it.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{
    FAST, Host, HostBuilder, System, call, compile_c, eventually, health, host_program, in_worker, library_name,
    processes_of, put, put_version, system, text, version, version_bytes, version_text, versioned, wait_for_state,
};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

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
fn a_program_checks_what_another_build_has_checked_and_remembers_it() {
    let builder = Host::with(&["hello"]);
    let book = builder.folder_path().join("state/plugins/verdicts.json");
    let program = || {
        let written: Value = serde_json::from_slice(&fs::read(&book).ok()?).ok()?;
        written["verdicts"].as_object()?.values().next().map(|verdict| verdict["program"].clone())
    };
    let first = builder.serve_http();
    let own = program().unwrap();
    assert!(own["number"].is_u64(), "{own}");
    let builder = first.kill();
    // As if another build had written it.
    let mut written: Value = serde_json::from_slice(&fs::read(&book).unwrap()).unwrap();
    written["verdicts"]
        .as_object_mut()
        .unwrap()
        .values_mut()
        .for_each(|verdict| verdict["program"]["number"] = json!(1));
    fs::write(&book, written.to_string()).unwrap();
    let host = builder.serve_http();
    let mut client = host.http();
    client.initialize("2025-11-25");
    assert_eq!(text(&client.ask(&call(1, "greet", json!({"name": "you"})))), "Hello, you!");
    eventually("its own verdict", || program().filter(|it| *it == own));
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
