//! One SQLite database: query, change, and read its schema.
//!
//! `read_query` runs on a connection that cannot write, whatever the statement says. Every statement is bounded in rows
//! and in time, and ends when its call is cancelled.

mod database;
mod value;

use database::{Change, Database, Limits, Rows};
use mcp_plugin_api::prelude::*;
use mcp_plugin_api::serde_json::Value;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::time::Duration;

/// The plugin: one database.
pub struct Sqlite {
    database: Database,
    /// What was learned from it, as long as the host runs.
    insights: Mutex<Vec<String>>,
    host: Host,
}

/// The plugin's configuration.
#[model]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The database's file. Without it, a database in memory, which is gone with the host.
    #[serde(default)]
    path: Option<PathBuf>,
    /// Nothing may be changed. Default: false.
    #[serde(default)]
    read_only: bool,
    /// Rows that one query may give. Default: 1000.
    #[serde(default = "default_rows")]
    max_rows: usize,
    /// Milliseconds that one statement may take. Default: 10000.
    #[serde(default = "default_time")]
    max_time_ms: u64,
    /// Mebibytes that the database may grow to. One that is larger already does not grow. Default: 1024.
    #[serde(default = "default_size")]
    max_mebibytes: u32,
}

fn default_size() -> u32 {
    1024
}

fn default_rows() -> usize {
    1000
}

fn default_time() -> u64 {
    10_000
}

/// What a changing statement did.
#[model]
pub struct Changed {
    /// How many rows it changed.
    affected_rows: usize,
}

#[plugin(
    wants = ["read", "write"],
    instructions = "One SQLite database. Read its schema first: the resource 'sqlite://schema', or list_tables and describe_table."
)]
impl Sqlite {
    #[start]
    fn start(config: Config, host: Host) -> Result<Self> {
        let limits = Limits {
            max_rows: config.max_rows,
            max_time: Duration::from_millis(config.max_time_ms),
            max_bytes: u64::from(config.max_mebibytes) << 20,
        };
        let database = Database::open(config.path.as_deref(), config.read_only, limits)?;
        Ok(Self { database, insights: Mutex::default(), host })
    }

    /// # Query
    /// Runs a SELECT and gives its rows. The statement cannot change anything.
    #[tool(read_only, open_world = false)]
    fn read_query(
        &self,
        /** The SELECT statement; '?' stands for a parameter. */
        query: String,
        /** The parameters, in order. */
        #[default([])]
        params: Vec<Value>,
        ctx: &Context,
    ) -> Result<Rows> {
        self.database.query(&query, &params, ctx)
    }

    /// # Change
    /// Runs an INSERT, UPDATE, DELETE or other changing statement.
    #[tool(destructive, open_world = false)]
    fn write_query(
        &self,
        /** The statement; '?' stands for a parameter. */
        query: String,
        /** The parameters, in order. */
        #[default([])]
        params: Vec<Value>,
        ctx: &Context,
    ) -> Result<Changed> {
        let change = self.database.execute(&query, &params, ctx)?;
        self.announce(change);
        Ok(Changed { affected_rows: change.rows })
    }

    /// # Create table
    /// Runs a CREATE TABLE statement.
    #[tool(destructive = false, open_world = false)]
    fn create_table(
        &self,
        /** The CREATE TABLE statement. */
        query: String,
        ctx: &Context,
    ) -> Result<String> {
        let mut words = query.split_whitespace();
        let mut is = |word: &str| words.next().is_some_and(|it| it.eq_ignore_ascii_case(word));
        if !(is("create") && is("table")) {
            return Err(Error::invalid_arguments("only CREATE TABLE is allowed here; use write_query"));
        }
        self.announce(self.database.execute(&query, &[], ctx)?);
        Ok("Table created successfully".to_owned())
    }

    /// # Tables
    /// Lists the tables.
    #[tool(read_only, idempotent, open_world = false)]
    fn list_tables(&self, ctx: &Context) -> Result<Rows> {
        self.database.query(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
            &[],
            ctx,
        )
    }

    /// # Columns
    /// Describes the columns of a table.
    #[tool(read_only, idempotent, open_world = false)]
    fn describe_table(
        &self,
        /** The table. */
        table_name: String,
        ctx: &Context,
    ) -> Result<Rows> {
        let rows = self.database.query(
            "SELECT cid, name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?)",
            &[table_name.into()],
            ctx,
        )?;
        if rows.rows.is_empty() {
            return Err(Error::new("there is no such table; list_tables names those there are"));
        }
        Ok(rows)
    }

    /// # Append insight
    /// Adds a line to the memo of what was learned from the data.
    #[tool(destructive = false, open_world = false)]
    fn append_insight(
        &self,
        /** What was learned. */
        insight: String,
    ) -> Result<&'static str> {
        const MAX_INSIGHTS: usize = 1000;
        let mut insights = self.insights.lock();
        if insights.len() == MAX_INSIGHTS {
            return Err(Error::new(format!("the memo has {MAX_INSIGHTS} lines, which is all that it takes")));
        }
        insights.push(insight);
        drop(insights);
        self.host.resource_updated("memo://insights");
        Ok("Insight added to memo")
    }

    /// What was learned from the data: a line for each insight. It is gone with the host.
    #[resource("memo://insights", mime = "text/plain")]
    async fn memo(&self) -> String {
        let insights = self.insights.lock();
        if insights.is_empty() {
            return "No insights yet: append_insight adds one.".to_owned();
        }
        insights.iter().map(|insight| format!("- {insight}\n")).collect()
    }

    /// The whole schema, as SQL.
    #[resource("sqlite://schema", mime = "application/sql")]
    fn schema(&self) -> Result<String> {
        self.database.schema(None)
    }

    /// The schema of one table, as SQL.
    #[resource("sqlite://table/{name}", mime = "application/sql")]
    fn table_schema(&self, name: String) -> Result<String> {
        let schema = self.database.schema(Some(&name))?;
        if schema.is_empty() {
            return Err(Error::not_found(format!("there is no table '{name}'")));
        }
        Ok(schema)
    }

    /// Proposes tables.
    #[complete(template = "sqlite://table/{name}", argument = "name")]
    fn complete_table(&self, typed: String) -> Result<Vec<String>> {
        let tables = self.database.tables()?;
        Ok(tables.into_iter().filter(|name| name.starts_with(&typed)).collect())
    }

    /// A resource for each table.
    #[resources]
    fn tables(&self) -> Result<Vec<Resource>> {
        let tables = self.database.tables()?;
        Ok(tables
            .into_iter()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
            .map(|name| {
                Resource::new(format!("sqlite://table/{name}"), name)
                    .description("The schema of a table")
                    .mime_type("application/sql")
            })
            .collect())
    }
}

impl Sqlite {
    /// Tells who listens that the schema, and with it the list of tables, is another.
    fn announce(&self, change: Change) {
        if change.schema {
            self.host.resource_updated("sqlite://schema");
            self.host.manifest_changed();
        }
    }
}

#[cfg(test)]
mod tests;
