//! A process with all that it starts: told apart from this one, and ended together.

use tokio::process::Command;

/// Has a process lead a group of its own: Ctrl-C at a terminal does not reach it, and [`end_group`] ends all of it.
pub fn lead_group(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(windows)]
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// <https://learn.microsoft.com/windows/win32/procthread/process-creation-flags>
#[cfg(windows)]
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;

/// What a program is called that is a script: Windows runs none without its ending.
#[must_use]
pub fn script(name: &str) -> String {
    if cfg!(windows) { format!("{name}.cmd") } else { name.to_owned() }
}

/// How a group ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is asked to.
    Asked,
    /// It is not asked.
    Killed,
}

/// Ends what is left of the group of a process, which may have ended itself. On Windows a group is known by its leader alone: it
/// must live still, and is not asked.
#[cfg(unix)]
pub fn end_group(leader: Option<u32>, ending: Ending) {
    use rustix::process::{Pid, Signal, kill_process_group};
    // As long as any process is left in the group, its number is no other's; with none left, the system would have to go
    // through all numbers between the end of the leader and this.
    if let Some(leader) = leader.and_then(|id| Pid::from_raw(id.cast_signed())) {
        let signal = if ending == Ending::Asked { Signal::TERM } else { Signal::KILL };
        let _ = kill_process_group(leader, signal);
    }
}

/// Ends what is left of the group of a process, which may have ended itself. On Windows a group is known by its leader alone: it
/// must live still, and is not asked.
#[cfg(windows)]
pub fn end_group(leader: Option<u32>, _ending: Ending) {
    use std::process::{Command, Stdio};
    if let Some(leader) = leader {
        let mut kill = Command::new("taskkill");
        kill.args(["/T", "/F", "/PID", &leader.to_string()]);
        let _ = kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
