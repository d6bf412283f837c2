//! Processes that are measured: pinned, and asked what they have used.

use std::fs;
use std::process::Child;

/// Where a process may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A server: processor 0, or those that `BENCH_SERVER_CPUS` lists.
    Servers,
    /// The load: processor 1, or those that `BENCH_LOAD_CPUS` lists.
    Load,
}

/// Pins this thread, and what it starts from now on. On a machine with one processor all share it.
pub fn pin(place: Place) {
    let (variable, default) = match place {
        Place::Servers => ("BENCH_SERVER_CPUS", "0"),
        Place::Load => ("BENCH_LOAD_CPUS", "1"),
    };
    let listed = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let mut set = rustix::thread::CpuSet::new();
    for processor in listed.split(',') {
        set.set(processor.trim().parse().unwrap());
    }
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// CPU seconds that a process and its children have used so far.
#[must_use]
pub fn cpu_seconds(process: &Child) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let family = family(process.id());
    family.iter().filter_map(|id| stat(*id)).map(|stat| (stat.user + stat.system) / TICKS_PER_SECOND).sum()
}

/// KiB that a process has resident, and of these those that are its own.
#[must_use]
pub fn memory_kib(process: &Child) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (of("VmRSS:"), of("RssAnon:"))
}

struct Stat {
    parent: u32,
    user: f64,
    system: f64,
}

fn stat(id: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    Some(Stat { parent: fields[1].parse().ok()?, user: fields[11].parse().ok()?, system: fields[12].parse().ok()? })
}

/// A process and those that it has started.
fn family(leader: u32) -> Vec<u32> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| *id == leader || stat(*id).is_some_and(|stat| stat.parent == leader)).collect()
}
