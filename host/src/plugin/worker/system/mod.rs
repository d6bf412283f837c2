//! Where systems differ about worker processes: how one is started, what it and the host speak through, how it ends.
//!
//! Each system gives the same: [`HostEnd`], [`WorkerEnds`], [`Leash`], `program`, `very_program`, `spawn`, `die_with_host`, `told`.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{
    HostEnd, Incoming, Leash, Outgoing, WorkerEnds, die_with_host, program, spawn, told, very_program,
};
#[cfg(windows)]
pub(super) use windows::{
    HostEnd, Incoming, Leash, Outgoing, WorkerEnds, die_with_host, program, spawn, told, very_program,
};

use crate::plugin::confine::Confinement;
use bytes::BytesMut;
use std::ffi::OsString;
use std::io;
use tokio::process::{Child, Command};

/// A process that was started: itself, what it is held by, and what is said to it.
pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) leash: Leash,
    pub(super) end: HostEnd,
}

impl HostEnd {
    /// Writes all bytes.
    ///
    /// # Errors
    /// When the other end is gone.
    ///
    /// # Cancel safety
    /// Some of them may be written.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.writable().await?;
            match self.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads some bytes; none when the other end is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    ///
    /// # Cancel safety
    /// Safe: what was read is in the buffer.
    pub(super) async fn read_some(&self, received: &mut BytesMut) -> io::Result<usize> {
        const CHUNK_BYTES: usize = 64 * 1024;
        loop {
            received.reserve(CHUNK_BYTES);
            self.readable().await?;
            match self.try_read_buf(received) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// Gives a process the variables that its confinement lets it see, and those that the system's own libraries need.
fn set_environment(command: &mut Command, confinement: &Confinement, always: &[&str]) {
    let Some(granted) = confinement.environment() else {
        return;
    };
    command.env_clear();
    let names = granted.iter().map(String::as_str).chain(always.iter().copied());
    let known = |name: &str| -> Option<(OsString, OsString)> { Some((name.into(), std::env::var_os(name)?)) };
    command.envs(names.filter_map(known));
}
