//! What Windows has no safe call for: the job that binds a worker process, standard output and input as foreign code sees them,
//! and the console.

use crate::plugin::confine::{Confinement, Grants};
use parking_lot::Mutex;
use std::ffi::CStr;
use std::fs::OpenOptions;
use std::io;
use std::mem::transmute;
use std::os::windows::io::{
    AsHandle as _, AsRawHandle as _, FromRawHandle as _, IntoRawHandle as _, OwnedHandle, RawHandle,
};
use std::ptr;
use std::time::Duration;
use windows_sys::Win32::Foundation::{
    HANDLE_FLAG_INHERIT, HANDLE_FLAG_PROTECT_FROM_CLOSE, INVALID_HANDLE_VALUE, SetHandleInformation,
};
use windows_sys::Win32::System::Console::{
    CTRL_CLOSE_EVENT, GetConsoleCP, GetStdHandle, STD_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE,
    SetConsoleCtrlHandler, SetStdHandle,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
    JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOB_OBJECT_LIMIT_PROCESS_MEMORY,
    JOB_OBJECT_LIMIT_PROCESS_TIME, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::core::BOOL;

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
/// empty. For this process, and once.
///
/// # Errors
/// When the system refuses.
pub(in crate::plugin) fn take_foreign_standard(with_input: bool) -> io::Result<()> {
    static IS_DONE: Mutex<bool> = Mutex::new(false);
    let mut is_done = IS_DONE.lock();
    if *is_done {
        return Ok(());
    }
    let nothing = || OpenOptions::new().read(true).write(true).open("NUL").map(OwnedHandle::from);
    let stderr = io::stderr();
    // Services have none.
    let is_there = !stderr.as_raw_handle().is_null();
    let output = if is_there { stderr.as_handle().try_clone_to_owned()? } else { nothing()? };
    replace(STD_OUTPUT_HANDLE, 1, output)?;
    if with_input {
        replace(STD_INPUT_HANDLE, 0, nothing()?)?;
    }
    *is_done = true;
    Ok(())
}

/// Has a standard handle, and the descriptor of each C runtime that was made of it, be this one. The old handle stays open, and
/// nobody's: another runtime that knows its number would write to whatever had the number next.
fn replace(which: STD_HANDLE, descriptor: i32, handle: OwnedHandle) -> io::Result<()> {
    // SAFETY: it takes a number.
    let old = unsafe { GetStdHandle(which) };
    let has_old = !old.is_null() && old != INVALID_HANDLE_VALUE;
    let protect = |flags| {
        if has_old {
            // SAFETY: it is open; a handle that is none is refused.
            unsafe { SetHandleInformation(old, HANDLE_FLAG_PROTECT_FROM_CLOSE, flags) };
        }
    };
    // A runtime closes what its descriptor was before.
    protect(HANDLE_FLAG_PROTECT_FROM_CLOSE);
    let replaced = Runtime::all().try_for_each(|runtime| runtime.replace(descriptor, &handle));
    protect(0);
    replaced?;
    // Whatever is set must stay open, for as long as the process lives.
    // SAFETY: the handle is given away, to the process.
    if unsafe { SetStdHandle(which, handle.into_raw_handle()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The functions of a C runtime that have to do with descriptors. There may be several runtimes in a process, each with a table
/// of its own that it fills when it is loaded.
struct Runtime {
    open: unsafe extern "C" fn(libc::intptr_t, i32) -> i32,
    replace: unsafe extern "C" fn(i32, i32) -> i32,
    close: unsafe extern "C" fn(i32) -> i32,
}

impl Runtime {
    /// The one that this program is linked with, and the two of the system.
    fn all() -> impl Iterator<Item = Self> {
        let own = Self { open: libc::open_osfhandle, replace: libc::dup2, close: libc::close };
        let named = [c"msvcrt.dll", c"ucrtbase.dll"].into_iter().filter_map(Self::named);
        std::iter::once(own).chain(named)
    }

    /// One that is loaded.
    fn named(name: &CStr) -> Option<Self> {
        // SAFETY: the name ends with a zero; nothing is loaded.
        let module = unsafe { GetModuleHandleA(name.as_ptr().cast()) };
        if module.is_null() {
            return None;
        }
        // SAFETY: the module stays loaded, as both do for the life of the process; the name ends with a zero.
        let function = |name: &CStr| unsafe { GetProcAddress(module, name.as_ptr().cast()) };
        let (open, replace, close) = (function(c"_open_osfhandle")?, function(c"_dup2")?, function(c"_close")?);
        // SAFETY: this is its declaration in the documentation of the runtime.
        let open = unsafe { transmute::<FoundFunction, unsafe extern "C" fn(libc::intptr_t, i32) -> i32>(open) };
        // SAFETY: as above.
        let replace = unsafe { transmute::<FoundFunction, unsafe extern "C" fn(i32, i32) -> i32>(replace) };
        // SAFETY: as above.
        let close = unsafe { transmute::<FoundFunction, unsafe extern "C" fn(i32) -> i32>(close) };
        Some(Self { open, replace, close })
    }

    /// Has a descriptor be a copy of this handle.
    fn replace(&self, descriptor: i32, handle: &OwnedHandle) -> io::Result<()> {
        let copy = handle.try_clone()?.into_raw_handle();
        // SAFETY: the handle is given away; the runtime closes it with its descriptor.
        let taken = unsafe { (self.open)(copy as libc::intptr_t, 0) };
        if taken < 0 {
            return Err(io::Error::other("the C runtime takes no handle"));
        }
        // SAFETY: the first is open, as was just seen; the second is one of the standard ones.
        let replaced = unsafe { (self.replace)(taken, descriptor) };
        // SAFETY: it is open, and nobody else knows it.
        unsafe { (self.close)(taken) };
        if replaced < 0 { Err(io::Error::other("the C runtime replaces no descriptor")) } else { Ok(()) }
    }
}

/// A function, before it is known which.
type FoundFunction = unsafe extern "system" fn() -> isize;

/// Keeps what speaks with the client from every process that is started from now on: a client that has made pipes for this
/// process has made them to be inherited.
pub(in crate::plugin) fn keep_standard_from_children() {
    for which in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE] {
        // SAFETY: it takes a number.
        let handle = unsafe { GetStdHandle(which) };
        // SAFETY: a handle that is none is refused.
        unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
    }
}

/// Whether this process has a console, which those that it starts share.
pub(in crate::plugin) fn has_console() -> bool {
    // SAFETY: it takes nothing.
    unsafe { GetConsoleCP() != 0 }
}

/// Leaves events of the console to the host: it drains, and ends this process.
pub(in crate::plugin) fn ignore_console() {
    unsafe extern "system" fn ignore(event: u32) -> BOOL {
        // Of the end of the console, the user's leave and the machine's, Windows ends the process when this returns.
        if event >= CTRL_CLOSE_EVENT {
            std::thread::sleep(Duration::from_secs(60));
        }
        1
    }
    // SAFETY: the function is there for as long as the process lives.
    unsafe { SetConsoleCtrlHandler(Some(ignore), 1) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::confine::{Network, Unenforceable};

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
