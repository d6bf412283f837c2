//! Standard input and output as the runtime reads and writes them.
//!
//! A pipe or a socket says when it is ready, so no other thread has to wait for it: one call after the other takes three
//! quarters of the time. Others may have this very end open, and not expect it to refuse to wait: so a pipe is opened anew. A
//! socket cannot be, and does not wait from then on, for whoever has the same end too; clients that use sockets keep the other
//! one. What is neither, a terminal or a file, is read and written by threads that wait.

use std::fs::File;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where the client's messages come from. To be called on a runtime.
pub fn standard_input() -> Box<dyn AsyncRead + Unpin + Send> {
    #[cfg(target_os = "linux")]
    if let Some(input) = ready::input() {
        return input;
    }
    Box::new(tokio::io::stdin())
}

/// Where messages to the client go: the file that [`super::take_stdout`] gave. To be called on a runtime.
pub fn standard_output(real: File) -> Box<dyn AsyncWrite + Unpin + Send> {
    #[cfg(target_os = "linux")]
    if let Some(output) = ready::output(&real) {
        return output;
    }
    Box::new(tokio::fs::File::from_std(real))
}

/// Pipes and sockets.
#[cfg(target_os = "linux")]
mod ready {
    use rustix::fs::{FileType, fstat};
    use std::fs::File;
    use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::net::UnixStream;
    use tokio::net::unix::pipe;

    fn kind(file: impl AsFd) -> Option<FileType> {
        fstat(file).ok().map(|stat| FileType::from_raw_mode(stat.st_mode))
    }

    /// The same pipe, opened anew; nothing where it has a name in a folder: opened anew, such a one does not tell that all who
    /// wrote have gone before.
    fn again(file: BorrowedFd<'_>) -> Option<String> {
        const PIPEFS_MAGIC: rustix::fs::FsWord = 0x5049_5045;
        let is_nameless = rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type == PIPEFS_MAGIC);
        is_nameless.then(|| format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    pub(super) fn input() -> Option<Box<dyn AsyncRead + Unpin + Send>> {
        let stdin = rustix::stdio::stdin();
        match kind(stdin)? {
            FileType::Fifo => Some(Box::new(pipe::OpenOptions::new().open_receiver(again(stdin)?).ok()?)),
            FileType::Socket => Some(Box::new(socket(stdin)?)),
            _ => None,
        }
    }

    pub(super) fn output(real: &File) -> Option<Box<dyn AsyncWrite + Unpin + Send>> {
        match kind(real)? {
            FileType::Fifo => Some(Box::new(pipe::OpenOptions::new().open_sender(again(real.as_fd())?).ok()?)),
            FileType::Socket => Some(Box::new(socket(real.as_fd())?)),
            _ => None,
        }
    }

    /// A socket, unless the log goes there too: whoever writes that waits.
    fn socket(socket: BorrowedFd<'_>) -> Option<UnixStream> {
        let (stat, log) = (fstat(socket).ok()?, fstat(rustix::stdio::stderr()).ok());
        if log.is_some_and(|log| (log.st_dev, log.st_ino) == (stat.st_dev, stat.st_ino)) {
            return None;
        }
        let socket = std::os::unix::net::UnixStream::from(socket.try_clone_to_owned().ok()?);
        socket.set_nonblocking(true).ok()?;
        UnixStream::from_std(socket).ok()
    }
}
