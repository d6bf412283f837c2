//! What the host runs on: every key resolved, nothing left to be wrong.

use super::file::StoreKind;
use super::{ByteSize, ConfigError, File, Problem, Span};
use crate::admit::{HostRule, IdentityRule};
use crate::dispatch;
use crate::outlet::StreamLimits;
use crate::plugin::SupervisorConfig;
use crate::protocol::ServerInfo;
use crate::replay::{Keys, RoundsLimits};
use crate::runner::RunnerLimits;
use crate::serve::{ServerFace, ServerLimits};
use crate::session::{SessionLimits, StoreLimits};
use crate::task::TaskLimits;
use crate::telemetry::LogFormat;
use crate::transport::http::{HttpLimits, OldestTransport};
use crate::transport::stdio::StdioLimits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use globset::{Glob, GlobSet, GlobSetBuilder};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the command line says, which beats the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Further plugin folders.
    pub plugin_dirs: Vec<PathBuf>,
    /// Serve standard input and output.
    pub stdio: bool,
    /// Serve HTTP at this address.
    pub http: Option<SocketAddr>,
    /// The log filter.
    pub log_filter: Option<String>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// What the host runs on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Plugins.
    pub supervisor: SupervisorConfig,
    /// Folders of skills.
    pub skill_folders: Vec<PathBuf>,
    /// What the server says and speaks.
    pub face: ServerFace,
    /// What stateless clients carry from round to round.
    pub request_state: RequestState,
    /// Where tasks are kept, and their bounds; nothing where there are none.
    pub tasks: Option<Tasks>,
    /// Bounds of calls.
    pub dispatch: dispatch::Limits,
    /// Bounds of what is served.
    pub server: ServerLimits,
    /// Bounds of all sessions.
    pub store: StoreLimits,
    /// Whether standard input and output are served.
    pub stdio: bool,
    /// Bounds of the pipe.
    pub stdio_limits: StdioLimits,
    /// Where HTTP is served, if it is.
    pub http: Option<SocketAddr>,
    /// Whether the transport of 2024-11-05 is served too.
    pub oldest_transport: OldestTransport,
    /// Who is let in over HTTP.
    pub hosts: HostRule,
    /// How it is known over HTTP who asks.
    pub identity: IdentityRule,
    /// Bounds of HTTP.
    pub http_limits: HttpLimits,
    /// How long calls may finish when the host ends.
    pub drain_timeout: Duration,
    /// The log filter.
    pub log_filter: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where they go, instead of stderr.
    pub log_file: Option<PathBuf>,
}

/// What stateless clients carry from round to round.
#[derive(Debug, Clone)]
pub struct RequestState {
    /// What it is sealed with; nothing where the host keeps a key of its own.
    pub keys: Option<Keys>,
    /// Where the host keeps that, and what may be used once.
    pub folder: PathBuf,
    /// Its bounds.
    pub limits: RoundsLimits,
}

/// Where tasks are kept, and their bounds.
#[derive(Debug, Clone)]
pub struct Tasks {
    /// The folder; nothing where they are kept in memory.
    pub folder: Option<PathBuf>,
    /// How much is kept.
    pub store: TaskLimits,
    /// How they run.
    pub runner: RunnerLimits,
}

/// The greatest depth that the JSON parser follows.
const MAX_JSON_DEPTH: usize = 120;

impl Settings {
    /// Resolves a file and the command line.
    ///
    /// # Errors
    /// [`ConfigError::Problems`] with all of them.
    pub fn resolve(file: File, overrides: Overrides) -> Result<Self, ConfigError> {
        let mut resolver = Resolver::default();
        let settings = resolver.settings(file, overrides);
        if resolver.problems.is_empty() { Ok(settings) } else { Err(ConfigError::Problems(resolver.problems)) }
    }
}

#[derive(Default)]
pub(super) struct Resolver {
    problems: Vec<Problem>,
}

pub(super) fn span(value: Option<Span>, default: Duration) -> Duration {
    value.map_or(default, |span| span.0)
}

pub(super) fn size(value: Option<ByteSize>, default: usize) -> usize {
    value.map_or(default, |size| size.0)
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

impl Resolver {
    pub(super) fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), message: message.into() });
    }

    /// A bound of zero would shut the host, and one beyond all memory is none.
    pub(super) fn positive(&mut self, path: &str, value: Option<usize>, default: usize) -> usize {
        const MAX: usize = 1 << 24;
        match value {
            Some(0) => self.problem(path, "this must be at least 1"),
            Some(value) if value > MAX => self.problem(path, format!("this must be at most {MAX}")),
            _ => {}
        }
        value.unwrap_or(default)
    }

    /// Times and sizes of zero would shut the host too.
    fn check_quantities(&mut self, file: &File) {
        let File { http, limits, sessions, .. } = file;
        let spans = [
            ("http.header_timeout", http.header_timeout),
            ("http.body_timeout", http.body_timeout),
            ("http.write_timeout", http.write_timeout),
            ("http.keep_alive", http.keep_alive),
            ("limits.call_timeout", limits.call_timeout),
            ("limits.max_call_time", limits.max_call_time),
            ("limits.task_timeout", limits.task_timeout),
            ("tasks.ttl", file.tasks.ttl),
            ("tasks.max_ttl", file.tasks.max_ttl),
            ("tasks.poll_interval", file.tasks.poll_interval),
            ("limits.start_timeout", limits.start_timeout),
            ("sessions.idle_timeout", sessions.idle_timeout),
            ("sessions.ask_timeout", sessions.ask_timeout),
            ("request_state.ttl", file.request_state.ttl),
            ("watch.settle", file.watch.settle),
        ];
        let sizes = [
            ("http.max_body_size", http.max_body_size),
            ("limits.max_result_size", limits.max_result_size),
            ("limits.max_message_size", limits.max_message_size),
            ("sessions.stream_size", sessions.stream_size),
            ("request_state.max_size", file.request_state.max_size),
            ("tasks.max_size", file.tasks.max_size),
        ];
        let zero_spans =
            spans.iter().filter(|(_, span)| span.is_some_and(|span| span.0.is_zero())).map(|(path, _)| *path);
        let zero_sizes = sizes.iter().filter(|(_, size)| size.is_some_and(|size| size.0 == 0)).map(|(path, _)| *path);
        for path in zero_spans.chain(zero_sizes) {
            self.problem(path, "this must be more than zero");
        }
    }

    fn settings(&mut self, file: File, overrides: Overrides) -> Settings {
        self.check_quantities(&file);
        let File { http, limits, sessions, server, log, .. } = &file;
        let max_depth = match limits.max_json_depth {
            Some(depth) if depth == 0 || depth > MAX_JSON_DEPTH => {
                self.problem("limits.max_json_depth", format!("this must be 1 to {MAX_JSON_DEPTH}"));
                MAX_JSON_DEPTH
            }
            depth => depth.unwrap_or(64),
        };
        let address = overrides.http.or_else(|| {
            let text = http.address.as_ref()?;
            text.parse()
                .map_err(|_| self.problem("http.address", "write address and port, such as '127.0.0.1:3000'"))
                .ok()
        });
        let max_header_bytes = size(http.max_header_size, 32 * KIB);
        if max_header_bytes < 8 * KIB {
            self.problem("http.max_header_size", "this must be at least '8KiB'");
        }
        let stream = StreamLimits {
            max_events: self.positive("sessions.stream_events", sessions.stream_events, 256),
            max_bytes: size(sessions.stream_size, MIB),
        };
        let http_limits = HttpLimits {
            stateless_stream: stream,
            max_body_bytes: size(http.max_body_size, 10 * MIB),
            max_depth,
            max_headers: self.positive("http.max_headers", http.max_headers, 64),
            max_header_bytes,
            header_timeout: span(http.header_timeout, Duration::from_secs(30)),
            body_timeout: span(http.body_timeout, Duration::from_secs(30)),
            write_timeout: span(http.write_timeout, Duration::from_secs(30)),
            max_connections: self.positive("http.max_connections", http.max_connections, 4096),
            stream_after: span(http.stream_after, Duration::from_millis(500)),
            keep_alive: span(http.keep_alive, Duration::from_secs(15)),
        };
        let stdio_limits = StdioLimits {
            max_message_bytes: size(limits.max_message_size, 10 * MIB),
            max_depth,
            max_queue: self.positive("limits.max_queue", limits.max_queue, 4096),
            finish_timeout: span(limits.drain_timeout, Duration::from_secs(10)),
        };
        let server_limits = ServerLimits {
            max_calls: self.positive("limits.max_calls", limits.max_calls, 1024),
            max_subscriptions: self.positive("limits.max_subscriptions", limits.max_subscriptions, 10_000),
            max_subscribed_resources: sessions.max_subscriptions.unwrap_or(1024),
            session: SessionLimits {
                max_calls: self.positive("sessions.max_calls", sessions.max_calls, 256),
                max_asks: self.positive("sessions.max_asks", sessions.max_asks, 64),
                ask_timeout: span(sessions.ask_timeout, Duration::from_secs(600)),
                max_subscriptions: self.positive("sessions.max_subscriptions", sessions.max_subscriptions, 1024),
                max_ended_streams: self.positive("sessions.max_ended_streams", sessions.max_ended_streams, 16),
                resume_for: span(sessions.resume_for, Duration::from_secs(120)),
                stream,
            },
        };
        let dispatch = dispatch::Limits {
            max_result_bytes: size(limits.max_result_size, 16 * MIB),
            page_size: self.positive("limits.page_size", limits.page_size, 1000),
            tasks: file.tasks.store.unwrap_or_default() != StoreKind::Off,
        };
        let store = StoreLimits {
            max_sessions: self.positive("sessions.max_sessions", sessions.max_sessions, 10_000),
            idle_for: span(sessions.idle_timeout, Duration::from_secs(1800)),
        };
        let info = ServerInfo {
            name: server.name.clone().unwrap_or_else(|| "mcp-host".to_owned()),
            title: server.title.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: server.description.clone(),
            website: server.website.clone(),
        };
        let face = ServerFace {
            info,
            stamped: server.in_results.unwrap_or(true),
            protocols: file.protocol.unwrap_or_default(),
        };
        if http.sse_2024 && !face.protocols.has_sessions() {
            self.problem("http.sse_2024", "that transport has sessions, and `protocol` is `stateless`");
        }
        let identity = match &http.user_header {
            None => IdentityRule::default(),
            Some(header) => IdentityRule::from_header(header).unwrap_or_else(|| {
                self.problem("http.user_header", "this is no name of a header");
                IdentityRule::default()
            }),
        };
        let request_state = self.request_state(&file);
        let tasks = self.tasks(&file, &request_state.folder);
        let stdio = overrides.stdio || file.stdio.unwrap_or(false) || address.is_none();
        let log_filter =
            overrides.log_filter.clone().or_else(|| log.filter.clone()).unwrap_or_else(|| "info".to_owned());
        Settings {
            stdio,
            stdio_limits,
            http: address,
            oldest_transport: if http.sse_2024 { OldestTransport::Served } else { OldestTransport::Off },
            hosts: HostRule::new(&http.allowed_hosts, &http.allowed_origins),
            http_limits,
            dispatch,
            server: server_limits,
            store,
            face,
            identity,
            request_state,
            tasks,
            skill_folders: file.skill_dirs.clone(),
            drain_timeout: span(limits.drain_timeout, Duration::from_secs(10)),
            log_format: log.format.unwrap_or_default(),
            log_file: log.file.clone(),
            log_filter,
            supervisor: self.supervisor(file, overrides),
        }
    }

    fn request_state(&mut self, file: &File) -> RequestState {
        let section = &file.request_state;
        let folder = file.state_dir.clone().or_else(|| {
            let folders = directories::ProjectDirs::from("", "", "mcp-host")?;
            Some(folders.state_dir().unwrap_or_else(|| folders.data_local_dir()).to_owned())
        });
        let mut keys = Vec::new();
        for (index, text) in section.keys.iter().enumerate() {
            match STANDARD.decode(text).ok().and_then(|bytes| <[u8; Keys::BYTES]>::try_from(bytes).ok()) {
                Some(key) => keys.push(key),
                // The text itself is a secret.
                None => self.problem(format!("request_state.keys.{index}"), "this is not 32 bytes in Base64"),
            }
        }
        let rounds = self.positive("request_state.max_rounds", section.max_rounds, 16);
        RequestState {
            keys: keys.split_first().map(|(first, more)| Keys::new(*first, more)),
            folder: folder.unwrap_or_default(),
            limits: RoundsLimits {
                ttl: span(section.ttl, Duration::from_secs(600)),
                max_rounds: u32::try_from(rounds).unwrap_or(u32::MAX),
                max_bytes: size(section.max_size, 256 * KIB),
            },
        }
    }

    fn tasks(&mut self, file: &File, state: &Path) -> Option<Tasks> {
        let section = &file.tasks;
        let kind = section.store.unwrap_or_default();
        let runs = self.positive("tasks.max_runs", section.max_runs, 5);
        let max_ttl = span(section.max_ttl, Duration::from_secs(7 * 24 * 3600));
        let tasks = Tasks {
            folder: (kind == StoreKind::Disk).then(|| state.join("tasks")),
            store: TaskLimits {
                max_tasks: self.positive("tasks.max_tasks", section.max_tasks, 10_000),
                max_per_owner: self.positive("tasks.max_per_client", section.max_per_client, 10_000),
                max_bytes: size(section.max_size, 256 * MIB),
            },
            runner: RunnerLimits {
                max_running: self.positive("tasks.max_running", section.max_running, 256),
                max_runs: u32::try_from(runs).unwrap_or(u32::MAX),
                default_ttl: span(section.ttl, Duration::from_secs(24 * 3600)).min(max_ttl),
                max_ttl,
                poll_interval: span(section.poll_interval, Duration::from_secs(1)),
            },
        };
        (kind != StoreKind::Off).then_some(tasks)
    }

    pub(super) fn globs(&mut self, path: &str, globs: &[String]) -> GlobSet {
        let mut set = GlobSetBuilder::new();
        for (index, glob) in globs.iter().enumerate() {
            match Glob::new(glob) {
                Ok(glob) => {
                    set.add(glob);
                }
                Err(error) => self.problem(format!("{path}.{index}"), format!("this is no glob: {}", error.kind())),
            }
        }
        set.build().unwrap_or_else(|error| {
            self.problem(path, format!("these are no globs: {}", error.kind()));
            GlobSet::empty()
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::call::Timeouts;
    use crate::config::read::parse;

    pub(in crate::config) fn resolve(text: &str) -> Result<Settings, Vec<String>> {
        let overrides = Overrides { plugin_dirs: vec!["plugins".into()], ..Overrides::default() };
        Settings::resolve(parse(text, &|_| None).unwrap(), overrides).map_err(|error| match error {
            ConfigError::Problems(problems) => problems.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        })
    }

    #[test]
    fn a_folder_alone_is_enough() {
        let settings = resolve("").unwrap();
        assert!(settings.stdio);
        assert_eq!(settings.http, None);
        assert!(settings.supervisor.defaults.enabled);
        assert_eq!(settings.http_limits.max_body_bytes, 10 << 20);
        assert_eq!(settings.drain_timeout, Duration::from_secs(10));
    }

    #[test]
    fn all_values_that_cannot_be_are_told_at_once() {
        let text = "[http]\naddress = \"here\"\nmax_headers = 0\n[limits]\nmax_json_depth = 500\n[plugins.x]\nprefix = \"a/b\"\nallow = [\"[\"]\n";
        assert_eq!(
            resolve(text).unwrap_err(),
            [
                "limits.max_json_depth: this must be 1 to 120",
                "http.address: write address and port, such as '127.0.0.1:3000'",
                "http.max_headers: this must be at least 1",
                "plugins.x.prefix: use at most 32 of A-Z, a-z, 0-9, '-', '_' and '.'",
                "plugins.x.allow.0: this is no glob: unclosed character class; missing ']'",
            ]
        );
    }

    #[test]
    fn what_is_said_of_a_tool_beats_its_plugin_and_that_beats_all() {
        let text = "[limits]\ncall_timeout = \"1m\"\ntask_timeout = \"2h\"\n[plugins.x]\ncall_timeout = \"2m\"\n[plugins.x.tools.t]\nmax_call_time = \"3m\"\n";
        let rule = resolve(text).unwrap().supervisor.plugins["x"].timeouts.clone();
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        assert_eq!(rule.all, Timeouts { call: 2 * minute, max_call: hour, task: 2 * hour });
        assert_eq!(rule.tools["t"], Timeouts { call: 2 * minute, max_call: 3 * minute, task: 2 * hour });
        let text = "[plugins.x.tools.t]\ntask_timeout = \"0s\"\n";
        assert_eq!(resolve(text).unwrap_err(), ["plugins.x.tools.t.task_timeout: this must be more than zero"]);
    }

    #[test]
    fn tasks_are_kept_on_disk_in_memory_or_not_at_all() {
        let tasks = resolve("state_dir = \"s\"\n").unwrap().tasks.unwrap();
        assert_eq!(tasks.folder, Some(PathBuf::from("s/tasks")));
        assert_eq!(tasks.runner.default_ttl, Duration::from_secs(86400));
        let tasks = resolve("[tasks]\nstore = \"memory\"\nmax_ttl = \"1h\"\n").unwrap().tasks.unwrap();
        assert_eq!((tasks.folder, tasks.runner.default_ttl), (None, Duration::from_secs(3600)));
        let off = resolve("[tasks]\nstore = \"off\"\n").unwrap();
        assert!(off.tasks.is_none() && !off.dispatch.tasks);
    }

    #[test]
    fn a_plugin_inherits_the_defaults() {
        let settings =
            resolve("[plugin_defaults]\nenabled = false\nprefix = \"p_\"\n[plugins.x]\nenabled = true\n").unwrap();
        assert!(!settings.supervisor.defaults.enabled);
        assert!(settings.supervisor.plugins["x"].enabled);
        assert_eq!(settings.supervisor.plugins["x"].selection.prefix, "p_");
    }
}
