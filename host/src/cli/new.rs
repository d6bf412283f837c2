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
    /// Take mcp-plugin-api from a folder with its sources, not from the registry.
    #[arg(long, value_name = "DIR", conflicts_with = "git")]
    path: Option<PathBuf>,
    /// Take mcp-plugin-api from a repository, not from the registry.
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// The branch of that repository.
    #[arg(long, requires = "git", conflicts_with_all = ["tag", "rev"])]
    branch: Option<String>,
    /// The tag of that repository.
    #[arg(long, requires = "git", conflicts_with = "rev")]
    tag: Option<String>,
    /// The revision of that repository.
    #[arg(long, requires = "git")]
    rev: Option<String>,
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
    let NewArgs { folder, template, name, path, git, branch, tag, rev } = args;
    let api = match (path, git) {
        (Some(path), _) => ApiSource::Path(path),
        (None, Some(url)) => {
            let at = [("branch", branch), ("tag", tag), ("rev", rev)];
            ApiSource::Git { url, at: at.into_iter().find_map(|(key, value)| Some((key, value?))) }
        }
        (None, None) => ApiSource::Registry,
    };
    let name = name.unwrap_or_else(|| folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
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
