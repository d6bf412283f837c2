//! The worker processes of one plugin: a call goes to one of them, and one that ends is started again.

use super::link::{Link, Running};
use super::{Opening, Worker, WorkerError, WorkerProgram};
use crate::call::{Crash, Failure};
use crate::plugin::confine::Enforcement;
use crate::plugin::lent::{LentHost as _, OwnCall, OwnHost};
use crate::telemetry::chain;
use mcp_plugin_api::abi::op;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bounds of the workers of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many processes there are.
    pub workers: usize,
    /// How long a call may go on that nobody waits for, before its process is killed.
    pub kill_after: Duration,
}

/// What a worker is started with.
pub(in crate::plugin) struct Recipe {
    pub(in crate::plugin) program: WorkerProgram,
    pub(in crate::plugin) opening: Opening,
    /// The plugin's configuration, as JSON.
    pub(in crate::plugin) config: Vec<u8>,
    pub(in crate::plugin) host: OwnHost,
    pub(in crate::plugin) limits: PoolLimits,
    /// How long a process may take to start its plugin.
    pub(in crate::plugin) start_timeout: Duration,
}

/// The worker processes of one plugin. They end when this is dropped.
pub(in crate::plugin) struct Pool {
    shared: Arc<Shared>,
    /// What a worker has given up; they are all alike.
    enforced: Vec<Enforcement>,
    /// One for each process, which starts it again.
    keepers: Mutex<JoinSet<()>>,
}

struct Shared {
    recipe: Recipe,
    slots: Vec<Slot>,
    /// Where the next call begins to look.
    next: AtomicUsize,
    /// A process has started, or none will.
    changed: Notify,
    restarts: AtomicU64,
    /// Cancelled when no process is to be started any more.
    ending: CancellationToken,
}

/// The place of one process.
#[derive(Default)]
struct Slot(Mutex<State>);

#[derive(Clone, Default)]
enum State {
    /// It runs.
    Up(Link),
    /// It is being started again.
    Down,
    /// It was ended.
    #[default]
    Ended,
}

/// How long a call waits for a process that is being started again.
const MAX_WAIT: Duration = Duration::from_secs(5);

impl Pool {
    /// Starts all processes, side by side. Gives what the plugin offers too.
    ///
    /// # Errors
    /// The first process that cannot start.
    pub(in crate::plugin) async fn start(recipe: Recipe) -> Result<(Self, Vec<u8>), WorkerError> {
        let count = recipe.limits.workers.max(1);
        let started = futures_util::future::join_all((0..count).map(|_| start(&recipe))).await;
        let mut runs = Vec::new();
        let mut told = None;
        let mut links = Vec::new();
        for one in started {
            let Started { link, running, offers, enforced } = one?;
            told.get_or_insert((offers, enforced));
            links.push(Slot(Mutex::new(State::Up(link))));
            runs.push(running);
        }
        let (offers, enforced) = told.unwrap_or_default();
        let shared = Arc::new(Shared {
            recipe,
            slots: links,
            next: AtomicUsize::new(0),
            changed: Notify::new(),
            restarts: AtomicU64::new(0),
            ending: CancellationToken::new(),
        });
        let mut keepers = JoinSet::new();
        for (index, running) in runs.into_iter().enumerate() {
            keepers.spawn(keep(Arc::clone(&shared), index, running, offers.clone()));
        }
        Ok((Self { shared, enforced, keepers: Mutex::new(keepers) }, offers))
    }

    /// What its processes have given up.
    pub(in crate::plugin) fn enforced(&self) -> &[Enforcement] {
        &self.enforced
    }

    /// Whether any of its processes runs.
    pub(in crate::plugin) fn is_up(&self) -> bool {
        self.shared.slots.iter().any(|slot| matches!(&*slot.0.lock(), State::Up(link) if !link.is_doomed()))
    }

    /// How often a process was started again.
    pub(in crate::plugin) fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }

    /// Asks the plugin something, in one of its processes. Where none runs, waits for one.
    pub(in crate::plugin) fn call(
        &self,
        op: &'static str,
        name: &str,
        payload: &[u8],
        lent: OwnCall,
    ) -> crate::registry::AnswerFuture {
        let mut lent = lent;
        if let Ok(link) = self.shared.pick() {
            match link.call(op, name, payload, lent) {
                Ok(answer) => return Box::pin(answer),
                Err(back) => lent = back,
            }
        }
        let (shared, name, payload) = (Arc::clone(&self.shared), name.to_owned(), payload.to_vec());
        Box::pin(async move {
            let answer = loop {
                match shared.wait().await?.call(op, &name, &payload, lent) {
                    Ok(answer) => break answer,
                    Err(back) => lent = back,
                }
            };
            answer.await
        })
    }

    /// What the plugin offers now; nothing where no process says it in time.
    pub(in crate::plugin) async fn offers(&self) -> Option<Vec<u8>> {
        let link = self.shared.pick().ok()?;
        tokio::time::timeout(self.shared.recipe.start_timeout, link.offers()).await.ok()?
    }

    /// Ends all processes: their plugins are told, and have this long.
    pub(in crate::plugin) async fn stop(&self, grace: Duration) {
        self.shared.ending.cancel();
        for slot in &self.shared.slots {
            if let State::Up(link) = std::mem::take(&mut *slot.0.lock()) {
                link.stop(grace);
            }
        }
        self.shared.changed.notify_waiters();
        let mut keepers = std::mem::take(&mut *self.keepers.lock());
        // A link kills what does not end by itself; dropped, the others kill theirs.
        let ended = async { while keepers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace + Duration::from_millis(500), ended).await;
    }
}

impl Shared {
    /// A process that runs, another one each time; or why there is none.
    fn pick(&self) -> Result<Link, Failure> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut is_down = false;
        for offset in 0..self.slots.len() {
            match &*self.slots[first.wrapping_add(offset) % self.slots.len()].0.lock() {
                State::Up(link) if !link.is_doomed() => return Ok(link.clone()),
                State::Up(_) | State::Down => is_down = true,
                State::Ended => {}
            }
        }
        // What was wrong is the operator's to know.
        Err(if is_down {
            Failure::Crashed(Crash::beside("its process is being started again"))
        } else {
            Failure::Stopped
        })
    }

    /// Waits for a process that runs.
    async fn wait(&self) -> Result<Link, Failure> {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Before it is looked, so that nothing is missed between.
                changed.as_mut().enable();
                match self.pick() {
                    Err(Failure::Crashed(_)) => changed.await,
                    picked => return picked,
                }
            }
        };
        match tokio::time::timeout(MAX_WAIT, waiting).await {
            Ok(picked) => picked,
            Err(_) => self.pick(),
        }
    }
}

/// A process whose plugin has started.
struct Started {
    link: Link,
    running: Running,
    offers: Vec<u8>,
    enforced: Vec<Enforcement>,
}

async fn start(recipe: &Recipe) -> Result<Started, WorkerError> {
    let Recipe { program, opening, config, host, limits, start_timeout } = recipe;
    let (mut worker, opened) = Worker::open(program, opening, *start_timeout).await?;
    let offers = worker.start(config, host, *start_timeout).await?;
    let (link, running) = Link::new(worker, host.clone(), limits.kill_after);
    Ok(Started { link, running, offers, enforced: opened.enforced })
}

/// Runs a process, and starts it again whenever it ends, later each time that it ends soon.
async fn keep(shared: Arc<Shared>, index: usize, mut running: Running, mut offers: Vec<u8>) {
    /// A process that lived for this long starts again at once.
    const STABLE: Duration = Duration::from_secs(10);
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(30);
    let slot = &shared.slots[index];
    let mut pause = Duration::ZERO;
    loop {
        let began = Instant::now();
        let ended = running.run().await;
        // Before its calls learn of it: whoever calls again at once waits for the next process.
        let is_wanted = slot.go_down();
        let how = ended.tell();
        if !is_wanted {
            return;
        }
        shared.recipe.host.warn(&format!("its process {how}; it is started again"));
        if began.elapsed() >= STABLE {
            pause = Duration::ZERO;
        }
        running = loop {
            let starting = async {
                tokio::time::sleep(pause).await;
                start(&shared.recipe).await
            };
            let started = tokio::select! {
                started = starting => started,
                () = shared.ending.cancelled() => return,
            };
            pause = (pause * 2).clamp(FIRST, LONGEST);
            match started {
                Ok(started) => {
                    if !slot.come_up(started.link) {
                        return;
                    }
                    // What it offers may depend on what it finds when it starts.
                    if started.offers != offers {
                        offers = started.offers;
                        shared.recipe.host.notify(op::MANIFEST_CHANGED, b"");
                    }
                    break started.running;
                }
                Err(error) => {
                    let why = chain(&error);
                    shared
                        .recipe
                        .host
                        .warn(&format!("its process could not be started again, it is tried again: {why}"));
                }
            }
        };
        shared.restarts.fetch_add(1, Ordering::Relaxed);
        shared.changed.notify_waiters();
    }
}

impl Slot {
    /// Whether it is to be started again.
    fn go_down(&self) -> bool {
        let mut state = self.0.lock();
        if matches!(&*state, State::Ended) {
            return false;
        }
        *state = State::Down;
        true
    }

    fn come_up(&self, link: Link) -> bool {
        let mut state = self.0.lock();
        if matches!(&*state, State::Ended) {
            return false;
        }
        *state = State::Up(link);
        true
    }
}
