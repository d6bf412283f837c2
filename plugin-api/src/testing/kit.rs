//! A started plugin, called as a host would call it.

use super::Script;
use crate::abi::foreign::{RSlice, RStr, TD_Opaque};
use crate::abi::{
    CallContext, HostObject, KIND, METADATA_MAGIC, Outcome, PanicMode, PluginObject, Reply, op, open_own,
    parse_metadata,
};
use crate::adapter::Adapter;
use crate::content::{Completion, Prompt, ResourceResult, ToolResult};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::manifest::Manifest;
use crate::plugin::Plugin;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, OnceLock};
use tokio::runtime::Runtime;

/// A started plugin: its code, or the library that was built of it.
///
/// It waits for what is asynchronous itself: use it in plain tests, not in those of a runtime such as `#[tokio::test]`, where
/// waiting panics.
pub struct Kit {
    started: Box<dyn Started>,
}

/// What a kit asks of either form of a plugin.
trait Started: Send + Sync {
    fn manifest(&self) -> Result<Manifest>;
    fn run(&self, op: &str, name: &str, payload: &[u8], context: CallContext) -> Outcome;
}

impl<P: Plugin> Started for Adapter<P> {
    fn manifest(&self) -> Result<Manifest> {
        Ok(Self::manifest(self))
    }

    fn run(&self, op: &str, name: &str, payload: &[u8], context: CallContext) -> Outcome {
        Self::run(self, op, name, payload, Context::new(context))
    }
}

impl Started for PluginObject {
    fn manifest(&self) -> Result<Manifest> {
        Ok(serde_json::from_slice(&Self::manifest(self))?)
    }

    fn run(&self, op: &str, name: &str, payload: &[u8], context: CallContext) -> Outcome {
        self.call(RStr::from(op), RStr::from(name), RSlice::from(payload), context)
    }
}

/// Waits for pending outcomes.
static WAITING: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().expect("a test can have a runtime"));

impl Kit {
    /// Starts a plugin's code with a configuration: for unit tests, beside the code.
    ///
    /// # Errors
    /// What the plugin's start gives.
    pub fn start<P: Plugin>(config: Value) -> Result<Self> {
        let adapter = Adapter::<P>::start(Host::new(host()), config.to_string().as_bytes())?;
        Ok(Self { started: Box::new(adapter) })
    }

    /// Has cargo build the library of the package under test, loads it, and starts its plugin: for integration tests, in
    /// `tests/`. What crosses the boundary crosses it here too. It is built once for all tests of one file.
    ///
    /// # Errors
    /// Where it cannot be built or is no plugin; what the plugin's start gives.
    pub fn load(config: Value) -> Result<Self> {
        Self::open(&built_library()?, config)
    }

    /// Loads a library, and starts its plugin.
    ///
    /// # Errors
    /// Where it is no plugin; what the plugin's start gives.
    pub fn open(library: &Path, config: Value) -> Result<Self> {
        check_metadata(library)?;
        let module = open_own(library).map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            Error::new(format!("{}: {error}{cause}", library.display()))
        })?;
        let started = module.start()(host(), RSlice::from(config.to_string().as_bytes())).into_result();
        Ok(Self { started: Box::new(started?) })
    }

    /// What the plugin offers.
    ///
    /// # Panics
    /// Where the library tells it in another form than this crate's.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        self.started.manifest().expect("a plugin of this crate tells what it offers")
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// Errors of the request; what the tool itself reports is in the result.
    pub fn tool(&self, name: &str, arguments: Value, script: &Script) -> Result<ToolResult> {
        self.run(op::TOOL, name, &arguments, script)
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// What the plugin gives.
    pub fn resource(&self, uri: &str, script: &Script) -> Result<ResourceResult> {
        self.run(op::RESOURCE, uri, &Value::Null, script)
    }

    /// Expands a prompt.
    ///
    /// # Errors
    /// What the plugin gives.
    pub fn prompt(&self, name: &str, arguments: Value, script: &Script) -> Result<Prompt> {
        self.run(op::PROMPT, name, &arguments, script)
    }

    /// Completes an argument of a prompt.
    ///
    /// # Errors
    /// What the plugin gives.
    pub fn complete_prompt(&self, prompt: &str, argument: &str, typed: &str) -> Result<Completion> {
        let payload = json!({"kind": "prompt", "argument": argument, "value": typed});
        self.run(op::COMPLETE, prompt, &payload, &Script::new())
    }

    /// Completes a parameter of a template.
    ///
    /// # Errors
    /// What the plugin gives.
    pub fn complete_template(&self, template: &str, parameter: &str, typed: &str) -> Result<Completion> {
        let payload = json!({"kind": "template", "argument": parameter, "value": typed});
        self.run(op::COMPLETE, template, &payload, &Script::new())
    }

    fn run<T: DeserializeOwned>(&self, op: &str, name: &str, payload: &Value, script: &Script) -> Result<T> {
        let payload = if payload.is_null() { String::new() } else { payload.to_string() };
        let context = CallContext::from_value(script.clone(), TD_Opaque);
        let reply = match self.started.run(op, name, payload.as_bytes(), context) {
            Outcome::Ready(reply) => reply,
            Outcome::Pending(future) => WAITING.block_on(future),
        };
        match reply {
            Reply::ROk(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Reply::RErr(failure) => Err(Error::from(failure)),
        }
    }
}

/// Looks for what a host reads of a library before anything of it runs, and refuses what a host would refuse.
fn check_metadata(library: &Path) -> Result<()> {
    let bytes = std::fs::read(library).map_err(|error| Error::new(format!("{}: {error}", library.display())))?;
    let told = |what: &str| Error::new(format!("{}: {what}, so no host would load it", library.display()));
    let places = bytes.windows(METADATA_MAGIC.len()).enumerate().filter(|(_, window)| *window == METADATA_MAGIC);
    let found = places.filter_map(|(at, _)| parse_metadata(&bytes[at..]).ok()).next();
    let metadata = found.ok_or_else(|| told("it has no metadata of a plugin"))?;
    if metadata.abi != KIND {
        return Err(told(&format!("it speaks the ABI '{}'", metadata.abi)));
    }
    if metadata.panic == PanicMode::Abort {
        return Err(told("it is built with `panic = \"abort\"`"));
    }
    Ok(())
}

fn host() -> HostObject {
    HostObject::from_value(Script::new(), TD_Opaque)
}

/// The library of the package under test. Cargo builds it here, because it builds a package's tests without it.
fn built_library() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_library().map_err(|error| error.message().to_owned()));
    built.clone().map_err(Error::new)
}

fn build_library() -> Result<PathBuf> {
    let told = |name: &str| {
        std::env::var_os(name).ok_or_else(|| Error::new(format!("{name} is not set: run this with `cargo test`")))
    };
    let manifest = PathBuf::from(told("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--lib", "--quiet", "--message-format=json-render-diagnostics", "--manifest-path"]);
    cargo.arg(&manifest).stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.output().map_err(|error| Error::new(format!("cargo cannot be run: {error}")))?;
    if !built.status.success() {
        return Err(Error::new("cargo cannot build the library; it says above why"));
    }
    let artifacts = built.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let mut files = artifacts.filter(|message: &Value| {
        message["reason"] == "compiler-artifact" && message["manifest_path"].as_str().map(Path::new) == Some(&manifest)
    });
    let library = files.find_map(|artifact| {
        let files = artifact["filenames"].as_array()?.iter().filter_map(|file| file.as_str()).map(PathBuf::from);
        files.into_iter().find(|file| file.to_string_lossy().ends_with(std::env::consts::DLL_SUFFIX))
    });
    library.ok_or_else(|| Error::new("the package has no library of the kind: it needs `crate-type = [\"cdylib\"]`"))
}
