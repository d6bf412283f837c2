//! What asks a process to end, or to look again: signals on Unix, events of the console on Windows.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Gives what resolves when somebody wants this process to end: `SIGTERM` or Ctrl-C; on Windows Ctrl-C, Ctrl-Break, the console's
/// end, the user's leave or the machine's. It counts from this call on, whenever it is waited for, so call it before anybody may
/// ask. They do not end the process by themselves any more: on Unix from the first call on, on Windows as long as there is what this
/// gives; but for the last three Windows waits for some five seconds only. After [`end_only_by_request`], only
/// [`end_by_request`] counts. To be called on a runtime.
///
/// # Cancel safety
/// Safe; a signal that comes when it is dropped is lost, a request is not.
pub fn end_wanted() -> impl Future<Output = ()> + Send {
    let signals = (!IS_BY_REQUEST.load(Ordering::Relaxed)).then(system::end_wanted);
    async move {
        match signals {
            Some(signals) => signals.await,
            None => REQUESTED.notified().await,
        }
    }
}

/// Resolves when somebody has asked by [`end_by_request`]. Leaves signals as they are.
///
/// # Cancel safety
/// Safe; a request is not lost.
pub async fn end_requested() {
    REQUESTED.notified().await;
}

static REQUESTED: Notify = Notify::const_new();
static IS_BY_REQUEST: AtomicBool = AtomicBool::new(false);

/// From now on no signal ends this process: whoever runs it has another way to say so, as Windows has for services, which hear of
/// every user who leaves.
pub fn end_only_by_request() {
    IS_BY_REQUEST.store(true, Ordering::Relaxed);
}

/// Asks this process to end, as a signal does elsewhere.
pub fn end_by_request() {
    REQUESTED.notify_one();
}

/// Requests to look at everything again: `SIGHUP`. Nobody asks in this way where there is none.
pub struct Hangups(system::Hangups);

impl Hangups {
    /// From now on a `SIGHUP` does not end the process. To be called on a runtime.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn listen() -> std::io::Result<Self> {
        system::Hangups::listen().map(Self)
    }

    /// Resolves at the next one.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) {
        self.0.next().await;
    }
}

#[cfg(unix)]
mod system {
    use std::io;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) fn end_wanted() -> impl Future<Output = ()> + Send {
        let listening = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        async move {
            let (Ok(mut term), Ok(mut interrupt)) = listening else {
                tracing::warn!("signals cannot be listened to");
                return std::future::pending().await;
            };
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    }

    pub(super) struct Hangups(Signal);

    impl Hangups {
        pub(super) fn listen() -> io::Result<Self> {
            signal(SignalKind::hangup()).map(Self)
        }

        pub(super) async fn next(&mut self) {
            if self.0.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

    pub(super) fn end_wanted() -> impl Future<Output = ()> + Send {
        let listen =
            || -> io::Result<_> { Ok((ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_logoff()?, ctrl_shutdown()?)) };
        let listening = listen();
        async move {
            let (mut c, mut breaks, mut close, mut logoff, mut shutdown) = match listening {
                Ok(all) => all,
                Err(error) => {
                    tracing::warn!(%error, "the console cannot be listened to");
                    return std::future::pending().await;
                }
            };
            tokio::select! {
                _ = c.recv() => {}
                _ = breaks.recv() => {}
                _ = close.recv() => {}
                _ = logoff.recv() => {}
                _ = shutdown.recv() => {}
            }
        }
    }

    pub(super) struct Hangups;

    impl Hangups {
        pub(super) fn listen() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::process::{Signal, getpid, kill_process};

    #[tokio::test]
    async fn a_signal_counts_that_comes_before_it_is_waited_for() {
        let wanted = end_wanted();
        kill_process(getpid(), Signal::TERM).unwrap();
        wanted.await;
    }
}
