//! The inside of a worker process: it confines itself, opens one library, starts the plugin in it, and does what it is told.
//!
//! Frames come in, frames go out. The end of what they come through is the end of the process. Nothing of a client, of
//! the catalogue or of other plugins is known here.

mod baton;
mod call;
mod outbox;
mod reader;

use super::system::{WorkerEnds, die_with_host};
use super::{Frame, Kind, NOT_CONFINED, Opened, Opening, PROTOCOL};
use crate::plugin::Digest;
use crate::plugin::confine;
use crate::plugin::ffi::{Layout, Library, Plugin, PluginAnswer};
use crate::plugin::lent::failed;
use crate::telemetry::chain;
use baton::{Baton, Turn};
use call::{CallState, RemoteCall, RemoteHost, Waiter};
use mcp_plugin_api::abi::{Failure, failure};
use outbox::Outbox;
use parking_lot::Mutex;
use reader::{Reader, Received};
use std::collections::HashMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::runtime::Runtime;

/// A worker process.
struct Inside {
    reader: Mutex<Reader>,
    outbox: Outbox,
    baton: Arc<Baton>,
    plugin: OnceLock<Plugin>,
    /// Polls answers that come later.
    runtime: OnceLock<Runtime>,
    calls: Mutex<HashMap<u64, Arc<CallState>>>,
    waiters: Mutex<HashMap<u32, Waiter>>,
    next_request: AtomicU32,
    /// The levels that are logged.
    levels: AtomicU8,
}

/// Bytes of the stack of a thread that runs a plugin's inline functions.
const STACK_BYTES: usize = 2 << 20;

/// Runs a worker process, which speaks with its host through standard input, and on Windows output. Returns only when it cannot begin.
#[must_use]
pub fn run() -> ExitCode {
    let Ok(WorkerEnds { incoming, outgoing }) = WorkerEnds::take() else {
        return ExitCode::FAILURE;
    };
    let mut reader = Reader::new(incoming);
    let outbox = Outbox::new(outgoing);
    let library = match open(&mut reader, &outbox) {
        Ok(library) => library,
        Err(why) => {
            let Refusal { kind, why } = why;
            outbox.send(&Frame { word: kind, name: &why, ..Frame::of(Kind::Refused, 0) });
            return ExitCode::FAILURE;
        }
    };
    // A host that only wanted to know whether it can be opened is gone now.
    let Ok(Some(start)) = reader.next() else {
        return ExitCode::SUCCESS;
    };
    let inside = Arc::new(Inside {
        reader: Mutex::new(reader),
        outbox,
        baton: Arc::new(Baton::new()),
        plugin: OnceLock::new(),
        runtime: OnceLock::new(),
        calls: Mutex::default(),
        waiters: Mutex::default(),
        next_request: AtomicU32::new(1),
        levels: AtomicU8::new(0),
    });
    inside.start(&library, &start)
}

/// Why no library is open.
struct Refusal {
    kind: &'static str,
    why: String,
}

/// Confines this process, and opens the library.
fn open(reader: &mut Reader, outbox: &Outbox) -> Result<Library, Refusal> {
    let not_confined = |why: String| Refusal { kind: NOT_CONFINED, why };
    let received = reader.next().map_err(|error| not_confined(error.to_string()))?;
    let received = received.ok_or_else(|| not_confined("the host is gone".to_owned()))?;
    let frame = received.frame().map_err(|error| not_confined(error.to_string()))?;
    let opening: Opening = serde_json::from_slice(frame.payload).map_err(|error| not_confined(error.to_string()))?;
    if opening.protocol != PROTOCOL {
        let why = format!("the host speaks version {} of frames, this worker {PROTOCOL}", opening.protocol);
        return Err(not_confined(why));
    }
    if !die_with_host(opening.host) {
        return Err(not_confined("the host is gone".to_owned()));
    }
    // Before a second thread is there, and before anything foreign has run: what is given up binds all of it.
    let enforced =
        confine::confine(&opening.confinement, &opening.library).map_err(|error| not_confined(chain(&error)))?;
    let refused = |why: String| Refusal { kind: failure::INTERNAL, why };
    // Time has passed since it was judged, above all where a worker is started again.
    // Part by part: it may be larger than the memory that is granted.
    let digest = std::fs::File::open(&opening.library).and_then(Digest::of_reader);
    if digest.map_err(|error| not_confined(error.to_string()))?.to_string() != opening.digest {
        return Err(not_confined("somebody has changed the private copy since it was checked".to_owned()));
    }
    let library = Library::open(&opening.library, Layout::Unknown).map_err(|error| refused(chain(&error)))?;
    let opened = Opened { level: library.level(), enforced };
    let opened = serde_json::to_vec(&opened).map_err(|error| not_confined(error.to_string()))?;
    outbox.send(&Frame { payload: &opened, ..Frame::of(Kind::Opened, 0) });
    Ok(library)
}

impl Inside {
    /// Starts the plugin, and does what the host says from then on.
    fn start(self: &Arc<Self>, library: &Library, received: &Received) -> ExitCode {
        let refuse = |failure: &Failure| {
            let (word, name) = (failure.kind.as_str(), failure.message.as_str());
            self.outbox.send(&Frame { word, name, ..Frame::of(Kind::Refused, 0) });
            ExitCode::FAILURE
        };
        let Ok(frame) = received.frame() else {
            return refuse(&failed(failure::INTERNAL, "the host sent no start", None));
        };
        self.levels.store(frame.request as u8, Ordering::Relaxed);
        // The watch first, so that whatever the plugin does from now on, somebody reads on.
        let watched = Arc::clone(self);
        let watch = std::thread::Builder::new().name("watch".to_owned()).stack_size(STACK_BYTES);
        let watching = watch.spawn(move || {
            let baton = Arc::clone(&watched.baton);
            baton.watch(move |turn| watched.read_in_thread(turn));
        });
        if watching.is_err() {
            return refuse(&failed(failure::INTERNAL, "no thread could be started", None));
        }
        let plugin = match library.start(RemoteHost(Arc::clone(self)), frame.payload) {
            Ok(plugin) => plugin,
            Err(failure) => return refuse(&failure),
        };
        let offers = plugin.manifest();
        if offers.len() > super::MAX_RESULT_BYTES {
            return refuse(&failed(failure::INTERNAL, "what it offers is too large", None));
        }
        let _ = self.plugin.set(plugin);
        self.outbox.send(&Frame { payload: &offers, ..Frame::of(Kind::Started, 0) });
        self.read(0);
        // Another thread has the baton, and keeps the process.
        loop {
            std::thread::park();
        }
    }

    fn read_in_thread(self: &Arc<Self>, turn: Turn) {
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("worker".to_owned()).stack_size(STACK_BYTES);
        if thread.spawn(move || this.read(turn)).is_err() {
            // Nobody would read on. The host starts another process, and says why this one has ended.
            let _ = writeln!(std::io::stderr(), "mcp-host: a worker ends, because no thread could be started");
            std::process::exit(1);
        }
    }

    fn yield_turn(self: &Arc<Self>) {
        self.baton.yield_turn(|turn| self.read_in_thread(turn));
    }

    /// Reads and runs, in this turn and in later ones.
    fn read(self: &Arc<Self>, mut turn: Turn) {
        loop {
            // What the last holder has left to be sent with more.
            self.outbox.flush();
            while let Some(received) = self.next(turn) {
                let _running = self.baton.begin(turn);
                self.take(&received);
                if !received.has_more || !self.baton.is_held(turn) {
                    self.outbox.flush();
                }
            }
            match self.baton.wait() {
                Some(next) => turn = next,
                None => return,
            }
        }
    }

    /// The next frame, while the turn lasts.
    fn next(&self, turn: Turn) -> Option<Received> {
        let mut reader = self.reader.lock();
        if !self.baton.is_held(turn) {
            return None;
        }
        match reader.next() {
            Ok(Some(received)) => Some(received),
            // The host is gone, or broken.
            Ok(None) | Err(_) => std::process::exit(0),
        }
    }

    fn take(self: &Arc<Self>, received: &Received) {
        let Ok(frame) = received.frame() else {
            return;
        };
        match frame.kind {
            Kind::Call => self.call(&frame),
            Kind::Cancel => self.cancel(frame.call),
            Kind::Answer => {
                if let Some(waiter) = self.take_waiter(frame.request) {
                    waiter.take(Ok(frame.payload.to_vec()));
                }
            }
            Kind::NoAnswer => {
                if let Some(waiter) = self.take_waiter(frame.request) {
                    let mut failure = failed(frame.word, frame.name, None);
                    failure.data = frame.payload.to_vec().into();
                    waiter.take(Err(failure));
                }
            }
            Kind::Manifest => {
                let offers = self.plugin.get().map(Plugin::manifest).unwrap_or_default();
                self.outbox.send(&Frame { payload: &offers, ..Frame::of(Kind::Offers, 0) });
            }
            Kind::Stop => self.stop(u64::from(frame.request)),
            // The others are the worker's.
            _ => {}
        }
    }

    fn call(self: &Arc<Self>, frame: &Frame<'_>) {
        let Some(plugin) = self.plugin.get() else {
            return;
        };
        let state = Arc::new(CallState::default());
        self.calls.lock().insert(frame.call, Arc::clone(&state));
        let lent = RemoteCall { inside: Arc::clone(self), call: frame.call, state: Arc::clone(&state) };
        match plugin.call(frame.word, frame.name, frame.payload, lent) {
            PluginAnswer::Ready(result) => self.answer(frame.call, &state, result),
            PluginAnswer::Pending(answer) => {
                let Some(runtime) = self.runtime() else {
                    let failure = failed(failure::INTERNAL, "no thread could be started", None);
                    return self.answer(frame.call, &state, Err(failure));
                };
                let mut polling = state.polling.lock();
                if state.is_cancelled() {
                    return;
                }
                let (this, call, answered) = (Arc::clone(self), frame.call, Arc::clone(&state));
                let polled = runtime.spawn(async move {
                    let result = answer.await;
                    this.answer(call, &answered, result);
                    this.outbox.flush();
                });
                *polling = Some(polled.abort_handle());
            }
        }
    }

    /// Polls futures of answers; the plugin's own runtime does the work.
    fn runtime(&self) -> Option<&Runtime> {
        if let Some(runtime) = self.runtime.get() {
            return Some(runtime);
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("answers").build().ok()?;
        Some(self.runtime.get_or_init(|| runtime))
    }

    /// Adds the answer of a call, to be sent.
    fn answer(&self, call: u64, state: &CallState, result: Result<Vec<u8>, Failure>) {
        let (is_unwanted, is_over) = state.answer();
        if is_unwanted {
            return;
        }
        if is_over {
            self.end_call(call);
        }
        let request = u32::from(is_over);
        let too_large;
        let result = match result {
            Ok(bytes) if bytes.len() > super::MAX_RESULT_BYTES => {
                too_large = format!("its result has {} bytes, {} are allowed", bytes.len(), super::MAX_RESULT_BYTES);
                Err(failed(failure::INTERNAL, &too_large, None))
            }
            result => result,
        };
        match &result {
            Ok(payload) => self.outbox.add(&Frame { request, payload, ..Frame::of(Kind::Reply, call) }),
            Err(failure) => self.outbox.add(&Frame {
                request,
                word: &failure.kind,
                name: &failure.message,
                payload: &failure.data,
                ..Frame::of(Kind::Failed, call)
            }),
        }
    }

    /// Nobody waits for the answer any more: what waits for it inside is dropped.
    fn cancel(&self, call: u64) {
        let Some(state) = self.calls.lock().get(&call).cloned() else {
            return;
        };
        state.cancel();
        let polling = state.polling.lock().take();
        let (was_answered, is_over) = state.answer();
        if let Some(polling) = polling {
            polling.abort();
        }
        if !was_answered && is_over {
            self.end_call(call);
            self.outbox.send(&Frame::of(Kind::Over, call));
        }
    }

    fn end_call(&self, call: u64) {
        self.calls.lock().remove(&call);
    }

    fn stop(&self, grace_ms: u64) {
        let stopped = self.plugin.get().map_or(Ok(()), |plugin| plugin.stop(grace_ms));
        let why = stopped.err().map(|failure| failure.message.into_string()).unwrap_or_default();
        self.outbox.send(&Frame { name: &why, ..Frame::of(Kind::Stopped, 0) });
        std::process::exit(0);
    }

    /// A number under which an answer of the host is waited for.
    fn wait_for_answer(&self, waiter: Waiter) -> Option<u32> {
        let request = self.next_request.fetch_add(1, Ordering::Relaxed);
        // After four thousand million requests numbers come again; one that still waits keeps its own.
        let mut waiters = self.waiters.lock();
        if waiters.contains_key(&request) {
            return None;
        }
        waiters.insert(request, waiter);
        Some(request)
    }

    fn take_waiter(&self, request: u32) -> Option<Waiter> {
        self.waiters.lock().remove(&request)
    }
}
