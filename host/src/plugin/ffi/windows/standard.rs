//! Standard input and output as foreign code sees them.

use parking_lot::Mutex;
use std::ffi::CStr;
use std::fs::OpenOptions;
use std::io;
use std::mem::transmute;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle, IntoRawHandle as _, OwnedHandle};
use windows_sys::Win32::Foundation::{
    HANDLE_FLAG_INHERIT, HANDLE_FLAG_PROTECT_FROM_CLOSE, INVALID_HANDLE_VALUE, SetHandleInformation,
};
use windows_sys::Win32::Storage::FileSystem::{FILE_TYPE_UNKNOWN, GetFileType};
use windows_sys::Win32::System::Console::{
    GetStdHandle, STD_ERROR_HANDLE, STD_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetStdHandle,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};

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
    let output = standard(STD_ERROR_HANDLE).map_or_else(nothing, Ok)?;
    replace(STD_OUTPUT_HANDLE, 1, output)?;
    if with_input {
        replace(STD_INPUT_HANDLE, 0, nothing()?)?;
    }
    *is_done = true;
    Ok(())
}

/// A copy of a standard handle, if it is one: services have none, and who starts a program may give anything.
fn standard(which: STD_HANDLE) -> Option<OwnedHandle> {
    // SAFETY: it takes a number.
    let handle = unsafe { GetStdHandle(which) };
    // SAFETY: a handle that is none has no type.
    if handle.is_null() || handle == INVALID_HANDLE_VALUE || unsafe { GetFileType(handle) } == FILE_TYPE_UNKNOWN {
        return None;
    }
    // SAFETY: it is one, and standard handles stay open.
    unsafe { BorrowedHandle::borrow_raw(handle) }.try_clone_to_owned().ok()
}

/// Has a standard handle, and the descriptor of each C runtime that was made of it, be this one. The old handle stays open, and
/// nobody's: another runtime that knows its number would write to whatever had the number next. No process inherits it from now
/// on: one that outlives this one would keep it open for whoever listens at its other end.
fn replace(which: STD_HANDLE, descriptor: i32, handle: OwnedHandle) -> io::Result<()> {
    // SAFETY: it takes a number.
    let old = unsafe { GetStdHandle(which) };
    let has_old = !old.is_null() && old != INVALID_HANDLE_VALUE;
    let set = |flags, values| {
        if has_old {
            // SAFETY: it is open; a handle that is none is refused.
            unsafe { SetHandleInformation(old, flags, values) };
        }
    };
    // A runtime closes what its descriptor was before.
    set(HANDLE_FLAG_PROTECT_FROM_CLOSE | HANDLE_FLAG_INHERIT, HANDLE_FLAG_PROTECT_FROM_CLOSE);
    let replaced = Runtime::all().try_for_each(|runtime| runtime.replace(descriptor, &handle));
    set(HANDLE_FLAG_PROTECT_FROM_CLOSE, 0);
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
        let copy = handle.try_clone()?;
        // SAFETY: the handle is open, and given away where the runtime takes it, which closes it with its descriptor.
        let taken = unsafe { (self.open)(copy.as_raw_handle() as libc::intptr_t, 0) };
        if taken < 0 {
            return Err(io::Error::other("the C runtime takes no handle"));
        }
        let _the_runtimes = copy.into_raw_handle();
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
/// process has made them to be inherited. One that this program gives its own standard handles gets copies.
pub(crate) fn keep_standard_from_children() {
    for which in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE] {
        // SAFETY: it takes a number.
        let handle = unsafe { GetStdHandle(which) };
        // SAFETY: a handle that is none is refused.
        unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
    }
}
