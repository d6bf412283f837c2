//! Plugins in processes of their own: the same file, opened by the same binary, reached by frames over a socket pair.
//!
//! [`Pool`] is the host's end, [`run_inside`] the worker's. What crosses is bytes; what a crash, a hang or a kill of a worker
//! takes with it is its own calls, which end with a clean error. Who is asked, and how a client is asked back, is not known
//! here.

mod frame;
mod inside;
mod link;
mod pipe;
mod pool;
mod process;
mod system;

use frame::MAX_FRAME_BYTES;
pub use frame::{Frame, FrameError, Kind};
pub use inside::run as run_inside;
pub use pool::PoolLimits;
pub(super) use pool::{Pool, Recipe};
pub(super) use process::{Worker, probe};
pub use process::{WorkerError, WorkerProgram};

use super::Staged;
use super::confine::{Confinement, Enforcement};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The word on the command line that makes the program a worker.
pub const WORKER_COMMAND: &str = "__worker";

/// Bytes of a plugin's result that are passed on; the host's own bound is judged there.
const MAX_RESULT_BYTES: usize = MAX_FRAME_BYTES - (1 << 20);

/// The version of what host and worker say to each other. They are one binary, but for whoever makes them two.
const PROTOCOL: u32 = 1;

/// The kind of a refusal that says nothing of the library: the process could not be confined, or is of another host.
const NOT_CONFINED: &str = "not-confined";

/// What a worker is told first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    /// [`PROTOCOL`] of the host.
    pub(super) protocol: u32,
    /// The number of the host's process.
    pub(super) host: u32,
    /// The SHA-256 of the library, as it was judged.
    pub(super) digest: String,
    /// What it opens.
    pub(super) library: PathBuf,
    /// How it confines itself before.
    pub(super) confinement: Confinement,
}

impl Opening {
    /// A staged copy, to be opened by a process that is confined so.
    pub(super) fn of(staged: &Staged, confinement: Confinement) -> Self {
        let (digest, library) = (staged.digest.to_string(), staged.path.clone());
        Self { protocol: PROTOCOL, host: std::process::id(), digest, library, confinement }
    }
}

/// What a worker says when it has opened its library.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    /// The level of the ABI that the library has.
    pub(super) level: u32,
    /// What the worker has given up.
    pub(super) enforced: Vec<Enforcement>,
}
