//! Standard output, kept clean: whatever prints, from Rust or C, prints to stderr.

use std::fs::File;
use std::io;

/// Takes standard output for ourselves: the returned file is the real one, and descriptor 1 is stderr from now on.
/// To be called before any foreign code is loaded.
///
/// # Errors
/// When the system has no descriptor left, or standard output is closed.
#[cfg(unix)]
pub fn take_stdout() -> io::Result<File> {
    let real = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(real.into())
}

/// Takes standard output for ourselves: the returned handle is private, no other process inherits it. The old one is taken from
/// foreign code when the first library is opened.
///
/// # Errors
/// When standard output is closed.
#[cfg(windows)]
pub fn take_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}
