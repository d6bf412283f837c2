//! What a plugin says of itself before any of its code has run.
//!
//! `dlopen` runs constructors before a symbol can be looked up, so "is this a plugin, and of which version" must be
//! answered from the bytes of the file: a static in a section of its own, which survives stripping.

use serde::{Deserialize, Serialize};

/// ELF section of the metadata.
pub const METADATA_SECTION: &str = ".mcp_plugin";
/// PE section of the metadata (eight characters at most).
pub const METADATA_SECTION_PE: &str = ".mcpplug";
/// Mach-O section of the metadata, in segment `__DATA`.
pub const METADATA_SECTION_MACHO: &str = "__mcp_plugin";
/// The bytes every metadata section begins with.
pub const METADATA_MAGIC: [u8; 8] = *b"MCPPLUG\0";
/// The version of this format.
pub const FORMAT: u32 = 1;
/// The size of the section in bytes: magic, length (little-endian `u32`), JSON, zeros.
pub const METADATA_CAPACITY: usize = 4096;

/// How the plugin was told to treat panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PanicMode {
    /// A panic is an error of one call.
    Unwind,
    /// A panic ends the process; such a plugin cannot be contained in-process.
    Abort,
}

/// A plugin's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The version of the format, [`FORMAT`].
    pub format: u32,
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// One line about the plugin.
    #[serde(default)]
    pub description: String,
    /// The ABI family, [`super::KIND`].
    pub abi: String,
    /// The ABI level, [`super::LEVEL`] of the build.
    pub level: u32,
    /// The version of `mcp-plugin-api` it was built with.
    pub api: String,
    /// What a panic does.
    pub panic: PanicMode,
    /// What it needs where it is confined: `read`, `write`, `network`, `env`, `memory`, `cpu_time`, `files` or
    /// `subprocesses`, most with which ones, such as `env API_KEY`. It gets what the operator grants, and no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wants: Vec<String>,
}

/// Why a section is not metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataError {
    /// The section does not begin with [`METADATA_MAGIC`].
    NoMagic,
    /// The length is beyond the section.
    BadLength,
    /// The JSON cannot be read. Its message.
    BadJson(String),
    /// A later format than [`FORMAT`].
    UnknownFormat(u32),
}

impl std::fmt::Display for MetadataError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoMagic => formatter.write_str("the metadata section lacks its magic bytes"),
            Self::BadLength => formatter.write_str("the metadata is longer than its section"),
            Self::BadJson(message) => write!(formatter, "the metadata is not readable: {message}"),
            Self::UnknownFormat(found) => {
                write!(formatter, "metadata format {found} is newer than this host's {FORMAT}")
            }
        }
    }
}

impl std::error::Error for MetadataError {}

/// Reads the bytes of a metadata section.
///
/// # Errors
/// See [`MetadataError`].
pub fn parse_metadata(section: &[u8]) -> Result<Metadata, MetadataError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let rest = section.strip_prefix(&METADATA_MAGIC).ok_or(MetadataError::NoMagic)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(MetadataError::BadLength)?;
    let length = u32::from_le_bytes(*length) as usize;
    let json = rest.get(..length).ok_or(MetadataError::BadLength)?;
    let bad = |error: serde_json::Error| MetadataError::BadJson(error.to_string());
    let Format { format } = serde_json::from_slice(json).map_err(bad)?;
    if format > FORMAT {
        return Err(MetadataError::UnknownFormat(format));
    }
    serde_json::from_slice(json).map_err(bad)
}

/// Lays the metadata of a plugin out as a section, while the plugin is compiled. `wants` has one want on each line.
///
/// # Panics
/// At compile time: when the text does not fit, or has characters that JSON would escape.
#[must_use]
pub const fn metadata_bytes(
    name: &str,
    version: &str,
    description: &str,
    wants: &str,
    panic_aborts: bool,
) -> [u8; METADATA_CAPACITY] {
    let mut writer = Writer { bytes: [0; METADATA_CAPACITY], length: METADATA_MAGIC.len() + 4 };
    writer.text("{\"format\":1,\"name\":\"");
    writer.quoted(name);
    writer.text("\",\"version\":\"");
    writer.quoted(version);
    writer.text("\",\"description\":\"");
    writer.quoted(description);
    writer.text("\",\"abi\":\"");
    writer.text(super::KIND);
    writer.text(if super::LEVEL == 1 { "\",\"level\":1,\"api\":\"" } else { "\",\"level\":2,\"api\":\"" });
    writer.text(env!("CARGO_PKG_VERSION"));
    writer.text(if panic_aborts { "\",\"panic\":\"abort\"" } else { "\",\"panic\":\"unwind\"" });
    if !wants.is_empty() {
        writer.text(",\"wants\":[\"");
        writer.lines(wants);
        writer.text("\"]");
    }
    writer.text("}");
    writer.finish()
}

/// A cursor over the section, for `const` code.
struct Writer {
    bytes: [u8; METADATA_CAPACITY],
    length: usize,
}

impl Writer {
    const fn text(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut index = 0;
        while index < text.len() {
            assert!(self.length < METADATA_CAPACITY, "the plugin's metadata is too long");
            self.bytes[self.length] = text[index];
            self.length += 1;
            index += 1;
        }
    }

    /// Lines, as strings of a list.
    const fn lines(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut index = 0;
        while index < text.len() {
            if text[index] == b'\n' {
                self.text("\",\"");
            } else {
                self.quoted_byte(text[index]);
            }
            index += 1;
        }
    }

    /// Text inside a JSON string: quotes, backslashes and control characters become spaces or apostrophes.
    const fn quoted(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut index = 0;
        while index < text.len() {
            self.quoted_byte(text[index]);
            index += 1;
        }
    }

    const fn quoted_byte(&mut self, byte: u8) {
        assert!(self.length < METADATA_CAPACITY, "the plugin's metadata is too long");
        self.bytes[self.length] = match byte {
            b'"' => b'\'',
            b'\\' => b'/',
            byte if byte < 0x20 => b' ',
            byte => byte,
        };
        self.length += 1;
    }

    const fn finish(mut self) -> [u8; METADATA_CAPACITY] {
        let start = METADATA_MAGIC.len();
        let length = (self.length - start - 4) as u32;
        let length = length.to_le_bytes();
        let mut index = 0;
        while index < start {
            self.bytes[index] = METADATA_MAGIC[index];
            index += 1;
        }
        let mut index = 0;
        while index < 4 {
            self.bytes[start + index] = length[index];
            index += 1;
        }
        self.bytes
    }
}
