//! System calls that a confined process has no more.
//!
//! Grants come in; filters of this process, and of whatever it starts, leave. A filter sees numbers only: what a call points to, it
//! cannot judge.

use crate::plugin::confine::{ConfineError, Grants, Network};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter, sock_filter,
};
use std::collections::BTreeMap;

/// Takes away what no plugin needs, and what is not granted, for good.
pub(super) fn take_calls_away(grants: &Grants) -> Result<(), ConfineError> {
    let refused = |reason: String| ConfineError::Refused { what: "system calls", reason };
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    if grants.write.is_empty() {
        denied.extend(OF_WRITERS.iter().map(|call| (*call, Vec::new())));
    }
    if grants.memory.is_some() {
        denied.extend(OF_SHARED_MEMORY.iter().map(|call| (*call, Vec::new())));
        let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u64;
        // What grows like a stack is counted as one.
        let grows = libc::MAP_GROWSDOWN as u64;
        let unseen = [shared, grows].map(|flags| rule(&[(3, Width::Dword, Is::MaskedEq(flags), flags)]));
        denied.insert(libc::SYS_mmap, unseen.into_iter().collect::<Result<_, _>>()?);
    }
    // Reading limits is harmless; setting them would lift ours, for a process with the rights of root.
    denied.insert(libc::SYS_prlimit64, vec![rule(&[(2, Width::Qword, Is::Ne, 0)])?]);
    // Keys typed into the terminal that the host was started from, and signals that come when something is written.
    let requests = TYPING.into_iter().chain(OWNING).map(|request| rule(&[(1, Width::Dword, Is::Eq, request)]));
    denied.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    let owning = OWNING_BY_FCNTL.map(|command| rule(&[(1, Width::Dword, Is::Eq, command as u64)]));
    denied.insert(libc::SYS_fcntl, owning.into_iter().collect::<Result<_, _>>()?);
    // When and where other processes of this user run, and where their memory is. A number may be another process's or an own
    // thread's, which a filter cannot tell apart: only who calls may be meant.
    for (call, process) in OF_PROCESSES {
        denied.insert(*call, vec![rule(&[(*process, Width::Dword, Is::Ne, 0)])?]);
    }
    // Of these, 0 may also stand for all processes of this user.
    for (call, one_process) in OF_MANY_PROCESSES {
        let another = rule(&[(1, Width::Dword, Is::Ne, 0)])?;
        denied.insert(*call, vec![another, rule(&[(0, Width::Dword, Is::Ne, *one_process)])?]);
    }
    // A pair of datagram sockets can still be used to reach any named one. The other kinds stay connected; the standard
    // library needs such a pair to start some programs.
    denied.insert(libc::SYS_socketpair, not_of_kinds(&[libc::SOCK_STREAM, libc::SOCK_SEQPACKET])?);
    deny_network(&grants.network, &mut denied)?;
    // Flags of `clone3` are in memory, where a filter cannot look. Told that there is none, libraries take `clone`.
    apply(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS as u32).map_err(refused)?;
    deny_processes(grants, &mut denied)?;
    apply(denied, libc::EPERM as u32).map_err(refused)
}

/// Sockets that are not granted.
fn deny_network(network: &Network, denied: &mut BTreeMap<i64, Vec<SeccompRule>>) -> Result<(), ConfineError> {
    match network {
        Network::On => {
            denied.insert(libc::SYS_socket, sockets_beyond_network()?);
        }
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
    Ok(())
}

/// Signals to other processes, and processes beside this one, where none are granted; else spaces of their own.
fn deny_processes(grants: &Grants, denied: &mut BTreeMap<i64, Vec<SeccompRule>>) -> Result<(), ConfineError> {
    if grants.subprocesses.is_empty() {
        let own = u64::from(std::process::id());
        for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
            denied.insert(call, vec![rule(&[(0, Width::Dword, Is::Ne, own)])?]);
        }
        denied.extend([libc::SYS_tkill, libc::SYS_pidfd_send_signal].map(|call| (call, Vec::new())));
        denied.insert(libc::SYS_execve, Vec::new());
        denied.insert(libc::SYS_execveat, Vec::new());
        #[cfg(target_arch = "x86_64")]
        denied.extend([(libc::SYS_fork, Vec::new()), (libc::SYS_vfork, Vec::new())]);
        let thread = libc::CLONE_THREAD as u64;
        denied.insert(libc::SYS_clone, vec![rule(&[(0, Width::Qword, Is::MaskedEq(thread), 0)])?]);
    } else {
        let spaces = NAMESPACES.iter().map(|space| {
            let space = *space as u64;
            rule(&[(0, Width::Qword, Is::MaskedEq(space), space)])
        });
        denied.insert(libc::SYS_clone, spaces.collect::<Result<_, _>>()?);
    }
    Ok(())
}

/// The sockets that are more than TCP, and UDP where that is granted.
fn sockets_beyond_ports(udp: bool) -> Result<Vec<SeccompRule>, ConfineError> {
    let (inet, inet6) = (libc::AF_INET as u64, libc::AF_INET6 as u64);
    let kinds: &[i32] = if udp { &[libc::SOCK_STREAM, libc::SOCK_DGRAM] } else { &[libc::SOCK_STREAM] };
    let mut rules = not_of_kinds(kinds)?;
    rules.push(rule(&[(0, Width::Dword, Is::Ne, inet), (0, Width::Dword, Is::Ne, inet6)])?);
    // Streams of other protocols than TCP are not bound to ports.
    let udp = if udp { libc::IPPROTO_UDP } else { libc::IPPROTO_TCP };
    let protocols = [0, libc::IPPROTO_TCP, udp].map(|protocol| (2, Width::Dword, Is::Ne, protocol as u64));
    rules.push(rule(&protocols)?);
    Ok(rules)
}

/// The sockets that are not of the network: those of this machine's other programs, and of the kernel. What asks the kernel
/// for routes is, because names are looked up with it.
fn sockets_beyond_network() -> Result<Vec<SeccompRule>, ConfineError> {
    let (inet, inet6, netlink) = (libc::AF_INET as u64, libc::AF_INET6 as u64, libc::AF_NETLINK as u64);
    let other = [inet, inet6, netlink].map(|domain| (0, Width::Dword, Is::Ne, domain));
    let not_routes = [(0, Width::Dword, Is::Eq, netlink), (2, Width::Dword, Is::Ne, libc::NETLINK_ROUTE as u64)];
    Ok(vec![rule(&other)?, rule(&not_routes)?])
}

/// All kinds of sockets but these: one rule for each, because a filter cannot say "none of" under a mask.
fn not_of_kinds(kinds: &[i32]) -> Result<Vec<SeccompRule>, ConfineError> {
    const KIND: u64 = 0xf;
    let other = (0..=KIND).filter(|kind| !kinds.iter().any(|allowed| *allowed as u64 == *kind));
    other.map(|kind| rule(&[(1, Width::Dword, Is::MaskedEq(KIND), kind)])).collect()
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
    let program: BpfProgram = second_numbers(errno).into_iter().chain(program).collect();
    apply_filter(&program).map_err(|error| error.to_string())
}

/// Denies the second set of numbers that x86-64 has for the same calls (x32), which the filter behind it does not know.
fn second_numbers(errno: u32) -> Vec<sock_filter> {
    /// Load a word of what is known of the call, at a place.
    const LOAD: u16 = 0x20;
    /// Jump if greater or equal.
    const JUMP_GE: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const X32: u32 = 0x4000_0000;
    if !cfg!(target_arch = "x86_64") {
        return Vec::new();
    }
    let deny = u32::from(SeccompAction::Errno(errno));
    vec![
        // The number is the first word.
        sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_GE, jt: 0, jf: 1, k: X32 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: deny },
    ]
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
    libc::SYS_kexec_file_load,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_clock_settime,
    libc::SYS_settimeofday,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl_fd,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    // Memory and queues that other processes of this user have.
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_personality,
    libc::SYS_setrlimit,
    // Whose a file is, and who may use it, is not bound by landlock.
    libc::SYS_fchmodat,
    FCHMODAT2,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];

/// `TIOCSTI` and `TIOCLINUX`, whose types differ between C libraries.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// `FIOSETOWN` and `SIOCSPGRP`: a signal goes to whomever they name.
const OWNING: [u64; 2] = [0x8901, 0x8902];

/// The same by `fcntl`; `F_SETOWN_EX` and `F_SETSIG` are not in every C library's table of names.
const OWNING_BY_FCNTL: [i32; 3] = [libc::F_SETOWN, 15, 10];

/// Calls that name a process, and which of their arguments does; 0 is the caller.
const OF_PROCESSES: &[(i64, u8)] = &[
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
];

/// Calls whose second argument names a process where the first one is this number.
const OF_MANY_PROCESSES: &[(i64, u64)] = &[(libc::SYS_setpriority, 0), (libc::SYS_ioprio_set, 1)];

/// Spaces of their own that processes could make, in which they have rights that they do not have here.
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// The same numbers on all machines; newer than the table of names.
const FCHMODAT2: i64 = 452;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const FILE_SETATTR: i64 = 469;

/// What changes files that may only be read: their times, and who may use one that is open.
const OF_WRITERS: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// Ways to memory that no bound of private memory sees.
const OF_SHARED_MEMORY: &[i64] = &[libc::SYS_memfd_create, libc::SYS_memfd_secret];
