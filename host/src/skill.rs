//! Folders of skills that an operator names: offered like a plugin's, without one.
//!
//! In goes a folder, out come a manifest and a callee that reads its files; both were read into memory when the host
//! started, so that what is listed with its digest is what is read. That the registry is told of them, the root sees to.

use crate::call::{Call, Failure};
use crate::protocol::CacheRule;
use crate::registry::{Answer, Callee, Offer, Operation, Selection, TimeoutRule};
use mcp_plugin_api::Contents;
use mcp_plugin_api::manifest::{Manifest, SkillDefinition, SkillFile};
use mcp_plugin_skills::{SkillError, digest, mime_type, read_folder};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Files of skills, by their URI.
struct Files {
    name: Arc<str>,
    version: Arc<str>,
    files: HashMap<String, (&'static str, Vec<u8>)>,
}

/// The first part of the URIs.
const HOME: &str = "skills";

/// The name under which problems are told; no plugin can have it.
const NAME: &str = "skill folders";

/// What the folders offer, whose answers keep by `cache`, and what is wrong with those that are left out.
#[must_use]
pub fn offer(folders: &[PathBuf], cache: CacheRule) -> (Option<Offer>, Vec<SkillError>) {
    let mut files = HashMap::new();
    let mut skills = Vec::new();
    let mut problems = Vec::new();
    let read = folders.iter().flat_map(|folder| match read_folder(folder) {
        Ok(read) => read,
        Err(problem) => vec![Err(problem)],
    });
    for skill in read {
        let skill = match skill {
            Ok(skill) => skill,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let uri = format!("skill://{HOME}/{}", skill.name);
        let listed = skill.files.iter().map(|(path, bytes)| SkillFile {
            path: path.clone(),
            digest: digest(bytes),
            size: bytes.len() as u64,
            mime_type: mime_type(path).to_owned(),
        });
        let definition = SkillDefinition { uri: uri.clone(), frontmatter: skill.frontmatter, files: listed.collect() };
        skills.push(definition);
        for (path, bytes) in skill.files {
            let mime_type = mime_type(&path);
            files.entry(format!("{uri}/{path}")).or_insert((mime_type, bytes));
        }
    }
    let manifest = Manifest { skills, ..Manifest::default() };
    let offer = (!manifest.skills.is_empty()).then(|| Offer {
        withheld: Default::default(),
        callee: Arc::new(Files { name: NAME.into(), version: env!("CARGO_PKG_VERSION").into(), files }),
        manifest: Arc::new(manifest),
        selection: Selection { cache, ..Selection::default() },
        timeouts: TimeoutRule::default(),
    });
    (offer, problems)
}

impl Callee for Files {
    fn plugin(&self) -> &Arc<str> {
        &self.name
    }

    fn version(&self) -> &Arc<str> {
        &self.version
    }

    fn call(&self, _: Operation, name: &str, _: &[u8], _: &Arc<Call>) -> Answer {
        let Some((mime_type, bytes)) = self.files.get(name) else {
            return Answer::Ready(Err(Failure::NotFound(format!("no file '{name}'"))));
        };
        let contents = match std::str::from_utf8(bytes) {
            Ok(text) => Contents::text(text),
            Err(_) => Contents::bytes(bytes),
        };
        let result = json!({"contents": [contents.uri(name).mime_type(*mime_type)]});
        Answer::Ready(Ok(result.to_string().into_bytes()))
    }
}
