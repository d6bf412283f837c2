//! How long calls may take: what is said of a tool beats what is said of its plugin, and that what is said of all.

use super::Span;
use super::file::{LimitsSection, PluginSection, ToolSection};
use crate::call::Timeouts;
use crate::registry::TimeoutRule;

/// What one section says of it.
struct Said {
    call: Option<Span>,
    max_call: Option<Span>,
    task: Option<Span>,
}

impl Said {
    fn over(&self, base: Timeouts) -> Timeouts {
        let or = |said: Option<Span>, base| said.map_or(base, |span| span.0);
        Timeouts {
            call: or(self.call, base.call),
            max_call: or(self.max_call, base.max_call),
            task: or(self.task, base.task),
        }
    }
}

impl From<&PluginSection> for Said {
    fn from(section: &PluginSection) -> Self {
        Self { call: section.call_timeout, max_call: section.max_call_time, task: section.task_timeout }
    }
}

impl From<&ToolSection> for Said {
    fn from(section: &ToolSection) -> Self {
        Self { call: section.call_timeout, max_call: section.max_call_time, task: section.task_timeout }
    }
}

/// How long calls may take, of all plugins.
pub(super) fn of_all(limits: &LimitsSection) -> Timeouts {
    let said = Said { call: limits.call_timeout, max_call: limits.max_call_time, task: limits.task_timeout };
    said.over(Timeouts::default())
}

/// How long calls of a plugin may take.
pub(super) fn of_plugin(section: &PluginSection, defaults: &PluginSection, all: Timeouts) -> TimeoutRule {
    let plugin = Said::from(section).over(Said::from(defaults).over(all));
    // What is said of a tool in the defaults holds for the tools of that name of all plugins.
    let inherited = defaults.tools.iter().map(|(name, tool)| (name.clone(), Said::from(tool).over(plugin)));
    let mut tools: std::collections::BTreeMap<_, _> = inherited.collect();
    for (name, tool) in &section.tools {
        let base = tools.get(name).copied().unwrap_or(plugin);
        tools.insert(name.clone(), Said::from(tool).over(base));
    }
    TimeoutRule { all: plugin, tools }
}

/// All times that may not be zero, with their keys.
pub(super) fn all_spans(path: &str, section: &PluginSection) -> Vec<(String, Option<Span>)> {
    let named = |path: &str, said: &Said| {
        vec![
            (format!("{path}.call_timeout"), said.call),
            (format!("{path}.max_call_time"), said.max_call),
            (format!("{path}.task_timeout"), said.task),
        ]
    };
    let mut spans = named(path, &section.into());
    for (name, tool) in &section.tools {
        spans.extend(named(&format!("{path}.tools.{name}"), &tool.into()));
    }
    spans
}
