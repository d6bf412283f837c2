//! A host that is killed at any moment under load, and started again: what was acknowledged must be there.

use crate::{Host, Tasks, eventually, stateless_call, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// How often the host was killed.
    pub rounds: usize,
    /// Calls that were answered.
    pub answered: usize,
    /// Tasks whose name a client got.
    pub acknowledged: usize,
    /// Those that have their result.
    pub completed: usize,
    /// Of these, those that were run more than once, as their tool allows.
    pub run_again: usize,
    /// Those that were failed because a restart came before their end, as their tool says.
    pub failed_by_restart: usize,
    /// Those that were cancelled, and stayed so.
    pub cancelled: usize,
    /// What was lost, done twice or is in a wrong state. Nothing should be here.
    pub lost: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, answered, acknowledged, completed, run_again, failed_by_restart, cancelled, lost } = self;
        writeln!(formatter, "rounds of load, kill -9 and restart   {rounds}")?;
        writeln!(formatter, "calls answered                        {answered}")?;
        writeln!(formatter, "tasks acknowledged                    {acknowledged}")?;
        writeln!(formatter, "  completed                           {completed}")?;
        writeln!(formatter, "    of these run more than once       {run_again}")?;
        writeln!(formatter, "  failed by a restart, as declared    {failed_by_restart}")?;
        writeln!(formatter, "  cancelled                           {cancelled}")?;
        writeln!(formatter, "lost, done twice or in a wrong state  {}", lost.len())?;
        lost.iter().try_for_each(|lost| writeln!(formatter, "  {lost}"))
    }
}

/// What a client knows of a task that was acknowledged.
#[derive(Debug, Clone)]
struct Known {
    tool: &'static str,
    file: PathBuf,
    /// The last end that a client was told of.
    seen: Option<String>,
    /// Whether its cancellation was asked for, and whether that was answered.
    cancel: Cancel,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cancel {
    No,
    Asked,
    Answered,
}

const TO: u64 = 12;

/// Runs the load, kills the host, starts it again, so many times; looks at everything at the end.
#[must_use]
pub fn run(rounds: usize) -> Report {
    let mut report = Report { rounds, ..Report::default() };
    let config = "[tasks]\nmax_tasks = 1000000\nmax_per_client = 1000000";
    let mut host = Host::with(&["worker", "hello"]).config(config).serve_http();
    let known: Mutex<BTreeMap<String, Known>> = Mutex::default();
    let (answered, numbers) = (AtomicUsize::new(0), AtomicU64::new(0));
    for round in 0..rounds {
        let stop = AtomicBool::new(false);
        let files = host.folder().join("files");
        fs::create_dir_all(&files).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (http, files, known, stop, answered, numbers) =
                    (host.http(), &files, &known, &stop, &answered, &numbers);
                scope.spawn(move || load(&Tasks::stateless(http), worker, files, (known, stop, answered, numbers)));
            }
            // Some moment: not the same one in each round, and no two runs alike.
            let moment = 40 + (round as u64 * 7919 + u64::from(std::process::id())) % 400;
            std::thread::sleep(Duration::from_millis(moment));
            host.stop_now();
            stop.store(true, Ordering::Relaxed);
        });
        host = host.kill().serve_http();
        check_seen(&Tasks::stateless(host.http()), &known, &mut report);
    }
    report.answered = answered.load(Ordering::Relaxed);
    settle(&Tasks::stateless(host.http()), &known.into_inner().unwrap(), &mut report);
    report
}

type Shared<'a> = (&'a Mutex<BTreeMap<String, Known>>, &'a AtomicBool, &'a AtomicUsize, &'a AtomicU64);

/// Calls, tasks that may be run again and tasks that may not, and a cancellation now and then.
fn load(tasks: &Tasks, worker: u64, files: &Path, (known, stop, answered, numbers): Shared<'_>) {
    while !stop.load(Ordering::Relaxed) {
        // Enough to be hit by every kill, and not so much that looking at all of it takes for ever.
        std::thread::sleep(Duration::from_millis(10));
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let request = stateless_call(number, "greet", json!({"name": number.to_string()}));
        let headers = tasks.http.stateless_headers(&request);
        if let Ok((200, reply)) = tasks.http.outcome("/mcp", &headers, &request) {
            assert_eq!(text(&reply), format!("Hello, {number}!"));
            answered.fetch_add(1, Ordering::Relaxed);
        }
        let tool = if number.is_multiple_of(2) { "count" } else { "count_once" };
        let file = files.join(number.to_string());
        let arguments = json!({"to": TO, "file": file, "pause_ms": 5 + worker * 10});
        let Some(id) = tasks.try_begin(tool, &arguments) else {
            continue;
        };
        known.lock().unwrap().insert(id.clone(), Known { tool, file, seen: None, cancel: Cancel::No });
        if number.is_multiple_of(7) {
            let cancel =
                |is: Cancel| drop(known.lock().unwrap().entry(id.clone()).and_modify(|known| known.cancel = is));
            cancel(Cancel::Asked);
            if tasks.try_ask("tasks/cancel", json!({"taskId": id})).is_some_and(|reply| reply["result"].is_object()) {
                cancel(Cancel::Answered);
            }
        }
        if let Some(reply) = tasks.try_ask("tasks/get", json!({"taskId": id})) {
            note(known, &id, &reply["result"]);
        }
    }
}

/// Notes an end that a client was told of.
fn note(known: &Mutex<BTreeMap<String, Known>>, id: &str, task: &Value) {
    let status = task["status"].as_str().unwrap_or_default();
    if matches!(status, "completed" | "failed" | "cancelled") {
        known.lock().unwrap().entry(id.to_owned()).and_modify(|known| known.seen = Some(status.to_owned()));
    }
}

/// Every task is there that had not ended when it was last seen; the ends that were told are looked at in the end.
fn check_seen(tasks: &Tasks, known: &Mutex<BTreeMap<String, Known>>, report: &mut Report) {
    let before = known.lock().unwrap().clone();
    for id in before.into_iter().filter(|(_, was)| was.seen.is_none()).map(|(id, _)| id) {
        let reply = tasks.ask("tasks/get", json!({"taskId": id}));
        if !reply["result"]["status"].is_string() {
            report.lost.push(format!("{id} is gone: {reply}"));
        }
        note(known, &id, &reply["result"]);
    }
}

/// Waits until all have ended, and looks what was done.
fn settle(tasks: &Tasks, known: &BTreeMap<String, Known>, report: &mut Report) {
    report.acknowledged = known.len();
    for (id, Known { tool, file, seen, cancel }) in known {
        let task = eventually("the end of a task", || {
            let task = tasks.get(id);
            (task["status"] != "working").then_some(task)
        });
        if seen.as_deref().is_some_and(|seen| task["status"] != seen) {
            report.lost.push(format!("{id} was {seen:?} and is {task}"));
        }
        let written = fs::read_to_string(file).unwrap_or_default();
        let (begins, ends) = (written.matches("begin").count(), written.matches("end").count());
        let told = format!("{id} ({tool}): {task}, {begins} begins, {ends} ends");
        // A step that was kept is not done again; the one that was being kept when the host was killed may be.
        let doubled = (0..TO).filter(|number| written.lines().filter(|line| *line == number.to_string()).count() > 1);
        if doubled.count() > begins.saturating_sub(1) {
            report.lost.push(format!("steps that were kept were done again: {told}"));
        }
        match task["status"].as_str() {
            // It was answered, so it had ended before or is cancelled.
            Some(status) if *cancel == Cancel::Answered && status != "cancelled" && begins > 1 => {
                report.lost.push(format!("run again though it was cancelled: {told}"));
            }
            Some("completed") => {
                report.completed += 1;
                report.run_again += usize::from(begins > 1);
                let is_whole = (0..TO).all(|number| written.lines().any(|line| line == number.to_string()));
                if ends == 0 || !is_whole {
                    report.lost.push(format!("not done: {told}"));
                }
            }
            Some("failed") if *tool == "count_once" => {
                report.failed_by_restart += 1;
                if !task["error"]["message"].as_str().unwrap_or_default().starts_with("the host was restarted") {
                    report.lost.push(format!("failed by something else: {told}"));
                }
            }
            Some("cancelled") if *cancel != Cancel::No => report.cancelled += 1,
            _ => report.lost.push(told.clone()),
        }
        if *tool == "count_once" && begins > 1 {
            report.lost.push(format!("run twice: {told}"));
        }
    }
}
