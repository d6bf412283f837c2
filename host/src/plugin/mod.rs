//! A plugin's life, from file to retirement.
//!
//! `Candidate → Inspected → Staged → Loaded → Instance`: every stage is a type, and every step consumes the one before.
//! Files come in, `Callee`s leave for the registry. Sessions, dispatch and transports are not known here, and unsafe code
//! is in `ffi` only.

mod deaf;
mod discover;
mod ffi;
mod inspect;
mod instance;
mod metadata;
mod news;
mod stage;
mod supervisor;

pub use discover::{Candidate, DiscoverError, discover};
pub use inspect::{InspectError, Inspected, inspect, inspect_bytes, inspect_file};
pub use instance::{Instance, InstanceLimits};
pub use stage::{Digest, StageDirectory, StageError, Staged};
pub use supervisor::{LoadError, PluginConfig, PluginReport, PluginState, Supervisor, SupervisorConfig, Trouble};
