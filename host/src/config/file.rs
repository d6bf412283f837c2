//! The configuration file: a flat table of keys, all optional. Its schema is printed by `mcp-host config schema`.

use super::{ByteSize, Span};
use crate::plugin::{Definitions, Isolation, Trust, Unenforceable};
use crate::protocol::{CacheScope, Protocols};
use crate::telemetry::LogFormat;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The configuration of mcp-host. Relative paths count from the folder of its file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Folders of plugins.
    pub plugin_dirs: Vec<PathBuf>,
    /// Where the host keeps its own files. Default: the system's folder for such.
    pub state_dir: Option<PathBuf>,
    /// The file of approved definitions, for plugins with `definitions = "locked"`. Default: `mcp-host.lock` beside this
    /// file, or in the current folder.
    pub lock_file: Option<PathBuf>,
    /// Keys whose signatures count, for plugins with `trust = "signed"`: the second line of minisign's `.pub` files.
    pub trusted_keys: Vec<String>,
    /// How changes of the plugin folders and of this file are seen.
    pub watch: WatchSection,
    /// Folders of skills: of one with a `SKILL.md`, or of several such folders.
    pub skill_dirs: Vec<PathBuf>,
    /// The eras of the protocol that are served: `both`, `stateful` (2024-11-05 to 2025-11-25) or `stateless`
    /// (2026-07-28). Default: `both`.
    pub protocol: Option<Protocols>,
    /// Serve a client over standard input and output.
    pub stdio: Option<bool>,
    /// HTTP.
    pub http: HttpSection,
    /// What the server says of itself.
    pub server: ServerSection,
    /// Logs, on stderr or in a file.
    pub log: LogSection,
    /// Bounds of calls and messages.
    pub limits: LimitsSection,
    /// Sessions.
    pub sessions: SessionsSection,
    /// What clients of the stateless era carry from one round of questions to the next.
    pub request_state: RequestStateSection,
    /// Tasks: calls that outlive their request.
    pub tasks: TasksSection,
    /// What holds for plugins without an entry of their own.
    pub plugin_defaults: PluginSection,
    /// Plugins by name.
    pub plugins: BTreeMap<String, PluginSection>,
}

impl File {
    /// Has relative paths count from this folder.
    pub(super) fn count_from(&mut self, folder: &Path) {
        let folders = self.plugin_dirs.iter_mut().chain(&mut self.skill_dirs);
        let files = [&mut self.state_dir, &mut self.lock_file, &mut self.log.file];
        for path in folders.chain(files.into_iter().flatten()) {
            *path = folder.join(&*path);
        }
    }
}

/// HTTP.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// Address and port to listen on, such as `127.0.0.1:3000`. Without it there is no HTTP.
    pub address: Option<String>,
    /// Names besides those of the loopback that `Host` may have.
    pub allowed_hosts: Vec<String>,
    /// Origins besides those of the loopback, such as `https://app.example.com`.
    pub allowed_origins: Vec<String>,
    /// The header in which a reverse proxy says who asks, such as `X-Forwarded-User`. Requests without it are refused. Set
    /// this only if nothing else than the proxy can reach the address.
    pub user_header: Option<String>,
    /// Serve the transport of 2024-11-05 as well, at `/sse` and `/messages`. Default: false.
    pub sse_2024: bool,
    /// Size of a body. Default: `10MiB`.
    pub max_body_size: Option<ByteSize>,
    /// Headers of a request. Default: 64.
    pub max_headers: Option<usize>,
    /// Size of all headers of a request, at least `8KiB`. Default: `32KiB`.
    pub max_header_size: Option<ByteSize>,
    /// How long a client may take to send the headers of its next request. Default: `30s`.
    pub header_timeout: Option<Span>,
    /// How long a client may take to send a body. Default: `30s`.
    pub body_timeout: Option<Span>,
    /// How long a client may leave what is written unread. Default: `30s`.
    pub write_timeout: Option<Span>,
    /// Connections at a time. Default: 4096.
    pub max_connections: Option<usize>,
    /// After this a call without an answer gets a stream, so that its answer survives a broken connection.
    /// Default: `500ms`.
    pub stream_after: Option<Span>,
    /// How often an idle stream gets a comment. Default: `15s`.
    pub keep_alive: Option<Span>,
}

/// What the server says of itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// Its name. Default: `mcp-host`.
    pub name: Option<String>,
    /// For people.
    pub title: Option<String>,
    /// A line about it.
    pub description: Option<String>,
    /// Its page.
    pub website: Option<String>,
    /// Say all that in every result of the stateless era. Default: true.
    pub in_results: Option<bool>,
}

/// Logs, on stderr or in a file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// A filter such as `info` or `mcp_host=debug,plugin=trace`. Default: `info`.
    pub filter: Option<String>,
    /// `text` or `json`. Default: `text`.
    pub format: Option<LogFormat>,
    /// A file that log lines are added to, instead of stderr, such as where Windows runs the host as a service.
    pub file: Option<PathBuf>,
}

/// Bounds of calls and messages.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// How long a call may take, from its start or its last progress; the time in which the user is asked something does not
    /// count. Default: `5m`.
    pub call_timeout: Option<Span>,
    /// How long a call may take with all its progress. Default: `1h`.
    pub max_call_time: Option<Span>,
    /// As `call_timeout`, for calls that run as tasks. With progress they may take as long as the task is kept. Default: `1h`.
    pub task_timeout: Option<Span>,
    /// Calls under way at a time. Default: 1024.
    pub max_calls: Option<usize>,
    /// Size of a plugin's result. Default: `16MiB`.
    pub max_result_size: Option<ByteSize>,
    /// How deep a message may nest, at most 120. Default: 64.
    pub max_json_depth: Option<usize>,
    /// Items on a page of a list. Default: 1000.
    pub page_size: Option<usize>,
    /// Size of a message over standard input. Default: `10MiB`.
    pub max_message_size: Option<ByteSize>,
    /// Messages that wait for a client over standard output that does not read. Default: 4096.
    pub max_queue: Option<usize>,
    /// Streams of changes (`subscriptions/listen`) open at a time. Default: 10000.
    pub max_subscriptions: Option<usize>,
    /// How long a plugin may take to load and start. Default: `30s`.
    pub start_timeout: Option<Span>,
    /// How long calls may finish when the host ends. Default: `10s`.
    pub drain_timeout: Option<Span>,
}

/// Sessions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionsSection {
    /// Sessions at a time. Default: 10000.
    pub max_sessions: Option<usize>,
    /// How long a session may be idle. Default: `30m`.
    pub idle_timeout: Option<Span>,
    /// Requests of one session under way at a time. Default: 256.
    pub max_calls: Option<usize>,
    /// Questions to one client open at a time. Default: 64.
    pub max_asks: Option<usize>,
    /// How long a client may take to answer one. Default: `10m`.
    pub ask_timeout: Option<Span>,
    /// Resources that one session, or one stream of changes, hears of. Default: 1024.
    pub max_subscriptions: Option<usize>,
    /// Events that one stream keeps. Default: 256.
    pub stream_events: Option<usize>,
    /// Size of the events that one stream keeps. Default: `1MiB`.
    pub stream_size: Option<ByteSize>,
    /// Ended streams of one session that can be resumed. Default: 16.
    pub max_ended_streams: Option<usize>,
    /// How long they can be resumed. Default: `2m`.
    pub resume_for: Option<Span>,
}

/// What clients of the stateless era carry from one round of questions to the next, sealed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestStateSection {
    /// Keys of 32 bytes in Base64; the first seals, all of them open. Hosts behind one address need the same. Default: one
    /// that is made at the first start and kept in `state_dir`, readable by its owner alone.
    pub keys: Vec<String>,
    /// How long a client may take for a round. Default: `10m`.
    pub ttl: Option<Span>,
    /// Rounds of one request. Default: 16.
    pub max_rounds: Option<usize>,
    /// Size of what is carried. Default: `256KiB`.
    pub max_size: Option<ByteSize>,
}

/// Tasks: calls that outlive their request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TasksSection {
    /// Where they are kept: on `disk`, below `state_dir`, where they outlive the host; in `memory`; or there are none: `off`.
    /// Default: `disk`.
    pub store: Option<StoreKind>,
    /// How many are kept, ended ones included. Default: 10000.
    pub max_tasks: Option<usize>,
    /// How many are kept of one client, where it is known who asks; of all others together elsewhere. Default: 10000.
    pub max_per_client: Option<usize>,
    /// Size of all that is kept. Default: `256MiB`.
    pub max_size: Option<ByteSize>,
    /// For how long after its creation a task is kept whose client does not say it. Default: `24h`.
    pub ttl: Option<Span>,
    /// For how long a task is kept at most. Default: `168h`.
    pub max_ttl: Option<Span>,
    /// How long clients should wait before they ask again. Default: `1s`.
    pub poll_interval: Option<Span>,
    /// How many run at a time; more wait for their turn. Default: 256.
    pub max_running: Option<usize>,
    /// How often one is begun whose tool is run again after a restart. Default: 5.
    pub max_runs: Option<usize>,
}

/// How changes of the plugin folders and of this file are seen. Without it, `SIGHUP` has everything looked at.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WatchSection {
    /// Whether they are watched. Default: true.
    pub enabled: Option<bool>,
    /// For how long a changed file must stay as it is before it is read. Default: `250ms`.
    pub settle: Option<Span>,
}

/// What a plugin in a worker process may do. What is not granted is denied. Linux only.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrantsSection {
    /// Files and folders that it may read. The system's libraries, its time zones and the plugin's own file need no grant.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read and change.
    pub write: Vec<PathBuf>,
    /// `off`, `on`, or `ports` for those in `connect` and `listen`. Default: `off`, or `ports` where any of those is there.
    pub network: Option<NetworkKind>,
    /// TCP ports that it may connect to.
    pub connect: Vec<u16>,
    /// TCP ports that it may listen on.
    pub listen: Vec<u16>,
    /// With `ports`: whether it may use UDP, to any port. Names are most often looked up over UDP. Default: false.
    pub udp: bool,
    /// Names of environment variables that it sees.
    pub env: Vec<String>,
    /// Size of its private memory, for each of its processes. Default: no bound.
    pub memory: Option<ByteSize>,
    /// Processor time of one process, in whole seconds; one that has used it up is ended and started again. Default: no bound.
    pub cpu_time: Option<Span>,
    /// Files and sockets open at a time. Default: 256.
    pub files: Option<usize>,
    /// Programs that it may run, under the same grants. Default: none, and no process either.
    pub subprocesses: Vec<PathBuf>,
}

/// What a plugin may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Nothing.
    Off,
    /// Some ports.
    Ports,
    /// Everything.
    On,
}

/// Where tasks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// On disk.
    #[default]
    Disk,
    /// In memory.
    Memory,
    /// There are none.
    Off,
}

/// One tool.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolSection {
    /// As of its plugin.
    pub call_timeout: Option<Span>,
    /// As of its plugin.
    pub max_call_time: Option<Span>,
    /// As of its plugin.
    pub task_timeout: Option<Span>,
}

/// One plugin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginSection {
    /// Whether it is loaded. Default: true.
    pub enabled: Option<bool>,
    /// Whether the host is not ready without it. Default: false.
    pub required: Option<bool>,
    /// Put before the names of its tools and prompts.
    pub prefix: Option<String>,
    /// Globs of the tools that clients see. Default: all.
    pub allow: Option<Vec<String>>,
    /// Globs of tools that clients do not see, even if allowed.
    pub deny: Option<Vec<String>>,
    /// Calls of it under way at a time. Default: 256.
    pub max_calls: Option<usize>,
    /// How long a call of it may take. Default: as in `limits`.
    pub call_timeout: Option<Span>,
    /// How long a call of it may take with all its progress. Default: as in `limits`.
    pub max_call_time: Option<Span>,
    /// How long a call of it may take that runs as a task. Default: as in `limits`.
    pub task_timeout: Option<Span>,
    /// Where it runs: `in-process`, with the host's rights, or in a `worker` process, with those in `grants`.
    /// Default: `in-process`.
    pub isolation: Option<Isolation>,
    /// Its worker processes; a call goes to one of them. Default: 1.
    pub workers: Option<usize>,
    /// How long a call may go on in a worker that nobody waits for, before the process is killed: a fault of the tool. Give
    /// tools that cannot heed a cancellation the time that they need. Default: `5s`.
    pub kill_after: Option<Span>,
    /// What it may do in a worker.
    pub grants: Option<GrantsSection>,
    /// What is done where the system cannot enforce what is not granted: `refuse` the plugin, or `warn`. Default: `refuse`.
    pub unenforceable: Option<Unenforceable>,
    /// Which files of it are opened: `any`, `pinned` or `signed`. Default: `any`.
    pub trust: Option<Trust>,
    /// The SHA-256 of its file; several while it is replaced. No other file is opened then, whatever `trust` is.
    pub sha256: Vec<String>,
    /// Which of its tools clients see: all (`open`), or those that were approved and have not changed since (`locked`).
    /// Default: `open`.
    pub definitions: Option<Definitions>,
    /// Faults in a row (panics, crashes, calls out of time, calls that do not end when they are given up) after which a tool is
    /// taken out of the catalogue. Default: 5.
    pub max_faults: Option<usize>,
    /// Faults further back than this do not count. Default: `1m`.
    pub fault_window: Option<Span>,
    /// How long a tool is out at first; twice as long each time, up to five minutes. Default: `5s`.
    pub retry_after: Option<Span>,
    /// Versions of it that may stay in the host's process, from which none is ever unmapped; later ones run in a worker, with
    /// the host's rights. Default: 16.
    pub max_resident: Option<usize>,
    /// Its tools, by its own names for them.
    pub tools: BTreeMap<String, ToolSection>,
    /// How long clients may keep its lists and what they read of it. Default: what it says itself, or not at all.
    pub cache_ttl: Option<Span>,
    /// Whether they may keep it for others too: `public` or `private`. Default: what it says itself, or `private`.
    pub cache_scope: Option<CacheScope>,
    /// Its own configuration.
    pub config: Map<String, Value>,
}
