//! What serving costs, against a bare handler and a server of the official Rust SDK, in the same run. `docs/performance.md`
//! says what is measured, and how to read it.
//!
//! `measure compare WHAT [REQUESTS] [ROUNDS] [FOLDER]`, where WHAT is `http`, `stdio`, `boundary`, `start`, `growth`, or `all`, prints
//! tables, writes `compare.json` and `compare.svg` to the folder, and fails where a limit is passed.

mod boundary;
mod growth;
mod http;
mod plot;
mod report;
mod server;
mod start;
mod stdio;

use report::Report;
use std::path::PathBuf;

pub(crate) fn run(words: &[String]) {
    let what = words.first().map_or("all", String::as_str);
    let number = |index: usize, default: usize| words.get(index).map_or(default, |word| word.parse().unwrap());
    let (requests, rounds) = (number(1, 100_000), number(2, 5));
    let mut report = Report::default();
    let is_asked = |part| what == part || what == "all";
    assert!(["http", "stdio", "boundary", "start", "growth", "all"].contains(&what), "there is no '{what}' to compare");
    if is_asked("http") {
        http::compare(&mut report, requests, rounds);
    }
    if is_asked("stdio") {
        stdio::compare(&mut report, requests / 10, rounds);
    }
    if is_asked("boundary") {
        boundary::compare(&mut report, requests * 10, rounds);
    }
    if is_asked("start") {
        start::compare(&mut report, rounds.max(5) * 4);
    }
    if is_asked("growth") {
        growth::compare(&mut report, requests, rounds);
    }
    if let Some(folder) = words.get(3).map(PathBuf::from) {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("compare.json"), report.to_json()).unwrap();
        if !report.lines.is_empty() {
            std::fs::write(folder.join("compare.svg"), plot::bars(&report)).unwrap();
        }
    }
    report.judge();
}
