//! Tasks on disk, in an embedded database: what is said to be kept outlives the process, however that ends.
//!
//! One thread writes. It takes all that waits at a time and commits it at once, so that many tasks share what one commit
//! costs; nobody hears that something is done before it is on disk. Several hosts may have one state folder: each takes a file
//! of its own, which it holds alone, and takes over what hosts that are gone have left in the others.

mod file;

use self::file::{Held, TASKS, caught, files, open_file, record, take_file, take_over};
use super::index::{Index, encode};
use super::{
    Changes, ListPlace, Page, Replaced, RunnerId, StoreError, StoreFuture, Task, TaskId, TaskLimits, TaskStore,
};
use crate::call::Principal;
use crate::rt::{Millis, make_private_folder};
use crate::telemetry::chain;
use parking_lot::{Mutex, RwLock};
use redb::{Database, WriteTransaction};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Who reads at a time.
const MAX_READERS: usize = 8;

/// Changes that are committed at once.
const MAX_BATCH: usize = 256;

/// Said to whoever wants something while no file works.
const CLOSED: &str = "its file does not work";

/// Why tasks cannot be kept on disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The folder cannot be made or read.
    #[error("the folder {path} cannot be used")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be made, read or written.
    #[error("the file {path} cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system or the database says.
        source: Broken,
    },
    /// Every file is held by another host, or damaged.
    #[error("{path} has no file that is free")]
    NoneFree {
        /// The folder.
        path: PathBuf,
    },
    /// The thread that writes cannot be started.
    #[error("no thread could be started")]
    NoThread(#[source] io::Error),
}

/// Keeps tasks in a file.
pub struct DiskStore {
    shared: Arc<Shared>,
    jobs: mpsc::UnboundedSender<Job>,
    /// Those who read at a time: each takes a thread for that.
    readers: Semaphore,
}

struct Shared {
    folder: PathBuf,
    limits: TaskLimits,
    index: Mutex<Index>,
    /// Nothing while no file works.
    database: RwLock<Option<Arc<Database>>>,
    /// The file that is this host's, once it has one.
    held: Mutex<Option<Held>>,
    /// Files of others that were looked at, and when they had changed last.
    looked: Mutex<HashMap<PathBuf, SystemTime>>,
    changes: Changes,
}

/// A change that waits to be written.
enum Job {
    Insert(Box<Task>, Done<()>),
    Replace(Box<Task>, Done<Replaced>),
    Expire(Millis, Done<usize>),
    /// Opens what does not work.
    Open(Done<()>),
    /// Takes what hosts that are gone have left in other files.
    TakeOver(Done<()>),
}

type Done<T> = oneshot::Sender<Result<T, StoreError>>;

/// What a job comes to once its batch is on disk.
enum Written {
    Inserted(Done<()>, TaskId),
    Replaced(Done<Replaced>, TaskId),
    Expired(Done<usize>, Vec<TaskId>),
}

/// Anything that the database gives.
type Broken = Box<dyn std::error::Error + Send + Sync>;

impl DiskStore {
    /// Keeps tasks in the first file of a folder that no other host holds, and takes what hosts that are gone have left in the
    /// others. Where that cannot be done now, what is wanted of it says so, and it is tried again: the second value tells why.
    ///
    /// # Errors
    /// [`DiskError::NoThread`].
    ///
    /// # Blocking
    /// Reads all records.
    pub fn open(folder: &Path, limits: TaskLimits) -> Result<(Self, Option<DiskError>), DiskError> {
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            limits,
            index: Mutex::default(),
            database: RwLock::default(),
            held: Mutex::default(),
            looked: Mutex::default(),
            changes: Changes::default(),
        });
        let problem = shared.open().err();
        let (jobs, waiting) = mpsc::unbounded_channel();
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("task-store".to_owned());
        thread.spawn(move || writer.write_all(waiting)).map_err(DiskError::NoThread)?;
        Ok((Self { shared, jobs, readers: Semaphore::new(MAX_READERS) }, problem))
    }

    /// Hands a change to the thread that writes.
    fn write<T: Send + 'static>(&self, job: impl FnOnce(Done<T>) -> Job) -> StoreFuture<'_, T> {
        let (done, written) = oneshot::channel();
        let sent = self.jobs.send(job(done));
        Box::pin(async move {
            let gone = || StoreError::Broken { reason: "it was closed".to_owned() };
            sent.map_err(|_| gone())?;
            written.await.map_err(|_| gone())?
        })
    }

    /// Reads on a thread that may block. What does not work is opened first, if it can be.
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared, &Database) -> Result<T, Broken> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            if shared.database.read().is_none() {
                self.write(Job::Open).await?;
            }
            // Closed by nobody.
            let _reader = self.readers.acquire().await;
            let reading = tokio::task::spawn_blocking(move || {
                let database = shared.database.read().clone().ok_or(CLOSED)?;
                read(&shared, &database)
            });
            let result = reading.await.map_err(|_| broken(&"reading was cut off"))?;
            result.map_err(|error| broken(&error))
        })
    }
}

impl TaskStore for DiskStore {
    fn insert(&self, task: Task) -> StoreFuture<'_, ()> {
        self.write(|done| Job::Insert(Box::new(task), done))
    }

    fn get(&self, id: &TaskId) -> StoreFuture<'_, Option<Task>> {
        let id = id.clone();
        self.read(move |_, database| record(database, &id))
    }

    fn replace(&self, task: Task) -> StoreFuture<'_, Replaced> {
        self.write(|done| Job::Replace(Box::new(task), done))
    }

    fn list(&self, owner: &Principal, behind: Option<ListPlace>, max: usize) -> StoreFuture<'_, Page> {
        let owner = owner.clone();
        self.read(move |shared, database| {
            let (page, next) = shared.index.lock().page(&owner, behind.as_ref(), max);
            let tasks = page.iter().filter_map(|id| record(database, id).transpose());
            Ok(Page { tasks: tasks.collect::<Result<_, _>>()?, next })
        })
    }

    fn left_behind(&self, runner: &RunnerId) -> StoreFuture<'_, Vec<Task>> {
        let runner = runner.clone();
        let others = self.write(Job::TakeOver);
        let read = self.read(move |shared, database| {
            // This process holds the file alone, so whoever else ran what is in it is gone.
            let left = shared.index.lock().running_of_others(&runner);
            left.iter().filter_map(|id| record(database, id).transpose()).collect()
        });
        Box::pin(async move {
            others.await?;
            read.await
        })
    }

    fn expire(&self, now: Millis) -> StoreFuture<'_, usize> {
        self.write(|done| Job::Expire(now, done))
    }

    fn count(&self) -> usize {
        self.shared.index.lock().len()
    }

    fn changes(&self) -> &Changes {
        &self.shared.changes
    }
}

impl Shared {
    /// Writes what comes, until nobody can send more.
    fn write_all(&self, mut waiting: mpsc::UnboundedReceiver<Job>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = waiting.try_recv()
            {
                batch.push(next);
            }
            self.write_batch(batch);
        }
    }

    /// Writes several changes at once, and tells whoever waits what came of them.
    fn write_batch(&self, batch: Vec<Job>) {
        let Some(database) = self.working() else {
            batch.into_iter().for_each(|job| job.refuse(&broken(&CLOSED)));
            return;
        };
        if batch.iter().any(|job| matches!(job, Job::TakeOver(_))) {
            let own = self.held.lock().as_ref().map(|held| held.path.clone()).unwrap_or_default();
            self.take_over_others(&own, &database, &mut self.index.lock());
        }
        let mut written = Vec::new();
        let committed = self.commit(&database, batch, &mut written);
        drop(database);
        if let Err(error) = &committed {
            tracing::error!(folder = %self.folder.display(), %error, "tasks cannot be written");
            self.give_up();
        }
        let failed = committed.err().map(|error| broken(&error));
        for written in written {
            match (written, &failed) {
                (written, Some(error)) => written.refuse(error),
                (Written::Inserted(done, id), None) => {
                    let _ = done.send(Ok(()));
                    self.changes.announce(&id);
                }
                (Written::Replaced(done, id), None) => {
                    let _ = done.send(Ok(Replaced::Done));
                    self.changes.announce(&id);
                }
                (Written::Expired(done, ids), None) => {
                    let _ = done.send(Ok(ids.len()));
                    ids.iter().for_each(|id| self.changes.announce(id));
                }
            }
        }
    }

    fn commit(&self, database: &Database, batch: Vec<Job>, written: &mut Vec<Written>) -> Result<(), Broken> {
        let mut batch = batch.into_iter();
        // The database panics at some kinds of damage.
        let done = caught(|| {
            let mut transaction = Transaction { database, begun: None };
            for job in batch.by_ref() {
                self.apply(&mut transaction, job, written)?;
            }
            transaction.commit()
        });
        if let Err(error) = &done {
            let error = broken(error);
            batch.for_each(|job| job.refuse(&error));
        }
        done
    }

    /// Applies one change to a transaction, and to the index: should the transaction fail, that is read anew.
    fn apply(&self, transaction: &mut Transaction<'_>, job: Job, written: &mut Vec<Written>) -> Result<(), Broken> {
        let mut index = self.index.lock();
        match job {
            Job::Insert(task, done) => {
                let id = task.id.clone();
                match encode(&task).and_then(|bytes| index.check_new(&task, bytes.len(), &self.limits).map(|()| bytes))
                {
                    Ok(bytes) => {
                        index.put(&task, bytes.len());
                        written.push(Written::Inserted(done, id.clone()));
                        transaction.begun()?.open_table(TASKS)?.insert(id.as_str(), bytes.as_slice())?;
                    }
                    Err(error) => {
                        let _ = done.send(Err(error));
                    }
                }
            }
            Job::Replace(task, done) => {
                let id = task.id.clone();
                if index.version(&id).is_none_or(|version| version + 1 != task.version) {
                    let _ = done.send(Ok(Replaced::Stale));
                    return Ok(());
                }
                match encode(&task).and_then(|bytes| index.check_next(&id, bytes.len(), &self.limits).map(|()| bytes)) {
                    Ok(bytes) => {
                        index.put(&task, bytes.len());
                        written.push(Written::Replaced(done, id.clone()));
                        transaction.begun()?.open_table(TASKS)?.insert(id.as_str(), bytes.as_slice())?;
                    }
                    Err(error) => {
                        let _ = done.send(Err(error));
                    }
                }
            }
            Job::Open(done) | Job::TakeOver(done) => {
                let _ = done.send(Ok(()));
            }
            Job::Expire(now, done) => {
                let ids = index.expired(now, usize::MAX);
                ids.iter().for_each(|id| index.remove(id));
                written.push(Written::Expired(done, ids.clone()));
                if !ids.is_empty() {
                    let mut table = transaction.begun()?.open_table(TASKS)?;
                    for id in &ids {
                        table.remove(id.as_str())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The database; opened again if it did not work before.
    fn working(&self) -> Option<Arc<Database>> {
        if let Some(database) = self.database.read().clone() {
            return Some(database);
        }
        match self.open() {
            Ok(database) => {
                tracing::info!(folder = %self.folder.display(), "tasks can be kept again");
                Some(database)
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "tasks still cannot be kept");
                None
            }
        }
    }

    /// Takes what hosts that are gone have left in other files; those that were looked at before and have not changed since are
    /// left alone.
    fn take_over_others(&self, own: &Path, database: &Database, index: &mut Index) {
        let mut looked = self.looked.lock();
        let files = files(&self.folder).unwrap_or_else(|error| {
            tracing::error!(folder = %self.folder.display(), %error, "what hosts that are gone have left there is not taken over");
            Vec::new()
        });
        for path in files.into_iter().filter(|path| path != own) {
            let Ok(changed) = path.metadata().and_then(|metadata| metadata.modified()) else {
                continue;
            };
            if looked.get(&path) == Some(&changed) {
                continue;
            }
            match take_over(&path, database, index) {
                Ok(false) => {}
                Ok(true) => {
                    // As it is now: emptied, and closed.
                    let changed = path.metadata().and_then(|metadata| metadata.modified()).unwrap_or(changed);
                    looked.insert(path, changed);
                }
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "what a host that is gone has left there is not taken over");
                    looked.insert(path, changed);
                }
            }
        }
    }

    /// Closes a database that has failed, and opens it again with what is truly on disk.
    fn give_up(&self) {
        *self.database.write() = None;
        let _ = self.working();
    }

    /// Opens this host's file; the first that is free, if it has none yet.
    fn open(&self) -> Result<Arc<Database>, DiskError> {
        let mut held = self.held.lock();
        let (database, mut index) = match &*held {
            Some(held) => {
                open_file(&held.path).map_err(|source| DiskError::File { path: held.path.clone(), source })?
            }
            None => {
                // Arguments and results are nobody else's.
                make_private_folder(&self.folder)
                    .map_err(|source| DiskError::Folder { path: self.folder.clone(), source })?;
                let (taken, database, index) = take_file(&self.folder)?;
                *held = Some(taken);
                (database, index)
            }
        };
        let own = held.as_ref().map(|held| held.path.clone()).unwrap_or_default();
        drop(held);
        self.take_over_others(&own, &database, &mut index);
        let database = Arc::new(database);
        *self.index.lock() = index;
        *self.database.write() = Some(Arc::clone(&database));
        Ok(database)
    }
}

/// A transaction that begins with the first change, so that a host at rest leaves the disk at rest.
struct Transaction<'a> {
    database: &'a Database,
    begun: Option<WriteTransaction>,
}

impl Transaction<'_> {
    fn begun(&mut self) -> Result<&WriteTransaction, Broken> {
        Ok(match &mut self.begun {
            Some(begun) => begun,
            none => none.insert(self.database.begin_write()?),
        })
    }

    fn commit(self) -> Result<(), Broken> {
        self.begun.map_or(Ok(()), |begun| Ok(begun.commit()?))
    }
}

impl Job {
    fn refuse(self, error: &StoreError) {
        match self {
            Self::Insert(_, done) | Self::Open(done) | Self::TakeOver(done) => drop(done.send(Err(error.clone()))),
            Self::Replace(_, done) => drop(done.send(Err(error.clone()))),
            Self::Expire(_, done) => drop(done.send(Err(error.clone()))),
        }
    }
}

impl Written {
    fn refuse(self, error: &StoreError) {
        match self {
            Self::Inserted(done, _) => drop(done.send(Err(error.clone()))),
            Self::Replaced(done, _) => drop(done.send(Err(error.clone()))),
            Self::Expired(done, _) => drop(done.send(Err(error.clone()))),
        }
    }
}

fn broken(reason: &impl std::fmt::Display) -> StoreError {
    StoreError::Broken { reason: reason.to_string() }
}
