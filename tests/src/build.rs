//! What tests run: built by cargo or cc, in the profile of the tests themselves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// The folder of build products.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// Where the host that is tested runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// On this machine.
    Native,
    /// On Windows, which is Wine here: `wine` runs its programs, and what was built for it is in `built`.
    Windows {
        /// Runs a program of Windows.
        wine: PathBuf,
        /// Its plugins and the host.
        built: PathBuf,
    },
}

/// Where the host that is tested runs: with `MCP_TEST_WINE` set, on Windows, with what is in the folder `MCP_TEST_BUILT`.
#[must_use]
pub fn system() -> System {
    match std::env::var_os("MCP_TEST_WINE") {
        None => System::Native,
        Some(wine) => {
            let built = std::env::var_os("MCP_TEST_BUILT").expect("what was built for Windows: MCP_TEST_BUILT");
            System::Windows { wine: wine.into(), built: built.into() }
        }
    }
}

/// A path of this machine as the host that is tested knows it.
#[must_use]
pub fn told(path: &Path) -> String {
    let path = path.to_str().unwrap();
    match system() {
        System::Native => path.to_owned(),
        System::Windows { .. } => format!("Z:{}", path.replace('/', "\\")),
    }
}

/// Runs `cargo build` with these words.
#[track_caller]
pub fn build(words: &[&str]) {
    let built = Command::new(env!("CARGO")).current_dir(repository()).arg("build").args(words).output().unwrap();
    assert!(built.status.success(), "cargo build {words:?}:\n{}", String::from_utf8_lossy(&built.stderr));
}

/// A product of the workspace, such as `libhello.so` or `mcp-host`, on Windows `hello.dll` or `mcp-host.exe`. A release binary of
/// the tests takes those of `tests/bench/build` where these are enough.
#[track_caller]
#[must_use]
pub fn artifact(name: &str) -> PathBuf {
    if let System::Windows { built, .. } = system() {
        let path = built.join(name);
        assert!(path.is_file(), "{} was not built", path.display());
        return path;
    }
    static BUILT: OnceLock<()> = OnceLock::new();
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    BUILT.get_or_init(|| {
        if cfg!(debug_assertions) {
            // As `tests/run` does, so that it is built already.
            let all = ["--workspace", "--exclude", "mcp-host-windows-tests", "--features", "mcp-plugin-api/testing"];
            return build(&[&all[..], &["--exclude", "mcp-plugin-macros", "--lib", "--bins", "--tests"]].concat());
        }
        let built = Command::new(repository().join("tests/bench/build")).arg("--quiet").status();
        assert!(built.unwrap().success(), "tests/bench/build failed");
    });
    let path = target().join(profile).join(name);
    if !path.is_file() {
        static ALL_BUILT: OnceLock<()> = OnceLock::new();
        ALL_BUILT.get_or_init(|| build(&["--workspace", "--release"]));
    }
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

/// Compiles C into a shared library.
#[track_caller]
pub fn compile_c(source: &str, library: &Path, words: &[&str]) {
    let file = library.with_extension("c");
    std::fs::write(&file, source).unwrap();
    let compiler = if system() == System::Native { "cc" } else { "x86_64-w64-mingw32-gcc" };
    let compiled = Command::new(compiler)
        .args(["-shared", "-fPIC", "-o"])
        .arg(library)
        .arg(&file)
        .args(words)
        .output()
        .expect("a C compiler");
    assert!(compiled.status.success(), "{compiler}: {}", String::from_utf8_lossy(&compiled.stderr));
    std::fs::remove_file(file).unwrap();
}

/// Installs the pinned peers below `target/peers`, unless they are there.
#[track_caller]
pub fn run_peer_setup() -> PathBuf {
    static SET_UP: OnceLock<PathBuf> = OnceLock::new();
    SET_UP
        .get_or_init(|| {
            let folder = target().join("peers");
            let setup = Command::new("sh").arg(repository().join("tests/peers/setup")).arg(&folder).output().unwrap();
            let told = format!("{}{}", String::from_utf8_lossy(&setup.stdout), String::from_utf8_lossy(&setup.stderr));
            assert!(setup.status.success(), "peers cannot be installed:\n{told}");
            folder
        })
        .clone()
}
