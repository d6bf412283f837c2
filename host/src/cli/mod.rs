//! The command line: words in, an exit code out. What is done is done elsewhere.

mod call;
mod output;
mod show;

use crate::app::App;
use crate::config::{self, ConfigError, File, Overrides, Settings};
use crate::telemetry;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use output::Output;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

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
        /// Its arguments, a JSON object.
        #[arg(default_value = "{}")]
        arguments: String,
        #[command(flatten)]
        show: ShowArgs,
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

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Before anything foreign is loaded: what plugins print must not get between messages.
    let stdout = match crate::rt::take_stdout() {
        Ok(stdout) => stdout,
        Err(error) => return fail(FAILED, &format!("standard output cannot be taken: {error}")),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(FAILED, &format!("the runtime cannot start: {error}")),
    };
    let code = runtime.block_on(run(cli, Output::new(stdout)));
    // Threads of deaf plugins are not waited for.
    runtime.shutdown_background();
    code
}

async fn run(cli: Cli, mut output: Output) -> ExitCode {
    match cli.command {
        None => serve(cli.serve, output).await,
        Some(Command::Serve(args)) => serve(args, output).await,
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
            Ok(metadata) => printed(show::metadata(&metadata, json, &mut output)),
            Err(error) => fail(FAILED, &format!("{}: {}", file.display(), telemetry::chain(&error))),
        },
        Some(Command::Config { command: ConfigCommand::Schema }) => printed(output.json(&config::schema())),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mcp-host", &mut script);
            printed(output.raw(&script))
        }
    }
}

async fn serve(args: ServeArgs, output: Output) -> ExitCode {
    let settings = match settings(args.source, args.stdio, args.http) {
        Ok(settings) => settings,
        Err(error) => return fail(USAGE, &telemetry::chain(&error)),
    };
    if let Err(error) = telemetry::start(&settings.log_filter, settings.log_format) {
        return fail(USAGE, &telemetry::chain(&error));
    }
    match App::load(settings).await.serve(output.into_file()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(FAILED, &telemetry::chain(&error)),
    }
}

/// Loads the plugins for a command that shows something.
async fn load(source: SourceArgs, quiet: &str) -> Result<App, ExitCode> {
    let filter = source.log.clone().unwrap_or_else(|| quiet.to_owned());
    let settings = settings(source, true, None).map_err(|error| fail(USAGE, &telemetry::chain(&error)))?;
    telemetry::start(&filter, settings.log_format).map_err(|error| fail(USAGE, &telemetry::chain(&error)))?;
    Ok(App::load(settings).await)
}

fn settings(source: SourceArgs, stdio: bool, http: Option<SocketAddr>) -> Result<Settings, ConfigError> {
    let environment = |name: &str| std::env::var(name).ok();
    let default = || config::default_path().filter(|path| path.is_file());
    let file = match source.config.or_else(default) {
        Some(path) => config::read(&path, &environment)?,
        None => File::default(),
    };
    let overrides = Overrides { plugin_dirs: source.plugins_dir, stdio, http, log_filter: source.log };
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
    ExitCode::from(code)
}
