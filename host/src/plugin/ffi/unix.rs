//! What Unix has no safe call for.

use std::fs;

/// Closes whatever this process was given beside its standard descriptors: a host's own files and connections are no plugin's. To be
/// called before this process has opened anything.
pub(in crate::plugin) fn close_inherited() {
    let names = fs::read_dir("/dev/fd").into_iter().flatten().filter_map(Result::ok).map(|entry| entry.file_name());
    // Whole before the first is closed: the folder is read by one of them.
    let descriptors: Vec<i32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    for descriptor in descriptors.into_iter().filter(|descriptor| *descriptor > 2) {
        // SAFETY: nothing in this process has opened it, so nothing has it; the folder's own is closed already.
        unsafe { libc::close(descriptor) };
    }
}

/// From now on `SIGTERM` does not end this process: who sends it to all processes of a service means the host, which drains, and
/// ends the others itself. Programs that this one starts are not held by that.
pub(in crate::plugin) fn outlive_termination() {
    extern "C" fn nothing(_signal: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: a function that does nothing may run at any moment.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}
