//! The host's only unsafe code: opening a library, and the objects that cross the boundary.
//!
//! A staged file comes in, a [`Library`] with its started plugin leaves. Everything the host lends to a plugin is guarded:
//! a panic of ours that reached the plugin would end the process as surely as one of its own.

#![allow(unsafe_code, reason = "this room is the door to foreign code")]

mod call_side;
mod gauge;
mod host_side;
mod library;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub(super) use gauge::Gauge;
pub(super) use library::{Layout, Library, Plugin, PluginAnswer};
#[cfg(unix)]
pub(super) use unix::{close_inherited, outlive_termination};
#[cfg(windows)]
pub(super) use windows::{Job, has_console, ignore_console, take_foreign_standard};
#[cfg(windows)]
pub(crate) use windows::{keep_standard_from_children, report_event};

/// Elsewhere the host took it from everybody when it began.
#[cfg(not(windows))]
pub(super) fn take_foreign_standard(_with_input: bool) -> std::io::Result<()> {
    Ok(())
}

/// Elsewhere a process gets what it is given, and a worker closes what else comes with it.
#[cfg(not(windows))]
pub(crate) fn keep_standard_from_children() {}

/// Elsewhere there is always a standard error.
#[cfg(not(windows))]
pub(crate) fn report_event(_problem: &str) {}
