//! A database with bounds: what a statement may do, how long it may take, how much it may give.
//!
//! Statements come from a model. What they may do is decided while they are prepared, by an authorizer: no transactions
//! that outlive a call, no settings of the connection or the process, no other files; and reading where only reading is
//! meant.

use crate::value::{from_json, to_json};
use mcp_plugin_api::prelude::*;
use mcp_plugin_api::serde_json::Value;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bounds of one statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Rows that it may give.
    pub(crate) max_rows: usize,
    /// How long it may take.
    pub(crate) max_time: Duration,
    /// Bytes that the database may grow to.
    pub(crate) max_bytes: u64,
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

/// What a changing statement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Rows that it changed.
    pub(crate) rows: usize,
    /// Whether tables, columns or the like are others now.
    pub(crate) schema: bool,
}

pub(crate) struct Database {
    reader: Arc<Mutex<Connection>>,
    /// The reader itself, in memory; nothing, where nothing may be changed.
    writer: Option<Arc<Mutex<Connection>>>,
    limits: Limits,
}

/// Why a statement failed.
enum Failed {
    /// It does not belong here.
    Refused(&'static str),
    /// Its time is over.
    TimedOut,
    /// SQLite refuses it.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What a statement may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Change,
}

/// Steps of SQLite's machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 1000;

/// Bytes of one text or blob. One step of SQLite's machine may take quadratic time in it, and is not looked into.
const MAX_VALUE_BYTES: i32 = 1024 * 1024;

/// Bytes of the text and blobs of all rows of a query.
const MAX_RESULT_BYTES: usize = 8 * 1024 * 1024;

/// Pragmas that only tell something.
const TELLING_PRAGMAS: &[&str] = &[
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "function_list",
    "compile_options",
    "collation_list",
];

impl Database {
    pub(crate) fn open(path: Option<&Path>, read_only: bool, limits: Limits) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read_write = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let Some(path) = path else {
            if read_only {
                return Err(Error::invalid_params(
                    "a database in memory that is 'read_only' is empty for ever: name a 'path'",
                ));
            }
            let connection = Arc::new(Mutex::new(connect(":memory:", read_write, limits)?));
            return Ok(Self { reader: Arc::clone(&connection), writer: Some(connection), limits });
        };
        let writer = if read_only {
            None
        } else {
            // How a database is kept that is somebody else's is theirs to say.
            let is_own = std::fs::metadata(path).map_or(true, |file| file.len() == 0);
            let writer = connect(path, read_write, limits)?;
            if is_own {
                write_ahead(&writer, MAX_WAIT.min(limits.max_time))?;
            }
            Some(Arc::new(Mutex::new(writer)))
        };
        let reader = connect(path, flags | OpenFlags::SQLITE_OPEN_READ_ONLY, limits)?;
        Ok(Self { reader: Arc::new(Mutex::new(reader)), writer, limits })
    }

    /// Runs a statement that only reads.
    pub(crate) fn query(&self, sql: &str, params: &[Value], ctx: &Context) -> Result<Rows> {
        let query = || {
            let use_of = self.enter(&self.reader, Mode::Read, Some(ctx))?;
            let mut statement = use_of.prepare(sql)?;
            if !statement.readonly() {
                return Err(Failed::Refused("this statement changes something; use write_query"));
            }
            self.rows(&mut statement, params)
        };
        query().map_err(|failed| self.told(failed))
    }

    fn rows(&self, statement: &mut rusqlite::Statement<'_>, params: &[Value]) -> Result<Rows, Failed> {
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut found = statement.query(params_from_iter(params.iter().map(from_json)))?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.next()? {
            let mut values = Vec::with_capacity(columns.len());
            for index in 0..columns.len() {
                let value = row.get_ref(index)?;
                bytes += value.as_bytes_or_null().ok().flatten().map_or(8, <[u8]>::len);
                values.push(value);
            }
            if rows.len() == self.limits.max_rows || bytes > MAX_RESULT_BYTES {
                return Ok(Rows { columns, rows, truncated: true });
            }
            rows.push(values.into_iter().map(to_json).collect());
        }
        Ok(Rows { columns, rows, truncated: false })
    }

    /// Runs a statement that changes something.
    pub(crate) fn execute(&self, sql: &str, params: &[Value], ctx: &Context) -> Result<Change> {
        let Some(writer) = &self.writer else {
            return Err(Error::new("this database is read-only"));
        };
        let change = || {
            let use_of = self.enter(writer, Mode::Change, Some(ctx))?;
            let (schema_before, before) = (use_of.schema_version, use_of.total_changes());
            {
                let mut statement = use_of.prepare(sql)?;
                if statement.readonly() {
                    return Err(Failed::Refused("this statement changes nothing; use read_query"));
                }
                // What it returns is stepped over: it has changed its rows only when it was run to its end.
                let mut returned = statement.query(params_from_iter(params.iter().map(from_json)))?;
                while returned.next()?.is_some() {}
            }
            // Not the changes of the last statement that made some: this one may have made none.
            let rows = usize::try_from(use_of.total_changes().saturating_sub(before)).unwrap_or(usize::MAX);
            let schema = use_of.leave()? != schema_before;
            Ok(Change { rows: if schema { 0 } else { rows }, schema })
        };
        change().map_err(|failed| self.told(failed))
    }

    /// The SQL of the schema, or of one table and what belongs to it.
    pub(crate) fn schema(&self, table: Option<&str>) -> Result<String> {
        let read = || {
            let use_of = self.enter(&self.reader, Mode::Read, None)?;
            let mut statement = use_of.prepare(
                "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND (?1 IS NULL OR \
                 tbl_name = ?1) ORDER BY rowid",
            )?;
            let parts = statement.query_map([table], |row| row.get::<_, String>(0))?;
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            Ok(parts.iter().map(|sql| format!("{sql};\n")).collect())
        };
        read().map_err(|failed| self.told(failed))
    }

    /// The names of the tables.
    pub(crate) fn tables(&self) -> Result<Vec<String>> {
        let read = || {
            let use_of = self.enter(&self.reader, Mode::Read, None)?;
            let mut statement = use_of.prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
            )?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<Vec<_>, _>>()?)
        };
        read().map_err(|failed| self.told(failed))
    }

    /// Takes a connection for one statement: waits for it, and bounds what the statement may do and how long.
    fn enter<'a>(
        &self,
        connection: &'a Mutex<Connection>,
        mode: Mode,
        ctx: Option<&Context>,
    ) -> Result<Use<'a>, Failed> {
        const LOOK: Duration = Duration::from_millis(20);
        let end = SystemTime::now() + self.limits.max_time;
        let ctx = ctx.cloned();
        let stop = move || ctx.as_ref().is_some_and(Context::is_cancelled) || SystemTime::now() >= end;
        let mut guard = loop {
            if let Some(guard) = connection.try_lock_for(LOOK) {
                break guard;
            }
            if stop() {
                return Err(Failed::TimedOut);
            }
        };
        let schema_version = schema_version(&guard)?;
        guard.progress_handler(STEPS_BETWEEN_LOOKS, Some(stop))?;
        guard.authorizer(Some(move |context: AuthContext<'_>| judge(mode, &context.action)))?;
        Ok(Use { connection: guard, schema_version })
    }

    /// Why a statement failed, for the model.
    fn told(&self, failed: Failed) -> Error {
        let timed_out = || Error::new(format!("the statement was ended: it may take {:?}", self.limits.max_time));
        match failed {
            Failed::Refused(reason) => Error::invalid_arguments(reason),
            Failed::TimedOut => timed_out(),
            Failed::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::OperationInterrupted) => timed_out(),
                Some(ErrorCode::AuthorizationForStatementDenied) => Error::invalid_arguments(
                    "this statement is not allowed here: no transactions, settings, other files or, in read_query, changes",
                ),
                Some(ErrorCode::DiskFull) => Error::new(format!(
                    "nothing was changed: the database may grow to {} MiB, and disks must have room for it and for what is sorted",
                    self.limits.max_bytes >> 20
                )),
                _ => error.into(),
            },
        }
    }
}

/// What a statement may do, asked while it is prepared: flags of a connection would take effect even then.
fn judge(mode: Mode, action: &AuthAction<'_>) -> Authorization {
    let allowed = match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        AuthAction::Pragma { pragma_name, .. } => {
            TELLING_PRAGMAS.iter().any(|name| name.eq_ignore_ascii_case(pragma_name))
        }
        AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. }
        | AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::Unknown { .. } => false,
        _ => mode == Mode::Change,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

/// A connection in use by one statement. Given back, it is as it was.
struct Use<'a> {
    connection: MutexGuard<'a, Connection>,
    schema_version: i64,
}

impl Use<'_> {
    /// Gives the connection back, and tells its schema's version.
    fn leave(mut self) -> Result<i64, Failed> {
        self.unbound();
        Ok(schema_version(&self.connection)?)
    }

    fn unbound(&mut self) {
        let _ = self.connection.progress_handler(0, None::<fn() -> bool>);
        let _ = self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    }
}

impl Deref for Use<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.unbound();
        if !self.connection.is_autocommit() {
            // No statement that could begin a transaction is allowed; this is the second lock on that door.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "schema_version", |row| row.get(0))
}

/// How long others that use the database are waited for.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Has who reads not wait for who writes, and waits for others for at most so long, now and later. Where two open a new file, the one
/// that comes second is told at once that it is locked, however long it would wait: it asks again.
fn write_ahead(connection: &Connection, wait: Duration) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(20);
    connection.busy_timeout(PAUSE)?;
    let mut waited = Duration::ZERO;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waited < wait => {
                std::thread::sleep(PAUSE);
                // It has waited as long itself, or not at all.
                waited += 2 * PAUSE;
            }
            done => return done.and_then(|()| connection.busy_timeout(wait)),
        }
    }
}

fn connect(path: impl AsRef<Path>, flags: OpenFlags, limits: Limits) -> Result<Connection> {
    const MAX_PATTERN_BYTES: i32 = 1000;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(MAX_WAIT.min(limits.max_time))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN_BYTES)?;
    let page_bytes: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let max_pages = (limits.max_bytes / u64::from(page_bytes.max(1))).clamp(1, u64::from(u32::MAX) - 1);
    // It answers with what holds from now on.
    connection.query_row(&format!("PRAGMA max_page_count = {max_pages}"), [], |_| Ok(()))?;
    Ok(connection)
}
