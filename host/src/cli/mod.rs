//! The command line: words in, an exit code out. What is done is done elsewhere.

mod approve;
mod arguments;
mod call;
mod client;
mod dev;
mod new;
mod output;
mod service;
mod show;
mod trust;

use crate::app::{App, Configuration};
use crate::config::{self, ConfigError, File, Overrides, Settings};
use crate::plugin::{WORKER_COMMAND, run_inside};
use crate::telemetry;
use approve::Consent;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use output::Output;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Turns a folder of native plugins into an MCP server.
#[derive(Debug, Parser)]
#[command(name = "mcp-host", version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the plugins (the default).
    Serve(ServeArgs),
    /// Start a plugin: a crate that builds, with tests.
    New(new::NewArgs),
    /// Build the plugins in folders of crates and serve them, again with every change.
    Dev(dev::DevArgs),
    /// Load the plugins and list what they offer.
    List(ShowArgs),
    /// Say what a plugin's file says of itself. Nothing of it is run.
    Inspect {
        /// The file.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the configuration and load the plugins; fails when anything is wrong.
    Check(ShowArgs),
    /// Call a tool and print its result.
    Call {
        /// The tool.
        tool: String,
        /// Its arguments: key=value of the types that its schema says (a key again makes a list), key:=JSON; or one JSON
        /// object, @FILE with one, or - for one on standard input.
        arguments: Vec<String>,
        #[command(flatten)]
        show: ShowArgs,
    },
    /// Put the host into the configuration of MCP clients, and take it out.
    Client {
        #[command(subcommand)]
        command: client::ClientCommand,
    },
    /// Work with what the host knows of plugins from one start to the next.
    Plugins {
        #[command(subcommand)]
        command: PluginsCommand,
    },
    /// Make a pair of keys: NAME.key, to be kept secret, and NAME.pub, for those who trust what is signed with it. With
    /// MCP_HOST_KEY_PASSWORD set, the secret one is sealed.
    Keygen {
        /// The files' name, without an ending.
        name: PathBuf,
    },
    /// Sign a plugin's file: writes FILE.minisig. MCP_HOST_KEY_PASSWORD opens a sealed key.
    Sign {
        /// The file.
        file: PathBuf,
        /// The secret key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Check that FILE.minisig is a signature of this file with this key.
    Verify {
        /// The file.
        file: PathBuf,
        /// The public key: a .pub file, or its second line.
        #[arg(long, value_name = "KEY")]
        key: String,
    },
    /// Write down the definitions of all tools as they are now, as approved.
    Lock(SourceArgs),
    /// Show how the definitions of tools differ from those that are approved, and approve them.
    Approve {
        /// The plugin; all without it.
        plugin: Option<String>,
        /// Approve without being asked.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Work with the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum PluginsCommand {
    /// Forget the verdicts on a plugin's files, quarantine among them: they are tried again.
    Clear {
        /// The plugin.
        name: String,
        #[command(flatten)]
        source: SourceArgs,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of the configuration.
    Schema,
}

/// Where plugins and configuration are.
#[derive(Debug, Clone, Args)]
struct SourceArgs {
    /// A folder of plugins; may be given more than once. Everything in it is enabled.
    #[arg(long, value_name = "DIR")]
    plugins_dir: Vec<PathBuf>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "MCP_HOST_CONFIG")]
    config: Option<PathBuf>,
    /// The log filter, such as `debug` or `mcp_host=debug,plugin=trace`.
    #[arg(long, value_name = "FILTER", env = "MCP_HOST_LOG")]
    log: Option<String>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Serve a client over standard input and output (the default without --http).
    #[arg(long)]
    stdio: bool,
    /// Serve HTTP at this address, such as 127.0.0.1:3000.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Serve as a service that Windows has started: its stop lets calls finish, as Ctrl-C does elsewhere.
    #[arg(long, conflicts_with = "stdio")]
    service: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code of wrong words on the command line or in the configuration.
const USAGE: u8 = 2;
/// Exit code of everything else that went wrong.
const FAILED: u8 = 1;

/// The words of the command line, for what describes them.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything else: a worker has its own words, and starts for every plugin.
    if std::env::args_os().nth(1).is_some_and(|word| word == WORKER_COMMAND) {
        return run_inside();
    }
    let cli = Cli::parse();
    let service = match &cli {
        Cli { serve: args, command: None } | Cli { command: Some(Command::Serve(args)), .. } => Some(args),
        _ => None,
    };
    let service = service.filter(|args| args.service);
    if service.is_some() {
        service::begin();
    }
    // Before anything foreign is loaded: what plugins print must not get between messages.
    let stdout = match crate::rt::take_stdout() {
        Ok(stdout) => stdout,
        Err(error) => return fail(FAILED, &format!("standard output cannot be taken: {error}")),
    };
    crate::plugin::keep_standard_from_children();
    let output = Output::new(stdout);
    let Some(args) = service else {
        return run_to_the_end(cli, output);
    };
    let end_may_take = end_of_service(args);
    run_as_service(cli, end_may_take, output)
}

/// How long the end of a service may take, or why it cannot be one.
fn end_of_service(args: &ServeArgs) -> Result<Duration, String> {
    match read_settings(&args.source, false, args.http) {
        Ok(settings) if settings.stdio => Err("a service has no standard input: it needs --http".to_owned()),
        Ok(settings) => Ok(settings.drain_timeout + STOP_MAY_TAKE),
        Err(error) => Err(telemetry::chain(&error)),
    }
}

/// Serves as a service. Where it cannot be one, Windows hears of its end, and the operator why.
fn run_as_service(cli: Cli, end_may_take: Result<Duration, String>, output: Output) -> ExitCode {
    let (end_may_take, problem) = match end_may_take {
        Ok(end_may_take) => (end_may_take, None),
        Err(problem) => (Duration::ZERO, Some(problem)),
    };
    let told = problem.clone();
    let serve = move || match told {
        // What comes after Windows has heard of the end may not come at all.
        Some(problem) => fail(USAGE, &problem) == ExitCode::SUCCESS,
        None => run_to_the_end(cli, output) == ExitCode::SUCCESS,
    };
    match (service::run(end_may_take, serve), problem) {
        (Ok(()), Some(_)) => ExitCode::from(USAGE),
        (Err(_), Some(problem)) => fail(USAGE, &problem),
        (served, None) => done(served),
    }
}

/// Beyond what calls may take to finish: plugins that stop, and what was said last.
const STOP_MAY_TAKE: Duration = Duration::from_secs(5);

fn run_to_the_end(cli: Cli, output: Output) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &format!("the runtime cannot start: {error}")),
    };
    let code = runtime.block_on(run(cli, output));
    // Threads of deaf plugins are not waited for.
    runtime.shutdown_background();
    code
}

async fn run(cli: Cli, mut output: Output) -> ExitCode {
    match cli.command {
        None => serve(cli.serve, output).await,
        Some(Command::Serve(args)) => serve(args, output).await,
        Some(Command::New(args)) => done(new::new(args, &mut output)),
        Some(Command::Client { command }) => done(client::client(command, &mut output)),
        Some(Command::Dev(args)) => dev::dev(args, output).await,
        Some(Command::List(args)) => match load(args.source, "warn").await {
            Ok(app) => {
                let shown = show::list(&app, args.json, &mut output);
                end(app, shown, ExitCode::SUCCESS).await
            }
            Err(code) => code,
        },
        Some(Command::Check(args)) => match load(args.source, "off").await {
            Ok(app) => {
                let (shown, healthy) = show::check(&app, args.json, &mut output);
                end(app, shown, if healthy { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }).await
            }
            Err(code) => code,
        },
        Some(Command::Call { tool, arguments, show }) => match load(show.source, "warn").await {
            Ok(app) => match call::call(&app, &tool, &arguments).await {
                Ok(result) => {
                    let failed = result["isError"] == true;
                    let shown = show::result(&result, show.json, &mut output);
                    end(app, shown, if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }).await
                }
                Err(message) => {
                    let code = fail(FAILED, &message);
                    end(app, Ok(()), code).await
                }
            },
            Err(code) => code,
        },
        Some(Command::Inspect { file, json }) => match crate::plugin::inspect_file(&file) {
            Ok((metadata, digest)) => printed(show::metadata(&metadata, digest, json, &mut output)),
            Err(error) => fail(FAILED, &format!("{}: {}", file.display(), telemetry::chain(&error))),
        },
        Some(Command::Plugins { command: PluginsCommand::Clear { name, source } }) => {
            done(trust::clear(&name, &source, &mut output))
        }
        Some(Command::Keygen { name }) => done(trust::keygen(&name, &mut output)),
        Some(Command::Sign { file, key }) => done(trust::sign(&file, &key, &mut output)),
        Some(Command::Verify { file, key }) => done(trust::verify(&file, &key, &mut output)),
        Some(Command::Lock(source)) => match load(source, "off").await {
            Ok(app) => {
                let code = done(approve::lock(&app, &mut output));
                end(app, Ok(()), code).await
            }
            Err(code) => code,
        },
        Some(Command::Approve { plugin, yes, source }) => match load(source, "off").await {
            Ok(app) => {
                let consent = if yes { Consent::Given } else { Consent::Asked };
                let code = done(approve::approve(&app, plugin.as_deref(), consent, &mut output));
                end(app, Ok(()), code).await
            }
            Err(code) => code,
        },
        Some(Command::Config { command: ConfigCommand::Schema }) => printed(output.json(&config::schema())),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "mcp-host", &mut script);
            printed(output.raw(&script))
        }
    }
}

async fn serve(args: ServeArgs, output: Output) -> ExitCode {
    let ServeArgs { source, stdio, http, service: _ } = args;
    let settings = match read_settings(&source, stdio, http) {
        Ok(settings) => settings,
        Err(error) => return fail(USAGE, &telemetry::chain(&error)),
    };
    if let Err(error) = telemetry::start(&settings.log_filter, settings.log_format, settings.log_file.as_deref()) {
        return fail(USAGE, &telemetry::chain(&error));
    }
    let file = source.file();
    let reread = move || {
        read_settings(&source, stdio, http)
            .map(|settings| settings.supervisor)
            .map_err(|error| telemetry::chain(&error))
    };
    let configuration = Configuration::new(Arc::new(reread), file);
    let has_log_file = settings.log_file.is_some();
    match App::serve(settings, output.into_file(), configuration).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why = telemetry::chain(&error);
            if has_log_file {
                tracing::error!("{why}");
            }
            fail(FAILED, &why)
        }
    }
}

/// Loads the plugins for a command that shows something.
async fn load(source: SourceArgs, quiet: &str) -> Result<App, ExitCode> {
    let filter = source.log.clone().unwrap_or_else(|| quiet.to_owned());
    let settings = read_settings(&source, true, None).map_err(|error| fail(USAGE, &telemetry::chain(&error)))?;
    telemetry::start(&filter, settings.log_format, None).map_err(|error| fail(USAGE, &telemetry::chain(&error)))?;
    Ok(App::load(settings).await)
}

impl SourceArgs {
    /// The configuration file that is read, if any.
    fn file(&self) -> Option<PathBuf> {
        let file = self.config.clone().or_else(|| config::default_path().filter(|path| path.is_file()))?;
        // Absolute, because that is how the system tells of its changes.
        Some(std::path::absolute(&file).unwrap_or(file))
    }
}

fn read_settings(source: &SourceArgs, stdio: bool, http: Option<SocketAddr>) -> Result<Settings, ConfigError> {
    let environment = |name: &str| std::env::var(name).ok();
    let path = source.file();
    let file = path.as_deref().map_or_else(|| Ok(File::default()), |path| config::read(path, &environment))?;
    let overrides =
        Overrides { plugin_dirs: source.plugins_dir.clone(), stdio, http, log_filter: source.log.clone(), file: path };
    Settings::resolve(file, overrides)
}

async fn end(app: App, shown: std::io::Result<()>, code: ExitCode) -> ExitCode {
    app.drain.begin();
    app.supervisor.stop_all(std::time::Duration::from_secs(2)).await;
    match shown {
        Ok(()) => code,
        Err(_) => printed(shown),
    }
}

/// The exit code of a command that says itself what it did.
fn done(result: Result<(), String>) -> ExitCode {
    result.map_or_else(|message| fail(FAILED, &message), |()| ExitCode::SUCCESS)
}

fn printed(shown: std::io::Result<()>) -> ExitCode {
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &format!("standard output cannot be written: {error}")),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "mcp-host: {message}");
    service::report(message);
    ExitCode::from(code)
}
