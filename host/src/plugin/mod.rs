//! A plugin's life, from file to retirement.
//!
//! `Candidate → Inspected → Staged → Loaded → Instance`: every stage is a type, and every step consumes the one before.
//! Files come in, `Callee`s leave for the registry. Sessions, dispatch and transports are not known here, and unsafe code
//! is in `ffi` only.

mod board;
mod breaker;
mod confine;
mod deaf;
mod definitions;
mod discover;
mod ffi;
mod inspect;
mod instance;
mod lent;
mod life;
mod load;
mod metadata;
mod news;
mod report;
mod scan;
mod settings;
mod stage;
mod supervisor;
mod trust;
mod verdicts;
mod watch;
mod worker;

pub use breaker::BreakerLimits;
pub use confine::{Confinement, Enforcement, Grants, Network, Unenforceable};
pub use definitions::{DefinitionLock, Definitions, LockError, visible};
pub use discover::{Candidate, DiscoverError, discover};
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
