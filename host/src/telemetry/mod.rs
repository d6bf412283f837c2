//! Logs, on stderr or in a file: stdout belongs to the protocol.

use crate::rt::private;
use std::fmt;
use std::fs::OpenOptions;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FmtSpan, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object on each line.
    Json,
}

/// Why logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is none.
    #[error("'{filter}' is not a log filter; try 'info' or 'mcp_host=debug,plugin=trace'")]
    BadFilter {
        /// What was given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The file cannot be written.
    #[error("the log file {path} cannot be opened")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Sets up logs with a filter such as `info` or `mcp_host=debug,plugin=trace`, at the end of a file or on stderr.
///
/// # Errors
/// See [`TelemetryError`].
pub fn start(filter: &str, format: LogFormat, file: Option<&Path>) -> Result<(), TelemetryError> {
    let parsed = parse(filter)?;
    let (writer, is_coloured) = match file {
        None => (BoxMakeWriter::new(std::io::stderr), is_coloured()),
        Some(path) => {
            let opened = private(OpenOptions::new().append(true).create(true)).open(path);
            let file = opened.map_err(|source| TelemetryError::File { path: path.to_owned(), source })?;
            (BoxMakeWriter::new(Arc::new(file)), false)
        }
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_span_events(FmtSpan::NONE)
        // A closed stderr would otherwise end the host: the library prints its own errors, and printing panics.
        .log_internal_errors(false)
        .with_ansi(is_coloured)
        .with_writer(writer);
    // A second start, as in tests, keeps the first.
    let _ = match format {
        LogFormat::Text => builder.with_target(true).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Sets up logs for somebody who sits before them: what happens, without when and where.
///
/// # Errors
/// See [`TelemetryError`].
pub fn start_brief(filter: &str) -> Result<(), TelemetryError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse(filter)?)
        .log_internal_errors(false)
        .with_ansi(is_coloured())
        .with_writer(std::io::stderr)
        .event_format(Brief);
    let _ = builder.try_init();
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(filter).map_err(|source| TelemetryError::BadFilter { filter: filter.to_owned(), source })
}

/// Whether logs have colours: on a terminal, where nobody says otherwise (<https://no-color.org>).
fn is_coloured() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    std::io::stderr().is_terminal() && is_wanted && !is_dumb
}

/// Lines that say what happens.
struct Brief;

impl<S, N> FormatEvent<S, N> for Brief
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (word, colour) = match *event.metadata().level() {
            Level::ERROR => ("error: ", "\u{1b}[31m"),
            Level::WARN => ("warning: ", "\u{1b}[33m"),
            _ => ("", ""),
        };
        match to.has_ansi_escapes() {
            true => write!(to, "{colour}{word}\u{1b}[0m")?,
            false => to.write_str(word)?,
        }
        context.field_format().format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}

/// An error with its causes, each said once.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}
