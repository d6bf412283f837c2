//! A new plugin's crate, from the command line.

use super::output::Output;
use crate::scaffold::{ApiSource, Blueprint, PackageName, Template};
use crate::telemetry::chain;
use clap::{Args, ValueEnum, builder::PossibleValue};
use std::path::PathBuf;

/// What a new crate is to be.
#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The new folder; its last part is the plugin's name.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// What is in it at first.
    #[arg(long, default_value = "tool")]
    template: Template,
    /// The plugin's name, where it is not the folder's.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Take mcp-plugin-api from a folder with its sources.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["git", "registry"])]
    path: Option<PathBuf>,
    /// Take mcp-plugin-api from a repository.
    #[arg(long, value_name = "URL", default_value = env!("CARGO_PKG_REPOSITORY"))]
    git: String,
    /// The branch of that repository.
    #[arg(long, conflicts_with_all = ["tag", "rev", "path", "registry"])]
    branch: Option<String>,
    /// The tag of that repository.
    #[arg(long, conflicts_with_all = ["rev", "path", "registry"])]
    tag: Option<String>,
    /// The revision of that repository.
    #[arg(long, conflicts_with_all = ["path", "registry"])]
    rev: Option<String>,
    /// Take mcp-plugin-api from the registry.
    #[arg(long, conflicts_with = "git")]
    registry: bool,
}

impl ValueEnum for Template {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.word()))
    }
}

/// Writes the crate, and says what to do next.
pub(super) fn new(args: NewArgs, output: &mut Output) -> Result<(), String> {
    let NewArgs { folder, template, name, path, git, branch, tag, rev, registry } = args;
    let api = match path {
        Some(path) => ApiSource::Path(path),
        None if registry => ApiSource::Registry,
        None => {
            let at = [("branch", branch), ("tag", tag), ("rev", rev)];
            ApiSource::Git { url: git, at: at.into_iter().find_map(|(key, value)| Some((key, value?))) }
        }
    };
    // `.` has a name too.
    let whole = std::path::absolute(&folder).unwrap_or_else(|_| folder.clone());
    let own = || whole.components().next_back().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let name = name.or_else(own).unwrap_or_default();
    let name = PackageName::parse(&name).map_err(|error| chain(&error))?;
    let blueprint = Blueprint { folder, name, template, api };
    let written = blueprint.build().map_err(|error| chain(&error))?;
    let Blueprint { folder, name, .. } = blueprint;
    let mut told = vec![format!("created plugin '{name}' in {}", folder.display())];
    told.extend(written.iter().map(|file| format!("  {file}")));
    told.push(format!("next: cd {}", folder.display()));
    told.push("  cargo test      test it".to_owned());
    told.push("  mcp-host dev    serve it, and again with every change".to_owned());
    output.line(&told.join("\n")).map_err(|error| error.to_string())
}
