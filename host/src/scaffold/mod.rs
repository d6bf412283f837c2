//! A new plugin's crate: what to put where comes in, files leave.
//!
//! The files are templates in `host/templates`, in which `STARTER…` stands for what differs. This room builds nothing, and
//! never writes over what is there.

mod template;

pub use template::Template;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a new crate is to be.
#[derive(Debug)]
pub struct Blueprint {
    /// Its folder, which must be new or empty.
    pub folder: PathBuf,
    /// Its name.
    pub name: PackageName,
    /// What is in it at first.
    pub template: Template,
    /// Where `mcp-plugin-api` comes from.
    pub api: ApiSource,
}

/// Where `mcp-plugin-api` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiSource {
    /// The registry.
    Registry,
    /// A folder with its sources.
    Path(PathBuf),
    /// A repository, at a branch, tag or revision.
    Git {
        /// Its address.
        url: String,
        /// The key in the manifest (`branch`, `tag` or `rev`) and its value.
        at: Option<(&'static str, String)>,
    },
}

/// Why there is no new crate.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// Its name is no name of a package.
    #[error("'{name}' is no name for a plugin: it needs 1 to 64 of a-z, 0-9, '-' and '_', a letter first{hint}")]
    BadName {
        /// The name.
        name: String,
        /// A better one, or nothing.
        hint: String,
    },
    /// Its name means something else to Rust or cargo.
    #[error("'{name}' means something else to Rust: choose another name")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// Something is there.
    #[error("{} is not empty: nothing is written over", .0.display())]
    Occupied(PathBuf),
    /// The sources of `mcp-plugin-api` are not where they were said to be.
    #[error("{} has no Cargo.toml of mcp-plugin-api", .0.display())]
    NotTheApi(PathBuf),
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Words of the language, and the names of its own crates: cargo refuses them too.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Types that the templates name, which a plugin's type must not be called.
const TAKEN: &[&str] = &[
    "Answer",
    "Args",
    "Box",
    "Cache",
    "Capability",
    "Colour",
    "Completion",
    "Content",
    "Contents",
    "Context",
    "Default",
    "Duration",
    "Err",
    "Error",
    "Field",
    "Form",
    "Host",
    "Kit",
    "LogLevel",
    "Message",
    "None",
    "Ok",
    "Option",
    "Prompt",
    "Question",
    "Resource",
    "Result",
    "Role",
    "Said",
    "Sampling",
    "Script",
    "Some",
    "String",
    "Structured",
    "ToolResult",
    "Vec",
];

/// The name of a cargo package that is a plugin: 1 to 64 of `a-z`, `0-9`, `-` and `_`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageName(String);

impl PackageName {
    /// # Errors
    /// See [`ScaffoldError`].
    pub fn parse(name: &str) -> Result<Self, ScaffoldError> {
        const MAX: usize = 64;
        let is_good = |name: &str| {
            name.len() <= MAX
                && name.starts_with(|first: char| first.is_ascii_lowercase())
                && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || "-_".contains(it))
        };
        if !is_good(name) {
            let better: String =
                name.chars().map(|it| if it == ' ' || it == '.' { '-' } else { it.to_ascii_lowercase() }).collect();
            let hint = if is_good(&better) { format!("; '{better}' would do") } else { String::new() };
            return Err(ScaffoldError::BadName { name: name.to_owned(), hint });
        }
        // The crate would have the name of the crate that it needs.
        if RESERVED.contains(&name) || name.replace('_', "-") == "mcp-plugin-api" {
            return Err(ScaffoldError::ReservedName { name: name.to_owned() });
        }
        Ok(Self(name.to_owned()))
    }

    /// As cargo names the library's file.
    #[must_use]
    pub fn library(&self) -> String {
        self.0.replace('-', "_")
    }

    /// As Rust names a type: `word-count` is `WordCount`.
    fn type_name(&self) -> String {
        let words = self.0.split(['-', '_']).filter(|word| !word.is_empty());
        let name: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
        if TAKEN.contains(&name.as_str()) { name + "Plugin" } else { name }
    }
}

impl std::fmt::Display for PackageName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl ApiSource {
    /// Its value in a manifest, with features.
    fn dependency(&self, features: &[&str]) -> String {
        let mut members = match self {
            Self::Registry if features.is_empty() => return "\"1\"".to_owned(),
            Self::Registry => vec!["version = \"1\"".to_owned()],
            Self::Path(path) => vec![format!("path = {}", quoted(&path.to_string_lossy()))],
            Self::Git { url, at } => {
                let at = at.iter().map(|(key, value)| format!("{key} = {}", quoted(value)));
                std::iter::once(format!("git = {}", quoted(url))).chain(at).collect()
            }
        };
        if !features.is_empty() {
            let features: Vec<_> = features.iter().map(|feature| quoted(feature)).collect();
            members.push(format!("features = [{}]", features.join(", ")));
        }
        format!("{{ {} }}", members.join(", "))
    }

    /// The same, with a path that holds wherever it is read from.
    fn settled(&self) -> Result<Self, ScaffoldError> {
        let Self::Path(path) = self else {
            return Ok(self.clone());
        };
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap_or_default();
        if !manifest.contains("name = \"mcp-plugin-api\"") {
            return Err(ScaffoldError::NotTheApi(path.clone()));
        }
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        // What Windows puts before such a path is not for cargo.
        let plain = path.to_str().and_then(|text| text.strip_prefix(r"\\?\")).map(PathBuf::from);
        Ok(Self::Path(plain.unwrap_or(path)))
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Blueprint {
    /// Writes the crate; gives the files that were written, as they are below its folder.
    ///
    /// # Errors
    /// See [`ScaffoldError`]. What was written before an error stays.
    pub fn build(&self) -> Result<Vec<&'static str>, ScaffoldError> {
        let api = self.api.settled()?;
        if fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.next().is_some()) || self.folder.is_file() {
            return Err(ScaffoldError::Occupied(self.folder.clone()));
        }
        let mut written = Vec::new();
        for (file, text) in self.template.files() {
            let path = self.folder.join(file);
            let text = self.filled(text, &api);
            let done = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
            done.map_err(|source| ScaffoldError::Unwritable { path, source })?;
            written.push(file);
        }
        Ok(written)
    }

    /// A template with everything put in.
    fn filled(&self, text: &str, api: &ApiSource) -> String {
        let name = &self.name;
        let mut text = text
            .replace("STARTER-NAME", &name.0)
            .replace("STARTER_LIB", &name.library())
            .replace("STARTER-DESCRIPTION", self.template.description())
            .replace("STARTER-TRY", self.template.example())
            .replace("STARTER-DEPENDENCIES\n", self.template.dependencies())
            .replace("Starter", &name.type_name())
            // Last, because a path may have any of these words in it.
            .replace("STARTER-TESTING", &api.dependency(&["testing"]))
            .replace("STARTER-API", &api.dependency(&[]));
        // Else cargo would look for it among the members of a workspace around it, and refuse.
        if text.starts_with("[package]") && is_in_foreign_workspace(&self.folder) {
            text.push_str("\n# A workspace of its own, although there is one around it.\n[workspace]\n");
        }
        text
    }
}

/// Whether there is a workspace around a folder that does not take packages in it for its own: cargo would refuse those.
fn is_in_foreign_workspace(folder: &Path) -> bool {
    let Ok(folder) = std::path::absolute(folder) else {
        return false;
    };
    let workspaces = folder.ancestors().skip(1).filter_map(|above| {
        let manifest: toml::Table = fs::read_to_string(above.join("Cargo.toml")).ok()?.parse().ok()?;
        Some((above, manifest.get("workspace")?.clone()))
    });
    // The innermost is the one that cargo finds.
    let mut workspaces = workspaces;
    let Some((root, workspace)) = workspaces.next() else {
        return false;
    };
    let below = folder.strip_prefix(root).unwrap_or(&folder);
    let names = |key: &str| workspace.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let (members, excluded) = (names("members"), names("exclude"));
    // A star stands for one folder of a path there.
    let glob = |it: &toml::Value| {
        globset::GlobBuilder::new(it.as_str()?.trim_start_matches("./")).literal_separator(true).build().ok()
    };
    let is_member = members.iter().filter_map(glob).any(|glob| glob.compile_matcher().is_match(below));
    // Excluded are folders with all that is in them, and a star is a star.
    let is_excluded =
        excluded.iter().filter_map(toml::Value::as_str).any(|it| below.starts_with(it.trim_start_matches("./")));
    !is_member && !is_excluded
}

#[cfg(test)]
mod tests {
    use super::{ApiSource, Blueprint, PackageName, ScaffoldError, Template};
    use std::path::PathBuf;

    #[test]
    fn names_are_those_of_packages() {
        for good in ["a", "word-count", "x_1"] {
            assert_eq!(PackageName::parse(good).unwrap().to_string(), good);
        }
        let told = |name: &str| PackageName::parse(name).unwrap_err().to_string();
        assert!(told("Word Count").ends_with("a letter first; 'word-count' would do"), "{}", told("Word Count"));
        assert!(told("1st").ends_with("a letter first"));
        assert!(matches!(PackageName::parse("fn"), Err(ScaffoldError::ReservedName { .. })));
        assert!(matches!(PackageName::parse("mcp_plugin_api"), Err(ScaffoldError::ReservedName { .. })));
        assert!(matches!(PackageName::parse(""), Err(ScaffoldError::BadName { .. })));
        assert!(matches!(PackageName::parse("ä"), Err(ScaffoldError::BadName { .. })));
        assert_eq!(PackageName::parse("word-count_2").unwrap().type_name(), "WordCount2");
        assert_eq!(PackageName::parse("string").unwrap().type_name(), "StringPlugin");
    }

    #[test]
    fn a_workspace_around_is_minded() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = |text: &str| std::fs::write(folder.path().join("Cargo.toml"), text).unwrap();
        let foreign = || super::is_in_foreign_workspace(&folder.path().join("plugins/greeter"));
        assert!(!foreign());
        manifest("# [workspace]\n[package]\nname = \"x\"\n");
        assert!(!foreign(), "what is not one is none");
        manifest("[workspace]\nmembers = [\"host\"]\n");
        assert!(foreign());
        manifest("[workspace]\nmembers = [\"plugins/*\"]\n");
        assert!(!foreign(), "it is one of its own");
        manifest("[workspace]\nmembers = [\"./plugins/*\"]\n");
        assert!(!foreign(), "so it is");
        manifest("[workspace]\nmembers = [\"*\"]\n");
        assert!(foreign(), "a star is one folder");
        manifest("[workspace]\nmembers = [\"host\"]\nexclude = [\"plugins\"]\n");
        assert!(!foreign(), "with all that is in it");
        manifest("[workspace]\nmembers = [\"host\"]\nexclude = [\"plugins/*\"]\n");
        assert!(foreign(), "a star is a star there");
        manifest("[workspace]\nmembers = [\"host\"]\nexclude = [\"plugins/greeter\"]\n");
        assert!(!foreign());
    }

    #[test]
    fn the_api_comes_from_where_it_was_said() {
        let git = ApiSource::Git { url: "https://example.com/x".to_owned(), at: Some(("tag", "v1".to_owned())) };
        assert_eq!(ApiSource::Registry.dependency(&[]), "\"1\"");
        assert_eq!(ApiSource::Registry.dependency(&["testing"]), "{ version = \"1\", features = [\"testing\"] }");
        assert_eq!(git.dependency(&[]), "{ git = \"https://example.com/x\", tag = \"v1\" }");
        assert_eq!(ApiSource::Path(PathBuf::from("/a \"b\"")).dependency(&[]), "{ path = '/a \"b\"' }");
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let blueprint = |folder: PathBuf, api| {
            let name = PackageName::parse("greeter").unwrap();
            Blueprint { folder, name, template: Template::Tool, api }.build()
        };
        let path = folder.path().join("greeter");
        let written = blueprint(path.clone(), ApiSource::Registry).unwrap();
        assert!(written.contains(&"src/lib.rs") && written.contains(&"tests/definitions.json"), "{written:?}");
        let source = std::fs::read_to_string(path.join("src/lib.rs")).unwrap();
        assert!(source.contains("struct Greeter;") && !source.contains("Starter"), "{source}");
        assert!(matches!(blueprint(path, ApiSource::Registry), Err(ScaffoldError::Occupied(_))));
        let api = ApiSource::Path(folder.path().to_owned());
        assert!(matches!(blueprint(folder.path().join("new"), api), Err(ScaffoldError::NotTheApi(_))));
        assert!(!folder.path().join("new").exists());
    }

    #[test]
    fn no_placeholder_is_left() {
        let folder = tempfile::tempdir().unwrap();
        for template in Template::ALL {
            let path = folder.path().join(template.word());
            let name = PackageName::parse("greeter").unwrap();
            let blueprint = Blueprint { folder: path.clone(), name, template, api: ApiSource::Registry };
            for file in blueprint.build().unwrap() {
                let text = std::fs::read_to_string(path.join(file)).unwrap();
                assert!(!text.to_lowercase().contains("starter"), "{file} of {}: {text}", template.word());
            }
        }
    }
}
