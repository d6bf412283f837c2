//! The job that binds a worker process.

use crate::plugin::confine::{Confinement, Grants};
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle, RawHandle};
use std::ptr;
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
