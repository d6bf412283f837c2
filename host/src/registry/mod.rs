//! The catalogue: everything that can be called, under the name that clients see.
//!
//! Plugins' offers come in, immutable snapshots go out. A reader takes one snapshot for one call and is never surprised;
//! a writer builds the next one off to the side and swaps it whole. That anything callable is a library, a process or a
//! server elsewhere is not known here: it is a [`Callee`].

mod build;
mod callee;
mod cursor;
mod events;
mod lists;
mod mirror;
mod skills;
mod suggest;

pub use build::{Clash, Offer, Selection, TimeoutRule, build, build_after};
pub use callee::{Answer, AnswerFuture, Callee, Operation};
pub use cursor::Cursor;
pub use events::{Change, Events};
pub use lists::ListKind;
pub use mirror::MirroredParam;
pub use skills::{Skill, page_of};
pub use suggest::closest;

use crate::call::Timeouts;
use crate::protocol::{CacheHint, Dialect, Offered, OfferedTasks, Validator, combined};
use lists::Lists;
use mcp_plugin_api::manifest::{PromptDefinition, ResourceDefinition, TemplateDefinition, ToolDefinition};
use mcp_plugin_api::uri_template::UriTemplate;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Where an item comes from. Lists are in this order, and pages end at it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The plugin.
    pub plugin: Arc<str>,
    /// The place among the plugin's items of its kind.
    pub index: usize,
}

/// A tool that can be called.
pub struct Tool {
    /// The name that clients see.
    pub name: String,
    /// Where it comes from.
    pub place: Place,
    /// What it is.
    pub definition: ToolDefinition,
    /// Who runs it.
    pub callee: Arc<dyn Callee>,
    /// What is made of its schemas.
    pub schemas: Arc<Schemas>,
    /// How long calls of it may take.
    pub timeouts: Timeouts,
}

/// What is made of a tool's schemas.
#[derive(Default)]
pub struct Schemas {
    /// Judges arguments, where the callee does not do it itself.
    pub input: Option<Validator>,
    /// Judges structured results, where the callee does not do it itself.
    pub output: Option<Validator>,
    /// Arguments that clients repeat in headers.
    pub mirrored: Vec<MirroredParam>,
}

/// A resource that can be read.
pub struct Resource {
    /// Where it comes from.
    pub place: Place,
    /// What it is.
    pub definition: ResourceDefinition,
    /// Who reads it.
    pub callee: Arc<dyn Callee>,
    /// How long what is read keeps.
    pub cache: CacheHint,
    /// How long reading it may take.
    pub timeouts: Timeouts,
}

/// A family of resources that can be read.
pub struct Template {
    /// Where it comes from.
    pub place: Place,
    /// What it is.
    pub definition: TemplateDefinition,
    /// Which URIs are of it.
    pub pattern: UriTemplate,
    /// Who reads them.
    pub callee: Arc<dyn Callee>,
    /// How long what is read keeps.
    pub cache: CacheHint,
    /// How long reading one may take.
    pub timeouts: Timeouts,
}

/// How a URI is read.
#[derive(Clone)]
pub struct Reading {
    /// Who reads it.
    pub callee: Arc<dyn Callee>,
    /// How long what is read keeps.
    pub cache: CacheHint,
    /// Whether answers that the client gives count once.
    pub single_use: bool,
    /// How long it may take.
    pub timeouts: Timeouts,
}

/// A prompt that can be expanded.
pub struct Prompt {
    /// The name that clients see.
    pub name: String,
    /// Where it comes from.
    pub place: Place,
    /// What it is.
    pub definition: PromptDefinition,
    /// Who expands it.
    pub callee: Arc<dyn Callee>,
    /// How long that may take.
    pub timeouts: Timeouts,
}

/// Everything there is, at one moment.
#[derive(Default)]
pub struct Snapshot {
    tools: Vec<Arc<Tool>>,
    tools_by_name: HashMap<String, usize>,
    resources: Vec<Resource>,
    resources_by_uri: HashMap<String, usize>,
    templates: Vec<Template>,
    prompts: Vec<Prompt>,
    prompts_by_name: HashMap<String, usize>,
    skills: Vec<Skill>,
    /// Files of skills, and the skill.
    skill_files: HashMap<String, usize>,
    instructions: Option<String>,
    /// How long the lists keep.
    list_hints: HashMap<ListKind, CacheHint>,
    /// Tools have pages.
    apps: bool,
    lists: [OnceLock<Lists>; Dialect::COUNT],
}

impl Snapshot {
    /// The tool of a name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&Arc<Tool>> {
        self.tools_by_name.get(name).map(|index| &self.tools[*index])
    }

    /// The prompt of a name.
    #[must_use]
    pub fn prompt(&self, name: &str) -> Option<&Prompt> {
        self.prompts_by_name.get(name).map(|index| &self.prompts[*index])
    }

    /// How a URI is read: as its own resource, a file of a skill, or else by the first template that it fits.
    #[must_use]
    pub fn reading(&self, uri: &str) -> Option<Reading> {
        if let Some(Resource { callee, cache, definition, timeouts, .. }) =
            self.resources_by_uri.get(uri).map(|it| &self.resources[*it])
        {
            let (callee, single_use) = (Arc::clone(callee), definition.single_use);
            return Some(Reading { callee, cache: *cache, single_use, timeouts: *timeouts });
        }
        if let Some(skill) = self.skill_files.get(uri).map(|index| &self.skills[*index]) {
            return Some(Reading {
                callee: Arc::clone(&skill.callee),
                cache: self.hint(ListKind::Skills),
                single_use: false,
                timeouts: skill.timeouts,
            });
        }
        let Template { callee, cache, definition, timeouts, .. } =
            self.templates.iter().find(|template| template.pattern.matches(uri).is_some())?;
        let (callee, single_use) = (Arc::clone(callee), definition.single_use);
        Some(Reading { callee, cache: *cache, single_use, timeouts: *timeouts })
    }

    /// All skills, in order.
    #[must_use]
    pub fn skills(&self) -> &[Skill] {
        &self.skills
    }

    /// How long a list keeps.
    #[must_use]
    pub fn hint(&self, kind: ListKind) -> CacheHint {
        self.list_hints.get(&kind).copied().unwrap_or_default()
    }

    /// How long keeps what is said of the whole.
    #[must_use]
    pub fn hint_of_all(&self) -> CacheHint {
        combined(self.list_hints.values().copied())
    }

    /// What there is beside tools, resources and prompts.
    #[must_use]
    pub fn offered(&self, tasks: OfferedTasks) -> Offered<'_> {
        let instructions = self.instructions.as_deref();
        Offered { instructions, apps: self.apps, skills: !self.skills.is_empty(), tasks }
    }

    /// The template of a text.
    #[must_use]
    pub fn template(&self, uri_template: &str) -> Option<&Template> {
        self.templates.iter().find(|template| template.definition.uri_template == uri_template)
    }

    /// All tools, in order.
    #[must_use]
    pub fn tools(&self) -> &[Arc<Tool>] {
        &self.tools
    }

    /// All resources, in order.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// All templates, in order.
    #[must_use]
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// All prompts, in order.
    #[must_use]
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    fn lists(&self, dialect: &Dialect) -> &Lists {
        self.lists[dialect.index].get_or_init(|| Lists::prepare(self, dialect))
    }
}

/// The published catalogue. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    current: Arc<RwLock<Arc<Snapshot>>>,
    events: Events,
}

impl Registry {
    /// The catalogue of this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read())
    }

    /// Publishes the next catalogue, and announces the lists that differ.
    pub fn publish(&self, next: Snapshot) {
        let next = Arc::new(next);
        let before = std::mem::replace(&mut *self.current.write(), Arc::clone(&next));
        for change in lists::differences(&before, &next) {
            self.events.announce(change);
        }
    }

    /// What has changed, as it changes.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }
}

#[cfg(test)]
mod tests;
