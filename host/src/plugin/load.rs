//! From a private copy to a running instance: verified, probed, opened and started. Each step takes what the one before gave.

use super::breaker::Breaker;
use super::confine::Confinement;
use super::ffi::{self, Library};
use super::instance::{Body, Surroundings};
use super::lent::OwnHost;
use super::news::{News, news};
use super::settings::{Isolation, PluginConfig};
use super::trust::TrustError;
use super::verdicts::{Verdict, Verdicts};
use super::worker::{Opening, Pool, Recipe, WorkerError, WorkerProgram, probe};
use super::{Digest, InspectError, Instance, StageError, Staged};
use crate::rt::{Blocking, BlockingError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a plugin is not served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its file is not usable.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// No private copy of it can be made.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// Its file is not one that may be opened.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Its file did harm to the process that opened it first.
    #[error("it is in quarantine: {reason}; `mcp-host plugins clear {plugin}` has it tried again")]
    Quarantined {
        /// The plugin.
        plugin: String,
        /// What happened.
        reason: String,
    },
    /// It has no process of its own.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// Its library cannot be opened.
    #[error(transparent)]
    Open(#[from] ffi::OpenError),
    /// It did not start.
    #[error("it did not start: {0}")]
    Start(String),
    /// What it offers cannot be read.
    #[error("what it offers cannot be read")]
    Manifest(#[source] serde_json::Error),
    /// Another file has a plugin of its name.
    #[error("{first} has a plugin of this name already: remove one of the two files")]
    SameName {
        /// The file that keeps the name.
        first: PathBuf,
    },
    /// It hung or could not be run.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
    /// The host ends.
    #[error("the host is stopping")]
    Stopping,
}

impl LoadError {
    /// Whether it may be otherwise the next time, with the same file and configuration: a verdict may be cleared, a machine
    /// may have room again.
    pub(super) fn may_pass(&self) -> bool {
        use WorkerError::{NotConfined, Spawn, TimedOut};
        matches!(
            self,
            Self::Quarantined { .. }
                | Self::Stopping
                | Self::Stage(_)
                | Self::Blocking(_)
                | Self::Worker(Spawn(_) | TimedOut(_) | NotConfined(_))
        )
    }
}

/// What loading needs of the host, whatever the plugin. Cheap to clone.
#[derive(Clone)]
pub(super) struct Loader {
    pub(super) program: WorkerProgram,
    pub(super) verdicts: Verdicts,
    pub(super) start_timeout: Duration,
    /// What this process has mapped, for good.
    pub(super) mapped: Arc<Mutex<Mapped>>,
}

/// What a process has mapped. Nothing is ever taken out.
#[derive(Default)]
pub(super) struct Mapped {
    /// Each further generation of these bytes needs a file of its own.
    digests: HashSet<Digest>,
    /// How many images there are of each plugin.
    images: BTreeMap<String, usize>,
}

/// A copy whose bytes may be opened.
pub(super) struct Verified {
    staged: Arc<Staged>,
    bytes: Vec<u8>,
}

/// A copy that a process has opened and survived.
struct Sound(Verified);

impl Loader {
    /// How many images of a plugin this process has mapped.
    pub(super) fn resident(&self, plugin: &str) -> usize {
        self.mapped.lock().images.get(plugin).copied().unwrap_or(0)
    }

    /// Loads a staged copy into the isolation that is asked for.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub(super) async fn load(
        &self,
        staged: Arc<Staged>,
        signature: Option<String>,
        config: &PluginConfig,
        isolation: Isolation,
    ) -> Result<(Arc<Instance>, News), LoadError> {
        let verified = self.verify(staged, signature, config).await?;
        let (sender, listener) = news();
        let host = OwnHost::new(verified.staged.metadata.name.as_str().into(), sender.clone());
        let staged = Arc::clone(&verified.staged);
        let (body, offers) = match isolation {
            Isolation::Worker => {
                if config.confinement == Confinement::None {
                    self.check_verdict(&staged)?;
                }
                self.start_worker(&verified, config, host.clone()).await?
            }
            Isolation::InProcess => {
                let sound = self.probe(verified).await?;
                self.start(sound, config, host.clone()).await?
            }
        };
        let breaker = Breaker::new(config.breaker.clone());
        let surroundings = Surroundings { host, news: sender, limits: config.limits, breaker };
        let instance = Instance::new(&staged, body, &offers, surroundings).map_err(LoadError::Manifest)?;
        Ok((Arc::new(instance), listener))
    }

    /// Judges the bytes of the copy, which are those that are opened.
    ///
    /// # Errors
    /// When they are not those that were staged, or may not be opened.
    pub(super) async fn verify(
        &self,
        staged: Arc<Staged>,
        signature: Option<String>,
        config: &PluginConfig,
    ) -> Result<Verified, LoadError> {
        let trust = config.trust.clone();
        let verifying = Blocking { name: "plugin-verify", deadline: self.start_timeout };
        let verified = verifying.run(move || {
            let bytes = staged.bytes()?;
            let file = staged.origin.file_name().unwrap_or_default().to_string_lossy();
            trust.judge(&file, staged.digest, &bytes, signature.as_deref())?;
            Ok::<_, LoadError>(Verified { staged, bytes })
        });
        verified.await?
    }

    /// Has a process that does nothing else open a file that was never seen before.
    async fn probe(&self, verified: Verified) -> Result<Sound, LoadError> {
        /// How long a library may take to be opened.
        const TIME: Duration = Duration::from_secs(10);
        let Staged { digest, metadata, .. } = &*verified.staged;
        if self.check_verdict(&verified.staged)? == Some(Verdict::Sound) {
            return Ok(Sound(verified));
        }
        let time = TIME.min(self.start_timeout);
        let opening = Opening::of(&verified.staged, Confinement::of_probe(TIME));
        let verdict = match probe(&self.program, &opening, time).await {
            Ok(_) => Verdict::Sound,
            Err(WorkerError::Ended(how)) => Verdict::Quarantined(format!("when it was opened, its process {how}")),
            Err(WorkerError::TimedOut(time)) => {
                Verdict::Quarantined(format!("when it was opened, that did not end within {time:?}"))
            }
            Err(WorkerError::Refused(why)) => Verdict::Quarantined(format!("it cannot be opened: {why}")),
            // Says nothing of the file.
            Err(error) => return Err(error.into()),
        };
        if let Err(error) = self.verdicts.keep(digest, &metadata.name, verdict.clone()) {
            tracing::warn!(plugin = metadata.name, %error, "its verdict is not kept: it is probed again at the next start");
        }
        match verdict {
            Verdict::Sound => Ok(Sound(verified)),
            Verdict::Quarantined(reason) => Err(LoadError::Quarantined { plugin: metadata.name.clone(), reason }),
        }
    }

    /// The verdict on a file, unless it is in quarantine.
    fn check_verdict(&self, staged: &Staged) -> Result<Option<Verdict>, LoadError> {
        match self.verdicts.on(&staged.digest) {
            Some(Verdict::Quarantined(reason)) => {
                Err(LoadError::Quarantined { plugin: staged.metadata.name.clone(), reason })
            }
            verdict => Ok(verdict),
        }
    }

    async fn start_worker(
        &self,
        verified: &Verified,
        config: &PluginConfig,
        host: OwnHost,
    ) -> Result<(Body, Vec<u8>), LoadError> {
        let (pool, offers) = Pool::start(Recipe {
            program: self.program.clone(),
            opening: Opening::of(&verified.staged, config.confinement.clone()),
            config: config.config.to_string().into_bytes(),
            host,
            limits: config.pool.clone(),
            start_timeout: self.start_timeout,
        })
        .await?;
        Ok((Body::Worker(pool), offers))
    }

    /// Opens and starts a plugin in this process, on a thread that may hang.
    async fn start(&self, sound: Sound, config: &PluginConfig, host: OwnHost) -> Result<(Body, Vec<u8>), LoadError> {
        let Sound(Verified { staged, bytes }) = sound;
        let is_first = self.mapped.lock().digests.insert(staged.digest);
        let mapped = Arc::clone(&self.mapped);
        let table = config.config.to_string();
        let starting = Blocking { name: "plugin-start", deadline: self.start_timeout };
        let started = starting.run(move || {
            // One image has one plugin: what its statics hold is that one's.
            let copy = if is_first { None } else { Some(staged.copy(&bytes)?) };
            let path = copy.as_ref().unwrap_or(&staged.path);
            // Time has passed since it was judged. Between this and the opening is nothing.
            if std::fs::read(path).ok().as_ref() != Some(&bytes) {
                return Err(staged.changed().into());
            }
            let opened = Library::open(path);
            if let Some(copy) = &copy {
                let _ = std::fs::remove_file(copy);
            }
            // What was mapped stays, even if it is not a plugin.
            *mapped.lock().images.entry(staged.metadata.name.clone()).or_default() += 1;
            let library = opened?;
            tracing::debug!(
                plugin = staged.metadata.name, digest = %staged.digest, level = library.level(),
                file = %staged.origin.display(), "opened"
            );
            let plugin = library
                .start(host, table.as_bytes())
                .map_err(|failure| LoadError::Start(failure.message.into_string()))?;
            let offers = plugin.manifest();
            Ok::<_, LoadError>((Body::InProcess(plugin), offers))
        });
        started.await?
    }
}
