//! A database with bounds: two connections, one of which cannot write.

use crate::value::{from_json, to_json};
use mcp_plugin_api::prelude::*;
use mcp_plugin_api::serde_json::Value;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Bounds of one statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Rows that it may give.
    pub(crate) max_rows: usize,
    /// How long it may take.
    pub(crate) max_time: Duration,
}

/// The rows of a query.
#[model]
#[derive(Debug)]
pub(crate) struct Rows {
    /// The names of the columns.
    pub(crate) columns: Vec<String>,
    /// The rows, each with a value for every column.
    pub(crate) rows: Vec<Vec<Value>>,
    /// Whether there are more rows than these.
    pub(crate) truncated: bool,
}

pub(crate) struct Database {
    reader: Mutex<Connection>,
    /// Nothing, where nothing may be changed.
    writer: Option<Mutex<Connection>>,
    limits: Limits,
}

/// Why a statement failed.
enum Failed {
    /// It does not belong here.
    Refused(&'static str),
    /// SQLite refuses it.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Steps of SQLite's machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 1000;

/// Bytes of one text or blob.
const MAX_VALUE_BYTES: i32 = 16 * 1024 * 1024;

impl Database {
    pub(crate) fn open(path: Option<&Path>, read_only: bool, limits: Limits) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let read_write = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let writer = match path {
            // A name of its own for each database, under which both connections meet in the same memory.
            None => {
                static NEXT: AtomicU64 = AtomicU64::new(0);
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let name = format!("file:mcp-{number}?mode=memory&cache=shared");
                let writer = connect(&name, read_write)?;
                let reader = connect(&name, read_write)?;
                reader.pragma_update(None, "query_only", true)?;
                return Ok(Self { reader: Mutex::new(reader), writer: Some(Mutex::new(writer)), limits });
            }
            Some(_) if read_only => None,
            Some(path) => {
                let writer = connect(path, read_write)?;
                writer.pragma_update(None, "journal_mode", "wal")?;
                Some(Mutex::new(writer))
            }
        };
        let path = path.unwrap_or(Path::new(""));
        let reader = connect(path, flags | OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { reader: Mutex::new(reader), writer, limits })
    }

    /// Runs a statement that only reads.
    pub(crate) fn query(&self, sql: &str, params: &[Value], ctx: &Context) -> Result<Rows> {
        let connection = self.bound(&self.reader, ctx)?;
        self.rows(&connection, sql, params).map_err(|error| self.told(error))
    }

    fn rows(&self, connection: &Connection, sql: &str, params: &[Value]) -> Result<Rows, Failed> {
        let mut statement = connection.prepare(sql)?;
        if !statement.readonly() {
            return Err(Failed::Refused("this statement changes something; use write_query"));
        }
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut found = statement.query(params_from_iter(params.iter().map(from_json)))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            if rows.len() == self.limits.max_rows {
                return Ok(Rows { columns, rows, truncated: true });
            }
            let values = (0..columns.len()).map(|index| Ok(to_json(row.get_ref(index)?)));
            rows.push(values.collect::<Result<Vec<Value>, Failed>>()?);
        }
        Ok(Rows { columns, rows, truncated: false })
    }

    /// Runs a statement that changes something; gives how many rows.
    pub(crate) fn execute(&self, sql: &str, params: &[Value], ctx: &Context) -> Result<usize> {
        let Some(writer) = &self.writer else {
            return Err(Error::new("this database is read-only"));
        };
        let connection = self.bound(writer, ctx)?;
        let change = || {
            let mut statement = connection.prepare(sql)?;
            if statement.readonly() {
                return Err(Failed::Refused("this statement changes nothing; use read_query"));
            }
            Ok(statement.execute(params_from_iter(params.iter().map(from_json)))?)
        };
        change().map_err(|error| self.told(error))
    }

    /// Why a statement failed, for the model.
    fn told(&self, failed: Failed) -> Error {
        match failed {
            Failed::Refused(reason) => Error::invalid_arguments(reason),
            Failed::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                Error::new(format!("the statement was ended: it may take {:?}", self.limits.max_time))
            }
            Failed::Sqlite(error) => error.into(),
        }
    }

    /// The SQL of the schema, or of one table and what belongs to it.
    pub(crate) fn schema(&self, table: Option<&str>) -> Result<String> {
        let connection = self.reader.lock();
        let mut statement = connection.prepare(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND (?1 IS NULL OR tbl_name = ?1) ORDER BY rowid",
        )?;
        let parts = statement.query_map([table], |row| row.get::<_, String>(0))?;
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        Ok(parts.iter().map(|sql| format!("{sql};\n")).collect())
    }

    /// The names of the tables.
    pub(crate) fn tables(&self) -> Result<Vec<String>> {
        let connection = self.reader.lock();
        let mut statement = connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )?;
        let names = statement.query_map([], |row| row.get(0))?;
        Ok(names.collect::<Result<Vec<_>, _>>()?)
    }

    /// A connection whose statements end when their time is over, or their call is cancelled.
    fn bound<'a>(&self, connection: &'a Mutex<Connection>, ctx: &Context) -> Result<Bounded<'a>> {
        let mut connection = connection.lock();
        let (ctx, end) = (ctx.clone(), SystemTime::now() + self.limits.max_time);
        let stop = move || ctx.is_cancelled() || SystemTime::now() >= end;
        connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(stop))?;
        Ok(Bounded(connection))
    }
}

/// A connection in use. The bound is taken off when it is given back, and the call with it.
struct Bounded<'a>(MutexGuard<'a, Connection>);

impl Deref for Bounded<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Bounded<'_> {
    fn drop(&mut self) {
        let _ = self.0.progress_handler(0, None::<fn() -> bool>);
    }
}

fn connect(path: impl AsRef<Path>, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // Statements come from a model: no files beside the database, no schema tricks.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    Ok(connection)
}
