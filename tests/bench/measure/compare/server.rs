//! The servers that are compared, each in a process of its own, on a processor of its own.

use mcp_host_bench::load::{Op, Speech, Target};
use mcp_host_bench::process::{self, Place};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that listens on HTTP.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) target: Target,
    started: Instant,
    _folder: tempfile::TempDir,
}

/// What a host is started with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    /// Tools of the plugin that has many.
    pub(crate) tools: usize,
    /// Lines of configuration.
    pub(crate) config: &'static str,
}

/// The plugin in the host's process.
pub(crate) const IN_PROCESS: Host = Host { tools: 10, config: "" };

/// The same in a worker process.
pub(crate) const WORKER: Host = Host { tools: 10, config: "[plugins.bench]\nisolation = \"worker\"\n" };

/// With a list of a thousand: four are those of the other plugin.
pub(crate) const THOUSAND: Host = Host { tools: 996, config: "" };

/// The folder of the programs and plugins that were built with this one.
pub(crate) fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

impl Host {
    /// A host's command, with everything it needs in a folder; it serves stdio unless it is told otherwise.
    pub(crate) fn command(&self, folder: &std::path::Path) -> Command {
        let plugins = folder.join("plugins");
        fs::create_dir_all(&plugins).unwrap();
        for file in ["libbench.so", "libmany.so"] {
            fs::copy(built().join(file), plugins.join(file)).unwrap();
        }
        let Self { tools, config } = self;
        let config = format!(
            "state_dir = {:?}\n[log]\nfilter = \"error,mcp_host::app=info\"\n[sessions]\nmax_sessions = 20000\n\
             [plugins.many.config]\ntools = {tools}\n{config}",
            folder.join("state")
        );
        command(folder, &config)
    }
}

/// A host's command with these plugins and this configuration.
pub(crate) fn command(folder: &std::path::Path, config: &str) -> Command {
    fs::write(folder.join("config.toml"), config).unwrap();
    let mut command = Command::new(built().join("mcp-host"));
    command.arg("--plugins-dir").arg(folder.join("plugins")).arg("--config").arg(folder.join("config.toml"));
    command
}

impl Server {
    fn start(mut command: Command, speech: Speech, folder: tempfile::TempDir) -> Self {
        process::pin(Place::Servers);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let (mut line, mut said) = (String::new(), String::new());
        while !line.contains("listening on http://") {
            said.push_str(&std::mem::take(&mut line));
            assert!(log.read_line(&mut line).unwrap() > 0, "the server has ended: {said}");
        }
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Self { process, target: Target { address, speech }, started: Instant::now(), _folder: folder }
    }

    /// A host; with a session if it is spoken to in one.
    pub(crate) fn host(host: &Host, speech: Speech) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = host.command(folder.path());
        command.args(["--http", "127.0.0.1:0"]);
        Self::with_session(Self::start(command, speech, folder))
    }

    /// The bare handler, which has what a list of tools is.
    pub(crate) fn floor(speech: Speech, tools: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tools.json");
        fs::write(&file, tools).unwrap();
        let mut command = Command::new(built().join("measure"));
        command.args(["peer", "bare", "http"]).env("BENCH_LIST", file);
        Self::start(command, speech, folder)
    }

    /// A server of the official Rust SDK.
    pub(crate) fn rmcp(speech: Speech) -> Self {
        let mut command = Command::new(built().join("measure"));
        command.args(["peer", "rmcp", "http"]);
        Self::with_session(Self::start(command, speech, tempfile::tempdir().unwrap()))
    }

    fn with_session(mut server: Self) -> Self {
        if let Speech::Session(_) = server.target.speech {
            server.target.open_session();
        }
        server
    }

    /// Loads a server until it is warm and past its start: a host looks at its folders again soon after it, and writes its lists
    /// anew.
    pub(crate) fn warm_up(&self, op: Op, connections: usize) {
        const START: Duration = Duration::from_secs(1);
        const REQUESTS: usize = 2000;
        while self.started.elapsed() < START {
            let _ = self.target.load(op, REQUESTS, connections);
        }
    }

    /// The result of a list, to be served by the floor too.
    pub(crate) fn list(&self) -> String {
        self.target.result(Op::List)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
