//! Foreign code that may block, on threads of its own and under a deadline.

use std::time::Duration;
use tokio::sync::oneshot;

/// Runs blocking work on fresh threads: work that never returns keeps its thread, not one of a shared pool.
#[derive(Debug, Clone, Copy)]
pub struct Blocking {
    /// What the thread is called, for debuggers.
    pub name: &'static str,
    /// How long the caller waits.
    pub deadline: Duration,
}

/// Why blocking work gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// The system gave no thread.
    #[error("no thread could be started")]
    NoThread(#[source] std::io::Error),
    /// The caller stopped waiting. The work may still run.
    #[error("it did not return within {0:?}")]
    TimedOut(Duration),
    /// The work panicked.
    #[error("it panicked")]
    Panicked,
}

impl Blocking {
    /// Runs `work` and waits for it.
    ///
    /// # Errors
    /// See [`BlockingError`].
    ///
    /// # Cancel safety
    /// The work goes on when the future is dropped; its value is dropped on its thread.
    pub async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, BlockingError> {
        let (send, receive) = oneshot::channel();
        std::thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(move || {
                let _ = send.send(work());
            })
            .map_err(BlockingError::NoThread)?;
        match tokio::time::timeout(self.deadline, receive).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(BlockingError::Panicked),
            Err(_) => Err(BlockingError::TimedOut(self.deadline)),
        }
    }
}
