//! The house rules: which room may know which, where unsafe code lives, and what every file begins with.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::repository;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the host by layer. A room may name rooms of lower layers only; rooms of one layer are strangers.
const LAYERS: &[(u8, &str)] = &[
    (0, "wire"),
    (0, "rt"),
    (0, "outlet"),
    (0, "telemetry"),
    (1, "protocol"),
    (1, "call"),
    (2, "registry"),
    (2, "session"),
    (2, "replay"),
    (2, "task"),
    (2, "admit"),
    (3, "dispatch"),
    (3, "plugin"),
    (3, "skill"),
    (4, "runner"),
    (5, "serve"),
    (6, "transport"),
    (6, "scaffold"),
    (6, "clients"),
    (6, "workshop"),
    (7, "config"),
    (7, "app"),
    (7, "cli"),
];

/// Rooms that everyone may name.
const OPEN: &[&str] = &["rt", "telemetry"];

/// Pairs of one layer that may know each other, each with its reason.
const ALLOWED: &[(&str, &str)] = &[
    // A call asks in the protocol's neutral terms.
    ("call", "protocol"),
    // The rooms of the top compose: configuration resolves values, the root wires them, the command line starts it.
    ("app", "config"),
    ("cli", "app"),
    ("cli", "config"),
];

/// What a room must never name, whatever its layer.
const NEVER: &[(&str, &[&str])] = &[
    ("wire", &["tokio", "axum"]),
    ("protocol", &["tokio", "axum", "hyper"]),
    ("registry", &["libloading", "abi_stable", "axum"]),
    ("session", &["axum", "hyper"]),
    ("replay", &["axum", "hyper", "libloading"]),
    ("task", &["axum", "hyper", "libloading"]),
    ("runner", &["axum", "hyper", "libloading", "redb"]),
    ("dispatch", &["axum", "hyper", "libloading"]),
    ("plugin", &["axum", "hyper"]),
    ("serve", &["axum", "hyper", "libloading"]),
    ("transport", &["libloading", "abi_stable"]),
];

/// The rooms with unsafe code.
const UNSAFE_ROOMS: &[&str] = &["host/src/plugin/ffi", "plugin-api/src/abi"];

/// Where code may differ from system to system.
const PLATFORM_PLACES: &[&str] = &[
    "host/src/rt",
    "host/src/plugin/ffi",
    "host/src/plugin/confine",
    "host/src/plugin/worker/system",
    "host/src/cli/service.rs",
    // Sections and the loader.
    "plugin-api/src/lib.rs",
    "plugin-api/src/abi",
    // Rights of files, and bytes of their names.
    "plugins/filesystem/src/lib.rs",
    "plugins/git/src/change.rs",
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "{} has no Rust files", folder.display());
    files.sort();
    files
}

/// The code of a file without its comments, tests left out.
fn production(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let tests = text.find("\nmod tests {").and_then(|at| text[..at].rfind("#[cfg(test)]"));
    let code = &text[..tests.unwrap_or(text.len())];
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What stands between the parentheses of each `cfg`, over however many lines.
fn conditions(code: &str) -> Vec<&str> {
    let begins = ["cfg(", "cfg!(", "cfg_attr("];
    let starts = begins.iter().flat_map(|begin| code.match_indices(begin).map(|(at, _)| at + begin.len()));
    let until_closed = |start: usize| {
        let mut depth = 1;
        let end = code[start..].find(|character| {
            depth += i32::from(character == '(') - i32::from(character == ')');
            depth == 0
        });
        &code[start..end.map_or(code.len(), |end| start + end)]
    };
    starts.map(until_closed).collect()
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(repository().join("host/src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
}

#[test]
fn rooms_know_lower_rooms_only() {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().map(|(layer, room)| (*room, *layer)).collect();
    let mut broken = Vec::new();
    for path in rust_files(&repository().join("host/src")) {
        let room = room_of(&path);
        if ["lib", "main"].contains(&room.as_str()) || is_test(&path) {
            continue;
        }
        let Some(layer) = layers.get(room.as_str()) else {
            broken.push(format!("{}: the room '{room}' is in no layer", path.display()));
            continue;
        };
        for (other, other_layer) in &layers {
            let named = production(&path).contains(&format!("crate::{other}::"));
            let allowed = room == *other
                || other_layer < layer
                || OPEN.contains(other)
                || ALLOWED.contains(&(room.as_str(), other));
            if named && !allowed {
                broken.push(format!("{}: '{room}' may not know '{other}'", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn rooms_name_no_library_that_is_not_theirs() {
    let mut broken = Vec::new();
    for path in rust_files(&repository().join("host/src")).iter().filter(|path| !is_test(path)) {
        let room = room_of(path);
        let never = NEVER.iter().find(|(name, _)| *name == room).map_or(&[] as &[&str], |(_, never)| never);
        let code = production(path);
        for library in never {
            if code.contains(&format!("{library}::")) {
                broken.push(format!("{}: '{room}' never names {library}", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn unsafe_code_lives_in_two_rooms() {
    let mut broken = Vec::new();
    for folder in ["host/src", "plugin-api/src", "plugin-api/macros/src"] {
        for path in rust_files(&repository().join(folder)) {
            let inside = path.strip_prefix(repository()).unwrap().to_str().unwrap();
            let allowed = UNSAFE_ROOMS.iter().any(|room| inside.starts_with(room));
            let code = production(&path);
            let has = code.lines().any(|line| {
                let words = line.replace("#[unsafe(", "").replace("unsafe_code", "");
                words.contains("unsafe {") || words.contains("unsafe fn") || words.contains("unsafe impl")
            });
            if has && !allowed {
                broken.push(inside.to_owned());
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn systems_differ_in_few_places() {
    let mut broken = Vec::new();
    for folder in
        ["host/src", "plugin-api/src", "plugin-api/macros/src", "plugin-api/skills/src", "plugins", "sdk-examples"]
    {
        for path in rust_files(&repository().join(folder)).iter().filter(|path| !is_test(path)) {
            let inside = path.strip_prefix(repository()).unwrap().to_str().unwrap();
            let allowed = PLATFORM_PLACES.iter().any(|place| inside.starts_with(place));
            let code = production(path);
            let differs =
                conditions(&code).iter().filter(|condition| !condition.starts_with("all(test,")).any(|condition| {
                    ["unix", "windows", "target_os", "target_vendor", "target_family"]
                        .iter()
                        .any(|word| condition.contains(word))
                });
            if differs && !allowed {
                broken.push(inside.to_owned());
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn the_foreign_abi_is_named_in_two_rooms() {
    let mut broken = Vec::new();
    for folder in ["host/src", "plugin-api/src"] {
        for path in rust_files(&repository().join(folder)) {
            let inside = path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned();
            // The crate's root passes the names on to what the macros write.
            let allowed = UNSAFE_ROOMS.iter().any(|room| inside.starts_with(room)) || inside == "plugin-api/src/lib.rs";
            if production(&path).contains("abi_stable::") && !allowed {
                broken.push(inside);
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_file_says_what_it_is() {
    let mut broken = Vec::new();
    for folder in ["host/src", "plugin-api/src", "plugin-api/macros/src", "plugins", "tests"] {
        for path in rust_files(&repository().join(folder)).iter().filter(|path| !is_test(path)) {
            if !fs::read_to_string(path).unwrap().starts_with("//!") {
                broken.push(path.display().to_string());
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn long_files_state_their_reason() {
    const LONG: usize = 500;
    let mut broken = Vec::new();
    for folder in ["host/src", "plugin-api/src", "plugin-api/macros/src", "plugins"] {
        for path in rust_files(&repository().join(folder)).iter().filter(|path| !is_test(path)) {
            let text = fs::read_to_string(path).unwrap();
            let lines = text.split("#[cfg(test)]").next().unwrap().lines().count();
            let reason =
                text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains("long because"));
            if lines > LONG && !reason {
                broken.push(format!("{} has {lines} lines", path.display()));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}
