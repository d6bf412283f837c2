//! What a call of a plugin in a worker process costs, against a bare echo over a socket pair to another process, in the same
//! run: how long one call takes, and how many get through where 64 are under way.
//!
//! `measure worker-cost [CALLS] [ROUNDS]` prints the figures and fails beyond the bounds.

use mcp_host::call::{AskError, AskFuture, Asked, Call, Deadline, LogMessage, Peer, Progress};
use mcp_host::config::{Overrides, Settings, parse};
use mcp_host::plugin::{Supervisor, WorkerProgram};
use mcp_host::protocol::{Ask, AskRequest, ClientProfile};
use mcp_host::registry::{Answer, Operation, Registry, Tool};
use mcp_host_bench::median;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

/// One call may take this many times an echo.
const TIME_BOUND: f64 = 2.0;

/// Of as many calls as echoes could be, this part must get through.
const RATE_BOUND: f64 = 0.5;

/// Calls under way at a time.
const CALLERS: usize = 64;

/// What a call of 64 bytes has on the wire, with its head.
const MESSAGE_BYTES: usize = 96;

pub(crate) fn run(words: &[String]) {
    if words.first().is_some_and(|word| word == "echo") {
        return echo();
    }
    let number = |index: usize, default: usize| words.get(index).map_or(default, |word| word.parse().unwrap());
    let (calls, rounds) = (number(0, 100_000), number(1, 5));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = Host::start().await;
        let (mut times, mut rates) = (Vec::new(), Vec::new());
        println!("| | p50 µs, one at a time | per second, {CALLERS} at a time |\n|---|---|---|");
        for _ in 0..rounds {
            let bare = Bare::start();
            let (bare_time, bare_rate) = (bare.one_at_a_time(calls / 5).await, Bare::start().many(calls).await);
            let (time, rate) = (host.one_at_a_time(calls / 5).await, host.many(calls).await);
            println!("| bare echo | {bare_time:.1} | {bare_rate:.0} |\n| worker | {time:.1} | {rate:.0} |");
            times.push(time / bare_time);
            rates.push(rate / bare_rate);
        }
        let (time, rate) = (median(times), median(rates));
        println!("median: a call takes {time:.2} times an echo, at most {TIME_BOUND} is allowed");
        println!("median: {rate:.2} times as many calls as echoes, at least {RATE_BOUND} is asked");
        assert!(time <= TIME_BOUND, "a call takes {time:.2} times an echo");
        assert!(rate >= RATE_BOUND, "only {rate:.2} times as many calls as echoes");
        host.supervisor.stop_all(Duration::from_secs(1)).await;
    });
}

/// The other process of the bare echo: writes what it reads.
fn echo() {
    let (mut input, mut output) = (std::io::stdin(), fs::File::from(own_socket()));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match input.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => output.write_all(&buffer[..read]).unwrap(),
        }
    }
}

/// Standard input is a socket, which is written as well.
fn own_socket() -> OwnedFd {
    use std::os::fd::AsFd as _;
    std::io::stdin().as_fd().try_clone_to_owned().unwrap()
}

/// A bare echo over a socket pair.
struct Bare {
    child: Child,
    stream: UnixStream,
}

impl Bare {
    fn start() -> Self {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let child = command.args(["worker-cost", "echo"]).stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap();
        ours.set_nonblocking(true).unwrap();
        Self { child, stream: UnixStream::from_std(ours).unwrap() }
    }

    async fn one_at_a_time(mut self, calls: usize) -> f64 {
        let message = [7; MESSAGE_BYTES];
        let mut answer = [0; MESSAGE_BYTES];
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let began = Instant::now();
            self.stream.write_all(&message).await.unwrap();
            self.stream.read_exact(&mut answer).await.unwrap();
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        median(times)
    }

    /// As many callers as the worker has, each of which waits for its own message to come back.
    async fn many(mut self, calls: usize) -> f64 {
        let (read, write) = self.stream.into_split();
        let (write, mut read) = (Arc::new(tokio::sync::Mutex::new(write)), read);
        let waiting: Arc<Vec<tokio::sync::Notify>> =
            Arc::new((0..CALLERS).map(|_| tokio::sync::Notify::new()).collect());
        let woken = Arc::clone(&waiting);
        let reader = tokio::spawn(async move {
            let mut message = [0; MESSAGE_BYTES];
            let mut buffered = tokio::io::BufReader::with_capacity(64 * 1024, &mut read);
            while buffered.read_exact(&mut message).await.is_ok() {
                woken[usize::from(message[0])].notify_one();
            }
        });
        let began = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (write, waiting) = (Arc::clone(&write), Arc::clone(&waiting));
                tokio::spawn(async move {
                    let message = [caller as u8; MESSAGE_BYTES];
                    for _ in 0..calls / CALLERS {
                        write.lock().await.write_all(&message).await.unwrap();
                        waiting[caller].notified().await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        let rate = (calls / CALLERS * CALLERS) as f64 / began.elapsed().as_secs_f64();
        reader.abort();
        let _ = self.child.kill();
        let _ = self.child.wait();
        rate
    }
}

/// A plugin in a worker, called as `dispatch` calls it.
struct Host {
    supervisor: Supervisor,
    tool: Arc<Tool>,
    _folder: tempfile::TempDir,
}

impl Host {
    async fn start() -> Self {
        let binaries = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        fs::copy(binaries.join("libhello.so"), plugins.join("libhello.so")).unwrap();
        let text =
            format!("state_dir = {:?}\n[plugin_defaults]\nisolation = \"worker\"\n", folder.path().join("state"));
        let overrides = Overrides { plugin_dirs: vec![plugins], ..Overrides::default() };
        let mut config = Settings::resolve(parse(&text, &|_| None).unwrap(), overrides).unwrap().supervisor;
        config.program = WorkerProgram(binaries.join("mcp-host"));
        let registry = Registry::default();
        let supervisor = Supervisor::new(config, registry.clone(), Vec::new());
        supervisor.load_all().await;
        let tool = Arc::clone(registry.snapshot().tool("greet").expect("the plugin is served"));
        Self { supervisor, tool, _folder: folder }
    }

    async fn one_at_a_time(&self, calls: usize) -> f64 {
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            let began = Instant::now();
            greet(&self.tool).await;
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        median(times)
    }

    async fn many(&self, calls: usize) -> f64 {
        let answered = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (tool, answered) = (Arc::clone(&self.tool), Arc::clone(&answered));
                tokio::spawn(async move {
                    for _ in 0..calls / CALLERS {
                        greet(&tool).await;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        answered.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
    }
}

/// Calls the tool with 64 bytes, and holds it to its answer.
async fn greet(tool: &Tool) {
    const ARGUMENTS: &[u8] = br#"{"name":"somebody with a name that makes this sixty-four long"}"#;
    let deadline = Deadline::new(Duration::from_secs(60), Duration::from_secs(60));
    let call = Arc::new(Call::new(Arc::new(Nobody::default()), deadline, CancellationToken::new()));
    let answer = match tool.callee.call(Operation::Tool, "greet", ARGUMENTS, &call) {
        Answer::Ready(answer) => answer,
        Answer::Pending(answer) => answer.await,
    };
    let answer = answer.unwrap();
    assert!(answer.windows(5).any(|bytes| bytes == b"Hello"), "{}", String::from_utf8_lossy(&answer));
}

/// A client that asks for nothing.
#[derive(Default)]
struct Nobody(ClientProfile);

impl Peer for Nobody {
    fn client(&self) -> &ClientProfile {
        &self.0
    }

    fn wants_progress(&self) -> bool {
        false
    }

    fn progress(&self, _progress: Progress) {}

    fn log(&self, _message: LogMessage) {}

    fn release(&self, _retry: Duration) {}

    fn elicitation_done(&self, _id: &str) {}

    fn consult(&self, _key: &str, _ask: Ask) -> Asked {
        Asked::Answered(Err(AskError::Gone))
    }

    fn ask(&self, _key: &str, _request: AskRequest) -> AskFuture<'_> {
        Box::pin(async { Err(AskError::Gone) })
    }
}
