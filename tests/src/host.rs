//! A host in a process of its own.

use crate::{Http, Stdio, System, artifact, system, told};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio as Piped};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that should take no time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `probe` gives something.
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    eventually_or(probe, || format!("{what} did not happen"))
}

/// Waits until `probe` gives something; where it does not, fails with what is `told` then.
#[track_caller]
fn eventually_or<T>(mut probe: impl FnMut() -> Option<T>, told: impl Fn() -> String) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "{}", told());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the threads of a process are and wait for.
fn threads_of(process: u32) -> String {
    let folder = format!("/proc/{process}/task");
    let told = fs::read_dir(folder).into_iter().flatten().flatten().map(|thread| {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default().trim().to_owned();
        format!("{} in {}", read("comm"), read("wchan"))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The file of a plugin that is part of the workspace.
#[must_use]
pub fn plugin_file(name: &str) -> PathBuf {
    artifact(&library_name(name))
}

/// The host's program.
#[must_use]
pub fn host_program() -> PathBuf {
    artifact(if system() == System::Native { "mcp-host" } else { "mcp-host.exe" })
}

/// What the file of a plugin is called, where the host runs that is tested.
#[must_use]
pub fn library_name(name: &str) -> String {
    let name = name.replace('-', "_");
    match system() {
        System::Native => format!("lib{name}.so"),
        System::Windows { .. } => format!("{name}.dll"),
    }
}

/// What the host says of a plugin, if it knows it.
#[must_use]
pub fn health(client: &Http, plugin: &str) -> Option<Value> {
    let detail = client.get("/health/detailed").json();
    detail["plugins"].as_array().unwrap().iter().find(|it| it["name"] == plugin).cloned()
}

/// Waits until a plugin is in a state, and gives what the host says of it then.
#[track_caller]
pub fn wait_for_state(host: &Host, plugin: &str, state: &str) -> Value {
    eventually(&format!("'{plugin}' to be {state}"), || {
        health(&host.http(), plugin).filter(|found| found["state"] == state)
    })
}

/// Processes that run a program: it is what they run, or, where Wine runs it, among their words.
#[must_use]
pub fn processes_of(program: &Path) -> usize {
    let is_of = |process: &fs::DirEntry| {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let name = program.parent().unwrap().file_name().unwrap().to_str().unwrap();
        fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe == program)
            || (system() != System::Native && String::from_utf8_lossy(&words).contains(name))
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_of).count()
}

/// The entry of a plugin in a worker of its own. Windows cannot enforce all that is not granted, so there it is not refused for
/// that.
#[must_use]
pub fn in_worker(plugin: &str) -> String {
    let policy = if system() == System::Native { "refuse" } else { "warn" };
    format!("[plugins.{plugin}]\nisolation = \"worker\"\nunenforceable = {policy:?}\n")
}

/// How a host is to be.
pub struct HostBuilder {
    folder: TempDir,
    config: String,
    binary: Option<PathBuf>,
    environment: Vec<(String, String)>,
    user: Option<u32>,
    ignored_signal: Option<String>,
}

/// A host that runs. It is killed when this is dropped.
pub struct Host {
    child: Child,
    /// Where HTTP is served; nothing where it is not.
    address: Option<SocketAddr>,
    log: Arc<Mutex<String>>,
    /// What it was made by; gone when it is made again.
    builder: Option<HostBuilder>,
}

impl Host {
    /// A host with these plugins of the workspace.
    #[must_use]
    pub fn with(plugins: &[&str]) -> HostBuilder {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plugins")).unwrap();
        let builder = HostBuilder {
            folder,
            config: String::new(),
            binary: None,
            environment: Vec::new(),
            user: None,
            ignored_signal: None,
        };
        plugins.iter().fold(builder, |builder, plugin| builder.file(&plugin_file(plugin)))
    }

    /// A plain HTTP client of it.
    #[track_caller]
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(self.address())
    }

    /// Where it serves HTTP.
    #[track_caller]
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.expect("this host serves HTTP")
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a piece of its log.
    #[track_caller]
    pub fn wait_for_log(&self, piece: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(piece) {
            assert!(Instant::now() < end, "'{piece}' is not in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn wait_for_address(&mut self) {
        self.wait_for_log("listening on http://");
        let told = self.log();
        let address = told.split("listening on http://").nth(1).and_then(|rest| rest.split("/mcp").next()).unwrap();
        self.address = Some(address.parse().unwrap());
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its own folder, with `plugins` and `config.toml` in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.builder.as_ref().expect("a host that runs").folder.path()
    }

    /// Kills it without a word, and gives what makes it again: with the same files and the same state.
    #[must_use]
    pub fn kill(mut self) -> HostBuilder {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.builder.take().expect("a host that runs")
    }

    /// Kills it without a word, where it stands.
    pub fn stop_now(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal, such as `TERM`. On Windows there is Ctrl-C alone, which is `INT` to Wine.
    pub fn signal(&self, signal: &str) {
        let signal = match (system(), signal) {
            (System::Native, signal) => signal,
            (System::Windows { .. }, "TERM" | "INT") => "INT",
            (System::Windows { .. }, other) => panic!("Windows has no {other}"),
        };
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let process = self.id();
        eventually_or(|| self.child.try_wait().unwrap(), || format!("the host does not end: {}", threads_of(process)))
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Resident memory, in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the host's log ---\n{}", self.log());
        }
    }
}

impl HostBuilder {
    /// Adds a file to the plugin folder.
    #[must_use]
    pub fn file(self, file: &Path) -> Self {
        let name = file.file_name().unwrap();
        fs::copy(file, self.plugins().join(name)).unwrap();
        self
    }

    /// The host's own folder, with `plugins` and `config.toml` in it.
    #[must_use]
    pub fn folder_path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The plugin folder.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    /// Adds lines to the configuration.
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// Runs another binary than the workspace's.
    #[must_use]
    pub fn binary(mut self, binary: PathBuf) -> Self {
        self.binary = Some(binary);
        self
    }

    /// Runs it as another user, who may read what it needs. For tests that run as root, whom no permission stops.
    #[must_use]
    pub fn as_user(mut self, user: u32) -> Self {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            chown(&folder, Some(user), None).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
            folders.extend(fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()).filter(|path| path.is_dir()));
        }
        self.user = Some(user);
        self
    }

    /// Runs it with a signal ignored, such as `XFSZ`.
    #[must_use]
    pub fn ignoring(mut self, signal: &str) -> Self {
        self.ignored_signal = Some(signal.to_owned());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command that runs the host with these further words.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let config = self.folder.path().join("config.toml");
        let mut own = format!("state_dir = {:?}\n{}", told(&self.folder.path().join("state")), self.config);
        // Everything that works in the host's process works in workers, and is tested there too.
        if let Ok(isolation) = std::env::var("MCP_TEST_ISOLATION")
            && !own.contains("[plugin_defaults]")
        {
            // A call that is ready at once is under way for no time in the host's process, and for a while in another.
            let defaults = format!("[plugin_defaults]\nisolation = {isolation:?}\nmax_calls = 1024\n");
            own.push_str(&format!("{defaults}[plugin_defaults.grants]\n"));
            own.push_str("read = [\"/\"]\nwrite = [\"/tmp\"]\n");
        }
        fs::write(&config, own).unwrap();
        let binary = || self.binary.clone().unwrap_or_else(host_program);
        let mut command = match (&self.ignored_signal, system()) {
            (None, System::Windows { wine, .. }) => {
                let mut command = Command::new(wine);
                command.arg(binary());
                command
            }
            (None, System::Native) => Command::new(self.reachable(binary())),
            (Some(signal), _) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("trap '' {signal}; exec \"$0\" \"$@\"")).arg(binary());
                shell
            }
        };
        if let Some(user) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
        }
        command.args(words).arg("--config").arg(told(&config)).arg("--plugins-dir").arg(told(&self.plugins()));
        command.env_remove("MCP_HOST_CONFIG").env_remove("MCP_HOST_LOG");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The binary, where the user can reach it.
    fn reachable(&self, binary: PathBuf) -> PathBuf {
        if self.user.is_none() {
            return binary;
        }
        let copy = self.folder.path().join("mcp-host");
        fs::copy(binary, &copy).unwrap();
        copy
    }

    /// Starts it on HTTP, and waits until it listens.
    #[track_caller]
    #[must_use]
    pub fn serve_http(self) -> Host {
        let command = self.command(&["--http", "127.0.0.1:0"]);
        self.serve_http_with(command)
    }

    /// Starts it with a command that has it listen on HTTP, and waits until it does.
    #[track_caller]
    #[must_use]
    pub fn serve_http_with(self, mut command: Command) -> Host {
        let mut child = command.stdin(Piped::null()).stdout(Piped::null()).stderr(Piped::piped()).spawn().unwrap();
        let log = follow(&mut child);
        let mut host = Host { child, address: None, log, builder: Some(self) };
        host.wait_for_address();
        host
    }

    /// Starts it on standard input and output and on HTTP, and waits until it listens.
    #[track_caller]
    #[must_use]
    pub fn serve_both(self) -> (Host, Stdio) {
        let mut command = self.command(&["--stdio", "--http", "127.0.0.1:0"]);
        let mut child = command.stdin(Piped::piped()).stdout(Piped::piped()).stderr(Piped::piped()).spawn().unwrap();
        let log = follow(&mut child);
        let client = Stdio::new(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut host = Host { child, address: None, log, builder: Some(self) };
        host.wait_for_address();
        (host, client)
    }

    /// Starts it on standard input and output.
    #[track_caller]
    #[must_use]
    pub fn serve_stdio(self) -> (Host, Stdio) {
        let mut command = self.command(&["--stdio"]);
        let mut child = command.stdin(Piped::piped()).stdout(Piped::piped()).stderr(Piped::piped()).spawn().unwrap();
        let log = follow(&mut child);
        let client = Stdio::new(child.stdin.take().unwrap(), child.stdout.take().unwrap());
        (Host { child, address: None, log, builder: Some(self) }, client)
    }
}

fn follow(child: &mut Child) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let kept = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let mut kept = kept.lock().unwrap();
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    log
}
