//! The console, and the event log, which is what there is where there is none.

use std::ptr;
use std::time::Duration;
use windows_sys::Win32::System::Console::{CTRL_CLOSE_EVENT, GetConsoleCP, SetConsoleCtrlHandler};
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, RegisterEventSourceW, ReportEventW,
};
use windows_sys::core::{BOOL, w};

/// Whether this process has a console, which those that it starts share.
pub(in crate::plugin) fn has_console() -> bool {
    // SAFETY: it takes nothing.
    unsafe { GetConsoleCP() != 0 }
}

/// Leaves events of the console to the host: it drains, and ends this process.
pub(in crate::plugin) fn ignore_console() {
    unsafe extern "system" fn ignore(event: u32) -> BOOL {
        // Of the end of the console, the user's leave and the machine's, Windows ends the process when this returns.
        if event >= CTRL_CLOSE_EVENT {
            std::thread::sleep(Duration::from_secs(60));
        }
        1
    }
    // SAFETY: the function is there for as long as the process lives.
    unsafe { SetConsoleCtrlHandler(Some(ignore), 1) };
}

/// Writes a problem to the event log of applications. Where the log cannot be written, nobody can be told.
pub(crate) fn report_event(problem: &str) {
    /// A text of more than 31,839 is refused.
    const MAX_UNITS: usize = 30_000;
    let text: Vec<u16> = problem.encode_utf16().filter(|unit| *unit != 0).take(MAX_UNITS).chain([0]).collect();
    // SAFETY: the name ends with a zero; no server is this one.
    let source = unsafe { RegisterEventSourceW(ptr::null(), w!("mcp-host")) };
    if source.is_null() {
        return;
    }
    let texts = [text.as_ptr()];
    // SAFETY: the source is open; there is one text, which ends with a zero, and no data.
    unsafe {
        ReportEventW(source, EVENTLOG_ERROR_TYPE, 0, 0, ptr::null_mut(), 1, 0, texts.as_ptr(), ptr::null());
    }
    // SAFETY: it is open, and nobody else has it.
    unsafe { DeregisterEventSource(source) };
}
