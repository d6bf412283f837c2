//! Processes that are measured: pinned, and asked what they have used.

#![allow(unsafe_code, reason = "the clock of another process is the C library's to find")]

use std::fs;
use std::process::Child;

/// Where a process may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A server: processor 0, or those that `BENCH_SERVER_CPUS` lists.
    Servers,
    /// The load: processor 1, or those that `BENCH_LOAD_CPUS` lists.
    Load,
    /// On any processor, as where nobody pins anything.
    Anywhere,
}

/// Pins this thread, and what it starts from now on.
///
/// # Panics
/// Where the machine lacks the processors.
pub fn pin(place: Place) {
    let mut set = rustix::thread::CpuSet::new();
    let (variable, default) = match place {
        Place::Servers => ("BENCH_SERVER_CPUS", "0"),
        Place::Load => ("BENCH_LOAD_CPUS", "1"),
        Place::Anywhere => {
            (0..rustix::thread::CpuSet::MAX_CPU).for_each(|processor| set.set(processor));
            let _ = rustix::thread::sched_setaffinity(None, &set);
            return;
        }
    };
    let listed = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    for processor in listed.split(',') {
        set.set(processor.trim().parse().unwrap());
    }
    rustix::thread::sched_setaffinity(None, &set)
        .unwrap_or_else(|error| panic!("no thread runs on processor {listed}: {error}; {variable} names another one"));
}

/// CPU seconds that a process and its children have used so far.
///
/// # Panics
/// Where the process is gone.
#[must_use]
pub fn cpu_seconds(process: &Child) -> f64 {
    family(process.id()).into_iter().filter_map(seconds_of).sum()
}

/// Of one process, exactly; what `/proc` tells of it is cut to hundredths of a second.
fn seconds_of(process: u32) -> Option<f64> {
    let mut clock = 0;
    // SAFETY: the clock is written to a place of its own.
    let found = unsafe { libc::clock_getcpuclockid(process.cast_signed(), &raw mut clock) };
    if found != 0 {
        return None;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is written to a place of its own.
    let read = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (read == 0).then_some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// CPU seconds that this thread has used so far.
#[must_use]
pub fn own_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
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

/// A process and those that it has started.
fn family(leader: u32) -> Vec<u32> {
    let parent = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| *id == leader || parent(*id) == Some(leader)).collect()
}
