//! Reads folders of Agent Skills (SEP-2640): a skill is a folder with a `SKILL.md`, whose YAML head says what it is for.
//!
//! In goes a path, out come skills with all their files in memory, checked against the rules that clients hold them to.
//! The macros read skills at compile time, a host reads them when it starts; so the rules stand here once.

#![warn(missing_docs)]

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The file that makes a folder a skill.
pub const SKILL_FILE: &str = "SKILL.md";
/// Files of one skill, at most.
pub const MAX_FILES: usize = 512;
/// Bytes of one skill, at most.
pub const MAX_BYTES: usize = 16 << 20;

/// A skill: its name, what its head says, and its files.
#[derive(Debug, Clone, PartialEq)]
pub struct Skill {
    /// The last part of its URI; the head says the same.
    pub name: String,
    /// The fields of the head; `name` and `description` are among them.
    pub frontmatter: Map<String, Value>,
    /// All files by their path below the folder, with `/` between folders.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why a folder is no skill.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", .path.display())]
pub struct SkillError {
    /// Where.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

impl SkillError {
    fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into() }
    }

    fn io(path: &Path, error: &io::Error) -> Self {
        Self::new(path, format!("it cannot be read: {error}"))
    }
}

/// Reads the skills of a folder: of the folder itself if it has a `SKILL.md`, or else of each folder in it that has one. In
/// the order of their names. One that is broken hides no other.
///
/// # Errors
/// When the folder cannot be read, or has no skill at all.
pub fn read_folder(folder: &Path) -> Result<Vec<Result<Skill, SkillError>>, SkillError> {
    if folder.join(SKILL_FILE).is_file() {
        return Ok(vec![read_skill(folder)]);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| SkillError::io(folder, &error))? {
        let path = entry.map_err(|error| SkillError::io(folder, &error))?.path();
        if path.join(SKILL_FILE).is_file() {
            folders.push(path);
        }
    }
    if folders.is_empty() {
        return Err(SkillError::new(folder, format!("there is no folder with a {SKILL_FILE} in it")));
    }
    folders.sort();
    Ok(folders.iter().map(|path| read_skill(path)).collect())
}

/// Reads one skill.
///
/// # Errors
/// What is wrong, and where.
pub fn read_skill(folder: &Path) -> Result<Skill, SkillError> {
    let mut files = BTreeMap::new();
    let mut bytes = 0;
    collect(folder, folder, &mut files, &mut bytes)?;
    let head = folder.join(SKILL_FILE);
    let text = files.get(SKILL_FILE).ok_or_else(|| SkillError::new(&head, "it does not exist"))?;
    let text = std::str::from_utf8(text).map_err(|_| SkillError::new(&head, "it is not UTF-8"))?;
    let frontmatter = frontmatter(text).map_err(|reason| SkillError::new(&head, reason))?;
    let field = |key: &str| frontmatter.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    let name = field("name").ok_or_else(|| SkillError::new(&head, "its head needs a 'name'"))?;
    field("description").ok_or_else(|| SkillError::new(&head, "its head needs a 'description'"))?;
    if !is_name(name) {
        let reason = format!("'{name}' is no name: use 1 to 64 of a-z, 0-9 and single '-' between them");
        return Err(SkillError::new(&head, reason));
    }
    if folder.file_name().is_none_or(|folder| folder != name) {
        return Err(SkillError::new(
            &head,
            format!("its head says the name '{name}', so its folder must have that name"),
        ));
    }
    let reserved = |key: &String| key.starts_with("io.modelcontextprotocol/");
    if frontmatter.get("metadata").and_then(Value::as_object).is_some_and(|metadata| metadata.keys().any(reserved)) {
        return Err(SkillError::new(&head, "'metadata' must not have keys under 'io.modelcontextprotocol/'"));
    }
    Ok(Skill { name: name.to_owned(), frontmatter, files })
}

fn collect(
    root: &Path,
    folder: &Path,
    files: &mut BTreeMap<String, Vec<u8>>,
    bytes: &mut usize,
) -> Result<(), SkillError> {
    for entry in fs::read_dir(folder).map_err(|error| SkillError::io(folder, &error))? {
        let entry = entry.map_err(|error| SkillError::io(folder, &error))?;
        let path = entry.path();
        // Of the entry itself: a link could lead out of the folder, or in a circle.
        let kind = entry.file_type().map_err(|error| SkillError::io(&path, &error))?;
        if kind.is_symlink() {
            return Err(SkillError::new(&path, "links are not followed"));
        }
        if kind.is_dir() {
            collect(root, &path, files, bytes)?;
            continue;
        }
        if !kind.is_file() {
            return Err(SkillError::new(&path, "it is no file"));
        }
        let size = entry.metadata().map_err(|error| SkillError::io(&path, &error))?.len();
        *bytes = bytes.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        if files.len() >= MAX_FILES || *bytes > MAX_BYTES {
            return Err(SkillError::new(root, format!("a skill has at most {MAX_FILES} files and {MAX_BYTES} bytes")));
        }
        let content = fs::read(&path).map_err(|error| SkillError::io(&path, &error))?;
        let inside = path.strip_prefix(root).unwrap_or(&path);
        let parts: Option<Vec<&str>> =
            inside.iter().map(|part| part.to_str().filter(|part| is_path_part(part))).collect();
        let Some(parts) = parts else {
            return Err(SkillError::new(&path, "a file's name may have A-Z, a-z, 0-9, '.', '_' and '-' only"));
        };
        files.insert(parts.join("/"), content);
    }
    Ok(())
}

/// Names that stand in a URI as they are.
fn is_path_part(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// The YAML between the first two lines of `---`.
fn frontmatter(text: &str) -> Result<Map<String, Value>, String> {
    const FORM: &str = "it must begin with a head in YAML between two lines of '---'";
    let rest = text.strip_prefix("---").and_then(|rest| rest.strip_prefix('\n').or_else(|| rest.strip_prefix("\r\n")));
    let rest = rest.ok_or(FORM)?;
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return serde_saphyr::from_str(&rest[..end]).map_err(|error| format!("its head is no YAML map: {error}"));
        }
        end += line.len();
    }
    Err(FORM.to_owned())
}

/// The digest of a file, as clients compare it: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let mut digest = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

/// The media type of a file, by its name.
#[must_use]
pub fn mime_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("md") => "text/markdown",
        Some("txt") => "text/plain",
        Some("json") => "application/json",
        Some("yaml" | "yml") => "application/yaml",
        Some("html" | "htm") => "text/html",
        Some("css") => "text/css",
        Some("csv") => "text/csv",
        Some("xml") => "application/xml",
        Some("js" | "mjs") => "text/javascript",
        Some("ts") => "text/x-typescript",
        Some("py") => "text/x-python",
        Some("rs") => "text/x-rust",
        Some("sh") => "text/x-shellscript",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        Some("pdf") => "application/pdf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    fn skill(name: &str, head: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.join("references")).unwrap();
        fs::write(path.join(SKILL_FILE), head).unwrap();
        fs::write(path.join("references/more.txt"), "more").unwrap();
        (folder, path)
    }

    #[test]
    fn a_folder_is_read_whole() {
        let head = "---\nname: pdf\ndescription: Reads PDFs\ntags: [a, b]\nlevel: 3\n---\n# Body\n---\n";
        let (folder, _path) = skill("pdf", head);
        let skills = read_folder(folder.path()).unwrap();
        let [Ok(skill)] = skills.as_slice() else { panic!("{skills:?}") };
        assert_eq!(
            Value::Object(skill.frontmatter.clone()),
            json!({"name": "pdf", "description": "Reads PDFs", "tags": ["a", "b"], "level": 3})
        );
        assert_eq!(skill.files.keys().collect::<Vec<_>>(), ["SKILL.md", "references/more.txt"]);
        assert_eq!(digest(b"more"), "sha256:187897ce0afcf20b50ba2b37dca84a951b7046f29ed5ab94f010619f69d6e189");
    }

    #[track_caller]
    fn refused(name: &str, head: &str, expected: &str) {
        let (folder, _path) = skill(name, head);
        let error = read_folder(folder.path()).unwrap().remove(0).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_clients_would_refuse_is_refused_here() {
        refused("pdf", "# no head", "it must begin with a head");
        refused("pdf", "---\nname: pdf\n", "it must begin with a head");
        refused("pdf", "---\n- pdf\n---\n", "its head is no YAML map");
        refused("pdf", "---\nname: pdf\n---\n", "needs a 'description'");
        refused("pdf", "---\ndescription: d\n---\n", "needs a 'name'");
        refused("Pdf", "---\nname: Pdf\ndescription: d\n---\n", "is no name");
        refused("p--f", "---\nname: p--f\ndescription: d\n---\n", "is no name");
        refused("other", "---\nname: pdf\ndescription: d\n---\n", "its folder must have that name");
        let head = "---\nname: pdf\ndescription: d\nmetadata:\n  io.modelcontextprotocol/x: 1\n---\n";
        refused("pdf", head, "must not have keys under");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_refused() {
        let (folder, path) = skill("pdf", "---\nname: pdf\ndescription: d\n---\n");
        std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
        let read = read_folder(folder.path()).unwrap().remove(0);
        assert!(read.unwrap_err().to_string().contains("links are not followed"));
    }
}
