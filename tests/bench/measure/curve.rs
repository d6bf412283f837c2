//! What a process has over time: kept, told, drawn, and held to be flat.

use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::time::Duration;

/// What a process has at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

/// What it has over time, in parts.
#[derive(Default)]
pub(crate) struct Curve {
    samples: Mutex<Vec<Sample>>,
    parts: Mutex<Vec<(&'static str, Duration)>>,
}

/// What is watched: its name, its unit, how it is read of a sample, and by how much it may differ at all.
type Watched = (&'static str, &'static str, fn(&Sample) -> u64, u64);

const MEMORY: Watched = ("resident memory", "MiB", |sample| sample.resident_kib / 1024, 16);
const DESCRIPTORS: Watched = ("descriptors", "", |sample| sample.descriptors, 24);
const THREADS: Watched = ("threads", "", |sample| sample.threads, 8);
const WATCHED: [Watched; 3] = [MEMORY, DESCRIPTORS, THREADS];

/// Threads for work that blocks: tokio's for the host, those of the three plugins, and some beside that compute.
const POOLS: u64 = 512 + 3 * 64 + 64;

/// By how much the end of a part may be above its beginning, as a ratio.
const GROWTH: f64 = 1.25;

impl Curve {
    pub(crate) fn add(&self, sample: Sample) {
        self.samples.lock().unwrap().push(sample);
    }

    pub(crate) fn begin(&self, part: &'static str, at: Duration) {
        self.parts.lock().unwrap().push((part, at));
    }

    /// The samples of a part.
    fn part(&self, name: &str) -> Vec<Sample> {
        let parts = self.parts.lock().unwrap();
        let at = parts.iter().position(|(part, _)| *part == name).unwrap();
        let end = parts.get(at + 1).map_or(Duration::MAX, |(_, end)| *end);
        let samples = self.samples.lock().unwrap();
        samples.iter().filter(|sample| sample.at >= parts[at].1 && sample.at < end).copied().collect()
    }

    /// Holds the last quarter of a part to its second one: the first is warming up. Threads are not held to that: how many wait
    /// for the disk at a time is the disk's.
    pub(crate) fn assert_flat(&self, name: &str) {
        let samples = self.part(name);
        let quarter = samples.len() / 4;
        assert!(quarter > 2, "{name}: {} samples say nothing", samples.len());
        for (what, unit, read, slack) in [MEMORY, DESCRIPTORS] {
            let (early, late) = (median(&samples[quarter..2 * quarter], read), median(&samples[3 * quarter..], read));
            println!("{name}: {what} {early} {unit} in the second quarter, {late} {unit} in the last");
            let bound = ((early as f64 * GROWTH) as u64).max(early + slack);
            assert!(late <= bound, "{what} has grown from {early} to {late} {unit}");
        }
    }

    /// Holds threads of a part to what their pools may have. How many of them wait for the disk at a time is the disk's.
    pub(crate) fn assert_bounded(&self, name: &str) {
        let most = self.part(name).iter().map(|sample| sample.threads).max().unwrap_or_default();
        println!("{name}: at most {most} threads, {POOLS} in all pools");
        assert!(most <= POOLS, "there were {most} threads, more than the {POOLS} of all pools");
    }

    /// Holds the end of a part, in which nothing is done, to how everything began: what is left behind would still be there.
    pub(crate) fn assert_back(&self, name: &str) {
        let samples = self.part(name);
        assert!(samples.len() > 12, "{name}: {} samples say nothing", samples.len());
        let first = self.samples.lock().unwrap()[0];
        for (what, _, read, slack) in [DESCRIPTORS, THREADS] {
            let (before, after) = (read(&first), median(&samples[3 * samples.len() / 4..], read));
            println!("{name}: {what} {after}, {before} at the very beginning");
            assert!(after <= before + slack, "{what} were {before}, and are {after} when nothing is done any more");
        }
    }

    /// A picture: a panel for each that is watched, with the parts marked.
    pub(crate) fn to_svg(&self) -> String {
        const WIDTH: f64 = 900.0;
        const HEIGHT: f64 = 150.0;
        const LEFT: f64 = 60.0;
        const GAP: f64 = 45.0;
        let samples = self.samples.lock().unwrap();
        let end = samples.last().map_or(1.0, |sample| sample.at.as_secs_f64());
        let x = |at: Duration| LEFT + at.as_secs_f64() / end * (WIDTH - LEFT - 10.0);
        let total = (HEIGHT + GAP) * WATCHED.len() as f64 + 20.0;
        let mut svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>"#
        );
        for (panel, (what, unit, read, _)) in WATCHED.into_iter().enumerate() {
            let top = 25.0 + panel as f64 * (HEIGHT + GAP);
            let most = samples.iter().map(read).max().unwrap_or(1).max(1) as f64 * 1.1;
            let y = |value: u64| top + HEIGHT - value as f64 / most * HEIGHT;
            let _ = write!(
                svg,
                r#"<text x="{LEFT}" y="{:.0}">{what}{}</text>"#,
                top - 6.0,
                if unit.is_empty() { String::new() } else { format!(", {unit}") }
            );
            let _ = write!(
                svg,
                r##"<rect x="{LEFT}" y="{top}" width="{}" height="{HEIGHT}" fill="none" stroke="#999"/>"##,
                WIDTH - LEFT - 10.0
            );
            for value in [0.0, most / 2.0, most] {
                let at = y(value as u64);
                let _ = write!(
                    svg,
                    r#"<text x="{}" y="{:.0}" text-anchor="end">{:.0}</text>"#,
                    LEFT - 6.0,
                    at + 4.0,
                    value
                );
            }
            // At most some 900 points: the picture has no more.
            let every = (samples.len() / 900).max(1);
            let points: Vec<String> =
                samples.iter().step_by(every).map(|it| format!("{:.1},{:.1}", x(it.at), y(read(it)))).collect();
            let _ = write!(
                svg,
                r##"<polyline points="{}" fill="none" stroke="#2a6fb0" stroke-width="1.5"/>"##,
                points.join(" ")
            );
            for (place, (part, at)) in self.parts.lock().unwrap().iter().enumerate() {
                let _ = write!(
                    svg,
                    r##"<line x1="{0:.1}" x2="{0:.1}" y1="{top}" y2="{1:.1}" stroke="#c66" stroke-dasharray="3 3"/>"##,
                    x(*at),
                    top + HEIGHT
                );
                // One below the other, because short parts stand close; to the left where there is no room.
                let is_late = x(*at) > WIDTH - 100.0;
                let (label, anchor) = if is_late { (x(*at) - 3.0, "end") } else { (x(*at) + 3.0, "start") };
                let _ = write!(
                    svg,
                    r##"<text x="{label:.1}" y="{:.1}" text-anchor="{anchor}" fill="#a44" font-size="10">{part}</text>"##,
                    top + 11.0 + 11.0 * place as f64
                );
            }
            let _ = write!(
                svg,
                r#"<text x="{LEFT}" y="{:.0}">0</text><text x="{:.0}" y="{:.0}" text-anchor="end">{:.0} minutes</text>"#,
                top + HEIGHT + 14.0,
                WIDTH - 10.0,
                top + HEIGHT + 14.0,
                end / 60.0
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn median(samples: &[Sample], read: fn(&Sample) -> u64) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(read).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

impl fmt::Display for Curve {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.parts.lock().unwrap().iter().map(|(part, _)| *part).collect();
        for name in names {
            let samples = self.part(name);
            if let (Some(first), Some(last)) = (samples.first(), samples.last()) {
                let peak = samples.iter().map(|sample| sample.resident_kib).max().unwrap_or_default();
                let mib = |kib: u64| kib / 1024;
                writeln!(
                    formatter,
                    "{name}: memory {} to {} MiB, at most {}; descriptors {} to {}; threads {} to {}",
                    mib(first.resident_kib),
                    mib(last.resident_kib),
                    mib(peak),
                    first.descriptors,
                    last.descriptors,
                    first.threads,
                    last.threads
                )?;
            }
        }
        Ok(())
    }
}
