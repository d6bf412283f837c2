//! What was measured: told as tables, written as JSON, and held to its bounds.

use mcp_host_bench::median;
use serde_json::{Value, json};

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) lines: Vec<Line>,
    figures: Vec<Figure>,
}

/// What one server has shown in one kind of load.
pub(crate) struct Line {
    pub(crate) load: String,
    pub(crate) server: &'static str,
    /// CPU seconds for 100,000 answers, of each round.
    pub(crate) cpu: Vec<f64>,
    /// The same as ratios to the floor of that round.
    pub(crate) ratio: Vec<f64>,
    /// Answers in a second.
    pub(crate) rate: Vec<f64>,
    pub(crate) p50: Vec<f64>,
    pub(crate) p99: Vec<f64>,
    /// The part of its time that the load was busy.
    pub(crate) busy: Vec<f64>,
}

/// Something else, and its bounds.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    bound: Bound,
}

/// What a figure is held to: the goal that is said to users, and, further out, what no run may go beyond, since machines are
/// noisy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    /// It is told, and that is all.
    None,
    /// At most so much.
    AtMost { goal: f64, limit: f64 },
    /// At least so much.
    AtLeast { goal: f64, limit: f64 },
}

impl Report {
    pub(crate) fn say(&mut self, name: impl Into<String>, value: f64, unit: &'static str, bound: Bound) {
        let name = name.into();
        let goal = match bound {
            Bound::None => String::new(),
            Bound::AtMost { goal, .. } => format!(", goal at most {goal}"),
            Bound::AtLeast { goal, .. } => format!(", goal at least {goal}"),
        };
        println!("{name}: {value:.3}{}{unit}{goal}", if unit.is_empty() { "" } else { " " });
        self.figures.push(Figure { name, value, unit, bound });
    }

    /// The lines of a kind of load, as a table.
    pub(crate) fn print(&self, load: &str) {
        println!("\n{load}\n\n| | CPU s per 100,000 | ratio to the floor | per second | p50 µs | p99 µs | load busy |");
        println!("|---|---|---|---|---|---|---|");
        for line in self.lines.iter().filter(|line| line.load == load) {
            let [cpu, ratio, rate, p50, p99, busy] = line.medians();
            println!("| {} | {cpu:.2} | {ratio:.2} | {rate:.0} | {p50:.0} | {p99:.0} | {busy:.2} |", line.server);
        }
        println!();
    }

    pub(crate) fn line(&self, load: &str, server: &str) -> &Line {
        self.lines.iter().find(|line| line.load == load && line.server == server).unwrap()
    }

    pub(crate) fn to_json(&self) -> String {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                json!({
                    "load": line.load, "server": line.server, "cpu_seconds_per_100000": line.cpu, "ratio": line.ratio,
                    "per_second": line.rate, "p50_us": line.p50, "p99_us": line.p99, "load_busy": line.busy,
                })
            })
            .collect();
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|Figure { name, value, unit, bound }| {
                let goal = match bound {
                    Bound::None => Value::Null,
                    Bound::AtMost { goal, .. } => json!({"at_most": goal}),
                    Bound::AtLeast { goal, .. } => json!({"at_least": goal}),
                };
                json!({"name": name, "value": value, "unit": unit, "goal": goal})
            })
            .collect();
        let machine = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = machine.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let machine = json!({"model": model, "processors": processors});
        serde_json::to_string_pretty(&json!({"machine": machine, "loads": lines, "figures": figures})).unwrap()
    }

    /// Says which goals are missed.
    ///
    /// # Panics
    /// Where a figure is beyond its limit.
    pub(crate) fn judge(&self) {
        let mut beyond = Vec::new();
        for Figure { name, value, bound, .. } in &self.figures {
            let (is_met, is_kept, goal) = match *bound {
                Bound::None => continue,
                Bound::AtMost { goal, limit } => (*value <= goal, *value <= limit, goal),
                Bound::AtLeast { goal, limit } => (*value >= goal, *value >= limit, goal),
            };
            if !is_met {
                println!("missed: {name} is {value:.3}, the goal is {goal}");
            }
            if !is_kept {
                beyond.push(name.as_str());
            }
        }
        assert!(beyond.is_empty(), "beyond their limits: {beyond:?}");
    }
}

impl Line {
    pub(crate) fn new(load: String, server: &'static str) -> Self {
        let [cpu, ratio, rate, p50, p99, busy] = [const { Vec::new() }; 6];
        Self { load, server, cpu, ratio, rate, p50, p99, busy }
    }

    /// CPU seconds, ratio, rate, p50, p99 and how busy the load was.
    pub(crate) fn medians(&self) -> [f64; 6] {
        [&self.cpu, &self.ratio, &self.rate, &self.p50, &self.p99, &self.busy].map(|figures| median(figures.clone()))
    }
}
