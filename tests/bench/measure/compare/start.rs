//! How long it takes from the start of the process to its first answer over stdio.

use super::report::{Bound, Report};
use super::server::{built, command};
use mcp_host_bench::median;
use mcp_host_bench::process::{self, Place};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// After this a host takes a file that has not changed for settled.
const SETTLED: Duration = Duration::from_secs(4);

/// A folder with as many plugins, each a file of its own with a name of its own.
fn folder(plugins: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for number in 0..plugins {
        let bytes = mcp_host_tests::version_bytes(number);
        let name = format!("plugin{number}.so");
        fs::write(folder.path().join("plugins").join(&name), renamed(&bytes, number)).unwrap();
    }
    folder
}

/// The bytes of a library, whose plugin has another name of the same length.
fn renamed(bytes: &[u8], number: usize) -> Vec<u8> {
    let name = format!("plug{number:05}");
    let mut bytes = bytes.to_vec();
    assert_eq!(name.len(), "versioned".len());
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, "versioned").collect();
    assert!(!places.is_empty(), "the library says its name");
    for place in places {
        bytes[place..place + name.len()].copy_from_slice(name.as_bytes());
    }
    bytes
}

/// Milliseconds to the first answer.
fn first_answer(mut command: Command) -> f64 {
    let began = Instant::now();
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let request = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
    input.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(line.contains(r#""protocolVersion":"2025-11-25""#), "{line}");
    drop(input);
    process.wait().unwrap();
    took
}

/// Milliseconds to the first bytes that the program prints when it does nothing else.
fn first_word() -> f64 {
    let mut command = Command::new(built().join("mcp-host"));
    let began = Instant::now();
    let mut process = command.arg("--version").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(line.starts_with("mcp-host "), "{line}");
    process.wait().unwrap();
    took
}

fn host(folder: &Path) -> Command {
    command(folder, &format!("state_dir = {:?}\n[log]\nfilter = \"off\"\n", folder.join("state")))
}

pub(crate) fn compare(report: &mut Report, rounds: usize) {
    process::pin(Place::Anywhere);
    let counts = [0, 10, 100];
    let folders = counts.map(folder);
    // The verdicts of the probe are kept from the first start, and what files are from the first one that they have not changed
    // for a while before.
    let first = folders.each_ref().map(|folder| first_answer(host(folder.path())));
    let written = Instant::now();
    while written.elapsed() < SETTLED {
        for folder in &folders {
            let _ = first_answer(host(folder.path()));
        }
    }
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        times[0].push(first_word());
        for (folder, times) in folders.iter().zip(&mut times[1..]) {
            times.push(first_answer(host(folder.path())));
        }
    }
    let [bare, none, ten, hundred] = times.map(median);
    report.say("first word of the bare program", bare, "ms", Bound::None);
    report.say("first answer without plugins", none, "ms", Bound::None);
    report.say("first answer with 10 plugins that were never seen", first[1], "ms", Bound::None);
    report.say("first answer with 10 plugins that are known", ten, "ms", Bound::None);
    report.say("first answer with 100 plugins that are known", hundred, "ms", Bound::None);
    let beyond = ten - bare;
    report.say(
        "first answer with 10 plugins that are known, beyond the bare program",
        beyond,
        "ms",
        Bound::AtMost { goal: 10.0, limit: 60.0 },
    );
}
