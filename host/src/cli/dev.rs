//! Plugins served while they are written.

use super::output::Output;
use super::{FAILED, USAGE, fail};
use crate::app::{App, Configuration};
use crate::config::{self, File, Overrides, Settings};
use crate::telemetry::{self, chain};
use crate::workshop::{Profile, Watch, Workshop};
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;

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
    if !args.stdio {
        args.http = args.http.or(Some(ADDRESS));
    }
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
        Ok::<_, crate::workshop::WorkshopError>((Arc::new(workshop), watch))
    });
    let (workshop, watch) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return fail(FAILED, &chain(&error)),
        Err(_) => return fail(FAILED, "the search for crates panicked"),
    };
    tracing::info!("building {}", workshop.names().collect::<Vec<_>>().join(", "));
    build(&workshop).await;
    let building = tokio::spawn(build_again(workshop, watch));
    let _inspector = settings.http.filter(|_| args.inspector).and_then(inspector);
    let file = args.config.clone();
    let (scratch_path, reread_args) = (scratch.path().to_owned(), args.clone());
    let reread = move || resolve(&reread_args, &scratch_path, &shelf).map(|settings| settings.supervisor);
    let configuration = Configuration::new(Arc::new(reread), file);
    let served = App::serve(settings, output.into_file(), configuration).await;
    building.abort();
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
    file.state_dir = Some(scratch.join("state"));
    file.watch.settle = Some(config::Span(SETTLE));
    let overrides = Overrides {
        plugin_dirs: vec![shelf.to_owned()],
        stdio: args.stdio,
        http: args.http,
        log_filter: Some(args.log.clone()),
        file: args.config.clone(),
    };
    Settings::resolve(file, overrides).map_err(|error| chain(&error))
}

/// Builds once, and says what came of it.
async fn build(workshop: &Arc<Workshop>) {
    let (builder, begin) = (Arc::clone(workshop), Instant::now());
    let built = tokio::task::spawn_blocking(move || builder.build()).await;
    match built {
        Ok(Ok(built)) => {
            let new: Vec<_> = built.iter().filter(|it| it.is_new).map(|it| it.name.as_str()).collect();
            if !new.is_empty() {
                tracing::info!("built {} in {:.1} s", new.join(", "), begin.elapsed().as_secs_f64());
            }
        }
        Ok(Err(error)) => tracing::error!("{}: what was built last goes on being served", chain(&error)),
        Err(_) => tracing::error!("the build panicked: what was built last goes on being served"),
    }
}

/// Builds after each change.
async fn build_again(workshop: Arc<Workshop>, mut watch: Watch) {
    loop {
        watch.changed().await;
        build(&workshop).await;
    }
}

/// Starts the MCP Inspector on an address. It ends with the host.
fn inspector(address: SocketAddr) -> Option<Child> {
    let mut npx = Command::new(if cfg!(windows) { "npx.cmd" } else { "npx" });
    npx.args(["--yes", "@modelcontextprotocol/inspector", "--transport", "http", "--server-url"]);
    npx.arg(format!("http://{address}/mcp"));
    // What it prints is for people: its address, with its token.
    npx.stdin(std::process::Stdio::null()).stdout(std::io::stderr()).kill_on_drop(true);
    npx.spawn().inspect_err(|error| tracing::error!("the MCP Inspector cannot be started with npx: {error}")).ok()
}
