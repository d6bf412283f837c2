//! Versions of one plugin, made by writing another text over the one in its file.

use crate::{Host, HostBuilder, Http, call, library_name, plugin_file, text};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// What the text is in the file as it was built.
const BUILT: &[u8] = b"VERSION-000000";

/// The text of a version.
#[must_use]
pub fn version_text(number: usize) -> String {
    format!("VERSION-{number:06}")
}

/// The bytes of a version.
#[must_use]
pub fn version_bytes(number: usize) -> Vec<u8> {
    static FILE: OnceLock<(Vec<u8>, Vec<usize>)> = OnceLock::new();
    let (bytes, places) = FILE.get_or_init(|| {
        let bytes = fs::read(plugin_file("versioned")).unwrap();
        let is_there = |at: &usize| bytes[*at..].starts_with(BUILT);
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == BUILT[0]).filter(is_there).collect();
        assert!(!places.is_empty(), "the version is in the file");
        (bytes, places)
    });
    let mut version = bytes.clone();
    for place in places {
        version[*place..*place + BUILT.len()].copy_from_slice(version_text(number).as_bytes());
    }
    version
}

/// Puts bytes into a folder as a file, all at once.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) {
    let draft = folder.join(format!(".{name}.draft"));
    fs::write(&draft, bytes).unwrap();
    fs::rename(draft, folder.join(name)).unwrap();
}

/// Puts a version into a folder, all at once.
pub fn put_version(folder: &Path, number: usize) {
    put(folder, &library_name("versioned"), &version_bytes(number));
}

/// Has changes of files be looked at soon.
pub const FAST: &str = "[watch]\nsettle = \"20ms\"\n";

/// A host with the first version, beside another plugin.
#[must_use]
pub fn versioned(config: &str) -> HostBuilder {
    let builder = Host::with(&["hello"]).config(&format!("{FAST}{config}"));
    put_version(&builder.plugins(), 1);
    builder
}

/// The text of the version that is served.
#[track_caller]
#[must_use]
pub fn version(client: &Http) -> String {
    text(&client.ask(&call(1, "version", json!({})))).to_owned()
}
