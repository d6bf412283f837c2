//! A worker process until its plugin has started: spawned, told what to open, and heard.

use super::system::{self, HostEnd, Leash, Spawned};
use super::{Frame, FrameError, Kind, NOT_CONFINED, Opened, Opening, WORKER_COMMAND};
use crate::plugin::known::Identity;
use crate::plugin::lent::{LentHost, OwnHost, kept_levels};
use bytes::{Buf as _, BytesMut};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::process::Child;

/// The program that is run as a worker.
#[derive(Debug, Clone)]
pub struct WorkerProgram(pub PathBuf);

impl Default for WorkerProgram {
    /// This program itself: on Linux the very file that runs, even when another has taken its place.
    fn default() -> Self {
        Self(system::program())
    }
}

impl WorkerProgram {
    /// What tells this program from every other, and from itself when it is built anew; nothing where another is run as a worker,
    /// the system does not lead to the very file that runs, or that was changed just now.
    pub(in crate::plugin) fn identity(&self) -> Option<Identity> {
        system::very_program().filter(|very| *very == self.0)?;
        let of = |path: &Path| std::fs::metadata(path).ok().and_then(|metadata| Identity::of(&metadata));
        // An emulator may be what runs, and tells only the second that it is not.
        let (running, named) = (of(&self.0)?, of(&std::env::current_exe().ok()?)?);
        (running == named && running.is_settled(SystemTime::now())).then_some(running)
    }
}

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No process could be made.
    #[error("no worker process could be started")]
    Spawn(#[source] io::Error),
    /// It ended.
    #[error("its process {0}")]
    Ended(String),
    /// It says why it does not open the library.
    #[error("{0}")]
    Refused(String),
    /// It says why it opens no library at all: that is not the library's fault.
    #[error("its process cannot be used: {0}")]
    NotConfined(String),
    /// Its plugin says why it does not start.
    #[error("it did not start: {0}")]
    NotStarted(String),
    /// It does not answer.
    #[error("it did not return within {0:?}")]
    TimedOut(Duration),
    /// What it says is no message.
    #[error("its process sent what is no message")]
    Broken(#[from] FrameError),
}

/// A worker process, and what has come from it.
pub(in crate::plugin) struct Worker {
    pub(super) child: Child,
    pub(super) leash: Leash,
    pub(super) end: HostEnd,
    pub(super) received: BytesMut,
}

impl Worker {
    /// Starts a process that confines itself and opens a library.
    ///
    /// # Errors
    /// See [`WorkerError`].
    ///
    /// # Cancel safety
    /// Dropping the future kills the process.
    pub(in crate::plugin) async fn open(
        program: &WorkerProgram,
        opening: &Opening,
        time: Duration,
    ) -> Result<(Self, Opened), WorkerError> {
        let mut worker = Self::spawn(program, opening)?;
        let payload = serde_json::to_vec(opening).map_err(|error| WorkerError::NotConfined(error.to_string()))?;
        let frame = Frame { payload: &payload, ..Frame::of(Kind::Open, 0) };
        let opened = worker.told(&frame, time, |frame| match frame.kind {
            Kind::Opened => {
                let opened = serde_json::from_slice(frame.payload);
                Some(opened.map_err(|error| WorkerError::NotConfined(format!("what it says is not readable: {error}"))))
            }
            _ => None,
        });
        let opened = opened.await?;
        Ok((worker, opened))
    }

    /// Starts the plugin. What it says meanwhile goes to `host`. Gives what it offers.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub(in crate::plugin) async fn start(
        &mut self,
        config: &[u8],
        host: &OwnHost,
        time: Duration,
    ) -> Result<Vec<u8>, WorkerError> {
        let frame = Frame { request: u32::from(kept_levels()), payload: config, ..Frame::of(Kind::Start, 0) };
        let started = self.told(&frame, time, |frame| {
            match frame.kind {
                Kind::Started => return Some(Ok(frame.payload.to_vec())),
                Kind::Log => host.log(frame.request as u8, frame.payload),
                Kind::Notify => host.notify(frame.word, frame.payload),
                _ => {}
            }
            None
        });
        started.await.map_err(|error| match error {
            WorkerError::Refused(why) => WorkerError::NotStarted(why),
            error => error,
        })
    }

    fn spawn(program: &WorkerProgram, opening: &Opening) -> Result<Self, WorkerError> {
        let spawned = system::spawn(&program.0, WORKER_COMMAND, &opening.confinement).map_err(WorkerError::Spawn)?;
        let Spawned { child, leash, end } = spawned;
        Ok(Self { child, leash, end, received: BytesMut::new() })
    }

    /// Tells the worker something, and listens until `hear` has heard what it waits for.
    async fn told<T>(
        &mut self,
        frame: &Frame<'_>,
        time: Duration,
        mut hear: impl FnMut(&Frame<'_>) -> Option<Result<T, WorkerError>>,
    ) -> Result<T, WorkerError> {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        let heard = tokio::time::timeout(time, async {
            let told = async {
                // One that has ended already says so below.
                let _ = self.end.write_all(&bytes).await;
                hear_until(&self.end, &mut self.received, &mut hear).await
            };
            tokio::select! {
                biased;
                heard = told => return heard,
                _ = self.child.wait() => {}
            }
            let last = hear_until(&self.end, &mut self.received, hear);
            tokio::time::timeout(LAST_WORDS, last).await.unwrap_or(Ok(None))
        });
        match heard.await {
            Ok(Ok(Some(heard))) => Ok(heard),
            Ok(Ok(None)) => Err(WorkerError::Ended(self.ending().await)),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let _ = self.child.start_kill();
                Err(WorkerError::TimedOut(time))
            }
        }
    }

    /// How the process has ended, whose socket is closed.
    pub(super) async fn ending(&mut self) -> String {
        ending(&mut self.child).await
    }
}

/// For how long what a process has said last is read when it has ended. Something that it has started may have inherited its
/// connection, and hold it open.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a process has ended, whose socket is closed. One that has closed its socket and goes on is killed.
pub(super) async fn ending(child: &mut Child) -> String {
    /// How long a process may take to end that has closed its socket.
    const MOMENT: Duration = Duration::from_millis(500);
    match tokio::time::timeout(MOMENT, child.wait()).await {
        Ok(Ok(status)) => system::told(status),
        Ok(Err(error)) => format!("cannot be waited for: {error}"),
        Err(_) => {
            let _ = child.kill().await;
            "closed its connection to the host".to_owned()
        }
    }
}

/// Reads frames until `hear` has heard something; nothing when the other side has ended before.
async fn hear_until<T>(
    end: &HostEnd,
    received: &mut BytesMut,
    mut hear: impl FnMut(&Frame<'_>) -> Option<Result<T, WorkerError>>,
) -> Result<Option<T>, WorkerError> {
    loop {
        while let Some((frame, taken)) = Frame::read(received)? {
            if frame.kind == Kind::Refused {
                let why = frame.name.to_owned();
                let is_ours = frame.word == NOT_CONFINED;
                return Err(if is_ours { WorkerError::NotConfined(why) } else { WorkerError::Refused(why) });
            }
            let heard = hear(&frame);
            received.advance(taken);
            if let Some(heard) = heard {
                return heard.map(Some);
            }
        }
        match end.read_some(received).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

/// Opens a library in a process that does nothing else, and ends it.
///
/// # Errors
/// See [`WorkerError`].
pub(in crate::plugin) async fn probe(
    program: &WorkerProgram,
    opening: &Opening,
    time: Duration,
) -> Result<Opened, WorkerError> {
    let (mut worker, opened) = Worker::open(program, opening, time).await?;
    // It has nothing to lose.
    let _ = worker.child.kill().await;
    Ok(opened)
}
