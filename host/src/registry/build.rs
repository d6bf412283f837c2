//! From what plugins offer to a snapshot: order, names, clashes.

use super::{
    Callee, ListKind, MirroredParam, Place, Prompt, Resource, Schemas, Skill, Snapshot, Template, Tool, skills,
};
use crate::call::Timeouts;
use crate::protocol::{CacheHint, CacheRule, Validator, combined};
use globset::GlobSet;
use mcp_plugin_api::manifest::{Manifest, ResourceDefinition, TaskDefinition, ToolDefinition};
use mcp_plugin_api::uri_template::UriTemplate;
use serde_json::value::RawValue;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What one plugin offers, and what the operator lets through.
#[derive(Clone)]
pub struct Offer {
    /// Who answers. Its name is the plugin's.
    pub callee: Arc<dyn Callee>,
    /// What it has.
    pub manifest: Arc<Manifest>,
    /// What the operator lets through.
    pub selection: Selection,
    /// How long calls may take.
    pub timeouts: TimeoutRule,
    /// Tools that are held back for now, by their own names.
    pub withheld: BTreeSet<String>,
}

/// How long calls of a plugin may take.
#[derive(Debug, Clone, Default)]
pub struct TimeoutRule {
    /// Of all its tools, resources and prompts.
    pub all: Timeouts,
    /// Of some of its tools, by their own names.
    pub tools: BTreeMap<String, Timeouts>,
}

/// What the operator lets through of a plugin.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// How long its answers keep, whatever it says itself.
    pub cache: CacheRule,
    /// Put before the names of its tools and prompts.
    pub prefix: String,
    /// Tools that are let through, by their own names; all where this is nothing.
    pub allow: Option<GlobSet>,
    /// Tools that are held back, even if allowed.
    pub deny: GlobSet,
    /// Calls of it never become tasks, whatever it says itself.
    pub no_tasks: bool,
}

impl Selection {
    fn lets_through(&self, tool: &str) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.is_match(tool)) && !self.deny.is_match(tool)
    }
}

/// An item that is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// Two plugins offer the same name: the first by plugin name keeps it.
    #[error("{kind} '{name}' of plugin '{refused}' is left out: {}", advice(kind, kept, refused))]
    Name {
        /// `tool`, `prompt`, `resource`, `template` or `skill`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Who keeps it.
        kept: String,
        /// Who does not get it.
        refused: String,
    },
    /// The item itself is not usable.
    #[error("{kind} '{name}' of plugin '{plugin}' is left out: {reason}")]
    Unusable {
        /// `tool` or `template`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The plugin.
        plugin: String,
        /// Why.
        reason: String,
    },
}

/// Who has the name, and what an operator can do. Only names of tools and prompts can be prefixed.
fn advice(kind: &str, kept: &str, refused: &str) -> String {
    if kept == refused {
        return "it offers the name twice".to_owned();
    }
    let advice = if matches!(kind, "tool" | "prompt") { "; give one of them a prefix" } else { "" };
    format!("plugin '{kept}' has it{advice}")
}

/// Builds a snapshot. The order is the plugins' names, then their own; the outcome does not depend on the order of
/// `offers`.
#[must_use]
pub fn build(offers: Vec<Offer>) -> (Snapshot, Vec<Clash>) {
    build_after(&Snapshot::default(), offers)
}

/// Builds a snapshot as [`build`] does. Schemas that are as in the snapshot before are not compiled again.
#[must_use]
pub fn build_after(before: &Snapshot, mut offers: Vec<Offer>) -> (Snapshot, Vec<Clash>) {
    offers.sort_by(|one, other| one.callee.plugin().cmp(other.callee.plugin()));
    let mut builder = Builder {
        before,
        snapshot: Snapshot::default(),
        owners: HashMap::new(),
        hints: HashMap::new(),
        clashes: Vec::new(),
    };
    for offer in &offers {
        builder.add(offer);
    }
    builder.snapshot.instructions = instructions(&offers);
    builder.snapshot.apps = builder.snapshot.tools.iter().any(|tool| has_page(&tool.definition));
    builder.snapshot.list_hints = builder.hints.into_iter().map(|(kind, hints)| (kind, combined(hints))).collect();
    (builder.snapshot, builder.clashes)
}

struct Builder<'a> {
    before: &'a Snapshot,
    snapshot: Snapshot,
    owners: HashMap<(&'static str, String), Arc<str>>,
    /// What the plugins that are in a list say of it.
    hints: HashMap<ListKind, Vec<CacheHint>>,
    clashes: Vec<Clash>,
}

impl Builder<'_> {
    fn add(&mut self, offer: &Offer) {
        let Offer { callee, manifest, selection, timeouts, withheld } = offer;
        let plugin = callee.plugin();
        let place = |index| Place { plugin: Arc::clone(plugin), index };
        for (kind, is_in) in [
            (ListKind::Tools, !manifest.tools.is_empty()),
            (ListKind::Resources, !manifest.resources.is_empty() || !manifest.skills.is_empty()),
            (ListKind::Templates, !manifest.templates.is_empty()),
            (ListKind::Prompts, !manifest.prompts.is_empty()),
            (ListKind::Skills, !manifest.skills.is_empty()),
        ] {
            if is_in {
                self.hints.entry(kind).or_default().push(selection.cache.over(manifest.cache));
            }
        }
        let cache = |hint: Option<CacheHint>| selection.cache.over(hint.or(manifest.cache));
        for (index, definition) in manifest.tools.iter().enumerate() {
            let name = format!("{}{}", selection.prefix, definition.name);
            let is_let_through = selection.lets_through(&definition.name) && !withheld.contains(&definition.name);
            if !is_let_through || !self.claim("tool", &name, plugin) {
                continue;
            }
            let Some(schemas) = self.schemas(&name, plugin, definition) else {
                continue;
            };
            self.snapshot.tools_by_name.insert(name.clone(), self.snapshot.tools.len());
            let mut definition = definition.clone();
            if selection.no_tasks {
                definition.task = TaskDefinition::default();
            }
            let callee = Arc::clone(callee);
            let timeouts = timeouts.tools.get(&definition.name).copied().unwrap_or(timeouts.all);
            let tool = Tool { name, place: place(index), definition, callee, schemas, timeouts };
            self.snapshot.tools.push(Arc::new(tool));
        }
        for (index, definition) in manifest.resources.iter().enumerate() {
            if self.claim("resource", &definition.uri, plugin) {
                self.add_resource(place(index), definition.clone(), callee, cache(definition.cache), timeouts.all);
            }
        }
        for (index, definition) in manifest.skills.iter().enumerate() {
            let name = definition.frontmatter.get("name").and_then(|name| name.as_str()).unwrap_or_default();
            let listed = skills::resource(definition);
            if !self.claim("skill", name, plugin) || !self.claim("resource", &listed.uri, plugin) {
                continue;
            }
            let skill = self.snapshot.skills.len();
            for uri in definition.files.iter().map(|file| format!("{}/{}", definition.uri, file.path)) {
                if uri == listed.uri || self.claim("resource", &uri, plugin) {
                    self.snapshot.skill_files.insert(uri, skill);
                }
            }
            self.add_resource(place(manifest.resources.len() + index), listed, callee, cache(None), timeouts.all);
            let (definition, callee, timeouts) = (definition.clone(), Arc::clone(callee), timeouts.all);
            self.snapshot.skills.push(Skill { place: place(index), definition, callee, timeouts });
        }
        for (index, definition) in manifest.templates.iter().enumerate() {
            if !self.claim("template", &definition.uri_template, plugin) {
                continue;
            }
            match UriTemplate::parse(&definition.uri_template) {
                Ok(pattern) => {
                    let (definition, callee) = (definition.clone(), Arc::clone(callee));
                    let (place, cache, timeouts) = (place(index), cache(definition.cache), timeouts.all);
                    let template = Template { place, definition, pattern, callee, cache, timeouts };
                    self.snapshot.templates.push(template);
                }
                Err(error) => self.clashes.push(Clash::Unusable {
                    kind: "template",
                    name: definition.uri_template.clone(),
                    plugin: plugin.to_string(),
                    reason: error.to_string(),
                }),
            }
        }
        for (index, definition) in manifest.prompts.iter().enumerate() {
            let name = format!("{}{}", selection.prefix, definition.name);
            if self.claim("prompt", &name, plugin) {
                let (definition, callee) = (definition.clone(), Arc::clone(callee));
                self.snapshot.prompts_by_name.insert(name.clone(), self.snapshot.prompts.len());
                let (place, timeouts) = (place(index), timeouts.all);
                self.snapshot.prompts.push(Prompt { name, place, definition, callee, timeouts });
            }
        }
    }

    /// Gives a name to the first plugin that wants it.
    fn claim(&mut self, kind: &'static str, name: &str, plugin: &Arc<str>) -> bool {
        match self.owners.entry((kind, name.to_owned())) {
            Entry::Vacant(free) => {
                free.insert(Arc::clone(plugin));
                true
            }
            Entry::Occupied(owner) => {
                self.clashes.push(Clash::Name {
                    kind,
                    name: name.to_owned(),
                    kept: owner.get().to_string(),
                    refused: plugin.to_string(),
                });
                false
            }
        }
    }

    fn add_resource(
        &mut self,
        place: Place,
        definition: ResourceDefinition,
        callee: &Arc<dyn Callee>,
        cache: CacheHint,
        timeouts: Timeouts,
    ) {
        self.snapshot.resources_by_uri.insert(definition.uri.clone(), self.snapshot.resources.len());
        self.snapshot.resources.push(Resource { place, definition, callee: Arc::clone(callee), cache, timeouts });
    }

    /// The judges of a tool whose plugin does not judge for itself, and the arguments that clients repeat; nothing when a
    /// schema is not usable.
    fn schemas(&mut self, name: &str, plugin: &Arc<str>, tool: &ToolDefinition) -> Option<Arc<Schemas>> {
        if let Some(before) = self.before.tool(name).filter(|before| has_same_schemas(&before.definition, tool)) {
            return Some(Arc::clone(&before.schemas));
        }
        // Judged even where the plugin judges for itself: clients get the schemas too, and fetch nothing for them.
        let input = Validator::compile(&tool.input_schema).and_then(|validator| match validator.is_of_objects() {
            true => Ok((!tool.checks_input).then_some(validator)),
            false => Err("its root must have the type object".to_owned()),
        });
        let output = tool.output_schema.as_deref().map(Validator::compile).transpose();
        let output = output.map(|validator| validator.filter(|_| !tool.checks_output));
        match (input, output, MirroredParam::all(&tool.input_schema)) {
            (Ok(input), Ok(output), Ok(mirrored)) => Some(Arc::new(Schemas { input, output, mirrored })),
            (Err(reason), _, _) | (_, Err(reason), _) | (_, _, Err(reason)) => {
                self.clashes.push(Clash::Unusable {
                    kind: "tool",
                    name: name.to_owned(),
                    plugin: plugin.to_string(),
                    reason: format!("its schema is not usable: {reason}"),
                });
                None
            }
        }
    }
}

fn has_same_schemas(one: &ToolDefinition, other: &ToolDefinition) -> bool {
    fn text(schema: &RawValue) -> &str {
        schema.get()
    }
    one.input_schema.get() == other.input_schema.get()
        && one.output_schema.as_deref().map(text) == other.output_schema.as_deref().map(text)
        && (one.checks_input, one.checks_output) == (other.checks_input, other.checks_output)
}

/// Whether clients can show a page for a tool (2026-07-28 APP-02).
fn has_page(tool: &ToolDefinition) -> bool {
    tool.meta.as_ref().is_some_and(|meta| meta.get("ui").is_some_and(|ui| ui.get("resourceUri").is_some()))
}

fn instructions(offers: &[Offer]) -> Option<String> {
    let told: Vec<String> = offers
        .iter()
        .filter_map(|offer| {
            let text = offer.manifest.instructions.as_ref()?;
            Some(format!("{}: {text}", offer.callee.plugin()))
        })
        .collect();
    (!told.is_empty()).then(|| told.join("\n\n"))
}
