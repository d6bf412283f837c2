//! The host as figures, in the text form of OpenMetrics. They are read when somebody asks, and cost nothing before.

use crate::plugin::PluginState;
use crate::transport::http::{HealthDetail, PluginHealth};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text::encode};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::fmt;

/// How often plugins came into their states.
type Transitions = [(String, PluginState, u64)];

/// All figures.
pub(super) fn text(detail: &HealthDetail, transitions: &Transitions) -> String {
    let mut registry = Registry::default();
    let mut text = String::new();
    registry.register_collector(Box::new(Figures::of(detail, transitions)));
    // Writing into a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

/// The figures of one moment.
#[derive(Debug)]
struct Figures {
    families: Vec<Family>,
}

/// One figure, by what it is of.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    values: Vec<(Vec<(&'static str, String)>, u64)>,
}

impl Figures {
    fn of(detail: &HealthDetail, transitions: &Transitions) -> Self {
        let whole = |name, help, value: usize| Family {
            name,
            help,
            is_counter: false,
            values: vec![(Vec::new(), value as u64)],
        };
        // Of two files with one plugin, the one that is not served has no figures.
        let mut names = BTreeSet::new();
        let plugins: Vec<&PluginHealth> = {
            let mut plugins: Vec<_> = detail.plugins.iter().collect();
            plugins.sort_by_key(|plugin| plugin.generation == 0);
            plugins.into_iter().filter(|plugin| names.insert(plugin.name.clone())).collect()
        };
        let each = |name, help, of: fn(&PluginHealth) -> u64| {
            let values = plugins.iter().map(|plugin| (vec![("plugin", plugin.name.clone())], of(plugin)));
            Family { name, help, is_counter: false, values: values.collect() }
        };
        let states = plugins.iter().map(|plugin| {
            let labels = vec![("plugin", plugin.name.clone()), ("state", plugin.state.to_owned())];
            (labels, 1)
        });
        let came = transitions.iter().map(|(plugin, state, count)| {
            (vec![("plugin", plugin.clone()), ("state", state.name().to_owned())], *count)
        });
        let tasks = detail.tasks.as_ref();
        let families = vec![
            whole("mcp_host_uptime_seconds", "Since the start", detail.uptime_seconds as usize),
            whole("mcp_host_sessions", "Sessions that are open", detail.sessions),
            whole("mcp_host_subscriptions", "Streams of changes that are open", detail.subscriptions),
            whole("mcp_host_calls", "Calls under way", detail.calls),
            whole("mcp_host_tasks_kept", "Tasks that are kept", tasks.map_or(0, |tasks| tasks.kept)),
            whole("mcp_host_tasks_running", "Tasks that run", tasks.map_or(0, |tasks| tasks.running)),
            whole("mcp_host_problems", "What the operator should know", detail.problems.len()),
            Family {
                name: "mcp_host_plugin_state",
                help: "1 for the state that a plugin is in",
                is_counter: false,
                values: states.collect(),
            },
            Family {
                name: "mcp_host_plugin_transitions",
                help: "How often a plugin came into a state",
                is_counter: true,
                values: came.collect(),
            },
            each("mcp_host_plugin_generation", "Versions that were served", |it| it.generation),
            each("mcp_host_plugin_resident_generations", "Versions that stay in the host's process", |it| {
                it.resident_generations as u64
            }),
            each("mcp_host_plugin_draining_generations", "Versions whose calls have not ended", |it| {
                it.draining_generations as u64
            }),
            each("mcp_host_plugin_restarts", "How often processes of the served version were started again", |it| {
                it.restarts
            }),
            each("mcp_host_plugin_calls", "Calls under way", |it| it.calls as u64),
            each("mcp_host_plugin_deaf_calls", "Calls that nobody waits for any more", |it| it.deaf_calls as u64),
        ];
        Self { families }
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Family { name, help, is_counter, values } in &self.families {
            let (counter, gauge) = (ConstCounter::new(0_u64), ConstGauge::new(0_u64));
            let kind = if *is_counter { counter.metric_type() } else { gauge.metric_type() };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            if let [(labels, value)] = values.as_slice()
                && labels.is_empty()
            {
                ConstGauge::new(*value).encode(family)?;
                continue;
            }
            for (labels, value) in values {
                let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let encoder = family.encode_family(&labels)?;
                if *is_counter {
                    ConstCounter::new(*value).encode(encoder)?;
                } else {
                    ConstGauge::new(*value).encode(encoder)?;
                }
            }
        }
        Ok(())
    }
}
