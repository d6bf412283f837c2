//! Confinement on Linux. Landlock binds paths and TCP ports, seccomp takes system calls away, rlimits bound what is used.
//!
//! All three bind root too, but for rlimits that a process with `CAP_SYS_RESOURCE` raises again: so that call is taken away.

use super::{ConfineError, Enforcement, Grants, Network};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use std::collections::BTreeMap;
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

pub(super) fn enforce(
    grants: &Grants,
    library: &Path,
    judge: impl FnOnce(&[Enforcement]) -> Result<(), ConfineError>,
) -> Result<Vec<Enforcement>, ConfineError> {
    let mut enforced = bound(grants)?;
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
    enforced.push(by_landlock("signals", ABI::V6));
    take_calls_away(grants)?;
    let by_seccomp = |what: &str| Enforcement { what: what.to_owned(), by: "seccomp".to_owned(), is_enforced: true };
    enforced.push(match &grants.network {
        Network::Ports { .. } => by_landlock("network", ABI::V4),
        Network::Off | Network::On => by_seccomp("network"),
    });
    enforced.push(if grants.subprocesses.is_empty() {
        by_seccomp("subprocesses")
    } else {
        by_landlock("subprocesses", ABI::V1)
    });
    judge(&enforced)?;
    Ok(enforced)
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
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })
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
        ruleset = allow(ruleset, path, read)?;
    }
    for path in &grants.write {
        ruleset = allow(ruleset, path, AccessFs::from_all(KNOWN) & !BitFlags::from(AccessFs::Execute))?;
    }
    for path in &grants.subprocesses {
        ruleset = allow(ruleset, path, read | AccessFs::Execute)?;
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

fn allow_if_there(
    ruleset: RulesetCreated,
    path: &str,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, ConfineError> {
    let path = PathBuf::from(path);
    if path.exists() { allow(ruleset, &path, access) } else { Ok(ruleset) }
}

/// Calls that no plugin needs, and with which it could reach other processes, the kernel, or a way around the rest:
/// `io_uring` opens files and sockets that seccomp does not see.
const NEVER: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_personality,
    libc::SYS_setrlimit,
];

fn take_calls_away(grants: &Grants) -> Result<(), ConfineError> {
    let refused = |reason: String| ConfineError::Refused { what: "system calls", reason };
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    // Reading limits is harmless; setting them would lift ours, for a process with the rights of root.
    denied.insert(libc::SYS_prlimit64, vec![rule(&[(2, Width::Qword, Is::Ne, 0)])?]);
    match &grants.network {
        Network::On => {}
        Network::Off => {
            denied.insert(libc::SYS_socket, Vec::new());
        }
        Network::Ports { listen, udp, .. } => {
            denied.insert(libc::SYS_socket, sockets_beyond_ports(*udp)?);
            // What listens without a bind gets a port that nobody was asked for.
            if listen.is_empty() {
                denied.insert(libc::SYS_listen, Vec::new());
            }
            // A connection that begins with its data is not seen as one.
            let fast_open = libc::MSG_FASTOPEN as u64;
            for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
                denied.insert(call, vec![rule(&[(flags, Width::Dword, Is::MaskedEq(fast_open), fast_open)])?]);
            }
        }
    }
    if grants.subprocesses.is_empty() {
        denied.insert(libc::SYS_execve, Vec::new());
        denied.insert(libc::SYS_execveat, Vec::new());
        #[cfg(target_arch = "x86_64")]
        denied.extend([(libc::SYS_fork, Vec::new()), (libc::SYS_vfork, Vec::new())]);
        let thread = libc::CLONE_THREAD as u64;
        denied.insert(libc::SYS_clone, vec![rule(&[(0, Width::Qword, Is::MaskedEq(thread), 0)])?]);
        // Its flags are in memory, where a filter cannot look. Told that there is no such call, libraries take `clone`.
        let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        apply(absent, libc::ENOSYS as u32).map_err(refused)?;
    }
    apply(denied, libc::EPERM as u32).map_err(refused)
}

/// The sockets that are more than TCP, and UDP where that is granted.
fn sockets_beyond_ports(udp: bool) -> Result<Vec<SeccompRule>, ConfineError> {
    const KIND: u64 = 0xf;
    let (inet, inet6) = (libc::AF_INET as u64, libc::AF_INET6 as u64);
    let kinds = [libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_RDM, libc::SOCK_SEQPACKET, libc::SOCK_DCCP];
    let mut rules = vec![rule(&[(0, Width::Dword, Is::Ne, inet), (0, Width::Dword, Is::Ne, inet6)])?];
    for kind in kinds.into_iter().filter(|kind| !udp || *kind != libc::SOCK_DGRAM) {
        rules.push(rule(&[(1, Width::Dword, Is::MaskedEq(KIND), kind as u64)])?);
    }
    // Streams of other protocols than TCP are not bound to ports.
    let udp = if udp { libc::IPPROTO_UDP } else { libc::IPPROTO_TCP };
    let protocols = [0, libc::IPPROTO_TCP, udp].map(|protocol| (2, Width::Dword, Is::Ne, protocol as u64));
    rules.push(rule(&protocols)?);
    Ok(rules)
}

/// A rule that holds where all these arguments are so.
fn rule(arguments: &[(u8, Width, Is, u64)]) -> Result<SeccompRule, ConfineError> {
    let refused = |reason: String| ConfineError::Refused { what: "system calls", reason };
    let conditions: Result<Vec<_>, _> = arguments
        .iter()
        .map(|(index, width, is, value)| SeccompCondition::new(*index, width.clone(), is.clone(), *value))
        .collect();
    SeccompRule::new(conditions.map_err(|error| refused(error.to_string()))?)
        .map_err(|error| refused(error.to_string()))
}

/// Denies calls to this thread and those that it starts.
fn apply(denied: BTreeMap<i64, Vec<SeccompRule>>, errno: u32) -> Result<(), String> {
    let architecture = std::env::consts::ARCH.try_into().map_err(|_| "this machine has no filters".to_owned())?;
    let filter = SeccompFilter::new(denied, SeccompAction::Allow, SeccompAction::Errno(errno), architecture)
        .map_err(|error| error.to_string())?;
    let program: BpfProgram = filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
    apply_filter(&program).map_err(|error| error.to_string())
}
