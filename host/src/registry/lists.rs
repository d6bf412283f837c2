//! Lists as clients get them: the bytes of every item, prepared once for each dialect.

use super::{Change, Cursor, Place, Snapshot};
use crate::protocol::{self, Dialect};
use bytes::Bytes;
use std::ops::Range;

/// The lists there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Tools.
    Tools,
    /// Resources with a fixed URI.
    Resources,
    /// Resources with parameters.
    Templates,
    /// Prompts.
    Prompts,
    /// Skills.
    Skills,
}

/// All lists in one dialect.
pub(super) struct Lists {
    tools: List,
    resources: List,
    templates: List,
    prompts: List,
    skills: List,
}

/// One list: the result that has all items, and where each of them is in it.
struct List {
    result: Bytes,
    items: Vec<(Place, Range<usize>)>,
}

impl List {
    fn new(kind: ListKind, source: impl Iterator<Item = (Place, Vec<u8>)>) -> Self {
        let mut result = opening(kind);
        let mut items = Vec::new();
        for (place, item) in source {
            if !items.is_empty() {
                result.push(b',');
            }
            let start = result.len();
            result.extend_from_slice(&item);
            items.push((place, start..result.len()));
        }
        result.extend_from_slice(b"]}");
        Self { result: result.into(), items }
    }
}

/// What stands before the items of a list.
fn opening(kind: ListKind) -> Vec<u8> {
    format!(r#"{{"{}":["#, kind.member()).into_bytes()
}

impl Lists {
    pub(super) fn prepare(snapshot: &Snapshot, dialect: &Dialect) -> Self {
        let tools = snapshot.tools.iter();
        let tools = tools.map(|it| (it.place.clone(), protocol::tool(dialect, &it.name, &it.definition)));
        let resources = snapshot.resources.iter();
        let resources = resources.map(|it| (it.place.clone(), protocol::resource(dialect, &it.definition)));
        let templates = snapshot.templates.iter();
        let templates = templates.map(|it| (it.place.clone(), protocol::template(dialect, &it.definition)));
        let prompts = snapshot.prompts.iter();
        let prompts = prompts.map(|it| (it.place.clone(), protocol::prompt(dialect, &it.name, &it.definition)));
        let skills = snapshot.skills.iter().map(|it| (it.place.clone(), it.entry().to_string().into_bytes()));
        Self {
            tools: List::new(ListKind::Tools, tools),
            resources: List::new(ListKind::Resources, resources),
            templates: List::new(ListKind::Templates, templates),
            prompts: List::new(ListKind::Prompts, prompts),
            skills: List::new(ListKind::Skills, skills),
        }
    }

    fn of(&self, kind: ListKind) -> &List {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Resources => &self.resources,
            ListKind::Templates => &self.templates,
            ListKind::Prompts => &self.prompts,
            ListKind::Skills => &self.skills,
        }
    }
}

impl ListKind {
    /// The member of the result that holds the items.
    fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
            Self::Skills => "skills",
        }
    }
}

impl Snapshot {
    /// The result of a list request: at most `page_size` items behind `after`.
    #[must_use]
    pub fn page(&self, dialect: &Dialect, kind: ListKind, after: Option<&Cursor>, page_size: usize) -> Bytes {
        let list = self.lists(dialect).of(kind);
        let first = after.map_or(0, |Cursor(place)| list.items.partition_point(|(at, _)| at <= place));
        let end = first.saturating_add(page_size).min(list.items.len());
        if first == 0 && end == list.items.len() {
            return list.result.clone();
        }
        let items = match list.items.get(first..end) {
            None | Some([]) => &[],
            Some([(_, only)]) => &list.result[only.clone()],
            Some([(_, first), .., (_, last)]) => &list.result[first.start..last.end],
        };
        let mut result = opening(kind);
        result.reserve(items.len() + 64);
        result.extend_from_slice(items);
        result.push(b']');
        if end < list.items.len() && end > first {
            let cursor = Cursor(list.items[end - 1].0.clone());
            result.extend_from_slice(b",\"nextCursor\":\"");
            result.extend_from_slice(cursor.encode().as_bytes());
            result.push(b'"');
        }
        result.push(b'}');
        result.into()
    }
}

/// Which lists differ between two snapshots, in any dialect. The newest dialect shows everything there is.
pub(super) fn differences(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let newest = Dialect::newest_stateless();
    let (before, after) = (before.lists(newest), after.lists(newest));
    let changed = |kind: ListKind| before.of(kind).result != after.of(kind).result;
    let mut changes = Vec::new();
    if changed(ListKind::Tools) {
        changes.push(Change::List(ListKind::Tools));
    }
    // One notification speaks of all lists of resources; skills are such.
    if changed(ListKind::Resources) || changed(ListKind::Templates) || changed(ListKind::Skills) {
        changes.push(Change::List(ListKind::Resources));
    }
    if changed(ListKind::Prompts) {
        changes.push(Change::List(ListKind::Prompts));
    }
    changes
}
