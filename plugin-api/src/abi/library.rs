//! Opening a library: mapped, its layout checked, its module made, and nothing of the plugin started yet.
//!
//! Whoever loads plugins comes through here: a host, and the tests of an author who loads what was just built.

#![allow(unsafe_code, reason = "libraries are opened here")]

use super::foreign::{AbiHeaderRef, LibHeader, StableAbi};
use super::{ModuleRef, ROOT_SYMBOL, is_layout_compatible};
use std::path::Path;

/// Why a library cannot be opened. Each says what was tried; the cause has the loader's words.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The system's loader refuses it: most often a library that it needs is missing.
    Loader(libloading::Error),
    /// The symbol that every plugin exports is missing.
    MissingSymbol(libloading::Error),
    /// It was built with another abi_stable.
    Header(String),
    /// Its objects are laid out in another way.
    Layout(String),
    /// Its module cannot be made.
    Module(String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loader(_) => formatter.write_str("the system cannot load it"),
            Self::MissingSymbol(_) => write!(formatter, "it lacks the symbol '{ROOT_SYMBOL}'"),
            Self::Header(why) => write!(formatter, "its ABI header is not readable: {why}"),
            Self::Layout(why) => write!(formatter, "its ABI does not fit this host's: {why}"),
            Self::Module(why) => write!(formatter, "its module cannot be made: {why}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Loader(error) | Self::MissingSymbol(error) => Some(error),
            Self::Header(_) | Self::Layout(_) | Self::Module(_) => None,
        }
    }
}

/// Maps a library and checks its layout. The mapping stays for the life of the process: `dlclose` is unsound behind a layout
/// check, whose checker keeps references into the image.
///
/// # Errors
/// See [`OpenError`].
///
/// # Blocking
/// Runs the constructors of the library: use a thread that may hang.
///
/// # Safety
/// As [`libloading::Library::new`]: the constructors of the library run, with all rights of the process.
pub unsafe fn open_library(path: &Path) -> Result<ModuleRef, OpenError> {
    // SAFETY: upheld by the caller.
    let header = unsafe { mapped_header(path) }?;
    let plugin = header.layout().ok_or_else(|| OpenError::Layout("it has no layout".to_owned()))?;
    is_layout_compatible(<ModuleRef as StableAbi>::LAYOUT, plugin).map_err(OpenError::Layout)?;
    // SAFETY: the layouts were found compatible just now, in one direction or the other.
    unsafe { module(header) }
}

/// Maps a library whose layout was checked before. Otherwise as [`open_library`].
///
/// # Errors
/// See [`OpenError`].
///
/// # Blocking
/// As [`open_library`].
///
/// # Safety
/// As [`open_library`]; and [`open_library`] has opened the same bytes in a process of the same program.
pub unsafe fn open_checked_library(path: &Path) -> Result<ModuleRef, OpenError> {
    // SAFETY: upheld by the caller.
    let header = unsafe { mapped_header(path) }?;
    // SAFETY: upheld by the caller.
    unsafe { module(header) }
}

/// Maps a library, for good, and finds its header, which says with what abi_stable it was built.
///
/// # Safety
/// As [`libloading::Library::new`].
unsafe fn mapped_header(path: &Path) -> Result<&'static LibHeader, OpenError> {
    // SAFETY: upheld by the caller.
    let opened = unsafe { open_now(path) };
    let library = opened.map_err(OpenError::Loader)?;
    let library = Box::leak(Box::new(library));
    // SAFETY: the symbol is the static that `plugin_header` made; its address is what an `AbiHeaderRef` is.
    let header = unsafe { library.get::<AbiHeaderRef>(ROOT_SYMBOL.as_bytes()) };
    let header: AbiHeaderRef = *header.map_err(OpenError::MissingSymbol)?;
    header.upgrade().map_err(|error| OpenError::Header(first_line(&error.to_string())))
}

/// Opens the library that an author has just built, in the process of their test.
///
/// # Errors
/// See [`OpenError`].
#[cfg(feature = "testing")]
pub(crate) fn open_own(path: &Path) -> Result<ModuleRef, OpenError> {
    // SAFETY: a test runs the code of its own package, as it does with every function of it that it calls.
    unsafe { open_library(path) }
}

/// Opens a library so that all its symbols are found now, and none are lent to others.
///
/// # Safety
/// As [`libloading::Library::new`]: the constructors of the library run.
#[cfg(unix)]
unsafe fn open_now(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: upheld by the caller.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

/// As on Unix; there all symbols are found at once anyway. What the library needs is looked for in the system's folder and beside
/// it, and not beside this program, where this process happens to run, nor in `PATH`.
///
/// # Safety
/// As [`libloading::Library::new`].
#[cfg(windows)]
unsafe fn open_now(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::windows::{LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, LOAD_LIBRARY_SEARCH_SYSTEM32, Library};
    let flags = LOAD_LIBRARY_SEARCH_SYSTEM32 | LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR;
    // SAFETY: upheld by the caller.
    unsafe { Library::load_with_flags(path, flags) }.map(Into::into)
}

/// The module of a header.
///
/// # Safety
/// Its layout fits, in one direction or the other; what is missing at the end of a prefix type reads as absent.
unsafe fn module(header: &'static LibHeader) -> Result<ModuleRef, OpenError> {
    // Not `RootModule::load_from`: that has one static for each module type, and the second plugin would get the first one's.
    // SAFETY: upheld by the caller.
    let module = unsafe { header.init_root_module_with_unchecked_layout::<ModuleRef>() };
    module.map_err(|error| OpenError::Module(first_line(&error.to_string())))
}

fn first_line(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(MAX_CHARS).collect()
}
