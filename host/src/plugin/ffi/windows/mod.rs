//! What Windows has no safe call for.

mod console;
mod job;
mod standard;

pub(crate) use console::report_event;
pub(in crate::plugin) use console::{has_console, ignore_console};
pub(in crate::plugin) use job::Job;
pub(crate) use standard::keep_standard_from_children;
pub(in crate::plugin) use standard::take_foreign_standard;
