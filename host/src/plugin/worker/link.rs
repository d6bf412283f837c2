//! The host's end of one worker process that runs: calls go in, answers come out, and what a call needs meanwhile goes both ways.

use super::pipe::{Pipe, Unsent};
use super::process::{LAST_WORDS, Worker, ending};
use super::system::Leash;
use super::{Frame, Kind, MAX_FRAME_BYTES};
use crate::call::{Crash, Failure};
use crate::plugin::instance::failure_of;
use crate::plugin::lent::{LentCall, LentHost as _, OwnCall, OwnHost, Requested, failed};
use bytes::BytesMut;
use mcp_plugin_api::abi::{self, op};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// One worker process that runs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    pipe: Pipe,
    calls: Mutex<HashMap<u64, Entry>>,
    /// Who waits for what the plugin offers now.
    offers: Mutex<Vec<oneshot::Sender<Vec<u8>>>>,
    host: OwnHost,
    runtime: Handle,
    /// A call that nobody waits for may go on for this long before the process is killed.
    kill_after: Duration,
    /// It takes no more calls, and is killed as soon as it has answered those that somebody waits for. Changed under the
    /// lock of the calls.
    is_doomed: AtomicBool,
    /// Cancelled to have the process killed.
    kill: CancellationToken,
}

/// A call that the worker has not ended.
struct Entry {
    answer: Option<oneshot::Sender<Result<Vec<u8>, Failure>>>,
    /// What its faults count against: a tool, or, without a name, all that is none.
    part: Box<str>,
    lent: Arc<OwnCall>,
    /// Requests that are being answered.
    requests: HashMap<u32, AbortHandle>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Whoever is asked for a call that is over need not answer.
        self.requests.values().for_each(AbortHandle::abort);
    }
}

/// Requests of one call that are answered at a time.
const MAX_REQUESTS: usize = 1024;

/// Bytes of arguments that fit into a frame, with its names.
const MAX_ARGUMENT_BYTES: usize = MAX_FRAME_BYTES - (1 << 20);

/// How long a process that is to be killed has for the calls that somebody waits for.
const LAST_MOMENT: Duration = Duration::from_millis(500);

impl Link {
    /// The link of a worker whose plugin has started, and what is to be run until it ends.
    pub(super) fn new(worker: Worker, host: OwnHost, kill_after: Duration) -> (Self, Running) {
        let Worker { child, leash, end, received } = worker;
        let shared = Arc::new(Shared {
            pipe: Pipe::new(end),
            calls: Mutex::default(),
            offers: Mutex::default(),
            host,
            runtime: Handle::current(),
            kill_after,
            is_doomed: AtomicBool::new(false),
            kill: CancellationToken::new(),
        });
        (Self(Arc::clone(&shared)), Running { shared, child, leash, received })
    }

    /// Whether the process is to be killed: it takes no more calls.
    pub(super) fn is_doomed(&self) -> bool {
        self.0.is_doomed.load(Ordering::Acquire)
    }

    /// Asks the plugin something. Gives `lent` back where the process is to be killed: the call is another one's.
    pub(super) fn call(
        &self,
        op: &str,
        name: &str,
        payload: &[u8],
        lent: OwnCall,
    ) -> Result<impl Future<Output = Result<Vec<u8>, Failure>> + Send + use<>, OwnCall> {
        let (send, receive) = oneshot::channel();
        let is_too_large = payload.len() > MAX_ARGUMENT_BYTES;
        let part = if op == op::TOOL { name.into() } else { Box::default() };
        let call = self.0.enter(lent, part, send)?;
        let sent = if is_too_large {
            Err(Failure::Failed(format!("its arguments have more than {MAX_ARGUMENT_BYTES} bytes")))
        } else {
            self.0.send(&Frame { word: op, name, payload, ..Frame::of(Kind::Call, call) })
        };
        if let Err(failure) = sent
            && let Some(mut entry) = self.0.calls.lock().remove(&call)
            && let Some(answer) = entry.answer.take()
        {
            let _ = answer.send(Err(failure));
        }
        let waiting = Waiting { shared: Arc::clone(&self.0), call, is_open: true };
        Ok(async move {
            // All of it, not the flag alone: it is dropped with this future.
            let mut waiting = waiting;
            let answer = receive.await;
            waiting.is_open = false;
            answer.unwrap_or(Err(Failure::Stopped))
        })
    }

    /// What the plugin offers now; nothing when the worker ends before it says.
    pub(super) async fn offers(&self) -> Option<Vec<u8>> {
        let (send, receive) = oneshot::channel();
        self.0.offers.lock().push(send);
        self.0.send(&Frame::of(Kind::Manifest, 0)).ok()?;
        receive.await.ok()
    }

    /// Ends the plugin, and with it the process; what does not end within the grace is killed.
    pub(super) fn stop(&self, grace: Duration) {
        let request = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        let _ = self.0.send(&Frame { request, ..Frame::of(Kind::Stop, 0) });
        let shared = Arc::clone(&self.0);
        self.0.runtime.spawn(async move {
            tokio::select! {
                // It has ended; whoever waits on would keep its socket.
                () = shared.kill.cancelled() => {}
                () = tokio::time::sleep(grace + Duration::from_millis(100)) => shared.kill.cancel(),
            }
        });
    }
}

/// Who waits for an answer. Dropped before, it has the call cancelled.
struct Waiting {
    shared: Arc<Shared>,
    call: u64,
    is_open: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        if !self.shared.calls.lock().contains_key(&self.call) {
            return;
        }
        let _ = self.shared.send(&Frame::of(Kind::Cancel, self.call));
        let (shared, call) = (Arc::clone(&self.shared), self.call);
        self.shared.runtime.spawn(async move {
            let kill = shared.kill.clone();
            let killing = async {
                tokio::time::sleep(shared.kill_after).await;
                if shared.doom(call) {
                    shared.host.warn("a call did not end that nobody waits for: its process is killed");
                    tokio::time::sleep(LAST_MOMENT).await;
                    shared.kill.cancel();
                }
            };
            let _ = kill.run_until_cancelled(killing).await;
        });
    }
}

/// The process of a link, as long as it runs.
pub(super) struct Running {
    shared: Arc<Shared>,
    child: Child,
    leash: Leash,
    received: BytesMut,
}

impl Running {
    /// Runs until the process has ended.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process, and ends its calls.
    pub(super) async fn run(self) -> Ended {
        let Self { shared, mut child, leash, mut received } = self;
        // Also where a task ends in the middle: nobody waits for calls of a process that nobody hears.
        let mut ended = Ended { shared: Arc::clone(&shared), how: "is heard no more".to_owned() };
        let how = tokio::select! {
            read = shared.pipe.read_all(&mut received, |frame| shared.take(frame)) => {
                shared.take_no_more();
                match read {
                    Ok(()) => ending(&mut child).await,
                    Err(error) => {
                        let _ = child.kill().await;
                        format!("was killed: it sent {error}")
                    }
                }
            }
            () = shared.pipe.write_all() => {
                shared.take_no_more();
                ending(&mut child).await
            }
            _ = child.wait() => {
                shared.take_no_more();
                // First, so that nothing which it has left behind holds the connection open.
                drop(leash);
                let last = shared.pipe.read_all(&mut received, |frame| shared.take(frame));
                let _ = tokio::time::timeout(LAST_WORDS, last).await;
                ending(&mut child).await
            }
            () = shared.kill.cancelled() => {
                shared.take_no_more();
                let _ = child.kill().await;
                "was killed by the host: it did not end a call, or did not stop".to_owned()
            }
        };
        ended.how = how;
        ended
    }
}

/// A process that has ended, whose calls do not know it yet.
pub(super) struct Ended {
    shared: Arc<Shared>,
    how: String,
}

impl Ended {
    /// Ends its calls, and gives how it has ended.
    pub(super) fn tell(self) -> String {
        self.how.clone()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.shared.close(&self.how);
    }
}

impl Shared {
    /// Takes a call in, under its own number where that is free; gives it back where the process is to be killed.
    fn enter(
        &self,
        lent: OwnCall,
        part: Box<str>,
        answer: oneshot::Sender<Result<Vec<u8>, Failure>>,
    ) -> Result<u64, OwnCall> {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
        let mut calls = self.calls.lock();
        if self.is_doomed.load(Ordering::Acquire) {
            return Err(lent);
        }
        let mut call = lent.id().number();
        if calls.contains_key(&call) {
            call = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        calls.insert(call, Entry { answer: Some(answer), part, lent: Arc::new(lent), requests: HashMap::new() });
        Ok(call)
    }

    /// Its process ends, or is to: calls that come are another one's, and no fault of theirs.
    fn take_no_more(&self) {
        let _calls = self.calls.lock();
        self.is_doomed.store(true, Ordering::Release);
    }

    /// Takes no more calls where this one has not ended, and says whether that is so.
    fn doom(&self, call: u64) -> bool {
        let calls = self.calls.lock();
        let Some(entry) = calls.get(&call) else {
            return false;
        };
        entry.lent.is_at_fault();
        self.is_doomed.store(true, Ordering::Release);
        self.kill_if_doomed_and_idle(&calls);
        true
    }

    fn kill_if_doomed_and_idle(&self, calls: &HashMap<u64, Entry>) {
        let is_waited_for = |entry: &Entry| entry.answer.as_ref().is_some_and(|answer| !answer.is_closed());
        if self.is_doomed.load(Ordering::Acquire) && !calls.values().any(is_waited_for) {
            self.kill.cancel();
        }
    }

    fn send(&self, frame: &Frame<'_>) -> Result<(), Failure> {
        self.pipe.send(frame).map_err(|unsent| {
            if matches!(unsent, Unsent::Unread) {
                self.kill.cancel();
            }
            unsent.into()
        })
    }

    fn take(self: &Arc<Self>, frame: &Frame<'_>) {
        match frame.kind {
            Kind::Reply => self.answer(frame, Ok(frame.payload.to_vec())),
            Kind::Failed => self.answer(frame, Err(failure_of(failure_in(frame)))),
            Kind::Over => {
                let over = self.calls.lock().remove(&frame.call);
                drop(over);
            }
            Kind::Notify if frame.call == 0 => self.host.notify(frame.word, frame.payload),
            Kind::Notify => {
                if let Some(lent) = self.lent(frame.call) {
                    lent.notify(frame.word, frame.payload);
                }
            }
            Kind::Request => self.request(frame),
            Kind::Query => {
                let fact = self.lent(frame.call).and_then(|lent| lent.query(frame.word));
                let result = fact.ok_or_else(|| failed(abi::failure::NOT_FOUND, "", None));
                self.send_answer(frame.call, frame.request, &result);
            }
            Kind::Withdraw => {
                let mut calls = self.calls.lock();
                let request = calls.get_mut(&frame.call).and_then(|entry| entry.requests.remove(&frame.request));
                if let Some(request) = request {
                    request.abort();
                }
            }
            Kind::Log => self.host.log(frame.request as u8, frame.payload),
            Kind::Offers => {
                for waiter in self.offers.lock().drain(..) {
                    let _ = waiter.send(frame.payload.to_vec());
                }
            }
            // The end of the process says it.
            Kind::Stopped if !frame.name.is_empty() => self.host.warn(frame.name),
            // The others are the host's, or of the start.
            _ => {}
        }
    }

    fn lent(&self, call: u64) -> Option<Arc<OwnCall>> {
        self.calls.lock().get(&call).map(|entry| Arc::clone(&entry.lent))
    }

    fn answer(&self, frame: &Frame<'_>, result: Result<Vec<u8>, Failure>) {
        let (answer, over) = {
            let mut calls = self.calls.lock();
            let Some(entry) = calls.get_mut(&frame.call) else {
                return;
            };
            let answer = entry.answer.take();
            let over = if frame.request == 1 { calls.remove(&frame.call) } else { None };
            self.kill_if_doomed_and_idle(&calls);
            (answer, over)
        };
        // Before the answer is out: whoever has it may ask how many calls there are.
        drop(over);
        if let Some(answer) = answer {
            let _ = answer.send(result);
        }
    }

    fn request(self: &Arc<Self>, frame: &Frame<'_>) {
        let (call, request) = (frame.call, frame.request);
        let Some(lent) = self.lent(call) else {
            let gone = Err(failed(abi::failure::CANCELLED, "the call has ended", None));
            return self.send_answer(call, request, &gone);
        };
        match lent.request(frame.word, frame.payload) {
            Requested::Ready(result) => self.send_answer(call, request, &result),
            Requested::Later(later) => {
                let shared = Arc::clone(self);
                // Under the lock, so that what is answered at once is taken out after it was put in.
                let mut calls = self.calls.lock();
                let Some(entry) = calls.get_mut(&call) else {
                    return;
                };
                if entry.requests.len() >= MAX_REQUESTS || entry.requests.contains_key(&request) {
                    drop(calls);
                    let refused = Err(failed(abi::failure::INTERNAL, "too many requests of this call are open", None));
                    return self.send_answer(call, request, &refused);
                }
                let answering = self.runtime.spawn(async move {
                    let result = later.await;
                    if let Some(entry) = shared.calls.lock().get_mut(&call) {
                        entry.requests.remove(&request);
                    }
                    shared.send_answer(call, request, &result);
                });
                entry.requests.insert(request, answering.abort_handle());
            }
        }
    }

    fn send_answer(&self, call: u64, request: u32, result: &Result<Vec<u8>, abi::Failure>) {
        let _ = match result {
            Ok(payload) => self.send(&Frame { request, payload, ..Frame::of(Kind::Answer, call) }),
            Err(failure) => self.send(&Frame {
                request,
                word: &failure.kind,
                name: &failure.message,
                payload: &failure.data,
                ..Frame::of(Kind::NoAnswer, call)
            }),
        };
    }

    /// The process has ended: so have its calls.
    fn close(&self, how: &str) {
        self.take_no_more();
        self.pipe.close();
        let was_killed = self.kill.is_cancelled();
        self.kill.cancel();
        self.offers.lock().clear();
        let entries = std::mem::take(&mut *self.calls.lock());
        // One of them has ended the process, and nobody knows which. It counts once against each thing that was called: what has
        // not ended it has answers between two crashes, which begin its count anew.
        let mut counted = HashSet::new();
        for mut entry in entries.into_values() {
            let Some(answer) = entry.answer.take() else { continue };
            let is_counted = !was_killed && !answer.is_closed() && counted.insert(std::mem::take(&mut entry.part));
            let _ = answer.send(Err(Failure::Crashed(Crash { how: format!("its process {how}"), is_counted })));
        }
    }
}

fn failure_in(frame: &Frame<'_>) -> abi::Failure {
    abi::Failure { kind: frame.word.into(), message: frame.name.into(), data: frame.payload.to_vec().into() }
}
