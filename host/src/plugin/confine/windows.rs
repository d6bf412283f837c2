//! Confinement on Windows: what the job object of a worker bounds. Its host has put it into that before it was told anything.
//!
//! Paths, ports and handles have no bound there that a process could take on by itself; so they are told as not enforced, and
//! the policy decides.

use super::{ConfineError, Enforcement, Grants, Network};
use std::path::Path;

pub const UNENFORCEABLE: &[&str] = &["filesystem", "network", "files", "subprocesses by name"];

pub(super) fn enforce(
    grants: &Grants,
    _library: &Path,
    judge: impl FnOnce(&[Enforcement]) -> Result<(), ConfineError>,
) -> Result<Vec<Enforcement>, ConfineError> {
    let enforced = what_holds(grants);
    judge(&enforced)?;
    Ok(enforced)
}

fn what_holds(grants: &Grants) -> Vec<Enforcement> {
    let told =
        |what: &str, by: &str, is_enforced| Enforcement { what: what.to_owned(), by: by.to_owned(), is_enforced };
    let by_job = |what: &str| told(what, "job object", true);
    let by_nothing = |what: &str| told(what, "Windows has no way", false);
    let mut all = Vec::new();
    all.extend(grants.memory.map(|_| by_job("memory")));
    all.extend(grants.cpu_time.map(|_| by_job("cpu_time")));
    all.extend(grants.files.map(|_| by_nothing("files")));
    all.push(by_nothing("filesystem"));
    all.push(match grants.network {
        Network::On => told("network", "all of it is granted", true),
        Network::Off | Network::Ports { .. } => by_nothing("network"),
    });
    all.push(if grants.subprocesses.is_empty() { by_job("subprocesses") } else { by_nothing("subprocesses") });
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_cannot_bound_is_told() {
        let told = |grants: &Grants| -> Vec<(String, bool)> {
            what_holds(grants).into_iter().map(|it| (it.what, it.is_enforced)).collect()
        };
        let expected = [("filesystem", false), ("network", false), ("subprocesses", true)];
        assert_eq!(told(&Grants::default()), expected.map(|(what, holds)| (what.to_owned(), holds)));
        let grants = Grants {
            memory: Some(1),
            files: Some(1),
            network: Network::On,
            subprocesses: vec!["C:/x.exe".into()],
            ..Grants::default()
        };
        let expected =
            [("memory", true), ("files", false), ("filesystem", false), ("network", true), ("subprocesses", false)];
        assert_eq!(told(&grants), expected.map(|(what, holds)| (what.to_owned(), holds)));
    }
}
