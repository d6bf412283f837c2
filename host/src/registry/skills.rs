//! Skills in the catalogue: their entries, and folders as lists of resources (2026-07-28 SK).

use super::{Callee, Cursor, Place};
use crate::call::Timeouts;
use mcp_plugin_api::manifest::{ResourceDefinition, SkillDefinition, SkillFile};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file that says what a skill is for.
const SKILL_FILE: &str = "SKILL.md";

/// A skill.
pub struct Skill {
    /// Where it comes from.
    pub place: Place,
    /// What it is.
    pub definition: SkillDefinition,
    /// Who reads its files.
    pub callee: Arc<dyn Callee>,
    /// How long that may take.
    pub timeouts: Timeouts,
}

impl Skill {
    /// Its name, which its head says.
    #[must_use]
    pub fn name(&self) -> &str {
        text_of(&self.definition, "name")
    }

    /// The URI of its `SKILL.md`, which names it.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{}/{SKILL_FILE}", self.definition.uri)
    }

    /// Its entry in lists.
    #[must_use]
    pub fn entry(&self) -> Value {
        let SkillDefinition { uri, frontmatter, files } = &self.definition;
        let resources: Vec<Value> = files
            .iter()
            .map(|file| json!({"uri": format!("{uri}/{}", file.path), "digest": file.digest, "size": file.size}))
            .collect();
        json!({"uri": self.uri(), "frontmatter": frontmatter, "resources": resources})
    }

    /// What is in one of its folders, if `uri` is one.
    #[must_use]
    pub fn children(&self, uri: &str) -> Option<Vec<Value>> {
        let base = &self.definition.uri;
        let folder = uri.trim_end_matches('/').strip_prefix(base.as_str())?;
        let prefix = match folder.strip_prefix('/') {
            Some(folder) => format!("{folder}/"),
            None if folder.is_empty() => String::new(),
            None => return None,
        };
        let mut children = BTreeMap::new();
        for file in &self.definition.files {
            let Some(rest) = file.path.strip_prefix(&prefix) else {
                continue;
            };
            let child = match rest.split_once('/') {
                Some((name, _)) => (
                    name,
                    json!({"uri": format!("{base}/{prefix}{name}"), "name": name, "mimeType": "inode/directory"}),
                ),
                None => {
                    let SkillFile { path, size, mime_type, .. } = file;
                    let uri = format!("{base}/{path}");
                    (rest, json!({"uri": uri, "name": rest, "mimeType": mime_type, "size": size}))
                }
            };
            children.insert(child.0, child.1);
        }
        (!children.is_empty()).then(|| children.into_values().collect())
    }
}

/// A page of the folder `uri`: at most `page_size` children behind `after`, and where the page ends if there are more.
/// Nothing if `after` is a place of something else.
#[must_use]
pub fn page_of(uri: &str, children: &[Value], after: Option<&Cursor>, page_size: usize) -> Option<Value> {
    if after.is_some_and(|Cursor(place)| &*place.plugin != uri) {
        return None;
    }
    let first = after.map_or(0, |Cursor(place)| place.index.saturating_add(1));
    let end = first.saturating_add(page_size).min(children.len());
    let mut page = json!({"resources": children.get(first..end).unwrap_or_default()});
    if end < children.len() && end > first {
        page["nextCursor"] = Cursor(Place { plugin: uri.into(), index: end - 1 }).encode().into();
    }
    Some(page)
}

/// The `SKILL.md` of a skill, as a resource in lists.
pub(super) fn resource(skill: &SkillDefinition) -> ResourceDefinition {
    let size = skill.files.iter().find(|file| file.path == SKILL_FILE).map(|file| file.size);
    let uri = format!("{}/{SKILL_FILE}", skill.uri);
    let definition = ResourceDefinition::new(uri, text_of(skill, "name")).mime_type("text/markdown");
    ResourceDefinition { size, ..definition.description(text_of(skill, "description")) }
}

fn text_of<'a>(skill: &'a SkillDefinition, key: &str) -> &'a str {
    skill.frontmatter.get(key).and_then(Value::as_str).unwrap_or_default()
}
