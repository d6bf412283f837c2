//! A picture of what was measured over HTTP: a bar for each server in each kind of load.

use super::report::Report;
use std::fmt::Write as _;

/// CPU seconds for 100,000 answers, as bars.
pub(crate) fn bars(report: &Report) -> String {
    const WIDTH: f64 = 900.0;
    const LEFT: f64 = 300.0;
    const BAR: f64 = 16.0;
    let mut loads: Vec<&str> = Vec::new();
    for line in &report.lines {
        if !loads.contains(&line.load.as_str()) {
            loads.push(&line.load);
        }
    }
    let height = 30.0 + loads.len() as f64 * 34.0 + report.lines.len() as f64 * (BAR + 2.0);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>"#
    );
    let _ = write!(
        svg,
        r#"<text x="10" y="18">CPU seconds of the server for 100,000 answers; the bars of each load have a scale of their own</text>"#
    );
    let mut top = 30.0;
    for load in loads {
        let lines: Vec<_> = report.lines.iter().filter(|line| line.load == load).collect();
        let most = lines.iter().map(|line| line.medians()[0]).fold(0.01, f64::max);
        let _ = write!(svg, r#"<text x="10" y="{:.0}" font-weight="bold">{load}</text>"#, top + 18.0);
        top += 26.0;
        for line in lines {
            let [cpu, ratio, ..] = line.medians();
            let width = cpu / most * (WIDTH - LEFT - 110.0);
            let colour = match line.server {
                server if server.starts_with("bare") => "#999",
                server if server.starts_with("rmcp") => "#c66",
                server if server.contains("workers") => "#7fb0dc",
                _ => "#2a6fb0",
            };
            let _ = write!(
                svg,
                r#"<text x="{:.0}" y="{:.0}" text-anchor="end" font-size="11">{}</text><rect x="{LEFT}" y="{top:.0}" width="{width:.1}" height="{BAR}" fill="{colour}"/><text x="{:.1}" y="{:.0}" font-size="11">{cpu:.2} ({ratio:.2} ×)</text>"#,
                LEFT - 6.0,
                top + 12.0,
                line.server,
                LEFT + width + 5.0,
                top + 12.0
            );
            top += BAR + 2.0;
        }
        top += 8.0;
    }
    svg.push_str("</svg>\n");
    svg
}
