//! Plugins served while they are written.

use super::output::Output;
use super::{FAILED, USAGE, fail};
use crate::app::{App, Configuration};
use crate::config::{self, File, Overrides, Settings};
use crate::rt::{Ending, end_group, end_wanted, lead_group, script};
use crate::telemetry::{self, chain};
use crate::workshop::{Profile, Running, Watch, Workshop};
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// What is served while it is written.
#[derive(Debug, Clone, Args)]
pub(super) struct DevArgs {
    /// Folders of plugin crates, or of folders of such.
    #[arg(value_name = "DIR", default_value = ".")]
    folders: Vec<PathBuf>,
    /// Serve HTTP at this address. [default: 127.0.0.1:3000, unless --stdio]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Serve a client over standard input and output.
    #[arg(long)]
    stdio: bool,
    /// Build with optimizations.
    #[arg(long)]
    release: bool,
    /// Start the MCP Inspector on it, with npx.
    #[arg(long)]
    inspector: bool,
    /// A configuration file, such as one with the plugins' own configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The log filter.
    #[arg(long, value_name = "FILTER", env = "MCP_HOST_LOG", default_value = "info,calls=debug")]
    log: String,
}

/// The address where nobody says another one.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 3000);

/// How soon a library on the shelf is loaded: it comes there whole.
const SETTLE: Duration = Duration::from_millis(20);

/// Builds, serves, and builds again after each change.
pub(super) async fn dev(mut args: DevArgs, output: Output) -> ExitCode {
    // Absolute, because that is how the system tells of its changes.
    args.config = args.config.map(|file| std::path::absolute(&file).unwrap_or(file));
    if let Err(error) = telemetry::start_brief(&args.log) {
        return fail(USAGE, &chain(&error));
    }
    // Goes with everything in it when this returns.
    let scratch = match tempfile::Builder::new().prefix("mcp-host-dev-").tempdir() {
        Ok(scratch) => scratch,
        Err(error) => return fail(FAILED, &format!("there is no place for what is built: {error}")),
    };
    let shelf = scratch.path().join("plugins");
    let settings = match std::fs::create_dir(&shelf) {
        Ok(()) => resolve(&args, scratch.path(), &shelf),
        Err(error) => return fail(FAILED, &format!("{}: {error}", shelf.display())),
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(message) => return fail(USAGE, &message),
    };
    let profile = if args.release { Profile::Release } else { Profile::Dev };
    let (folders, place) = (args.folders.clone(), shelf.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let workshop = Workshop::find(&folders, &place, profile)?;
        // Before the first build, so that no change is missed.
        let watch = workshop.watch()?;
        Ok::<_, crate::workshop::WorkshopError>((workshop, watch))
    });
    let (workshop, watch) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return fail(FAILED, &chain(&error)),
        Err(_) => return fail(FAILED, "the search for crates panicked"),
    };
    let inspected = match settings.http.filter(|_| args.inspector).map(within_reach) {
        Some(address) if address.port() == 0 => return fail(USAGE, "--inspector needs an address with a port"),
        None if args.inspector => return fail(USAGE, "--inspector needs HTTP: leave --stdio out, or add --http"),
        address => address,
    };
    tracing::info!("building {}", workshop.names().collect::<Vec<_>>().join(", "));
    // However this ends, no cargo goes on without it.
    let _building = Building(workshop.running());
    let workshop = tokio::select! {
        built = build(workshop) => built,
        () = end_wanted() => return ExitCode::FAILURE,
    };
    let building = AbortOnDropHandle::new(tokio::spawn(build_again(workshop, watch)));
    let _inspector = inspected.and_then(Inspector::start);
    let file = args.config.clone();
    let (scratch_path, reread_args) = (scratch.path().to_owned(), args.clone());
    let reread = move || resolve(&reread_args, &scratch_path, &shelf).map(|settings| settings.supervisor);
    let configuration = Configuration::new(Arc::new(reread), file);
    let served = App::serve(settings, output.into_file(), configuration).await;
    drop(building);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &chain(&error)),
    }
}

/// What is served: the shelf, and nothing that outlives this.
fn resolve(args: &DevArgs, scratch: &Path, shelf: &Path) -> Result<Settings, String> {
    let environment = |name: &str| std::env::var(name).ok();
    let file = args.config.as_deref().map_or_else(|| Ok(File::default()), |path| config::read(path, &environment));
    let mut file = file.map_err(|error| chain(&error))?;
    // What the file says beats what nobody has said.
    let usual = (!args.stdio && file.http.address.is_none()).then_some(ADDRESS);
    file.state_dir = Some(scratch.join("state"));
    file.watch.settle = Some(config::Span(SETTLE));
    // What is built is what is to be seen.
    file.watch.enabled = Some(true);
    let overrides = Overrides {
        plugin_dirs: vec![shelf.to_owned()],
        stdio: args.stdio,
        http: args.http.or(usual),
        log_filter: Some(args.log.clone()),
        file: args.config.clone(),
    };
    Settings::resolve(file, overrides).map_err(|error| chain(&error))
}

/// Builds once, and says what came of it. Nothing comes back where that panics.
async fn build(mut workshop: Workshop) -> Option<Workshop> {
    let begin = Instant::now();
    let built = tokio::task::spawn_blocking(move || {
        let report = workshop.build();
        (workshop, report)
    });
    let Ok((workshop, report)) = built.await else {
        tracing::error!("the build panicked: nothing is built any more");
        return None;
    };
    let new: Vec<_> = report.built.iter().filter(|it| it.is_new).map(|it| it.name.as_str()).collect();
    if !new.is_empty() {
        tracing::info!("built {} in {:.1} s", new.join(", "), begin.elapsed().as_secs_f64());
    }
    if let Some(error) = report.failed {
        tracing::error!("{}: what was built last, if anything was, goes on being served", chain(&error));
    }
    Some(workshop)
}

/// Builds after each change.
async fn build_again(workshop: Option<Workshop>, mut watch: Watch) {
    let mut next = workshop;
    while let Some(mut workshop) = next {
        watch.changed().await;
        let refreshed = tokio::task::spawn_blocking(move || {
            let refreshed = workshop.refresh().and_then(|is_new| is_new.then(|| workshop.watch()).transpose());
            (workshop, refreshed)
        });
        let Ok((workshop, refreshed)) = refreshed.await else {
            return;
        };
        let anew = refreshed.unwrap_or_else(|error| {
            tracing::error!("{}", chain(&error));
            None
        });
        watch = anew.unwrap_or(watch);
        next = build(workshop).await;
    }
}

/// What ends the build that is under way when this is dropped.
struct Building(Running);

impl Drop for Building {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// An address that a program on this machine can connect to.
fn within_reach(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (std::net::Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

/// The MCP Inspector. It ends, with all that npx has started for it, when this is dropped.
struct Inspector(Child);

impl Inspector {
    /// Starts it on an address.
    fn start(address: SocketAddr) -> Option<Self> {
        let mut npx = Command::new(script("npx"));
        npx.args(["--yes", "@modelcontextprotocol/inspector", "--transport", "http", "--server-url"]);
        npx.arg(format!("http://{address}/mcp"));
        // What it prints is for people: its address, with its token. Standard output may be a client's.
        npx.stdin(std::process::Stdio::null()).stdout(std::io::stderr()).kill_on_drop(true);
        lead_group(&mut npx);
        npx.spawn()
            .inspect_err(|error| tracing::error!("the MCP Inspector cannot be started with npx: {error}"))
            .ok()
            .map(Self)
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        end_group(self.0.id(), Ending::Asked);
    }
}
