//! Workers on Windows: two pipes, one each way, whose other ends are the worker's standard input and output, and a job object.
//!
//! Two pipes, because a handle that waits for its operations does one at a time: a worker that waits for a frame on it could not
//! write one. They have names, which nobody is told: the host opens the other end itself, and each takes that one alone.

use super::{Spawned, set_environment};
use crate::plugin::confine::Confinement;
use crate::plugin::ffi::{Job, has_console, ignore_console, take_foreign_standard};
use crate::rt::lead_group;
use bytes::BufMut;
use futures_util::FutureExt as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::io::{AsHandle as _, OwnedHandle};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use tokio::process::Command;

/// The host's ends.
pub(in crate::plugin::worker) struct HostEnd {
    incoming: NamedPipeServer,
    outgoing: NamedPipeServer,
}

impl HostEnd {
    pub(in crate::plugin::worker) async fn readable(&self) -> io::Result<()> {
        self.incoming.readable().await
    }

    pub(in crate::plugin::worker) async fn writable(&self) -> io::Result<()> {
        self.outgoing.writable().await
    }

    pub(in crate::plugin::worker) fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        self.incoming.try_read_buf(buffer)
    }

    pub(in crate::plugin::worker) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.try_write(bytes)
    }
}

/// What a worker reads from.
pub(in crate::plugin::worker) type Incoming = File;

/// What a worker writes to.
pub(in crate::plugin::worker) type Outgoing = File;

/// The worker's ends.
pub(in crate::plugin::worker) struct WorkerEnds {
    pub(in crate::plugin::worker) incoming: Incoming,
    pub(in crate::plugin::worker) outgoing: Outgoing,
}

impl WorkerEnds {
    /// The pipes, out of the way of whatever reads standard input or prints. What is printed goes to stderr.
    ///
    /// # Errors
    /// When there are none.
    pub(in crate::plugin::worker) fn take() -> io::Result<Self> {
        let incoming = io::stdin().as_handle().try_clone_to_owned()?;
        let outgoing = io::stdout().as_handle().try_clone_to_owned()?;
        take_foreign_standard(true)?;
        ignore_console();
        Ok(Self { incoming: incoming.into(), outgoing: outgoing.into() })
    }
}

/// The job that a worker and all that it starts are in. Dropped, it ends all that is in it.
pub(in crate::plugin::worker) struct Leash(#[expect(dead_code, reason = "it is there to be dropped")] Job);

/// This program itself.
pub(in crate::plugin::worker) fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "mcp-host.exe".into())
}

/// What leads to the very file that runs: nothing does.
pub(in crate::plugin::worker) fn very_program() -> Option<PathBuf> {
    None
}

/// What the system's own libraries look for, sockets and random numbers among them.
const OF_THE_SYSTEM: &[&str] = &["SystemRoot", "SystemDrive", "windir"];

/// <https://learn.microsoft.com/windows/win32/procthread/process-creation-flags>
const CREATE_NO_WINDOW: u32 = 0x0800_0000;

/// Starts a program with a word, as a worker. Nothing foreign runs in it before it is told to open something, and by then it is
/// in its job.
///
/// # Errors
/// When the system has no place for it, or does not bind it.
pub(in crate::plugin::worker) fn spawn(program: &Path, word: &str, confinement: &Confinement) -> io::Result<Spawned> {
    let (outgoing, stdin) = pipe(Direction::ToWorker)?;
    let (incoming, stdout) = pipe(Direction::ToHost)?;
    let job = Job::new(confinement)?;
    let mut command = Command::new(program);
    command.arg(word).stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout));
    if has_console() {
        // Ctrl-C reaches the host alone, which drains.
        lead_group(&mut command);
    } else {
        // It would be given one of its own, with a window.
        command.creation_flags(CREATE_NO_WINDOW);
    }
    command.kill_on_drop(true);
    set_environment(&mut command, confinement, OF_THE_SYSTEM);
    let child = command.spawn()?;
    let handle = child.raw_handle().ok_or_else(|| io::Error::other("the process has ended"))?;
    job.assign(handle)?;
    Ok(Spawned { child, leash: Leash(job), end: HostEnd { incoming, outgoing } })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToWorker,
    ToHost,
}

/// A pipe, connected already: the host's end, and the other one.
fn pipe(direction: Direction) -> io::Result<(NamedPipeServer, OwnedHandle)> {
    let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let name = format!(r"\\.\pipe\mcp-host-{}-{number:016x}", std::process::id());
    let to_worker = direction == Direction::ToWorker;
    let mut options = ServerOptions::new();
    options.access_inbound(!to_worker).access_outbound(to_worker);
    let ours = options.first_pipe_instance(true).reject_remote_clients(true).max_instances(1).create(&name)?;
    // One other end is all there is: where somebody has looked for the name and taken it, this fails.
    let theirs = OpenOptions::new().read(to_worker).write(!to_worker).open(&name)?;
    // It is connected; this has our end know it.
    match ours.connect().now_or_never() {
        Some(connected) => connected?,
        None => return Err(io::Error::other("the pipe is not connected")),
    }
    Ok((ours, theirs.into()))
}

/// Has this worker end with its host: its job is the host's, and ends it then.
pub(in crate::plugin::worker) fn die_with_host(_host: u32) -> bool {
    true
}

/// How a process ended, for people.
pub(in crate::plugin::worker) fn told(status: ExitStatus) -> String {
    match status.code() {
        // What is above this is a status of the system: <https://learn.microsoft.com/openspecs/windows_protocols/ms-erref>
        Some(code) if code.cast_unsigned() >= 0xC000_0000 => {
            let code = code.cast_unsigned();
            format!("was ended by exception {code:#010x} ({})", meaning(code))
        }
        // As jobs end what has used up its time: <https://learn.microsoft.com/windows/win32/debug/system-error-codes>
        Some(1816) => "ended with exit code 1816 (its processor time is used up)".to_owned(),
        Some(code) => format!("ended with exit code {code}"),
        None => "ended".to_owned(),
    }
}

/// What an exception means that ends a process.
fn meaning(code: u32) -> &'static str {
    match code {
        0xC000_0005 => "access violation",
        0xC000_0017 => "its memory is used up",
        0xC000_001D => "illegal instruction",
        0xC000_0044 => "its processor time is used up",
        0xC000_0094 => "division by zero",
        0xC000_00FD => "stack overflow",
        0xC000_0135 | 0xC000_0139 => "a library that it needs is missing",
        0xC000_013A => "Ctrl-C",
        0xC000_0374 => "a damaged heap",
        0xC000_0409 => "abort",
        _ => "exception",
    }
}
