//! What operators are told: the host in detail, and as figures that a monitor reads.

use super::metrics;
use crate::plugin::{Isolation, Supervisor};
use crate::rt::Phase;
use crate::runner::Runner;
use crate::serve::Server;
use crate::telemetry::chain;
use crate::transport::http::{Health, HealthDetail, PluginHealth, TasksHealth};
use std::sync::Arc;
use tokio::time::Instant;

/// The rooms that are asked.
pub(super) struct AppHealth {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) runner: Option<Arc<Runner>>,
    pub(super) server: Arc<Server>,
    pub(super) started: Instant,
}

impl Health for AppHealth {
    fn is_ready(&self) -> bool {
        self.server.drain().phase() == Phase::Running && self.supervisor.is_ready()
    }

    fn detail(&self) -> HealthDetail {
        let status = match self.server.drain().phase() {
            Phase::Draining => "draining",
            Phase::Running if self.supervisor.is_ready() => "ready",
            Phase::Running => "not ready",
        };
        let (plugins, problems) = plugins(&self.supervisor);
        HealthDetail {
            status,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.started.elapsed().as_secs(),
            sessions: self.server.sessions().len(),
            subscriptions: self.server.subscriptions(),
            calls: self.server.calls(),
            tasks: self.runner.as_ref().map(|runner| {
                let (running, waiting) = runner.busy();
                TasksHealth { kept: runner.store().count(), running, waiting }
            }),
            plugins,
            problems,
        }
    }

    fn metrics(&self) -> String {
        metrics::text(&self.detail(), &self.supervisor.transitions())
    }
}

/// All plugins in detail, and what the operator should know.
#[must_use]
pub fn plugins(supervisor: &Supervisor) -> (Vec<PluginHealth>, Vec<String>) {
    supervisor.report(|reports, troubles, left_out| {
        let plugins = reports.iter().map(|(report, instance)| {
            let instance = instance.as_ref();
            let (deaf_calls, oldest_deaf) = instance.map(|it| it.deaf_calls()).unwrap_or_default();
            let told = |is_enforced: bool| {
                let such = report.enforced.iter().filter(move |it| it.is_enforced == is_enforced);
                such.map(|it| format!("{}: {}", it.what, it.by)).collect()
            };
            PluginHealth {
                name: report.name(),
                version: report.metadata.as_ref().map(|metadata| metadata.version.clone()),
                file: report.path.display().to_string(),
                digest: report.digest.map(|digest| digest.to_string()),
                state: match instance {
                    Some(instance) if !instance.is_up() => "restarting",
                    _ => report.state.name(),
                },
                reason: report.reason(),
                required: report.required,
                isolation: report.isolation.map(Isolation::name),
                generation: report.generation,
                resident_generations: report.resident,
                draining_generations: report.draining,
                restarts: instance.map_or(0, |instance| instance.restarts()),
                not_granted: report.not_granted.clone(),
                enforced: told(true),
                not_enforced: told(false),
                calls: instance.map_or(0, |instance| instance.calls()),
                deaf_calls,
                oldest_deaf_seconds: oldest_deaf.map(|oldest| oldest.as_secs()),
            }
        });
        let notes = reports.iter().flat_map(|(report, _)| {
            let name = report.name();
            report.notes.iter().map(move |note| format!("plugin '{name}': {note}"))
        });
        let problems = troubles.iter().map(|trouble| chain(trouble)).chain(left_out.iter().cloned()).chain(notes);
        (plugins.collect(), problems.collect())
    })
}
