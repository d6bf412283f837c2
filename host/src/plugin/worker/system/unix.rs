//! Workers on Unix: a socket pair, of which the worker's end is its standard input, and a process group.

use super::{Spawned, set_environment};
use crate::plugin::confine::Confinement;
use crate::plugin::ffi::{close_inherited, outlive_termination};
use crate::rt::{Ending, end_group, lead_group};
use bytes::BufMut;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::net::UnixStream;
use tokio::process::Command;

/// The host's end.
pub(in crate::plugin::worker) struct HostEnd(UnixStream);

impl HostEnd {
    pub(in crate::plugin::worker) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await
    }

    pub(in crate::plugin::worker) async fn writable(&self) -> io::Result<()> {
        self.0.writable().await
    }

    pub(in crate::plugin::worker) fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        self.0.try_read_buf(buffer)
    }

    pub(in crate::plugin::worker) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }
}

/// What a worker reads from.
pub(in crate::plugin::worker) type Incoming = std::os::unix::net::UnixStream;

/// What a worker writes to.
pub(in crate::plugin::worker) type Outgoing = std::os::unix::net::UnixStream;

/// The worker's ends.
pub(in crate::plugin::worker) struct WorkerEnds {
    pub(in crate::plugin::worker) incoming: Incoming,
    pub(in crate::plugin::worker) outgoing: Outgoing,
}

impl WorkerEnds {
    /// The socket, out of the way of whatever closes or reads standard input. What is printed goes to stderr. What else the host has
    /// left open is closed, and only the host ends this process. To be called first.
    ///
    /// # Errors
    /// When standard input is no socket, or descriptors are used up.
    pub(in crate::plugin::worker) fn take() -> io::Result<Self> {
        outlive_termination();
        close_inherited();
        let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 100)?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        let outgoing = Outgoing::from(socket);
        Ok(Self { incoming: outgoing.try_clone()?, outgoing })
    }
}

/// The group that a worker leads. Dropped, it ends all that is in it.
pub(in crate::plugin::worker) struct Leash(Option<u32>);

impl Drop for Leash {
    fn drop(&mut self) {
        end_group(self.0, Ending::Killed);
    }
}

/// This program itself: on Linux the very file that runs, even when another has taken its place.
pub(in crate::plugin::worker) fn program() -> PathBuf {
    very_program().unwrap_or_else(|| std::env::current_exe().unwrap_or_else(|_| "mcp-host".into()))
}

/// What leads to the very file that runs; nothing but on Linux.
pub(in crate::plugin::worker) fn very_program() -> Option<PathBuf> {
    cfg!(target_os = "linux").then(|| "/proc/self/exe".into())
}

/// Starts a program with a word, as a worker.
///
/// # Errors
/// When the system has no place for it.
pub(in crate::plugin::worker) fn spawn(program: &Path, word: &str, confinement: &Confinement) -> io::Result<Spawned> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = Command::new(program);
    command.arg0("mcp-host").arg(word).stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
    // Ctrl-C at a terminal reaches the host alone, which drains.
    lead_group(&mut command);
    command.kill_on_drop(true);
    set_environment(&mut command, confinement, &[]);
    let child = command.spawn()?;
    let leash = Leash(child.id());
    Ok(Spawned { child, leash, end: HostEnd(UnixStream::from_std(ours)?) })
}

/// Has this worker end with its host, the process of this number: gives whether it is there still. A plugin that hangs while it is
/// opened reads no socket, and would outlive its host. The thread that has started this process is one of the host's runtime,
/// which ends with the host.
pub(in crate::plugin::worker) fn die_with_host(host: u32) -> bool {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    // Of a host that has ended before this, no signal comes.
    std::os::unix::process::parent_id() == host
}

/// How a process ended, for people.
pub(in crate::plugin::worker) fn told(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal} ({})", meaning(signal)),
        (None, None) => "ended".to_owned(),
    }
}

/// What a signal means that ends a process.
fn meaning(signal: i32) -> &'static str {
    match signal {
        4 => "illegal instruction",
        5 => "trap",
        6 => "abort",
        7 => "bus error",
        8 => "arithmetic error",
        9 => "killed",
        11 => "segmentation fault",
        15 => "terminated",
        24 => "its processor time is used up",
        31 => "a forbidden system call",
        _ => "signal",
    }
}
