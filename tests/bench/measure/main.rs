//! All that is measured, in one program: what serving costs beside others (`compare`), what one call takes (`worker-cost`,
//! `echo-path`), and what swaps and long use leave behind (`swaps`, `endurance`). `measure WHAT [WORD]...`; each says itself which
//! words it takes.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(clippy::print_stdout, reason = "it prints its figures")]
#![allow(clippy::disallowed_types, reason = "it measures real time")]

mod compare;
mod curve;
mod echo_path;
mod endurance;
mod peers;
mod swaps;
mod worker_cost;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (what, words) = words.split_first().unwrap_or_else(|| panic!("measure {WHAT}"));
    match what.as_str() {
        "compare" => compare::run(words),
        "worker-cost" => worker_cost::run(words),
        "swaps" => swaps::run(words),
        "endurance" => endurance::run(words),
        "echo-path" => echo_path::run(words),
        "peer" => peers::run(words),
        other => panic!("there is no '{other}' to measure: measure {WHAT}"),
    }
}

const WHAT: &str = "compare|worker-cost|swaps|endurance|echo-path|peer";
