//! Keys, signatures and verdicts, from the command line.

use super::output::Output;
use super::{SourceArgs, read_settings};
use crate::plugin::{TrustedKey, Verdicts, new_keys, public_key, sign as sign_bytes, verify as verify_bytes};
use crate::rt::private;
use crate::telemetry;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What opens a sealed key, or seals a new one.
const PASSWORD: &str = "MCP_HOST_KEY_PASSWORD";

fn password() -> Option<String> {
    std::env::var(PASSWORD).ok().filter(|password| !password.is_empty())
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{}: {error}", path.display()))
}

/// Forgets the verdicts on a plugin's files.
pub(super) fn clear(name: &str, source: &SourceArgs, output: &mut Output) -> Result<(), String> {
    let settings = read_settings(source, true, None).map_err(|error| telemetry::chain(&error))?;
    let folder = settings.supervisor.state;
    let cleared = at(&folder, Verdicts::in_folder(&folder).clear(name))?;
    let told = match cleared {
        0 => format!("there is no verdict on '{name}'"),
        1 => format!("1 verdict on '{name}' is forgotten"),
        more => format!("{more} verdicts on '{name}' are forgotten"),
    };
    output.line(&told).map_err(|error| error.to_string())
}

/// Makes a pair of keys.
pub(super) fn keygen(name: &Path, output: &mut Output) -> Result<(), String> {
    let (secret, public) = new_keys(password())?;
    let (key, public_file) = (with_ending(name, ".key"), with_ending(name, ".pub"));
    let mut options = fs::OpenOptions::new();
    // A key that is there is never lost to a new one.
    options.write(true).create_new(true);
    at(&key, private(&mut options).open(&key).and_then(|mut file| file.write_all(secret.as_bytes())))?;
    at(&public_file, fs::write(&public_file, &public))?;
    let line = public_key(&public).unwrap_or_default();
    let told = format!("{} is the secret key\n{}\ntrusted_keys = [\"{line}\"]", key.display(), public_file.display());
    output.line(&told).map_err(|error| error.to_string())
}

/// Signs a file.
pub(super) fn sign(file: &Path, key: &Path, output: &mut Output) -> Result<(), String> {
    let (bytes, secret) = (at(file, fs::read(file))?, at(key, fs::read_to_string(key))?);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let signature = sign_bytes(&bytes, &secret, password(), &name)?;
    let beside = with_ending(file, ".minisig");
    at(&beside, fs::write(&beside, signature))?;
    output.line(&beside.display().to_string()).map_err(|error| error.to_string())
}

/// Checks a signature.
pub(super) fn verify(file: &Path, key: &str, output: &mut Output) -> Result<(), String> {
    let text = if Path::new(key).is_file() { at(Path::new(key), fs::read_to_string(key))? } else { key.to_owned() };
    let key = TrustedKey::parse(&text).ok_or("this is no public key of minisign")?;
    let beside = with_ending(file, ".minisig");
    let (bytes, signature) = (at(file, fs::read(file))?, at(&beside, fs::read_to_string(&beside))?);
    verify_bytes(&bytes, &signature, &[key]).map_err(|error| format!("{}: {error}", file.display()))?;
    output.line(&format!("{}: signed with this key", file.display())).map_err(|error| error.to_string())
}
