//! A plugin's life, from file to retirement.
//!
//! `Candidate → Inspected → Staged → Verified → Sound → Instance`: every stage is a type, and every step consumes the one
//! before. Files and what the operator says come in, `Callee`s leave for the registry, in this process (`ffi`) or in others
//! (`worker`). One task for each plugin (`life`) decides what of it is served. Sessions, dispatch and transports are not known
//! here, and unsafe code is in `ffi` only.

// The supervisor, and what it makes of folders.
mod board;
mod catalogue;
mod report;
mod scan;
mod settings;
mod supervisor;
mod wanted;
mod watch;

// One plugin.
mod deaf;
mod discover;
mod inspect;
mod instance;
mod known;
mod life;
mod load;
mod metadata;
mod news;
mod stage;

// What judges it.
mod breaker;
mod definitions;
mod trust;
mod verdicts;

// Its code, and what it is lent.
mod confine;
mod ffi;
mod lent;
mod worker;

pub use breaker::BreakerLimits;
pub use confine::{Confinement, Enforcement, Grants, Network, UNENFORCEABLE, Unenforceable};
pub use definitions::{DefinitionLock, Definitions, LockError, visible};
pub use discover::{Candidate, DiscoverError, discover};
pub(crate) use ffi::{keep_standard_from_children, report_event};
pub use inspect::{InspectError, Inspected, inspect, inspect_bytes, inspect_file};
pub use instance::{Instance, InstanceLimits};
pub use load::LoadError;
pub use report::{PluginReport, PluginState, Trouble};
pub use settings::{Isolation, PluginConfig, SupervisorConfig};
pub use stage::{Digest, StageDirectory, StageError, Staged};
pub use supervisor::{Reread, Supervisor};
pub use trust::{Trust, TrustError, TrustRule, TrustedKey, new_keys, public_key, sign, verify};
pub use verdicts::{Verdict, Verdicts};
pub use worker::{Frame, FrameError, Kind, PoolLimits, WORKER_COMMAND, WorkerError, WorkerProgram, run_inside};
