//! The host in the configuration of clients, from the command line.

use super::output::Output;
use crate::clients::{Change, Client, Os, Server, ServerName, System, apply, find};
use crate::config::default_path;
use crate::telemetry::chain;
use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What is done to clients.
#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Put the host into a client's configuration. A copy of what was there is kept beside it.
    Install {
        #[command(flatten)]
        which: Which,
        /// A folder of plugins for the host that the client starts; may be given more than once.
        #[arg(long, value_name = "DIR", conflicts_with = "http")]
        plugins_dir: Vec<PathBuf>,
        /// The configuration file of the host that the client starts.
        #[arg(long, value_name = "FILE", conflicts_with = "http")]
        config: Option<PathBuf>,
        /// Let the client use a host that runs already, at this address.
        #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "http://127.0.0.1:3000/mcp")]
        http: Option<String>,
    },
    /// Take the host out of a client's configuration.
    Remove {
        #[command(flatten)]
        which: Which,
    },
    /// List the clients that are known, and the servers in their configuration.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which client, and what of it.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The client.
    client: Client,
    /// The name of the host there.
    #[arg(long, default_value = "mcp-host")]
    name: String,
    /// The client's configuration file, where it is not in its usual place.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl ValueEnum for Client {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.word()).help(self.name()))
    }
}

/// Does what is said.
pub(super) fn client(command: ClientCommand, output: &mut Output) -> Result<(), String> {
    match command {
        ClientCommand::Install { which, plugins_dir, config, http } => {
            let name = ServerName::parse(&which.name).map_err(|error| error.to_string())?;
            let server = match http {
                Some(url) if url.starts_with("http://") || url.starts_with("https://") => Server::Http { url },
                Some(url) => return Err(format!("'{url}' is no address of a host: try http://127.0.0.1:3000/mcp")),
                None => started(&plugins_dir, config.as_deref())?,
            };
            change(&which, Change::Install(&name, &server), "is installed in", output)
        }
        ClientCommand::Remove { which } => {
            let name = ServerName::parse(&which.name).map_err(|error| error.to_string())?;
            change(&which, Change::Remove(&name), "is removed from", output)
        }
        ClientCommand::List { json } => list(json, output).map_err(|error| error.to_string()),
    }
}

/// A host that the client starts. Its paths are absolute: who knows where the client runs.
fn started(folders: &[PathBuf], config: Option<&Path>) -> Result<Server, String> {
    let absolute = |path: &Path| {
        // Not where links lead to: that is what changes when something is brought up to date.
        let whole = path.metadata().and_then(|_| std::path::absolute(path));
        let whole = whole.map_err(|error| format!("{}: {error}", path.display()))?;
        whole.to_str().map(str::to_owned).ok_or_else(|| format!("{}: clients take no such name", whole.display()))
    };
    if folders.is_empty() && config.is_none() && !default_path().is_some_and(|file| file.is_file()) {
        return Err("the client would start a host without plugins: name a folder of them with --plugins-dir, or a \
                    configuration with --config"
            .to_owned());
    }
    let program = own_program().map_err(|error| format!("this program's own file is not known: {error}"))?;
    let mut args = Vec::new();
    for folder in folders {
        args.extend(["--plugins-dir".to_owned(), absolute(folder)?]);
    }
    if let Some(config) = config {
        args.extend(["--config".to_owned(), absolute(config)?]);
    }
    Ok(Server::Stdio { command: absolute(&program)?, args })
}

/// This program as it was called: where it was found by a link, the link stays when what it leads to is replaced.
fn own_program() -> io::Result<PathBuf> {
    let real = std::env::current_exe()?;
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    let found = if called.components().count() > 1 {
        std::path::absolute(&called).into_iter().collect()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .filter(|folder| folder.is_absolute())
            .map(|it| it.join(&called))
            .collect::<Vec<_>>()
    };
    let is_own =
        |file: &PathBuf| file.canonicalize().is_ok_and(|file| real.canonicalize().is_ok_and(|real| file == real));
    Ok(found.into_iter().find(is_own).unwrap_or(real))
}

fn change(which: &Which, change: Change<'_>, done: &str, output: &mut Output) -> Result<(), String> {
    let Which { client, name, file, dry_run } = which;
    let file = match file {
        Some(file) => file.clone(),
        None => with_system(|system| system.file(*client))?,
    };
    let pending = apply(*client, &file, change).map_err(|error| chain(&error))?;
    let told = |text: &str, output: &mut Output| output.line(text).map_err(|error| error.to_string());
    if !pending.is_change() {
        return told(&format!("nothing to change in {}", pending.file.display()), output);
    }
    if *dry_run {
        return output.raw(pending.difference().as_bytes()).map_err(|error| error.to_string());
    }
    let copy = pending.make().map_err(|error| chain(&error))?;
    told(&format!("'{name}' {done} {}: {}", client.name(), pending.file.display()), output)?;
    if let Some(copy) = copy {
        told(&format!("what was there before: {}", copy.display()), output)?;
    }
    told(&format!("next: {}", client.takes_effect()), output)?;
    if let Some(objection) = &pending.objection {
        let _ = writeln!(io::stderr(), "mcp-host: {objection}");
    }
    Ok(())
}

fn list(as_json: bool, output: &mut Output) -> io::Result<()> {
    let all = with_system(|system| Client::ALL.map(|client| (client, system.file(client), system.has(client))));
    let mut told: Vec<Value> = Vec::new();
    for (client, file, is_here) in all.map_err(io::Error::other)? {
        let found = match fs::read_to_string(&file) {
            Ok(text) => find(client, &text).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        };
        let (names, problem) = match found {
            Ok(found) => (found.into_iter().map(|found| found.name).collect::<Vec<_>>(), None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        told.push(json!({
            "client": client.word(),
            "name": client.name(),
            "file": file,
            "present": is_here,
            "servers": names,
            "problem": problem,
        }));
    }
    if as_json {
        return output.json(&Value::Array(told));
    }
    for it in &told {
        let names = it["servers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
        let state = match (it["problem"].as_str(), it["present"] == true) {
            (Some(problem), _) => problem.to_owned(),
            (None, false) => "not found".to_owned(),
            (None, true) if names.is_empty() => "no servers".to_owned(),
            (None, true) => names.join(", "),
        };
        let word = |key: &str| it[key].as_str().unwrap_or_default();
        output.line(&format!("{:<15} {state}", word("client")))?;
        if it["present"] == true {
            output.line(&format!("{:<15} {}", "", word("file")))?;
        }
    }
    Ok(())
}

/// Something of this system.
fn with_system<T>(body: impl FnOnce(&System<'_>) -> T) -> Result<T, String> {
    let folders = directories::BaseDirs::new().ok_or("this system has no folder for its user")?;
    let os = match std::env::consts::OS {
        "macos" => Os::MacOs,
        "windows" => Os::Windows,
        _ => Os::Linux,
    };
    let variable = |name: &str| std::env::var(name).ok();
    Ok(body(&System { os, home: folders.home_dir().to_owned(), variable: &variable }))
}
