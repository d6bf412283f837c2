//! Files of a task store: taken, opened, read whole, and taken over from hosts that are gone.

use super::{Broken, DiskError};
use crate::rt::private;
use crate::task::index::Index;
use crate::task::{Task, TaskId};
use redb::{Database, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

/// Records by name: the JSON of a [`Task`]. The number is the form's; another form gets another table.
pub(super) const TASKS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("tasks-1");

/// Files that hosts with one folder may have.
const MAX_FILES: usize = 256;

/// Bytes of the file that are held in memory.
pub(super) const CACHE_BYTES: usize = 16 << 20;

/// A file that is this host's for as long as it lives, even while the database in it is closed.
pub(super) struct Held {
    pub(super) path: PathBuf,
    _lock: File,
}

fn file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{number}.redb"))
}

/// Takes the first file that no other host holds. One that is damaged is left aside, for whoever may mend it.
pub(super) fn take_file(folder: &Path) -> Result<(Held, Database, Index), DiskError> {
    for number in 0..MAX_FILES {
        let path = file(folder, number);
        let failed = |source: Broken| DiskError::File { path: path.clone(), source };
        let Some(lock) = hold(&path).map_err(|error| failed(error.into()))? else {
            continue;
        };
        let is_new = !path.try_exists().map_err(|error| failed(error.into()))?;
        match open_file(&path) {
            Ok((database, index)) => return Ok((Held { path, _lock: lock }, database, index)),
            Err(error) if is_new => {
                // Half a file would be a damaged one at the next start.
                let _ = std::fs::remove_file(&path);
                return Err(failed(error));
            }
            Err(error) if is_damage(&error) => {
                tracing::error!(file = %path.display(), %error, "it is damaged, and left aside with the tasks in it");
            }
            // It may pass: another file would hide the tasks in this one.
            Err(error) => return Err(failed(error)),
        }
    }
    Err(DiskError::NoneFree { path: folder.to_owned() })
}

/// The right to a file, for as long as what is given lives; nothing where another host has it. It is a file of its own,
/// because the database lets go of its file when it fails.
pub(super) fn hold(path: &Path) -> io::Result<Option<File>> {
    let lock = own_file(&path.with_extension("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens or makes a file that nobody else can read.
pub(super) fn own_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options).open(path)
}

/// Opens a file, and reads what is in it.
pub(super) fn open_file(path: &Path) -> Result<(Database, Index), Broken> {
    caught(|| {
        // Made before the database does, so that nobody else can read it.
        drop(own_file(path)?);
        let mut builder = Database::builder();
        let database = builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).create(path)?;
        // Each write waits for the disk: there is none where nothing is to be written.
        let index = match database.begin_read()?.open_table(TASKS) {
            Ok(tasks) => indexed(&tasks)?,
            Err(TableError::TableDoesNotExist(_)) => {
                let making = database.begin_write()?;
                making.open_table(TASKS)?;
                making.commit()?;
                Index::default()
            }
            Err(error) => return Err(error.into()),
        };
        Ok((database, index))
    })
}

fn indexed(tasks: &ReadOnlyTable<&'static str, &'static [u8]>) -> Result<Index, Broken> {
    let mut index = Index::default();
    for record in tasks.iter()? {
        let (id, bytes) = record?;
        match serde_json::from_slice::<Task>(bytes.value()) {
            Ok(task) => index.put(&task, bytes.value().len()),
            Err(error) => {
                // It stays where it is, for a host that can read it.
                tracing::warn!(task = %TaskId::of(id.value()), %error, "a task that cannot be read is left alone");
            }
        }
    }
    Ok(index)
}

/// The files that there are in a folder, in their order.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        numbers.extend(number.filter(|number| *number < MAX_FILES && path == file(folder, *number)));
    }
    numbers.sort_unstable();
    Ok(numbers.into_iter().map(|number| file(folder, number)).collect())
}

/// Moves what a host that is gone has left into this host's file; false where it lives. The other file stays, empty: were it removed, another host
/// could hold a file that nobody finds.
pub(super) fn take_over(path: &Path, own: &Database, index: &mut Index) -> Result<bool, Broken> {
    let Some(_lock) = hold(path)? else {
        return Ok(false);
    };
    caught(|| {
        let other = Database::builder().set_cache_size(CACHE_BYTES).open(path)?;
        let emptying = other.begin_write()?;
        let filling = own.begin_write()?;
        let mut moved = Vec::new();
        {
            let mut from = emptying.open_table(TASKS)?;
            let mut to = filling.open_table(TASKS)?;
            let mut names = Vec::new();
            for record in from.iter()? {
                let (id, bytes) = record?;
                names.push(id.value().to_owned());
                let task = serde_json::from_slice::<Task>(bytes.value()).ok();
                // It may be here already, and newer: a process that ended between the two commits below leaves it twice.
                let version = task.as_ref().map_or(0, |task| task.version);
                if index.version(&TaskId::of(id.value())).is_none_or(|own| own < version) {
                    to.insert(id.value(), bytes.value())?;
                    moved.extend(task.map(|task| (task, bytes.value().len())));
                }
            }
            for name in &names {
                from.remove(name.as_str())?;
            }
        }
        // In this order: should the process end between the two, a task is there twice, not lost.
        filling.commit()?;
        for (task, bytes) in &moved {
            index.put(task, *bytes);
        }
        emptying.commit()?;
        Ok(true)
    })
}

/// Whether an error says that a file is not what it was, and will not be again.
fn is_damage(error: &Broken) -> bool {
    use redb::{DatabaseError, StorageError};
    match error.downcast_ref::<DatabaseError>() {
        Some(DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::UpgradeRequired(_)) => true,
        Some(DatabaseError::Storage(StorageError::Io(error))) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        Some(_) => false,
        None => error.is::<Damaged>() || matches!(error.downcast_ref(), Some(StorageError::Corrupted(_))),
    }
}

/// The database has panicked about a file.
#[derive(Debug, thiserror::Error)]
#[error("its file is damaged")]
struct Damaged;

/// What damage makes the database panic about is an error too.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Damaged.into()))
}

pub(super) fn record(database: &Database, id: &TaskId) -> Result<Option<Task>, Broken> {
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
