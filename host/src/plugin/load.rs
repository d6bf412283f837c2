//! From a private copy to a running instance: verified, probed, opened and started. Each step takes what the one before gave;
//! a copy that was probed before is verified when it is opened, and every copy is verified then again.

use super::breaker::Breaker;
use super::confine::Confinement;
use super::ffi::{Layout, Library, take_foreign_standard};
use super::instance::{Body, Surroundings};
use super::lent::OwnHost;
use super::news::{News, news};
use super::settings::{Isolation, PluginConfig};
use super::trust::{TrustError, TrustRule};
use super::verdicts::{Judged, Verdict, Verdicts};
use super::worker::{Opening, Pool, Recipe, WorkerError, WorkerProgram, probe};
use super::{Digest, InspectError, Instance, StageError, Staged};
use crate::rt::{Blocking, BlockingError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
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
    /// What it prints cannot be kept from standard output.
    #[error("standard output cannot be kept from what it prints")]
    StandardOutput(#[source] std::io::Error),
    /// Its library cannot be opened.
    #[error(transparent)]
    Open(#[from] mcp_plugin_api::abi::OpenError),
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
    /// Its start hangs.
    #[error("it did not return within {0:?}")]
    Hangs(Duration),
    /// What is done before hung or could not be run.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
    /// The host ends.
    #[error("the host is stopping")]
    Stopping,
}

impl LoadError {
    /// Whether it may be otherwise the next time, with the same file and configuration: a verdict may be cleared, a machine
    /// may have room again. What hung is tried again only when somebody asks: each try costs a thread and an image.
    pub(super) fn may_pass(&self) -> bool {
        use WorkerError::{NotConfined, Spawn, TimedOut};
        matches!(
            self,
            Self::Quarantined { .. }
                | Self::Stopping
                | Self::Stage(_)
                | Self::Blocking(_)
                | Self::StandardOutput(_)
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
struct Verified(Arc<Staged>);

/// A copy that a process has opened and survived, and what is known of its layout.
struct Sound(Arc<Staged>, Layout);

/// What the operator demands of bytes before they are opened, and the signature that they have.
#[derive(Clone)]
struct Demand {
    trust: TrustRule,
    signature: Option<String>,
}

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
        let (sender, listener) = news();
        let host = OwnHost::new(staged.metadata.name.as_str().into(), sender.clone());
        let demand = Demand { trust: config.trust.clone(), signature };
        let loading = async {
            match isolation {
                Isolation::Worker => {
                    let verified = self.verify(Arc::clone(&staged), demand).await?;
                    if config.confinement == Confinement::None {
                        self.check_verdict(&staged)?;
                    }
                    self.start_worker(verified, config, host.clone()).await
                }
                Isolation::InProcess => {
                    let sound = self.probe(Arc::clone(&staged), &demand).await?;
                    self.start(sound, demand, config.config.to_string(), host.clone()).await
                }
            }
        };
        let loaded = loading.await;
        if let Err(LoadError::Stage(error)) = &loaded
            && error.source.kind() == std::io::ErrorKind::InvalidData
        {
            // It has other bytes than were judged: another one is made when the file is read next.
            staged.discard();
        }
        let (body, offers) = loaded?;
        let breaker = Breaker::new(config.breaker.clone());
        let surroundings = Surroundings { host, news: sender, limits: config.limits, breaker };
        let instance = Instance::new(&staged, body, &offers, surroundings).map_err(LoadError::Manifest)?;
        Ok((Arc::new(instance), listener))
    }

    /// Whether a copy may not be opened any more, by what the operator demands now: also where that cannot be told.
    pub(super) async fn is_distrusted(
        &self,
        staged: Arc<Staged>,
        signature: Option<String>,
        config: &PluginConfig,
    ) -> bool {
        let demand = Demand { trust: config.trust.clone(), signature };
        self.verify(staged, demand).await.is_err()
    }

    /// Judges the bytes of the copy.
    ///
    /// # Errors
    /// When they are not those that were staged, or may not be opened.
    async fn verify(&self, staged: Arc<Staged>, demand: Demand) -> Result<Verified, LoadError> {
        let verifying = Blocking { name: "plugin-verify", deadline: self.start_timeout };
        verifying.run(move || demand.judge(&staged, &staged.path).map(|()| Verified(staged))).await?
    }

    /// Has a process that does nothing else open a file that was never seen before.
    async fn probe(&self, staged: Arc<Staged>, demand: &Demand) -> Result<Sound, LoadError> {
        /// How long a library may take to be opened.
        const TIME: Duration = Duration::from_secs(10);
        if let Some(layout) = self.check_verdict(&staged)? {
            // Judged when it is opened.
            return Ok(Sound(staged, layout));
        }
        let Verified(staged) = self.verify(staged, demand.clone()).await?;
        let Staged { digest, metadata, .. } = &*staged;
        let time = TIME.min(self.start_timeout);
        let opening = Opening::of(&staged, Confinement::of_probe(TIME));
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
        let (verdicts, digest, name, kept) = (self.verdicts.clone(), *digest, metadata.name.clone(), verdict.clone());
        // Another host may hold the book.
        let keeping = Blocking { name: "plugin-verdict", deadline: self.start_timeout };
        let kept = keeping.run(move || verdicts.keep(&digest, &name, kept)).await;
        if let Err(error) = kept.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            tracing::warn!(plugin = metadata.name, %error, "its verdict is not kept: it is probed again at the next start");
        }
        match verdict {
            Verdict::Sound => Ok(Sound(staged, self.verdicts.own_check().into())),
            Verdict::Quarantined(reason) => Err(LoadError::Quarantined { plugin: metadata.name.clone(), reason }),
        }
    }

    /// What the verdict on a file says of its layout, where there is one and it is not in quarantine.
    fn check_verdict(&self, staged: &Staged) -> Result<Option<Layout>, LoadError> {
        match self.verdicts.on(&staged.digest) {
            Some(Judged { verdict: Verdict::Quarantined(reason), .. }) => {
                Err(LoadError::Quarantined { plugin: staged.metadata.name.clone(), reason })
            }
            Some(Judged { verdict: Verdict::Sound, own }) => Ok(Some(own.into())),
            None => Ok(None),
        }
    }

    async fn start_worker(
        &self,
        Verified(staged): Verified,
        config: &PluginConfig,
        host: OwnHost,
    ) -> Result<(Body, Vec<u8>), LoadError> {
        let (pool, offers) = Pool::start(Recipe {
            program: self.program.clone(),
            opening: Opening::of(&staged, config.confinement.clone()),
            config: config.config.to_string().into_bytes(),
            host,
            limits: config.pool.clone(),
            start_timeout: self.start_timeout,
        })
        .await?;
        Ok((Body::Worker(pool), offers))
    }

    /// Opens and starts a plugin in this process, on a thread that may hang.
    async fn start(
        &self,
        Sound(staged, layout): Sound,
        demand: Demand,
        table: String,
        host: OwnHost,
    ) -> Result<(Body, Vec<u8>), LoadError> {
        let mapped = Arc::clone(&self.mapped);
        let verdicts = self.verdicts.clone();
        let starting = Blocking { name: "plugin-start", deadline: self.start_timeout };
        let started = starting.run(move || {
            take_foreign_standard(false).map_err(LoadError::StandardOutput)?;
            // One image has one plugin: what its statics hold is that one's. Only this plugin's own task is here with its digest.
            let is_first = !mapped.lock().digests.contains(&staged.digest);
            let copy = if is_first { None } else { Some(staged.copy()?) };
            let path = copy.as_ref().unwrap_or(&staged.path);
            // Between this and the opening is nothing.
            let opened = demand.judge(&staged, path).map(|()| Library::open(path, layout));
            if let Some(copy) = &copy {
                super::stage::remove(copy);
            }
            let opened = opened?;
            // What was mapped stays, even if it is not a plugin.
            let mut mapped = mapped.lock();
            mapped.digests.insert(staged.digest);
            *mapped.images.entry(staged.metadata.name.clone()).or_default() += 1;
            drop(mapped);
            let library = opened?;
            if layout == Layout::Unknown && verdicts.own_check().is_some() {
                // Another build has seen it before: from the next start on this one has too.
                let (digest, plugin) = (staged.digest, staged.metadata.name.clone());
                let keeping = move || {
                    if let Err(error) = verdicts.share(&digest) {
                        tracing::debug!(plugin, %error, "its verdict is not kept: its layout is checked again at the next start");
                    }
                };
                // Beside the start, which need not wait for the disk.
                let _ = std::thread::Builder::new().name("plugin-verdict".to_owned()).spawn(keeping);
            }
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
        started.await.map_err(|error| match error {
            BlockingError::TimedOut(time) => LoadError::Hangs(time),
            other => other.into(),
        })?
    }
}

impl Demand {
    /// Holds a file, the copy or a further one, to have the bytes that were staged, and these to be such that may be opened.
    ///
    /// # Errors
    /// [`LoadError::Stage`] and [`LoadError::Trust`].
    ///
    /// # Blocking
    /// Reads and hashes the whole file, unless any bytes will do and the copy is unchanged.
    fn judge(&self, staged: &Staged, path: &Path) -> Result<(), LoadError> {
        if self.trust.takes_any() && path == staged.path && staged.is_unchanged() {
            return Ok(());
        }
        let file = staged.origin.file_name().unwrap_or_default().to_string_lossy();
        match self.trust.judge(&file, staged.digest, self.signature.as_deref())? {
            Some(signature) => Ok(self.trust.verify(&staged.bytes(path)?, signature)?),
            None => Ok(staged.check(path)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::inspect::Inspected;
    use crate::plugin::stage::StageDirectory;

    #[tokio::test]
    async fn a_copy_that_was_changed_after_it_was_judged_is_not_opened() {
        let root = tempfile::tempdir().unwrap();
        let stage = StageDirectory::open(root.path().join("stage")).unwrap();
        let metadata = crate::plugin::metadata::tests::metadata();
        let staged =
            stage.stage(Inspected { path: "x.so".into(), bytes: b"abc".to_vec(), metadata }).map(Arc::new).unwrap();
        let loader = Loader {
            program: WorkerProgram::default(),
            verdicts: Verdicts::in_folder(root.path()),
            start_timeout: Duration::from_secs(60),
            mapped: Arc::default(),
        };
        let (sender, _listener) = news();
        let host = OwnHost::new("x".into(), sender);
        let demand = Demand { trust: TrustRule::default(), signature: None };
        let Verified(staged) = loader.verify(staged, demand.clone()).await.unwrap();
        std::fs::write(&staged.path, b"abd").unwrap();
        let opened = loader.start(Sound(staged, Layout::Unknown), demand, "{}".to_owned(), host).await;
        let Err(LoadError::Stage(refused)) = opened else { panic!("it was opened, or refused for something else") };
        assert_eq!(refused.source.to_string(), "somebody has changed it since it was checked");
        assert_eq!(loader.resident("x"), 0);
    }
}
