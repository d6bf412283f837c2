//! What the configuration says of plugins, resolved.

use super::File;
use super::file::{NetworkKind, PluginSection, StoreKind};
use super::settings::{Overrides, Resolver, span};
use super::timeouts;
use crate::call::Timeouts;
use crate::plugin::{
    BreakerLimits, Confinement, Digest, Grants, InstanceLimits, Isolation, Network, PluginConfig, PoolLimits,
    SupervisorConfig, Trust, TrustRule, TrustedKey, WorkerProgram,
};
use crate::protocol::CacheRule;
use crate::registry::Selection;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Worker processes of one plugin.
const MAX_WORKERS: usize = 256;

/// Bytes of memory without which no process starts.
const MIN_MEMORY_BYTES: usize = 16 << 20;

/// Files without which no process starts.
const MIN_FILES: usize = 16;

impl Resolver {
    pub(super) fn supervisor(&mut self, file: File, overrides: Overrides) -> SupervisorConfig {
        let mut folders = overrides.plugin_dirs;
        folders.extend(file.plugin_dirs);
        if folders.is_empty() {
            self.problem("plugin_dirs", "name a folder of plugins here, or with --plugins-dir");
        }
        let stage = file.state_dir.or_else(|| {
            directories::ProjectDirs::from("", "", "mcp-host").map(|folders| folders.cache_dir().to_owned())
        });
        let stage = stage.unwrap_or_else(|| {
            self.problem("state_dir", "this system has no folder for it, so name one here");
            PathBuf::new()
        });
        let keys = self.keys(&file.trusted_keys);
        let all = (timeouts::of_all(&file.limits), file.tasks.store == Some(StoreKind::Off));
        let defaults = self.plugin("plugin_defaults", &file.plugin_defaults, &PluginSection::default(), all, &keys);
        let plugins = file
            .plugins
            .iter()
            .map(|(name, section)| {
                let resolved = self.plugin(&format!("plugins.{name}"), section, &file.plugin_defaults, all, &keys);
                (name.clone(), resolved)
            })
            .collect();
        // Absolute, because that is how the system tells of their changes.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let beside =
            overrides.file.map(absolute).as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        let folders = folders.into_iter().map(absolute).collect();
        let stage = absolute(stage);
        let is_watched = file.watch.enabled.unwrap_or(true);
        SupervisorConfig {
            folders,
            stage: stage.join("staged"),
            state: stage.join("plugins"),
            lock: absolute(file.lock_file.unwrap_or_else(|| beside.join("mcp-host.lock"))),
            settle: is_watched.then(|| span(file.watch.settle, Duration::from_millis(250))),
            program: WorkerProgram::default(),
            start_timeout: span(file.limits.start_timeout, Duration::from_secs(30)),
            defaults,
            plugins,
        }
    }

    fn plugin(
        &mut self,
        path: &str,
        section: &PluginSection,
        defaults: &PluginSection,
        (all, no_tasks): (Timeouts, bool),
        keys: &Arc<[TrustedKey]>,
    ) -> PluginConfig {
        for (path, span) in timeouts::all_spans(path, section) {
            if span.is_some_and(|span| span.0.is_zero()) {
                self.problem(path, "this must be more than zero");
            }
        }
        let allow = section.allow.as_ref().or(defaults.allow.as_ref());
        let deny = section.deny.as_ref().or(defaults.deny.as_ref());
        let prefix = section.prefix.clone().or_else(|| defaults.prefix.clone()).unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if prefix.len() > 32 || !prefix.bytes().all(fits) {
            self.problem(format!("{path}.prefix"), "use at most 32 of A-Z, a-z, 0-9, '-', '_' and '.'");
        }
        let isolation = section.isolation.or(defaults.isolation).unwrap_or_default();
        self.check_isolation(path, section, isolation);
        let max_calls = section.max_calls.or(defaults.max_calls);
        let selection = Selection {
            cache: CacheRule {
                ttl: section.cache_ttl.or(defaults.cache_ttl).map(|span| span.0),
                scope: section.cache_scope.or(defaults.cache_scope),
            },
            prefix,
            allow: allow.map(|globs| self.globs(&format!("{path}.allow"), globs)),
            no_tasks,
            deny: deny.map(|globs| self.globs(&format!("{path}.deny"), globs)).unwrap_or_default(),
        };
        PluginConfig {
            enabled: section.enabled.or(defaults.enabled).unwrap_or(true),
            required: section.required.or(defaults.required).unwrap_or(false),
            selection,
            config: Value::Object(section.config.clone()),
            timeouts: timeouts::of_plugin(section, defaults, all),
            limits: InstanceLimits { max_calls: self.positive(&format!("{path}.max_calls"), max_calls, 256) },
            isolation,
            definitions: section.definitions.or(defaults.definitions).unwrap_or_default(),
            trust: self.trust(path, section, defaults, keys),
            pool: PoolLimits {
                workers: self.positive(&format!("{path}.workers"), section.workers.or(defaults.workers), 1),
                kill_after: span(section.kill_after.or(defaults.kill_after), Duration::from_secs(5)),
            },
            confinement: self.confinement(path, section, defaults),
            breaker: BreakerLimits {
                max_faults: {
                    let max = section.max_faults.or(defaults.max_faults);
                    u32::try_from(self.positive(&format!("{path}.max_faults"), max, 5)).unwrap_or(u32::MAX)
                },
                window: span(section.fault_window.or(defaults.fault_window), Duration::from_secs(60)),
                retry_after: span(section.retry_after.or(defaults.retry_after), Duration::from_secs(5)),
            },
            max_resident: {
                let max = section.max_resident.or(defaults.max_resident);
                self.positive(&format!("{path}.max_resident"), max, 16)
            },
        }
    }

    /// Who believes in a confinement that is none should know.
    fn check_isolation(&mut self, path: &str, section: &PluginSection, isolation: Isolation) {
        let of_workers = [
            ("grants", section.grants.is_some()),
            ("unenforceable", section.unenforceable.is_some()),
            ("workers", section.workers.is_some()),
            ("kill_after", section.kill_after.is_some()),
        ];
        // In the defaults they wait for the plugins that run in workers.
        if isolation == Isolation::InProcess && path != "plugin_defaults" {
            for (key, _) in of_workers.into_iter().filter(|(_, is_said)| *is_said) {
                self.problem(format!("{path}.{key}"), "this holds in a worker only: set `isolation = \"worker\"`");
            }
        }
        if section.workers.is_some_and(|workers| workers > MAX_WORKERS) {
            self.problem(format!("{path}.workers"), format!("this must be at most {MAX_WORKERS}"));
        }
        let grants = section.grants.as_ref();
        let spans = [
            ("kill_after", section.kill_after),
            ("fault_window", section.fault_window),
            ("retry_after", section.retry_after),
            ("grants.cpu_time", grants.and_then(|grants| grants.cpu_time)),
        ];
        for (key, _) in spans.into_iter().filter(|(_, span)| span.is_some_and(|span| span.0.is_zero())) {
            self.problem(format!("{path}.{key}"), "this must be more than zero");
        }
        let too_little = grants.and_then(|grants| grants.memory).is_some_and(|size| size.0 < MIN_MEMORY_BYTES);
        if too_little {
            self.problem(format!("{path}.grants.memory"), "a process needs `16MiB` to start");
        }
        if grants.and_then(|grants| grants.files).is_some_and(|files| files < MIN_FILES) {
            self.problem(format!("{path}.grants.files"), format!("a process needs {MIN_FILES} to start"));
        }
    }

    /// The keys whose signatures count.
    fn keys(&mut self, texts: &[String]) -> Arc<[TrustedKey]> {
        let mut keys = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match TrustedKey::parse(text) {
                Some(key) => keys.push(key),
                None => self.problem(format!("trusted_keys.{index}"), "this is no public key of minisign"),
            }
        }
        keys.into()
    }

    fn trust(
        &mut self,
        path: &str,
        section: &PluginSection,
        defaults: &PluginSection,
        keys: &Arc<[TrustedKey]>,
    ) -> TrustRule {
        let trust = section.trust.or(defaults.trust).unwrap_or_default();
        let mut pins = Vec::new();
        let said = if section.sha256.is_empty() { &defaults.sha256 } else { &section.sha256 };
        for (index, text) in said.iter().enumerate() {
            match Digest::parse(text) {
                Some(digest) => pins.push(digest),
                None => self.problem(format!("{path}.sha256.{index}"), "write 64 hexadecimal digits"),
            }
        }
        if trust == Trust::Signed && keys.is_empty() {
            self.problem(format!("{path}.trust"), "nothing can be signed by a trusted key: name one in `trusted_keys`");
        }
        TrustRule { trust, pins, keys: Arc::clone(keys) }
    }

    fn confinement(&mut self, path: &str, section: &PluginSection, defaults: &PluginSection) -> Confinement {
        let said = section.grants.clone().or_else(|| defaults.grants.clone()).unwrap_or_default();
        let has_ports = !said.connect.is_empty() || !said.listen.is_empty() || said.udp;
        let network = match said.network {
            None if has_ports => NetworkKind::Ports,
            said => said.unwrap_or(NetworkKind::Off),
        };
        if has_ports && network != NetworkKind::Ports {
            self.problem(format!("{path}.grants.network"), "with `connect`, `listen` or `udp` this must be `ports`");
        }
        for (key, paths) in [("read", &said.read), ("write", &said.write), ("subprocesses", &said.subprocesses)] {
            for (index, _) in paths.iter().enumerate().filter(|(_, path)| !path.is_absolute()) {
                self.problem(format!("{path}.grants.{key}.{index}"), "write an absolute path");
            }
        }
        // Where they are now: whoever may write above one could put a link there later.
        let real = |paths: Vec<PathBuf>| -> Vec<PathBuf> {
            paths.into_iter().map(|path| path.canonicalize().unwrap_or(path)).collect()
        };
        let grants = Grants {
            read: real(said.read),
            write: real(said.write),
            network: match network {
                NetworkKind::Off => Network::Off,
                NetworkKind::On => Network::On,
                NetworkKind::Ports => Network::Ports { connect: said.connect, listen: said.listen, udp: said.udp },
            },
            env: said.env,
            memory: said.memory.map(|size| size.0 as u64),
            cpu_time: said.cpu_time.map(|span| span.0),
            files: said.files.map(|files| files as u64),
            subprocesses: real(said.subprocesses),
        };
        let unenforceable = section.unenforceable.or(defaults.unenforceable).unwrap_or_default();
        Confinement::Grants { grants: Box::new(grants), unenforceable }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::settings::tests::resolve;
    use crate::plugin::{Confinement, Isolation, Network, Trust};

    #[test]
    fn what_cannot_be_is_told_with_its_key() {
        let worker = "isolation = \"worker\"\n";
        for (text, problem) in [
            ("[plugins.x.grants]\n", "plugins.x.grants: this holds in a worker only: set `isolation = \"worker\"`"),
            (
                "[plugins.x]\nworkers = 2\n",
                "plugins.x.workers: this holds in a worker only: set `isolation = \"worker\"`",
            ),
            (&format!("[plugins.x]\n{worker}workers = 1000\n"), "plugins.x.workers: this must be at most 256"),
            (
                &format!("[plugins.x]\n{worker}kill_after = \"0s\"\n"),
                "plugins.x.kill_after: this must be more than zero",
            ),
            ("[plugins.x]\nretry_after = \"0s\"\n", "plugins.x.retry_after: this must be more than zero"),
            (
                &format!("[plugins.x]\n{worker}[plugins.x.grants]\nread = [\"data\"]\n"),
                "plugins.x.grants.read.0: write an absolute path",
            ),
            (
                &format!("[plugins.x]\n{worker}[plugins.x.grants]\nnetwork = \"on\"\nconnect = [443]\n"),
                "plugins.x.grants.network: with `connect`, `listen` or `udp` this must be `ports`",
            ),
            (
                &format!("[plugins.x]\n{worker}[plugins.x.grants]\nmemory = \"1MiB\"\n"),
                "plugins.x.grants.memory: a process needs `16MiB` to start",
            ),
            ("[plugins.x]\nsha256 = [\"beef\"]\n", "plugins.x.sha256.0: write 64 hexadecimal digits"),
            (
                "[plugins.x]\ntrust = \"signed\"\n",
                "plugins.x.trust: nothing can be signed by a trusted key: name one in `trusted_keys`",
            ),
            ("trusted_keys = [\"abc\"]\n", "trusted_keys.0: this is no public key of minisign"),
        ] {
            assert_eq!(resolve(text).unwrap_err(), [problem], "{text}");
        }
    }

    #[test]
    fn a_plugin_inherits_where_it_runs_and_what_it_may_do() {
        let text =
            "[plugin_defaults]\nisolation = \"worker\"\n[plugin_defaults.grants]\nconnect = [443]\n[plugins.x]\n";
        let plugin = resolve(text).unwrap().supervisor.plugins["x"].clone();
        assert_eq!((plugin.isolation, plugin.trust.trust), (Isolation::Worker, Trust::Any));
        let Confinement::Grants { grants, .. } = plugin.confinement else {
            panic!("it is confined");
        };
        assert_eq!(grants.network, Network::Ports { connect: vec![443], listen: vec![], udp: false });
        let plain = resolve("").unwrap().supervisor.defaults;
        assert_eq!((plain.isolation, plain.max_resident), (Isolation::InProcess, 16));
    }

    #[test]
    fn paths_that_are_watched_are_absolute() {
        let settings = resolve("state_dir = \"state\"\nlock_file = \"a.lock\"\n").unwrap().supervisor;
        let all = settings.folders.iter().chain([&settings.lock, &settings.state, &settings.stage]);
        assert_eq!(all.filter(|path| !path.is_absolute()).count(), 0);
    }
}
