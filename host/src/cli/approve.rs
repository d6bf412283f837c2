//! Definitions of tools, approved from the command line.

use super::output::Output;
use crate::app::App;
use crate::plugin::DefinitionLock;
use crate::registry::Callee as _;
use crate::telemetry::chain;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Whether somebody has agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// They have.
    Given,
    /// They are asked, on a terminal.
    Asked,
}

/// The definitions of all tools as they are now.
fn now(app: &App) -> DefinitionLock {
    let instances = app.supervisor.instances();
    let manifests: Vec<_> = instances.iter().map(|instance| (instance.plugin(), instance.manifest())).collect();
    DefinitionLock::of(manifests.iter().map(|(plugin, manifest)| (&***plugin, &**manifest)))
}

/// Writes down the definitions of all tools. What was approved of plugins that are not loaded stays.
pub(super) fn lock(app: &App, output: &mut Output) -> Result<(), String> {
    let path = &app.settings.supervisor.lock;
    let mut lock = DefinitionLock::read(path).map_err(|error| chain(&error))?;
    let now = now(app);
    for plugin in lock.beyond(&now) {
        let _ = writeln!(io::stderr(), "kept as it was, because it is not loaded: {plugin}");
    }
    lock.approve(&now, |_| true);
    lock.write(path).map_err(|error| chain(&error))?;
    output.line(&path.display().to_string()).map_err(|error| error.to_string())
}

/// Shows what differs, and approves it.
pub(super) fn approve(app: &App, plugin: Option<&str>, consent: Consent, output: &mut Output) -> Result<(), String> {
    let path = &app.settings.supervisor.lock;
    let is_meant = |name: &str| plugin.is_none_or(|plugin| plugin == name);
    let instances = app.supervisor.instances();
    if let Some(plugin) = plugin.filter(|_| !instances.iter().any(|it| is_meant(it.plugin()))) {
        return Err(format!("no plugin '{plugin}' is loaded"));
    }
    let mut approved = DefinitionLock::read(path).map_err(|error| chain(&error))?;
    let now = now(app);
    let difference = approved.difference(&now, is_meant);
    if difference.is_empty() {
        return output.line("nothing to approve").map_err(|error| error.to_string());
    }
    output.raw(difference.as_bytes()).map_err(|error| error.to_string())?;
    if consent == Consent::Asked && !ask()? {
        return Err("nothing was approved".to_owned());
    }
    approved.approve(&now, is_meant);
    approved.write(path).map_err(|error| chain(&error))?;
    output.line("approved").map_err(|error| error.to_string())
}

/// Asks on the terminal.
fn ask() -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err("nothing was approved: there is no terminal to ask on, add --yes".to_owned());
    }
    let _ = write!(io::stderr(), "approve this? [y/N] ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
