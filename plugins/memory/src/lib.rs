//! What a model is to remember: a graph of entities, of relations between them, and of what was observed of them.
//!
//! The tools are those of the official memory server, by name, arguments and results. The graph lies in a database that
//! several hosts may use at a time.

mod graph;

use graph::Store;
use mcp_plugin_api::prelude::*;
use mcp_plugin_api::serde::Serialize;
use mcp_plugin_api::serde_json;
use std::path::PathBuf;

/// A graph that is kept.
pub struct Memory {
    store: Store,
    host: Host,
}

/// The plugin's configuration.
#[model]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file of the graph, or `:memory:` for one that is gone with the host. Default: `memory.sqlite` in the user's folder
    /// for data of `mcp-host`.
    path: Option<PathBuf>,
}

/// Something or somebody.
#[model]
#[derive(Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// The name of the entity
    name: String,
    /// The type of the entity
    entity_type: String,
    /// An array of observation contents associated with the entity
    observations: Vec<String>,
}

/// What one has to do with another.
#[model]
#[derive(Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Relation {
    /// The name of the entity where the relation starts
    from: String,
    /// The name of the entity where the relation ends
    to: String,
    /// The type of the relation
    relation_type: String,
}

/// What is new about an entity.
#[model]
#[serde(rename_all = "camelCase")]
pub struct NewObservations {
    /// The name of the entity to add the observations to
    entity_name: String,
    /// An array of observation contents to add
    contents: Vec<String>,
}

/// What is no longer so of an entity.
#[model]
#[serde(rename_all = "camelCase")]
pub struct Unobserved {
    /// The name of the entity containing the observations
    entity_name: String,
    /// An array of observations to delete
    observations: Vec<String>,
}

/// What was added to an entity.
#[model]
#[derive(Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Added {
    /// The entity's name.
    entity_name: String,
    /// What was not known of it.
    added_observations: Vec<String>,
}

/// A graph, or a part of one.
#[model]
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// Its entities, in the order in which they came.
    entities: Vec<Entity>,
    /// Its relations, in the order in which they came.
    relations: Vec<Relation>,
}

/// Entities that are new.
#[model]
pub struct NewEntities {
    /// Those that were not there.
    entities: Vec<Entity>,
}

/// Relations that are new.
#[model]
pub struct NewRelations {
    /// Those that were not there.
    relations: Vec<Relation>,
}

/// What is new about entities.
#[model]
pub struct NewlyObserved {
    /// One for each entity that was named, in order.
    results: Vec<Added>,
}

/// What a change came to.
#[model]
pub struct Done {
    /// Whether it was made.
    success: bool,
    /// The same in words.
    message: String,
}

/// Names of entities to forget.
#[model]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntityNames {
    /// An array of entity names to delete
    entity_names: Vec<String>,
}

const GRAPH: &str = "memory://knowledge-graph";

#[plugin(wants = ["write"])]
impl Memory {
    #[start]
    fn start(config: Config, host: Host) -> Result<Self> {
        let path = match config.path {
            Some(path) if path.as_os_str() == ":memory:" => None,
            Some(path) => Some(path),
            None => {
                let folders = directories::ProjectDirs::from("", "", "mcp-host")
                    .ok_or_else(|| Error::new("this system has no folder for data: name a 'path'"))?;
                Some(folders.data_dir().join("memory.sqlite"))
            }
        };
        Ok(Self { store: Store::open(path.as_deref())?, host })
    }

    /// # Create Entities
    /// Create multiple new entities in the knowledge graph
    #[tool(destructive = false, idempotent = false, open_world = false)]
    fn create_entities(&self, entities: Vec<Entity>) -> Result<Structured<NewEntities>> {
        let entities = self.store.create_entities(entities)?;
        self.announce();
        Structured::new(indented(&entities)?, &NewEntities { entities })
    }

    /// # Create Relations
    /// Create multiple new relations between entities in the knowledge graph. Relations should be in active voice
    #[tool(destructive = false, idempotent = false, open_world = false)]
    fn create_relations(&self, relations: Vec<Relation>) -> Result<Structured<NewRelations>> {
        let relations = self.store.create_relations(relations)?;
        self.announce();
        Structured::new(indented(&relations)?, &NewRelations { relations })
    }

    /// # Add Observations
    /// Add new observations to existing entities in the knowledge graph
    #[tool(destructive = false, idempotent = false, open_world = false)]
    fn add_observations(&self, observations: Vec<NewObservations>) -> Result<Structured<NewlyObserved>> {
        let results = self.store.add_observations(observations)?;
        self.announce();
        Structured::new(indented(&results)?, &NewlyObserved { results })
    }

    /// # Delete Entities
    /// Delete multiple entities and their associated relations from the knowledge graph
    #[tool(destructive, idempotent, open_world = false)]
    fn delete_entities(&self, Args(names): Args<EntityNames>) -> Result<Structured<Done>> {
        self.store.delete_entities(&names.entity_names)?;
        self.done("Entities deleted successfully")
    }

    /// # Delete Observations
    /// Delete specific observations from entities in the knowledge graph
    #[tool(destructive, idempotent, open_world = false)]
    fn delete_observations(&self, deletions: Vec<Unobserved>) -> Result<Structured<Done>> {
        self.store.delete_observations(&deletions)?;
        self.done("Observations deleted successfully")
    }

    /// # Delete Relations
    /// Delete multiple relations from the knowledge graph
    #[tool(destructive, idempotent, open_world = false)]
    fn delete_relations(
        &self,
        /** An array of relations to delete */
        relations: Vec<Relation>,
    ) -> Result<Structured<Done>> {
        self.store.delete_relations(&relations)?;
        self.done("Relations deleted successfully")
    }

    /// # Read Graph
    /// Read the entire knowledge graph
    #[tool(read_only, idempotent, open_world = false)]
    fn read_graph(&self) -> Result<Structured<Graph>> {
        told(&self.store.read()?)
    }

    /// # Search Nodes
    /// Search for nodes in the knowledge graph based on a query
    #[tool(read_only, idempotent, open_world = false)]
    fn search_nodes(
        &self,
        /** The search query to match against entity names, types, and observation content */
        query: String,
    ) -> Result<Structured<Graph>> {
        told(&self.store.search(&query)?)
    }

    /// # Open Nodes
    /// Open specific nodes in the knowledge graph by their names
    #[tool(read_only, idempotent, open_world = false)]
    fn open_nodes(
        &self,
        /** An array of entity names to retrieve */
        names: Vec<String>,
    ) -> Result<Structured<Graph>> {
        told(&self.store.named(&names)?)
    }

    /// # Knowledge Graph
    /// The full knowledge graph with all entities and relations
    #[resource("memory://knowledge-graph", name = "knowledge-graph", mime = "application/json")]
    fn graph(&self) -> Result<String> {
        indented(&self.store.read()?)
    }
}

impl Memory {
    /// Tells who listens that the graph is another.
    fn announce(&self) {
        self.host.resource_updated(GRAPH);
    }

    fn done(&self, message: &str) -> Result<Structured<Done>> {
        self.announce();
        Structured::new(message, &Done { success: true, message: message.to_owned() })
    }
}

fn told(graph: &Graph) -> Result<Structured<Graph>> {
    Structured::new(indented(graph)?, graph)
}

fn indented(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}

#[cfg(test)]
mod tests;
