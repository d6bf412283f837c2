//! The graph on disk: entities, what was observed of them, and relations, in a SQLite database.
//!
//! Several hosts may have the same graph open, as clients start one each: each change is one transaction, which waits for
//! those of others.

use crate::{Added, Entity, Graph, NewObservations, Relation, Unobserved};
use mcp_plugin_api::{Error, Result};
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// How long a change waits for those of other processes.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The tables. `rowid` is the order in which everything came.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entities (name TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS observations (
        entity TEXT NOT NULL REFERENCES entities (name) ON DELETE CASCADE,
        text TEXT NOT NULL,
        UNIQUE (entity, text)
    );
    CREATE TABLE IF NOT EXISTS relations (
        source TEXT NOT NULL,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        UNIQUE (source, target, kind)
    );
    CREATE INDEX IF NOT EXISTS relations_by_target ON relations (target);
";

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

/// A graph that is kept.
pub(crate) struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens a graph, which is new if it is not there; without a path it is gone with the process.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let connection = match path {
            Some(path) => {
                let unusable = |error: &dyn std::fmt::Display| {
                    Error::invalid_params(format!("the graph {} cannot be used: {error}", path.display()))
                };
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(|error| unusable(&error))?;
                }
                let connection = Connection::open(path).map_err(|error| unusable(&error))?;
                write_ahead(&connection, MAX_WAIT).map_err(|error| unusable(&error))?;
                connection
            }
            None => Connection::open_in_memory()?,
        };
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Does all of it, or nothing.
    fn change<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.connection.lock();
        // A change that begins as a reader may find that somebody else has become the writer.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = body(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Adds entities; gives those that are new.
    pub(crate) fn create_entities(&self, entities: Vec<Entity>) -> Result<Vec<Entity>> {
        self.change(|graph| {
            let mut new = Vec::new();
            for mut entity in entities {
                let sql = "INSERT OR IGNORE INTO entities (name, kind) VALUES (?1, ?2)";
                if graph.execute(sql, params![entity.name, entity.entity_type])? == 1 {
                    entity.observations = observe(graph, &entity.name, entity.observations)?;
                    new.push(entity);
                }
            }
            Ok(new)
        })
    }

    /// Adds relations; gives those that are new.
    pub(crate) fn create_relations(&self, relations: Vec<Relation>) -> Result<Vec<Relation>> {
        self.change(|graph| {
            let mut new = Vec::new();
            for relation in relations {
                let sql = "INSERT OR IGNORE INTO relations (source, target, kind) VALUES (?1, ?2, ?3)";
                if graph.execute(sql, params![relation.from, relation.to, relation.relation_type])? == 1 {
                    new.push(relation);
                }
            }
            Ok(new)
        })
    }

    /// Adds observations; gives those that are new. One of an entity that is not there keeps all of them out.
    pub(crate) fn add_observations(&self, additions: Vec<NewObservations>) -> Result<Vec<Added>> {
        self.change(|graph| {
            let mut added = Vec::new();
            for NewObservations { entity_name, contents } in additions {
                let known = graph.query_row("SELECT 1 FROM entities WHERE name = ?1", [&entity_name], |_| Ok(()));
                if known.optional()?.is_none() {
                    return Err(Error::new(format!("Entity with name {entity_name} not found")));
                }
                let added_observations = observe(graph, &entity_name, contents)?;
                added.push(Added { entity_name, added_observations });
            }
            Ok(added)
        })
    }

    /// Forgets entities, with their relations.
    pub(crate) fn delete_entities(&self, names: &[String]) -> Result<()> {
        self.change(|graph| {
            for name in names {
                graph.execute("DELETE FROM entities WHERE name = ?1", [name])?;
                graph.execute("DELETE FROM relations WHERE source = ?1 OR target = ?1", [name])?;
            }
            Ok(())
        })
    }

    /// Forgets observations.
    pub(crate) fn delete_observations(&self, deletions: &[Unobserved]) -> Result<()> {
        self.change(|graph| {
            for Unobserved { entity_name, observations } in deletions {
                for text in observations {
                    let sql = "DELETE FROM observations WHERE entity = ?1 AND text = ?2";
                    graph.execute(sql, params![entity_name, text])?;
                }
            }
            Ok(())
        })
    }

    /// Forgets relations.
    pub(crate) fn delete_relations(&self, relations: &[Relation]) -> Result<()> {
        self.change(|graph| {
            for Relation { from, to, relation_type } in relations {
                let sql = "DELETE FROM relations WHERE source = ?1 AND target = ?2 AND kind = ?3";
                graph.execute(sql, params![from, to, relation_type])?;
            }
            Ok(())
        })
    }

    /// All of it, in the order in which it came.
    pub(crate) fn read(&self) -> Result<Graph> {
        let connection = self.connection.lock();
        // One moment of it, whatever others write.
        let graph = connection.unchecked_transaction()?;
        let mut observations: HashMap<String, Vec<String>> = HashMap::new();
        let mut found = graph.prepare_cached("SELECT entity, text FROM observations ORDER BY rowid")?;
        for row in found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (entity, text): (String, String) = row?;
            observations.entry(entity).or_default().push(text);
        }
        let mut found = graph.prepare_cached("SELECT name, kind FROM entities ORDER BY rowid")?;
        let entities = found.query_map([], |row| {
            let name: String = row.get(0)?;
            let observations = observations.remove(&name).unwrap_or_default();
            Ok(Entity { name, entity_type: row.get(1)?, observations })
        })?;
        let entities = entities.collect::<rusqlite::Result<_>>()?;
        let mut found = graph.prepare_cached("SELECT source, target, kind FROM relations ORDER BY rowid")?;
        let relations = found
            .query_map([], |row| Ok(Relation { from: row.get(0)?, to: row.get(1)?, relation_type: row.get(2)? }))?;
        let relations = relations.collect::<rusqlite::Result<_>>()?;
        Ok(Graph { entities, relations })
    }

    /// The entities of which name, type or an observation has this text in it, in whatever case; and the relations that one
    /// of them has part in.
    pub(crate) fn search(&self, query: &str) -> Result<Graph> {
        let query = query.to_lowercase();
        let has = |text: &String| text.to_lowercase().contains(&query);
        self.select(|entity| has(&entity.name) || has(&entity.entity_type) || entity.observations.iter().any(has))
    }

    /// The entities of these names, and the relations that one of them has part in.
    pub(crate) fn named(&self, names: &[String]) -> Result<Graph> {
        let names: HashSet<&String> = names.iter().collect();
        self.select(|entity| names.contains(&entity.name))
    }

    fn select(&self, is_meant: impl Fn(&Entity) -> bool) -> Result<Graph> {
        let Graph { mut entities, mut relations } = self.read()?;
        entities.retain(is_meant);
        let names: HashSet<&String> = entities.iter().map(|entity| &entity.name).collect();
        relations.retain(|relation| names.contains(&relation.from) || names.contains(&relation.to));
        Ok(Graph { entities, relations })
    }
}

/// Adds observations of an entity; gives those that are new.
fn observe(graph: &Transaction<'_>, entity: &str, texts: Vec<String>) -> Result<Vec<String>> {
    let mut insert = graph.prepare_cached("INSERT OR IGNORE INTO observations (entity, text) VALUES (?1, ?2)")?;
    let mut new = Vec::new();
    for text in texts {
        if insert.execute(params![entity, text])? == 1 {
            new.push(text);
        }
    }
    Ok(new)
}
