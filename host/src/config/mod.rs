//! Values: what the operator wrote, and what the host runs on.
//!
//! Two layers. [`File`] is the text with all keys optional, checked for shape only; [`Settings`] is resolved and cannot be
//! wrong. One pass lies between them and reports every problem at once, each with its key path. No value is ever quoted in
//! a problem: it may be a secret.

mod expand;
mod file;
mod plugins;
mod problem;
mod read;
mod settings;
mod timeouts;
mod units;

pub use file::{File, PluginSection};
pub use problem::{ConfigError, Problem};
pub use read::{default_path, parse, read, schema};
pub use settings::{Overrides, RequestState, Settings, Tasks};
pub use units::{ByteSize, Span};
