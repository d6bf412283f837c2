//! The composition root: it knows every room, wires them, starts and stops them, and does nothing else.

mod health;
mod metrics;

pub use health::plugins;

use crate::config::{RequestState, Settings, Tasks};
use crate::dispatch::Dispatcher;
use crate::plugin::{Reread, Supervisor};
use crate::protocol::Validator;
use crate::registry::Registry;
use crate::replay::{KeyError, Keys, Ledger, Rounds};
use crate::rt::{Clock, Drain, Hangups, end_requested, end_wanted, standard_input, standard_output};
use crate::runner::Runner;
use crate::serve::Server;
use crate::session::Store;
use crate::skill;
use crate::task::{DiskError, DiskStore, MemoryStore, TaskStore};
use crate::telemetry::chain;
use crate::transport::http::{Endpoint, ListenError, Listener, router};
use crate::transport::stdio;
use health::AppHealth;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// A host with its plugins loaded.
pub struct App {
    /// What it runs on.
    pub settings: Settings,
    /// Its plugins.
    pub supervisor: Arc<Supervisor>,
    /// Who finds and asks them.
    pub dispatcher: Dispatcher,
    /// Its end.
    pub drain: Drain,
}

/// Where what the operator says is read again, while the host serves.
pub struct Configuration {
    reread: Reread,
    /// Its file, which is watched; nothing where there is none.
    file: Option<PathBuf>,
    /// By which operators ask for a look at everything.
    hangups: std::io::Result<Hangups>,
}

impl Configuration {
    /// A configuration that `reread` reads, from `file`. From now on a `SIGHUP` does not end the process. To be called on a
    /// runtime, before plugins are loaded: a signal that comes meanwhile is heeded when they are.
    #[must_use]
    pub fn new(reread: Reread, file: Option<PathBuf>) -> Self {
        Self { reread, file, hangups: Hangups::listen() }
    }
}

/// What a host that serves keeps on disk.
struct Kept {
    /// Nothing where the operator wants no tasks.
    tasks: Option<Arc<dyn TaskStore>>,
    rounds: Rounds,
}

impl Kept {
    /// # Errors
    /// Where the host cannot serve without it.
    ///
    /// # Blocking
    /// Reads and writes files.
    fn open(tasks: Option<&Tasks>, request_state: RequestState) -> Result<Self, ServeError> {
        Ok(Self { tasks: tasks.map(task_store).transpose()?, rounds: rounds(request_state)? })
    }
}

/// How long plugins may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

impl App {
    /// Loads all plugins.
    pub async fn load(settings: Settings) -> Self {
        let registry = Registry::default();
        let drain = Drain::default();
        let (skills, problems) = skill::offer(&settings.skill_folders, settings.supervisor.defaults.selection.cache);
        let offers = skills.into_iter().collect();
        let supervisor = Arc::new(Supervisor::new(settings.supervisor.clone(), registry.clone(), offers));
        problems.iter().for_each(|problem| supervisor.report_beside(problem));
        supervisor.load_all().await;
        let dispatcher = Dispatcher::new(registry, settings.dispatch);
        Self { settings, supervisor, dispatcher, drain }
    }

    /// Loads all plugins, and serves until a client over standard input leaves, or a signal comes. `stdout` is the real standard
    /// output.
    ///
    /// # Errors
    /// See [`ServeError`].
    ///
    /// # Cancel safety
    /// When the future is dropped, plugins are not told to stop.
    pub async fn serve(settings: Settings, stdout: File, configuration: Configuration) -> Result<(), ServeError> {
        let (tasks, request_state) = (settings.tasks.clone(), settings.request_state.clone());
        // What is written to disk to open them takes as long as several plugins.
        let opening = tokio::task::spawn_blocking(move || Kept::open(tasks.as_ref(), request_state));
        let app = tokio::select! {
            app = Self::load(settings) => app,
            // A signal ends the process here, as it does with any other.
            () = end_requested() => {
                tracing::info!("ended before it served");
                return Ok(());
            }
        };
        let kept = opening.await.unwrap_or(Err(ServeError::Panicked));
        app.serve_with(kept, stdout, configuration).await
    }

    async fn serve_with(
        self,
        kept: Result<Kept, ServeError>,
        stdout: File,
        configuration: Configuration,
    ) -> Result<(), ServeError> {
        let supervisor = Arc::clone(&self.supervisor);
        let (followed, drain) = (Arc::clone(&supervisor), self.drain.clone());
        let Configuration { reread, file, hangups } = configuration;
        let asked = Arc::new(Notify::new());
        self.drain.spawn(pass_on(hangups, Arc::clone(&asked), drain.clone()));
        self.drain.spawn(async move { followed.follow(reread, file, asked, drain).await });
        self.make_ready_to_judge();
        let served = self.serve_to_the_end(kept, stdout).await;
        supervisor.stop_all(STOP_GRACE).await;
        let in_time = served?;
        tracing::info!(all_calls_finished = in_time, "ended");
        Ok(())
    }

    /// Computes what judging values needs, once the first answers are on their way: they do not need it, and the first call that
    /// does would wait for it.
    fn make_ready_to_judge(&self) {
        const AFTER: Duration = Duration::from_millis(200);
        let snapshot = self.dispatcher.registry().snapshot();
        if snapshot.tools().iter().any(|tool| tool.schemas.input.is_some() || tool.schemas.output.is_some()) {
            tokio::spawn(async {
                tokio::time::sleep(AFTER).await;
                tokio::task::spawn_blocking(Validator::make_ready);
            });
        }
    }

    /// Serves, and drains; whether all work finished by itself.
    async fn serve_to_the_end(self, kept: Result<Kept, ServeError>, stdout: File) -> Result<bool, ServeError> {
        let Self { settings, supervisor, dispatcher, drain } = self;
        let store = Store::new(settings.store);
        let Kept { tasks, rounds } = kept?;
        // Before anybody is answered, who may want it to end at once.
        let end = end_wanted();
        let limits = settings.tasks.map(|tasks| tasks.runner);
        let runner = |(store, limits)| Runner::new(dispatcher.clone(), store, limits, Clock::start(), drain.clone());
        let runner = tasks.zip(limits).map(runner).transpose()?.map(Arc::new);
        let ledger = Arc::clone(rounds.ledger());
        let (face, limits) = (settings.face, settings.server);
        let server =
            Arc::new(Server::new(dispatcher, face, limits, store.clone(), rounds, runner.clone(), drain.clone()));
        let listener = match settings.http {
            Some(address) => Some(Listener::bind(address, settings.http_limits).await?),
            None => None,
        };
        // Only now, when nothing can keep the host from serving: what is taken up is begun.
        if let Some(runner) = &runner {
            runner.take_up().await;
        }
        drain.spawn(Arc::clone(&server).announce_changes());
        drain.spawn(Arc::clone(&server).announce_tasks());
        drain.spawn(sweep(store, ledger, runner.clone(), drain.clone()));
        if let Some(listener) = listener {
            if let Some(address) = listener.address() {
                tracing::info!("listening on http://{address}/mcp");
            }
            let health = AppHealth { supervisor, runner, server: Arc::clone(&server), started: Instant::now() };
            let (hosts, identity, limits) = (settings.hosts, settings.identity, settings.http_limits);
            let endpoint = Endpoint::new(Arc::clone(&server), hosts, identity, limits, Arc::new(health));
            let router = router(Arc::new(endpoint), settings.oldest_transport);
            drain.spawn(listener.serve(router, drain.clone()));
        }
        let pipe = async {
            if settings.stdio {
                let (input, output) = (standard_input(), standard_output(stdout));
                let serving = stdio::serve(Arc::clone(&server), input, output, settings.stdio_limits);
                // A task of its own runs on the thread that hears of what comes; this one would have to be woken.
                if let Err(error) = AbortOnDropHandle::new(tokio::spawn(serving)).await {
                    tracing::error!(%error, "the client over standard input is served no more: the host has a fault");
                }
            }
        };
        Ok(until_the_end(&server, pipe, end, settings.http.is_some(), settings.drain_timeout).await)
    }
}

/// Waits until a client over the `pipe` leaves that has the host alone, or the `end` is wanted; then drains within `grace`. Whether
/// all work finished by itself.
async fn until_the_end(
    server: &Server,
    pipe: impl Future<Output = ()>,
    end: impl Future<Output = ()>,
    with_http: bool,
    grace: Duration,
) -> bool {
    /// How long the client of a pipe may take to read what was said last.
    const LAST_WORDS: Duration = Duration::from_secs(1);
    let (mut pipe, mut end) = (std::pin::pin!(pipe), std::pin::pin!(end));
    let is_piped = tokio::select! {
        () = &mut pipe => {
            if with_http {
                end.await;
            }
            false
        }
        () = &mut end => true,
    };
    tracing::info!(?grace, "draining");
    server.drain().begin();
    tokio::spawn(exit_at_once_when(end_wanted()));
    let mut finishing = std::pin::pin!(server.drain().finish(grace, || server.bid_farewell()));
    if !is_piped {
        return finishing.await;
    }
    tokio::select! {
        in_time = &mut finishing => {
            // Its calls are cancelled by now, or answered; what they said is written.
            let _ = tokio::time::timeout(LAST_WORDS, pipe).await;
            in_time
        }
        () = &mut pipe => finishing.await,
    }
}

/// Why a host does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Tasks cannot be kept, now or later.
    #[error("tasks cannot be kept")]
    Tasks(#[from] DiskError),
    /// The system gives no random bits.
    #[error("the system gives no random bits")]
    NoRandom(#[from] getrandom::Error),
    /// What clients carry cannot be sealed.
    #[error("the key of 'requestState' cannot be used")]
    Key(#[from] KeyError),
    /// What is kept on disk could not be opened.
    #[error("what is kept on disk could not be opened: the host has a fault")]
    Panicked,
}

/// What seals the state of requests. Without a place for a key of its own the host serves all the same; with a key that is
/// none, or that others can read, it does not: clients would lose what they carry, or others could make it.
fn rounds(config: RequestState) -> Result<Rounds, KeyError> {
    let RequestState { keys, folder, limits } = config;
    let keys = match keys.map_or_else(|| Keys::of_file(&folder.join("request-state.key")), Ok) {
        Err(error @ KeyError::File { .. }) => {
            tracing::warn!(error = %chain(&error), "no key is kept: what clients carry does not outlive this process");
            Keys::ephemeral()?
        }
        keys => keys?,
    };
    let ledger = Ledger::of_folder(&folder.join("used-request-states")).or_else(|error| {
        tracing::warn!(%error, "what may be used once is known to this process alone");
        Ledger::in_memory()
    });
    Ok(Rounds::new(keys, ledger.map_err(|_| KeyError::NoRandom)?, limits))
}

/// Where tasks are kept. Where they cannot be kept on disk the host serves all the same, and says so to whoever wants one.
fn task_store(tasks: &Tasks) -> Result<Arc<dyn TaskStore>, DiskError> {
    let Some(folder) = &tasks.folder else {
        return Ok(Arc::new(MemoryStore::new(tasks.store)));
    };
    let (store, problem) = DiskStore::open(folder, tasks.store)?;
    if let Some(problem) = problem {
        tracing::warn!(reason = chain(&problem), "no task can be kept; it is tried again");
    }
    Ok(Arc::new(store))
}

/// Ends idle sessions and forgets what has ended, until the host drains.
async fn sweep(store: Store, ledger: Arc<Ledger>, runner: Option<Arc<Runner>>, drain: Drain) {
    let every = store.sweep_every();
    loop {
        tokio::select! {
            () = drain.draining() => return,
            () = tokio::time::sleep(every) => store.expire(),
        }
        if let Some(runner) = &runner {
            runner.expire().await;
            runner.take_up().await;
        }
        let ledger = Arc::clone(&ledger);
        let _ = tokio::task::spawn_blocking(move || ledger.sweep()).await;
    }
}

/// Notifies at each request to look again, until the host drains.
async fn pass_on(hangups: std::io::Result<Hangups>, asked: Arc<Notify>, drain: Drain) {
    let mut hangups = match hangups {
        Ok(hangups) => hangups,
        Err(error) => return tracing::warn!(%error, "SIGHUP cannot be listened to"),
    };
    loop {
        tokio::select! {
            () = drain.draining() => return,
            () = hangups.next() => asked.notify_one(),
        }
    }
}

async fn exit_at_once_when(end: impl Future<Output = ()>) {
    end.await;
    tracing::warn!("ended at once by a second signal");
    std::process::exit(130);
}
