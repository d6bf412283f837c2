//! What a file says of itself, read from its bytes: nothing of it is run, and a broken file never reaches the loader.

use super::{Candidate, Digest, metadata};
use mcp_plugin_api::abi::{
    METADATA_SECTION, METADATA_SECTION_MACHO, METADATA_SECTION_PE, Metadata, MetadataError, ROOT_SYMBOL, parse_metadata,
};
use object::read::macho::{FatArch, MachOFatFile32, MachOFatFile64};
use object::{
    Architecture, BinaryFormat, FileKind, Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _,
};
use std::io;
use std::path::{Path, PathBuf};

/// A file that may be staged and loaded.
#[derive(Debug)]
pub struct Inspected {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes, as they were judged.
    pub(super) bytes: Vec<u8>,
    /// What it says of itself.
    pub metadata: Metadata,
}

/// Why a file is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
    /// It is no library for any system.
    #[error("it is not a native library")]
    NotALibrary,
    /// It ends before what it announces.
    #[error("it is truncated: {0}")]
    Truncated(String),
    /// It has no part of a universal library that is certain to be the one that is loaded.
    #[error("it is a universal library {0}")]
    BadParts(&'static str),
    /// It is for another machine or system.
    #[error("it is built for {found}, this host is {expected}")]
    OtherMachine {
        /// The file's.
        found: String,
        /// This host's.
        expected: String,
    },
    /// A library, but no plugin.
    #[error("it is a library, but no plugin")]
    NotAPlugin,
    /// Its metadata cannot be read.
    #[error("its metadata is broken")]
    BadMetadata(#[source] MetadataError),
    /// It cannot be named.
    #[error("it has no usable name: '{name}' is not 1 to 64 of A-Z, a-z, 0-9, '-', '_' and '.'")]
    BadName {
        /// The name it has.
        name: String,
    },
    /// It speaks another ABI.
    #[error("it speaks the ABI '{found}', this host speaks '{expected}'")]
    OtherAbi {
        /// The file's.
        found: String,
        /// This host's.
        expected: &'static str,
    },
    /// Its API version cannot be read.
    #[error("its API version '{found}' is not a version")]
    BadApiVersion {
        /// What it says.
        found: String,
    },
    /// It is newer than this host.
    #[error("it is built with mcp-plugin-api {found}, this host has {host}: update mcp-host")]
    ApiTooNew {
        /// The file's.
        found: String,
        /// This host's.
        host: &'static str,
    },
    /// It is older than this host accepts.
    #[error("it is built with mcp-plugin-api {found}, this host has {host}: rebuild the plugin")]
    ApiTooOld {
        /// The file's.
        found: String,
        /// This host's.
        host: &'static str,
    },
    /// A panic in it would end the host.
    #[error(
        "it is built with panic = \"abort\", so a panic in it would end the host: build it with panic = \"unwind\", or run it \
         with isolation = \"worker\""
    )]
    PanicAborts,
    /// It is larger than a library is: a file that only says that it has so many bytes would take all memory.
    #[error("it has more than {MAX_LIBRARY_BYTES} bytes")]
    TooLarge,
    /// It does not export what a plugin must.
    #[error("it lacks the symbol '{symbol}'")]
    MissingSymbol {
        /// The symbol.
        symbol: &'static str,
    },
}

/// Reads and judges a candidate.
///
/// # Errors
/// See [`InspectError`].
///
/// # Blocking
/// Reads the whole file.
pub fn inspect(candidate: Candidate) -> Result<Inspected, InspectError> {
    let bytes = read(&candidate.path)?;
    let metadata = inspect_bytes(&bytes)?;
    metadata::check(&metadata)?;
    check_machine(&bytes)?;
    Ok(Inspected { path: candidate.path, bytes, metadata })
}

/// Reads the metadata of a file for any system, and its digest.
///
/// # Errors
/// See [`InspectError`]; whether it fits this host is not judged.
pub fn inspect_file(path: &Path) -> Result<(Metadata, Digest), InspectError> {
    let bytes = read(path)?;
    Ok((inspect_bytes(&bytes)?, Digest::of(&bytes)))
}

/// No library has more.
const MAX_LIBRARY_BYTES: u64 = 1 << 30;

/// Reads a file that may be a library, if it is no larger than any is.
fn read(path: &Path) -> Result<Vec<u8>, InspectError> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(InspectError::Unreadable)?;
    let size = file.metadata().map_err(InspectError::Unreadable)?.len();
    if size > MAX_LIBRARY_BYTES {
        return Err(InspectError::TooLarge);
    }
    let mut bytes = Vec::new();
    let no_room = |error| InspectError::Unreadable(std::io::Error::other(error));
    bytes.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX)).map_err(no_room)?;
    // It may grow while it is read.
    file.take(MAX_LIBRARY_BYTES + 1).read_to_end(&mut bytes).map_err(InspectError::Unreadable)?;
    if bytes.len() as u64 > MAX_LIBRARY_BYTES {
        return Err(InspectError::TooLarge);
    }
    Ok(bytes)
}

/// Reads the metadata of a plugin for any system out of its bytes.
///
/// # Errors
/// See [`InspectError`]; whether it fits this host is not judged.
pub fn inspect_bytes(bytes: &[u8]) -> Result<Metadata, InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    // A file with the first bytes of a library that cannot be read on is a broken library, not another kind of file.
    let bytes = own_part(bytes)?;
    let file = object::File::parse(bytes).map_err(|error| InspectError::Truncated(error.to_string()))?;
    check_segments(&file, bytes)?;
    let name = match file.format() {
        BinaryFormat::Pe => METADATA_SECTION_PE,
        BinaryFormat::MachO => METADATA_SECTION_MACHO,
        _ => METADATA_SECTION,
    };
    let section = file.section_by_name(name).ok_or(InspectError::NotAPlugin)?;
    let data = section.data().map_err(|error| InspectError::Truncated(error.to_string()))?;
    let metadata = parse_metadata(data).map_err(InspectError::BadMetadata)?;
    let exported = match file.format() {
        // Dynamic symbols are what the loader sees.
        BinaryFormat::Elf => file.dynamic_symbols().any(|symbol| symbol.name() == Ok(ROOT_SYMBOL)),
        // Mach-O puts an underscore before every name.
        _ => {
            let mut exports = file.exports().map_err(|error| InspectError::Truncated(error.to_string()))?;
            exports.any(|export| {
                export.is_ok_and(|export| {
                    let object::NameOrOrdinal::Name(name) = export.name() else { return false };
                    name == ROOT_SYMBOL.as_bytes() || name.strip_prefix(b"_") == Some(ROOT_SYMBOL.as_bytes())
                })
            })
        }
    };
    if !exported {
        return Err(InspectError::MissingSymbol { symbol: ROOT_SYMBOL });
    }
    Ok(metadata)
}

/// The part of a universal library of macOS that this host's machine would load, or else the first; all of any other library.
fn own_part(bytes: &[u8]) -> Result<&[u8], InspectError> {
    let part = match object::FileKind::parse(bytes).map_err(|_| InspectError::NotALibrary)? {
        FileKind::MachOFat32 => MachOFatFile32::parse(bytes).and_then(|file| part_of(bytes, file.arches())),
        FileKind::MachOFat64 => MachOFatFile64::parse(bytes).and_then(|file| part_of(bytes, file.arches())),
        _ => return Ok(bytes),
    };
    let part = part.map_err(|error| InspectError::Truncated(error.to_string()))??;
    match object::FileKind::parse(part) {
        Ok(FileKind::MachO32 | FileKind::MachO64) => Ok(part),
        _ => Err(InspectError::BadParts("of what is no library of macOS")),
    }
}

/// The one that is judged must be the one that is loaded. Which of several for a machine that is depends on its kind of
/// processor, which is not known here.
fn part_of<'a>(bytes: &'a [u8], parts: &[impl FatArch]) -> object::Result<Result<&'a [u8], InspectError>> {
    let mut own = parts.iter().filter(|part| part.architecture() == native_architecture());
    let Some(part) = own.next().or(parts.first()) else {
        return Ok(Err(InspectError::BadParts("without a part")));
    };
    if own.next().is_some() {
        return Ok(Err(InspectError::BadParts("with several parts for this machine")));
    }
    part.data(bytes).map(Ok)
}

/// The loader of Linux maps segments without asking whether the file holds them, and the process dies of the first touch
/// (SIGBUS). Others refuse such a file; it is refused here before they see it.
fn check_segments(file: &object::File<'_>, bytes: &[u8]) -> Result<(), InspectError> {
    for segment in file.segments() {
        let (start, length) = segment.file_range();
        if start.checked_add(length).is_none_or(|end| end > bytes.len() as u64) {
            return Err(InspectError::Truncated("a segment ends behind the end of the file".to_owned()));
        }
    }
    check_symbols(file, bytes)
}

/// What a linker for Windows has put behind the segments: symbols for debuggers, and then their names. No loader needs them; a
/// file without them was cut all the same.
fn check_symbols(file: &object::File<'_>, bytes: &[u8]) -> Result<(), InspectError> {
    const SYMBOL_BYTES: u64 = 18;
    let object::File::Pe64(file) = file else { return Ok(()) };
    let header = &file.nt_headers().file_header;
    let start = u64::from(header.pointer_to_symbol_table.get(object::LittleEndian));
    if start == 0 {
        return Ok(());
    }
    let names = start + u64::from(header.number_of_symbols.get(object::LittleEndian)) * SYMBOL_BYTES;
    // Its own length comes first.
    let length =
        usize::try_from(names).ok().and_then(|at| bytes.get(at..)?.first_chunk()).copied().map(u32::from_le_bytes);
    match length.map(|length| names + u64::from(length)) {
        Some(end) if end <= bytes.len() as u64 => Ok(()),
        _ => Err(InspectError::Truncated("its symbols end behind the end of the file".to_owned())),
    }
}

/// Whether the file is for the machine and system that this host is built for.
fn check_machine(bytes: &[u8]) -> Result<(), InspectError> {
    let file = object::File::parse(own_part(bytes)?).map_err(|error| InspectError::Truncated(error.to_string()))?;
    let told = |format: BinaryFormat, architecture: Architecture| format!("{format:?}/{architecture:?}");
    let (format, architecture) = (file.format(), file.architecture());
    let expected = (native_format(), native_architecture());
    if (format, architecture) == expected {
        return Ok(());
    }
    Err(InspectError::OtherMachine { found: told(format, architecture), expected: told(expected.0, expected.1) })
}

fn native_format() -> BinaryFormat {
    match std::env::consts::DLL_EXTENSION {
        "dll" => BinaryFormat::Pe,
        "dylib" => BinaryFormat::MachO,
        _ => BinaryFormat::Elf,
    }
}

fn native_architecture() -> Architecture {
    match std::env::consts::ARCH {
        "x86_64" => Architecture::X86_64,
        "aarch64" => Architecture::Aarch64,
        "x86" => Architecture::I386,
        "arm" => Architecture::Arm,
        "riscv64" => Architecture::Riscv64,
        _ => Architecture::Unknown,
    }
}
