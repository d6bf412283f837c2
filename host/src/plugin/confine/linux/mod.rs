//! Confinement on Linux. Landlock binds paths and TCP ports, seccomp takes system calls away (`calls`), rlimits bound
//! what is used.
//!
//! All three bind root too, but for rlimits that a process with `CAP_SYS_RESOURCE` raises again: so that call is taken away.

mod calls;

use super::{ConfineError, Enforcement, Grants, Network};
use calls::take_calls_away;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::path::{Path, PathBuf};

/// What every library needs: the system's libraries, the loader's cache, time zones, and devices without a secret.
const BASE: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
];

/// What names and certificates are looked up in.
const OF_NETWORK: &[&str] = &[
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
];

/// What starts a program that is linked dynamically.
const LOADERS: &[&str] = &[
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];

/// Files that may be open where nothing is granted.
const FILES: u64 = 256;

/// The newest version of landlock whose rights are known here.
const KNOWN: ABI = ABI::V6;

pub const UNENFORCEABLE: &[&str] = &[];

pub(super) fn enforce(
    grants: &Grants,
    library: &Path,
    judge: impl FnOnce(&[Enforcement]) -> Result<(), ConfineError>,
) -> Result<Vec<Enforcement>, ConfineError> {
    let mut enforced = bound(grants)?;
    drop_capabilities(grants)?;
    let abi = restrict_paths_and_ports(grants, library)?;
    let by_landlock = |what: &str, needed: ABI| Enforcement {
        what: what.to_owned(),
        by: if abi >= needed {
            format!("landlock {abi}")
        } else {
            format!("this kernel has landlock {abi}, {needed} is needed")
        },
        is_enforced: abi >= needed,
    };
    // Before version 3 a file that may only be read can be cut to nothing.
    enforced.push(by_landlock("filesystem", ABI::V3));
    take_calls_away(grants)?;
    let by_seccomp = |what: &str| Enforcement { what: what.to_owned(), by: "seccomp".to_owned(), is_enforced: true };
    enforced.push(match &grants.network {
        Network::Ports { .. } => by_landlock("network", ABI::V4),
        Network::Off | Network::On => by_seccomp("network"),
    });
    if grants.subprocesses.is_empty() {
        enforced.extend(["subprocesses", "signals"].map(by_seccomp));
    } else {
        enforced.push(by_landlock("subprocesses", ABI::V1));
        enforced.push(by_landlock("signals", ABI::V6));
    }
    judge(&enforced)?;
    Ok(enforced)
}

/// What root may do beyond its files: nothing of that is a plugin's. To read what is another user's, and to listen on low
/// ports, stays where it is granted.
fn drop_capabilities(grants: &Grants) -> Result<(), ConfineError> {
    let refused = |error: Errno| ConfineError::Refused { what: "rights of root", reason: error.to_string() };
    let mut kept = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let listens = match &grants.network {
        Network::Off => false,
        Network::Ports { listen, .. } => !listen.is_empty(),
        Network::On => true,
    };
    kept.set(CapabilitySet::NET_BIND_SERVICE, listens);
    let mut sets = capabilities(None).map_err(refused)?;
    sets.effective &= kept;
    sets.permitted &= kept;
    sets.inheritable &= kept;
    set_capabilities(None, sets).map_err(refused)
}

/// Bounds memory, time and files.
fn bound(grants: &Grants) -> Result<Vec<Enforcement>, ConfineError> {
    let mut enforced = Vec::new();
    let bounds = [
        // A core would have the memory of the plugin in it, and is large.
        ("core", Resource::Core, Some(0)),
        ("memory", Resource::Data, grants.memory),
        ("cpu_time", Resource::Cpu, grants.cpu_time.map(|time| time.as_secs().max(1))),
        ("files", Resource::Nofile, Some(grants.files.unwrap_or(FILES))),
    ];
    for (what, resource, bound) in bounds {
        let Some(bound) = bound else { continue };
        // Whoever reaches the lower bound of time gets a signal that says so, and is killed at the upper one.
        let maximum = if what == "cpu_time" { bound + 1 } else { bound };
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(maximum) })
            .map_err(|error| ConfineError::Bound { what, source: error.into() })?;
        if what != "core" {
            enforced.push(Enforcement { what: what.to_owned(), by: "rlimit".to_owned(), is_enforced: true });
        }
    }
    Ok(enforced)
}

/// The version of landlock that binds this process from now on.
fn restrict_paths_and_ports(grants: &Grants, library: &Path) -> Result<ABI, ConfineError> {
    let refused = |error: landlock::RulesetError| ConfineError::Refused { what: "paths", reason: error.to_string() };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .map_err(refused)?;
    if let Network::Ports { .. } = grants.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(KNOWN)).map_err(refused)?;
    }
    let mut ruleset = ruleset.scope(Scope::from_all(KNOWN)).map_err(refused)?.create().map_err(refused)?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    for path in BASE.iter().chain(if grants.network == Network::Off { &[] } else { OF_NETWORK }) {
        ruleset = allow_if_there(ruleset, path, read)?;
    }
    ruleset = allow_if_there(ruleset, "/dev/null", read | AccessFs::WriteFile)?;
    ruleset = allow(ruleset, library, read)?;
    for path in &grants.read {
        ruleset = grant(ruleset, path, read)?;
    }
    for path in &grants.write {
        ruleset = grant(ruleset, path, AccessFs::from_all(KNOWN) & !BitFlags::from(AccessFs::Execute))?;
    }
    for path in &grants.subprocesses {
        ruleset = grant(ruleset, path, read | AccessFs::Execute)?;
    }
    if !grants.subprocesses.is_empty() {
        for path in LOADERS {
            ruleset = allow_if_there(ruleset, path, read | AccessFs::Execute)?;
        }
    }
    if let Network::Ports { connect, listen, .. } = &grants.network {
        let connect = connect.iter().map(|port| (*port, AccessNet::ConnectTcp));
        for (port, access) in connect.chain(listen.iter().map(|port| (*port, AccessNet::BindTcp))) {
            ruleset = ruleset.add_rule(NetPort::new(port, access)).map_err(refused)?;
        }
    }
    let status = ruleset.restrict_self().map_err(refused)?;
    Ok(match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => ABI::Unsupported,
    })
}

fn allow(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, ConfineError> {
    let failed = |reason: String| ConfineError::Path { path: path.to_owned(), reason };
    let opened = PathFd::new(path).map_err(|error| failed(error.to_string()))?;
    // Rights of folders make no sense for a file, and the system refuses them there.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    ruleset.add_rule(PathBeneath::new(opened, access)).map_err(|error| failed(error.to_string()))
}

/// Allows what the operator grants. No part of the path is a link: what may write above a grant could move it.
fn grant(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, ConfineError> {
    let failed = |reason: String| ConfineError::Path { path: path.to_owned(), reason };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS);
    let opened = match opened {
        Ok(opened) => opened,
        Err(Errno::LOOP) => return Err(failed("a part of it is a symbolic link now".to_owned())),
        // A system that has no such call, or denies it, cannot hold paths to where they were.
        Err(Errno::NOSYS | Errno::PERM) => return allow(ruleset, path, access),
        Err(error) => return Err(failed(error.to_string())),
    };
    let is_folder = fstat(&opened).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
    let access = if is_folder { access } else { access & AccessFs::from_file(KNOWN) };
    ruleset.add_rule(PathBeneath::new(opened, access)).map_err(|error| failed(error.to_string()))
}

fn allow_if_there(
    ruleset: RulesetCreated,
    path: &str,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, ConfineError> {
    let path = PathBuf::from(path);
    if path.exists() { allow(ruleset, &path, access) } else { Ok(ruleset) }
}
