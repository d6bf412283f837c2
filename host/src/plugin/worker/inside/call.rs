//! What a plugin in a worker process is lent: everything goes to the host, and the answers come from it.

use super::Inside;
use crate::plugin::lent::{LentCall, LentHost, Requested, failed, unknown_request};
use crate::plugin::worker::{Frame, Kind};
use mcp_plugin_api::abi::{Failure, failure, op};
use parking_lot::{Condvar, Mutex};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// What the worker knows of a call.
#[derive(Default)]
pub(super) struct CallState {
    flags: AtomicU8,
    /// Polls the answer.
    pub(super) polling: Mutex<Option<AbortHandle>>,
}

/// The host has, or needs, no answer any more.
const ANSWERED: u8 = 1;
/// The plugin has dropped its context.
const OVER: u8 = 2;
/// Nobody waits for the answer.
const CANCELLED: u8 = 4;

impl CallState {
    /// The answer goes to the host, or is not needed. Whether it was so before, and whether the plugin is done with the call.
    pub(super) fn answer(&self) -> (bool, bool) {
        let before = self.flags.fetch_or(ANSWERED, Ordering::AcqRel);
        (before & ANSWERED != 0, before & OVER != 0)
    }

    pub(super) fn cancel(&self) {
        self.flags.fetch_or(CANCELLED, Ordering::AcqRel);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.flags.load(Ordering::Acquire) & CANCELLED != 0
    }
}

/// The context of a call of another process.
pub(super) struct RemoteCall {
    pub(super) inside: Arc<Inside>,
    pub(super) call: u64,
    pub(super) state: Arc<CallState>,
}

/// Who waits for an answer of the host.
pub(super) enum Waiter {
    /// A future.
    Request(oneshot::Sender<Result<Vec<u8>, Failure>>),
    /// A thread.
    Query(Arc<Awaited>),
}

/// The answer that a thread waits for.
#[derive(Default)]
pub(super) struct Awaited {
    answer: Mutex<Option<Option<Vec<u8>>>>,
    arrived: Condvar,
}

impl Waiter {
    /// Gives the answer to who waits.
    pub(super) fn take(self, answer: Result<Vec<u8>, Failure>) {
        match self {
            Self::Request(send) => {
                let _ = send.send(answer);
            }
            Self::Query(awaited) => {
                *awaited.answer.lock() = Some(answer.ok());
                awaited.arrived.notify_one();
            }
        }
    }
}

impl LentCall for RemoteCall {
    fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    fn notify(&self, op: &str, payload: &[u8]) {
        let frame = Frame { word: op, payload, ..Frame::of(Kind::Notify, self.call) };
        match op {
            // There may be much of these, and they say nothing that the host relies on.
            op::PROGRESS | op::LOG => self.inside.outbox.tell(&frame),
            _ => self.inside.outbox.send(&frame),
        }
    }

    fn request(&self, op: &str, payload: &[u8]) -> Requested {
        if !(Frame { word: op, payload, ..Frame::of(Kind::Request, self.call) }).fits() {
            return Requested::Ready(Err(failed(failure::INTERNAL, "what is asked is too large", None)));
        }
        let (send, receive) = oneshot::channel();
        let Some(request) = self.inside.wait_for_answer(Waiter::Request(send)) else {
            return Requested::Ready(Err(unknown_request()));
        };
        self.inside.outbox.send(&Frame { request, word: op, payload, ..Frame::of(Kind::Request, self.call) });
        let waiting = Waiting { inside: Arc::clone(&self.inside), call: self.call, request, receive, is_open: true };
        Requested::Later(Box::pin(waiting))
    }

    fn query(&self, op: &str) -> Option<Vec<u8>> {
        if op == op::CALL_ID {
            return Some(format!("\"c{}\"", self.call).into_bytes());
        }
        let awaited = Arc::new(Awaited::default());
        let request = self.inside.wait_for_answer(Waiter::Query(Arc::clone(&awaited)))?;
        // The answer is read by another thread, if this is the one that reads.
        self.inside.yield_turn();
        self.inside.outbox.send(&Frame { request, word: op, ..Frame::of(Kind::Query, self.call) });
        let mut answer = awaited.answer.lock();
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            awaited.arrived.wait(&mut answer);
        }
    }
}

impl Drop for RemoteCall {
    fn drop(&mut self) {
        // Where the answer is still to come, it says that the call is over.
        if self.state.flags.fetch_or(OVER, Ordering::AcqRel) & ANSWERED != 0 {
            self.inside.end_call(self.call);
            self.inside.outbox.send(&Frame::of(Kind::Over, self.call));
        }
    }
}

/// A request that the host answers. Dropped before, it withdraws the request.
struct Waiting {
    inside: Arc<Inside>,
    call: u64,
    request: u32,
    receive: oneshot::Receiver<Result<Vec<u8>, Failure>>,
    is_open: bool,
}

impl Future for Waiting {
    type Output = Result<Vec<u8>, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receive).poll(context).map(|received| {
            self.is_open = false;
            received.unwrap_or_else(|_| Err(failed(failure::CANCELLED, "the host is stopping", None)))
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_open && self.inside.take_waiter(self.request).is_some() {
            let withdrawn = Frame { request: self.request, ..Frame::of(Kind::Withdraw, self.call) };
            self.inside.outbox.send(&withdrawn);
        }
    }
}

/// What is lent for the plugin's whole life.
pub(super) struct RemoteHost(pub(super) Arc<Inside>);

impl LentHost for RemoteHost {
    fn log_enabled(&self, level: u8) -> bool {
        self.0.levels.load(Ordering::Relaxed) & (1 << (level.clamp(1, 5) - 1)) != 0
    }

    fn log(&self, level: u8, event: &[u8]) {
        let frame = Frame { request: u32::from(level), payload: event, ..Frame::of(Kind::Log, 0) };
        self.0.outbox.tell(&frame);
    }

    fn notify(&self, op: &str, payload: &[u8]) {
        self.0.outbox.send(&Frame { word: op, payload, ..Frame::of(Kind::Notify, 0) });
    }
}
