//! Tasks on disk, in an embedded database: what is said to be kept outlives the process, however that ends.
//!
//! One thread writes. It takes all that waits at a time and commits it at once, so that many tasks share what one commit
//! costs; nobody hears that something is done before it is on disk. Several hosts may have one state folder: each takes a file
//! of its own, which it holds alone, and takes over what hosts that are gone have left in the others.

use super::index::{Index, encode};
use super::{Changes, ListPlace, Replaced, RunnerId, StoreError, StoreFuture, Task, TaskId, TaskLimits, TaskStore};
use crate::call::Principal;
use crate::rt::Millis;
use parking_lot::{Mutex, RwLock};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Records by name: the JSON of a [`Task`]. The number is the form's; another form gets another table.
const TASKS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("tasks-1");

/// Files that hosts with one folder may have.
const MAX_FILES: usize = 256;

/// Changes that are committed at once.
const MAX_BATCH: usize = 256;

/// Bytes of the file that are held in memory.
const CACHE_BYTES: usize = 16 << 20;

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
    /// No file in it can be used: each is held by another host, damaged, or cannot be written.
    #[error("no file in {path} can be used")]
    NoFile {
        /// The folder.
        path: PathBuf,
        /// Why the last one cannot.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The thread that writes cannot be started.
    #[error("no thread could be started")]
    NoThread(#[source] io::Error),
}

/// Keeps tasks in a file.
pub struct DiskStore {
    shared: Arc<Shared>,
    jobs: mpsc::UnboundedSender<Job>,
}

struct Shared {
    path: PathBuf,
    limits: TaskLimits,
    index: Mutex<Index>,
    /// Nothing while the file does not work.
    database: RwLock<Option<Arc<Database>>>,
    changes: Changes,
}

/// A change that waits to be written.
enum Job {
    Insert(Box<Task>, Done<()>),
    Replace(Box<Task>, Done<Replaced>),
    Expire(Millis, Done<usize>),
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
    /// Takes the first file of a folder that no other host holds, and what hosts that are gone have left in the others.
    ///
    /// # Errors
    /// See [`DiskError`].
    ///
    /// # Blocking
    /// Reads all records.
    pub fn open(folder: &Path, limits: TaskLimits) -> Result<Self, DiskError> {
        make_folder(folder).map_err(|source| DiskError::Folder { path: folder.to_owned(), source })?;
        let mut refused: Broken = "there are too many".into();
        let mut taken = None;
        for number in 0..MAX_FILES {
            let path = file(folder, number);
            match open_file(&path) {
                Ok((database, index)) => {
                    taken = Some((number, path, database, index));
                    break;
                }
                Err(error) => {
                    tracing::debug!(file = %path.display(), %error, "passed over: it cannot be used by this host");
                    refused = error;
                }
            }
        }
        let Some((own, path, database, mut index)) = taken else {
            return Err(DiskError::NoFile { path: folder.to_owned(), source: refused });
        };
        for path in (0..MAX_FILES).filter(|number| *number != own).map(|number| file(folder, number)) {
            if let Err(error) = take_over(&path, &database, &mut index) {
                tracing::debug!(file = %path.display(), %error, "left to whoever holds it");
            }
        }
        let shared = Arc::new(Shared {
            path,
            limits,
            index: Mutex::new(index),
            database: RwLock::new(Some(Arc::new(database))),
            changes: Changes::default(),
        });
        let (jobs, waiting) = mpsc::unbounded_channel();
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("task-store".to_owned());
        thread.spawn(move || writer.write_all(waiting)).map_err(DiskError::NoThread)?;
        Ok(Self { shared, jobs })
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

    /// Reads on a thread that may block.
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared, &Database) -> Result<T, Broken> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let reading = tokio::task::spawn_blocking(move || {
                let database = shared.database.read().clone().ok_or("its file does not work")?;
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

    fn list(&self, owner: &Principal, behind: Option<ListPlace>, max: usize) -> StoreFuture<'_, Vec<Task>> {
        let owner = owner.clone();
        self.read(move |shared, database| {
            let page = shared.index.lock().page(&owner, behind.as_ref(), max);
            page.iter().filter_map(|id| record(database, id).transpose()).collect()
        })
    }

    fn left_behind(&self, runner: &RunnerId) -> StoreFuture<'_, Vec<Task>> {
        let runner = runner.clone();
        self.read(move |shared, database| {
            // This process holds the file alone, so whoever else ran what is in it is gone.
            let running = shared.index.lock().running();
            let tasks = running.iter().filter_map(|id| record(database, id).transpose());
            let others = tasks.filter(|task| task.as_ref().map_or(true, |task| task.runner != runner));
            others.collect()
        })
    }

    fn expire(&self, now: Millis) -> StoreFuture<'_, usize> {
        self.write(|done| Job::Expire(now, done))
    }

    fn count(&self) -> StoreFuture<'_, usize> {
        Box::pin(std::future::ready(Ok(self.shared.index.lock().len())))
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
            batch.into_iter().for_each(|job| job.refuse(&broken(&"its file does not work")));
            return;
        };
        let mut written = Vec::new();
        let committed = self.commit(&database, batch, &mut written);
        drop(database);
        if let Err(error) = &committed {
            tracing::error!(file = %self.path.display(), %error, "tasks cannot be written");
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
        let done = (|| {
            let transaction = database.begin_write()?;
            for job in batch.by_ref() {
                self.apply(&transaction, job, written)?;
            }
            transaction.commit()?;
            Ok(())
        })();
        if let Err(error) = &done {
            let error = broken(error);
            batch.for_each(|job| job.refuse(&error));
        }
        done
    }

    /// Applies one change to a transaction, and to the index: should the transaction fail, that is read anew.
    fn apply(&self, transaction: &WriteTransaction, job: Job, written: &mut Vec<Written>) -> Result<(), Broken> {
        let mut index = self.index.lock();
        match job {
            Job::Insert(task, done) => {
                let id = task.id.clone();
                match encode(&task).and_then(|bytes| index.check_new(&task, bytes.len(), &self.limits).map(|()| bytes))
                {
                    Ok(bytes) => {
                        index.put(&task, bytes.len());
                        written.push(Written::Inserted(done, id.clone()));
                        transaction.open_table(TASKS)?.insert(id.as_str(), bytes.as_slice())?;
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
                        transaction.open_table(TASKS)?.insert(id.as_str(), bytes.as_slice())?;
                    }
                    Err(error) => {
                        let _ = done.send(Err(error));
                    }
                }
            }
            Job::Expire(now, done) => {
                let ids = index.expired(now, usize::MAX);
                ids.iter().for_each(|id| index.remove(id));
                written.push(Written::Expired(done, ids.clone()));
                let mut table = transaction.open_table(TASKS)?;
                for id in &ids {
                    table.remove(id.as_str())?;
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
        match open_file(&self.path) {
            Ok((database, index)) => {
                tracing::info!(file = %self.path.display(), "tasks can be written again");
                *self.index.lock() = index;
                let database = Arc::new(database);
                *self.database.write() = Some(Arc::clone(&database));
                Some(database)
            }
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "tasks still cannot be written");
                None
            }
        }
    }

    /// Closes a database that has failed, and opens it again with what is truly on disk.
    fn give_up(&self) {
        *self.database.write() = None;
        let _ = self.working();
    }
}

impl Job {
    fn refuse(self, error: &StoreError) {
        match self {
            Self::Insert(_, done) => drop(done.send(Err(error.clone()))),
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

fn file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.redb"))
}

/// Arguments and results are nobody else's.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Opens a file alone, and reads what is in it.
fn open_file(path: &Path) -> Result<(Database, Index), Broken> {
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    let transaction = database.begin_write()?;
    let mut index = Index::default();
    for record in transaction.open_table(TASKS)?.iter()? {
        let (id, bytes) = record?;
        match serde_json::from_slice::<Task>(bytes.value()) {
            Ok(task) => index.put(&task, bytes.value().len()),
            Err(error) => {
                // It stays where it is, for a host that can read it.
                tracing::warn!(task = %TaskId::of(id.value()), %error, "a task that cannot be read is left alone");
            }
        }
    }
    transaction.commit()?;
    Ok((database, index))
}

/// Moves what a host that is gone has left into this host's file. The other file stays, empty: were it removed, another host
/// could hold a file that nobody finds.
fn take_over(path: &Path, own: &Database, index: &mut Index) -> Result<(), Broken> {
    if !path.try_exists()? {
        return Ok(());
    }
    let other = Database::builder().set_cache_size(CACHE_BYTES).open(path)?;
    let emptying = other.begin_write()?;
    let filling = own.begin_write()?;
    let mut moved = Vec::new();
    {
        let mut from = emptying.open_table(TASKS)?;
        let mut to = filling.open_table(TASKS)?;
        for record in from.iter()? {
            let (id, bytes) = record?;
            to.insert(id.value(), bytes.value())?;
            moved.push((
                id.value().to_owned(),
                serde_json::from_slice::<Task>(bytes.value()).ok(),
                bytes.value().len(),
            ));
        }
        for (id, _, _) in &moved {
            from.remove(id.as_str())?;
        }
    }
    // In this order: should the process end between the two, a task is there twice, not lost.
    filling.commit()?;
    emptying.commit()?;
    for (_, task, bytes) in &moved {
        if let Some(task) = task {
            index.put(task, *bytes);
        }
    }
    Ok(())
}

fn record(database: &Database, id: &TaskId) -> Result<Option<Task>, Broken> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(TASKS) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(bytes) = table.get(id.as_str())? else {
        return Ok(None);
    };
    Ok(Some(serde_json::from_slice(bytes.value())?))
}
