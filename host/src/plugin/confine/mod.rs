//! What a worker process may do, and how that is enforced: deny by default, on Linux by landlock, seccomp and
//! rlimits, on Windows by a job object, as far as that goes.
//!
//! The operator grants, the worker confines itself before anything foreign runs in it, and says what is enforced. Where this
//! kernel cannot enforce something, the policy decides. Nothing of frames, calls or plugins is known here.

#[cfg_attr(target_os = "linux", path = "linux/mod.rs")]
#[cfg_attr(windows, path = "windows.rs")]
#[cfg_attr(not(any(target_os = "linux", windows)), path = "elsewhere.rs")]
mod system;

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use system::enforce;

/// Kinds of grants that this system enforces in no case. What a kernel lacks of the others shows when a worker starts.
pub use system::UNENFORCEABLE;

/// What the operator grants a plugin. What is not granted is denied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Grants {
    /// Files and folders that it may read.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read and change.
    pub write: Vec<PathBuf>,
    /// What it may reach.
    pub network: Network,
    /// Variables of the host's environment that it sees.
    pub env: Vec<String>,
    /// Bytes of private memory.
    pub memory: Option<u64>,
    /// Processor time of one worker process, all threads together. Whole seconds.
    pub cpu_time: Option<Duration>,
    /// Files and sockets open at a time.
    pub files: Option<u64>,
    /// Programs that it may run. They are bound by the same grants.
    pub subprocesses: Vec<PathBuf>,
}

impl Grants {
    /// Whether a want is granted, as far as that can be said: a path below a granted one is.
    fn cover(&self, want: &str) -> bool {
        let (kind, which) = want.split_once(' ').unwrap_or((want, ""));
        // Grants are where they are; a want may name a link to there.
        let real = Path::new(which).canonicalize().unwrap_or_else(|_| which.into());
        let is_in = |path: &PathBuf| Path::new(which).starts_with(path) || real.starts_with(path);
        let is_below = |paths: &[PathBuf]| !paths.is_empty() && (which.is_empty() || paths.iter().any(is_in));
        match kind {
            "read" => is_below(&self.read) || is_below(&self.write),
            "write" => is_below(&self.write),
            "subprocesses" => is_below(&self.subprocesses),
            "env" => self.env.iter().any(|name| name == which),
            "network" => match (&self.network, which.parse::<u16>()) {
                (Network::Off, _) => false,
                (Network::On, _) | (_, Err(_)) => true,
                (Network::Ports { connect, listen, .. }, Ok(port)) => connect.contains(&port) || listen.contains(&port),
            },
            // Bounds are the operator's to choose.
            _ => true,
        }
    }
}

/// What a plugin may reach over the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Nothing: it can make no socket.
    #[default]
    Off,
    /// Some ports over TCP, and, if that is said, anything over UDP.
    Ports {
        /// Ports that it may connect to.
        connect: Vec<u16>,
        /// Ports that it may listen on.
        listen: Vec<u16>,
        /// Whether it may use UDP, which names are looked up over.
        udp: bool,
    },
    /// Everything.
    On,
}

/// What is done where the system cannot enforce what is not granted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unenforceable {
    /// The plugin is refused.
    #[default]
    Refuse,
    /// The plugin is served, and the log and the report say what is not enforced.
    Warn,
}

/// How a worker process is confined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Confinement {
    /// Not at all: it has the host's rights, in a process of its own.
    None,
    /// To what is granted.
    Grants {
        /// What that is.
        grants: Box<Grants>,
        /// What is done where that cannot be enforced.
        unenforceable: Unenforceable,
    },
}

impl Confinement {
    /// For a process that only opens a library: it may read everything, and nothing else.
    #[must_use]
    pub fn of_probe(time: Duration) -> Self {
        let grants = Grants {
            read: vec!["/".into()],
            memory: Some(1 << 30),
            cpu_time: Some(time),
            files: Some(64),
            // Where the host's own loader would look, so does this one. On Windows no variable says that.
            env: vec!["LD_LIBRARY_PATH".to_owned()],
            ..Grants::default()
        };
        Self::Grants { grants: Box::new(grants), unenforceable: Unenforceable::Warn }
    }

    /// Of what a plugin wants, what it is not granted.
    #[must_use]
    pub fn not_granted(&self, wants: &[String]) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Grants { grants, .. } => wants.iter().filter(|want| !grants.cover(want)).cloned().collect(),
        }
    }

    /// Variables of the environment that the process sees; nothing where it sees all.
    #[must_use]
    pub fn environment(&self) -> Option<&[String]> {
        match self {
            Self::None => None,
            Self::Grants { grants, .. } => Some(&grants.env),
        }
    }
}

/// What a worker process has given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// `filesystem`, `network`, `memory`, `cpu_time`, `files`, `subprocesses` or `signals`.
    pub what: String,
    /// What does it: `landlock`, `seccomp`, `rlimit`, `job object`, or why nothing does.
    pub by: String,
    /// Whether it holds.
    pub is_enforced: bool,
}

/// Why a process is not confined.
#[derive(Debug, thiserror::Error)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has it all"))]
pub(super) enum ConfineError {
    /// A granted path cannot be opened.
    #[error("the granted path {path} cannot be opened: {reason}")]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system refused a restriction that it has.
    #[error("the system refused to restrict {what}: {reason}")]
    Refused {
        /// What was to be restricted.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A bound cannot be set.
    #[error("the bound '{what}' cannot be set")]
    Bound {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system has no way to enforce this, and the operator wants it enforced.
    #[error(
        "this system cannot enforce: {0}; set 'unenforceable = \"warn\"' for the plugin to serve it all the same, or \
         'isolation = \"in-process\"' if you trust it"
    )]
    Unenforceable(String),
}

/// Confines this process, for good. `library` is what it opens next. To be called before a second thread is there.
///
/// # Errors
/// See [`ConfineError`]. The process may be confined in part.
pub(super) fn confine(confinement: &Confinement, library: &Path) -> Result<Vec<Enforcement>, ConfineError> {
    match confinement {
        Confinement::None => Ok(Vec::new()),
        Confinement::Grants { grants, unenforceable } => {
            enforce(grants, library, |enforced| judge(enforced, *unenforceable))
        }
    }
}

/// Whether what is enforced is enough.
fn judge(enforced: &[Enforcement], policy: Unenforceable) -> Result<(), ConfineError> {
    // Nobody grants signals, so their absence is told, and refuses nothing.
    let missing: Vec<&str> =
        enforced.iter().filter(|it| !it.is_enforced && it.what != "signals").map(|it| it.what.as_str()).collect();
    if missing.is_empty() || policy == Unenforceable::Warn {
        return Ok(());
    }
    Err(ConfineError::Unenforceable(missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enforcement(what: &str, is_enforced: bool) -> Enforcement {
        Enforcement { what: what.to_owned(), by: String::new(), is_enforced }
    }

    #[test]
    fn what_is_wanted_and_not_granted_is_told() {
        let grants = Grants {
            read: vec!["/data".into()],
            env: vec!["KEY".to_owned()],
            network: Network::Ports { connect: vec![443], listen: vec![], udp: false },
            ..Grants::default()
        };
        let wants =
            ["read /data/x", "read /etc", "write", "env KEY", "env OTHER", "network 443", "network 80", "memory 1GiB"];
        let wants = wants.map(str::to_owned);
        let confinement = Confinement::Grants { grants: Box::new(grants), unenforceable: Unenforceable::Refuse };
        assert_eq!(confinement.not_granted(&wants), ["read /etc", "write", "env OTHER", "network 80"]);
        assert_eq!(Confinement::None.not_granted(&wants), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_enforced_is_refused_unless_the_operator_takes_it() {
        let partly = [enforcement("filesystem", false), enforcement("network", true), enforcement("signals", false)];
        assert!(judge(&partly, Unenforceable::Warn).is_ok());
        let refused = judge(&partly, Unenforceable::Refuse).unwrap_err().to_string();
        assert!(refused.starts_with("this system cannot enforce: filesystem;"), "{refused}");
        assert!(judge(&partly[1..], Unenforceable::Refuse).is_ok(), "signals alone refuse nothing");
    }
}
