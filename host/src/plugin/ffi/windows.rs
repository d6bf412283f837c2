//! What Windows has no safe call for: the job that binds a worker process, and standard output and input as foreign code sees
//! them.

use crate::plugin::confine::{Confinement, Grants};
use std::fs::OpenOptions;
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, IntoRawHandle as _, OwnedHandle, RawHandle};
use std::ptr;
use std::sync::OnceLock;
use windows_sys::Win32::System::Console::{STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetStdHandle};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
    JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOB_OBJECT_LIMIT_PROCESS_MEMORY,
    JOB_OBJECT_LIMIT_PROCESS_TIME, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject,
};

/// A job object: what is in it ends when this is dropped, and all that it has started.
pub(in crate::plugin) struct Job(OwnedHandle);

impl Job {
    /// A job that binds what is in it to what is granted, as far as jobs can: memory, processor time, and that it starts no
    /// other process.
    ///
    /// # Errors
    /// When the system makes none, or does not take a bound.
    pub(in crate::plugin) fn new(confinement: &Confinement) -> io::Result<Self> {
        // SAFETY: no attributes and no name are given.
        let handle = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        let job = Self(unsafe { OwnedHandle::from_raw_handle(handle) });
        let limits = match confinement {
            Confinement::None => Limits::default(),
            Confinement::Grants { grants, .. } => Limits::of(grants),
        };
        let info = limits.info();
        let bytes = u32::try_from(size_of_val(&info)).unwrap_or_default();
        // SAFETY: it points to such a structure, of this many bytes, which is read.
        let is_set = unsafe {
            let class = JobObjectExtendedLimitInformation;
            SetInformationJobObject(job.0.as_raw_handle(), class, (&raw const info).cast(), bytes)
        };
        if is_set == 0 { Err(io::Error::last_os_error()) } else { Ok(job) }
    }

    /// Puts a process into it, for good, with all that it starts from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub(in crate::plugin) fn assign(&self, process: RawHandle) -> io::Result<()> {
        // SAFETY: both are handles; one that is none is refused.
        let is_in = unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), process) };
        if is_in == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// What a job bounds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Limits {
    /// Bytes that a process may commit.
    memory: Option<usize>,
    /// Of a process, in units of 100 ns.
    time: Option<i64>,
    /// It may start no other.
    is_alone: bool,
}

impl Limits {
    fn of(grants: &Grants) -> Self {
        Self {
            memory: grants.memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            time: grants.cpu_time.map(|time| i64::try_from(time.as_nanos() / 100).unwrap_or(i64::MAX)),
            is_alone: grants.subprocesses.is_empty(),
        }
    }

    fn info(&self) -> JOBOBJECT_EXTENDED_LIMIT_INFORMATION {
        let mut info = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        let basic = &mut info.BasicLimitInformation;
        // A window that asks somebody what to do about a crash would hold the process.
        basic.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
        if let Some(time) = self.time {
            basic.PerProcessUserTimeLimit = time;
            basic.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_TIME;
        }
        if self.is_alone {
            basic.ActiveProcessLimit = 1;
            basic.LimitFlags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
        }
        if let Some(memory) = self.memory {
            basic.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
            info.ProcessMemoryLimit = memory;
        }
        info
    }
}

/// Takes standard output from foreign code, and input too where that is wanted: what it prints goes to stderr, what it reads is
/// empty. For this process, and once: what has a handle of its own before keeps that.
///
/// # Errors
/// When the system refuses.
pub(in crate::plugin) fn take_foreign_standard(with_input: bool) -> io::Result<()> {
    /// Whatever is set as a standard handle must stay open; it is this process's for as long as it lives.
    static KEPT: OnceLock<(OwnedHandle, Option<OwnedHandle>)> = OnceLock::new();
    if KEPT.get().is_some() {
        return Ok(());
    }
    let nothing = || OpenOptions::new().read(true).write(true).open("NUL");
    let stderr: OwnedHandle = match std::os::windows::io::AsHandle::as_handle(&io::stderr()).try_clone_to_owned() {
        Ok(stderr) => stderr,
        // It may be closed.
        Err(_) => nothing()?.into(),
    };
    let input = if with_input { Some(OwnedHandle::from(nothing()?)) } else { None };
    let (stderr, input) = KEPT.get_or_init(|| (stderr, input));
    for (which, descriptor, handle) in [(STD_OUTPUT_HANDLE, 1, Some(stderr)), (STD_INPUT_HANDLE, 0, input.as_ref())] {
        let Some(handle) = handle else { continue };
        // The C runtime has a table of its own, which it filled when the process began. It closes what was there, so before
        // the standard handle is set, which it may set too.
        replace_in_c_runtime(descriptor, handle.try_clone()?);
        // SAFETY: the handle stays open.
        if unsafe { SetStdHandle(which, handle.as_raw_handle()) } == 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Has a descriptor of the C runtime be this handle. One that is not open there stays so.
fn replace_in_c_runtime(descriptor: i32, handle: OwnedHandle) {
    // SAFETY: the handle is given away; the runtime closes it with its descriptor.
    let taken = unsafe { libc::open_osfhandle(handle.into_raw_handle() as libc::intptr_t, 0) };
    if taken < 0 {
        return;
    }
    // SAFETY: the first is open, as was just seen; the second is one of the standard ones.
    let _ = unsafe { libc::dup2(taken, descriptor) };
    // SAFETY: it is open, and nobody else knows it.
    let _ = unsafe { libc::close(taken) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::confine::{Network, Unenforceable};
    use std::time::Duration;

    #[test]
    fn what_is_granted_becomes_the_limits_of_a_job() {
        let grants = Grants {
            memory: Some(64 << 20),
            cpu_time: Some(Duration::from_secs(2)),
            network: Network::On,
            ..Grants::default()
        };
        let limits = Limits::of(&grants);
        assert_eq!(limits, Limits { memory: Some(64 << 20), time: Some(20_000_000), is_alone: true });
        let info = limits.info();
        assert_eq!(info.ProcessMemoryLimit, 64 << 20);
        assert_eq!(info.BasicLimitInformation.PerProcessUserTimeLimit, 20_000_000);
        assert_eq!(info.BasicLimitInformation.ActiveProcessLimit, 1);
        let runs_others = Grants { subprocesses: vec!["C:/tool.exe".into()], ..Grants::default() };
        assert_eq!(Limits::of(&runs_others), Limits::default());
        Job::new(&Confinement::Grants { grants: Box::new(grants), unenforceable: Unenforceable::Warn }).unwrap();
    }
}
