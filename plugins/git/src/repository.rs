//! Which repositories may be used, and what is named in them.

use git2::{Commit, Config, ErrorCode, Object, Repository, RepositoryOpenFlags};
use mcp_plugin_api::{Error, Result};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Folders whose repositories may be used.
pub(crate) struct Allowed {
    roots: Vec<PathBuf>,
    read_only: bool,
}

/// Refuses to begin where a confined process may not read git's own configuration, which is there: no repository would be opened.
pub(crate) fn check_configuration() -> Result<()> {
    match Config::open_default() {
        Err(error) if error.code() == ErrorCode::Locked => Err(Error::invalid_params(format!(
            "git's own configuration may not be read, and no repository is opened without it ({}): add its file to \
             plugins.git.grants.read",
            error.message()
        ))),
        // Of what else is wrong with it the tools tell.
        _ => Ok(()),
    }
}

impl Allowed {
    pub(crate) fn new(roots: &[PathBuf], read_only: bool) -> Result<Self> {
        let usable = |root: &PathBuf| {
            root.canonicalize()
                .map_err(|error| Error::invalid_params(format!("the root {} cannot be used: {error}", root.display())))
        };
        Ok(Self { roots: roots.iter().map(usable).collect::<Result<_>>()?, read_only })
    }

    fn has(&self, path: &Path) -> bool {
        path.canonicalize().is_ok_and(|path| self.roots.iter().any(|root| path.starts_with(root)))
    }

    /// Opens the repository whose root this is.
    pub(crate) fn open(&self, path: &str) -> Result<Repository> {
        if self.roots.is_empty() {
            return Err(Error::new("no folder is allowed yet: the operator names some in plugins.git.config.roots"));
        }
        let folder = Path::new(path);
        let outside = || {
            let roots: Vec<_> = self.roots.iter().map(|root| root.display().to_string()).collect();
            Error::new(format!("Repository path '{path}' is outside the allowed folders: {}", roots.join(", ")))
        };
        // Whether something is there is not told of what is not allowed.
        if !self.has(folder) {
            return Err(outside());
        }
        let none: [&OsStr; 0] = [];
        let repository = Repository::open_ext(folder, RepositoryOpenFlags::NO_SEARCH, none)
            .map_err(|error| Error::new(format!("'{path}' is no root of a git repository: {}", error.message())))?;
        // A repository may say that its files, or its own data, are somewhere else.
        let parts = [Some(repository.path()), Some(repository.commondir()), repository.workdir()];
        if parts.into_iter().flatten().any(|part| !self.has(part)) {
            return Err(outside());
        }
        // So may a link in its data, and what it borrows from others.
        for folder in [repository.path(), repository.commondir()] {
            if folder.join("objects/info/alternates").exists() || self.leads_out(folder, 0) {
                return Err(Error::new(format!(
                    "the data of repository '{path}' lie elsewhere, by links or by objects that it borrows: it is not used"
                )));
            }
        }
        Ok(repository)
    }

    /// Whether a link in a repository's data leads out of what is allowed. Objects are named by what is in them: of those, only
    /// the folders are looked at.
    fn leads_out(&self, folder: &Path, depth: usize) -> bool {
        const DEPTH: usize = 16;
        let is_objects = folder.file_name().is_some_and(|name| name == "objects");
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(std::result::Result::ok);
        for entry in entries {
            let Ok(kind) = entry.file_type() else {
                return true;
            };
            if kind.is_symlink() && !self.has(&entry.path()) {
                return true;
            }
            let is_fan = is_objects && entry.file_name().len() == 2;
            if kind.is_dir() && !is_fan && (depth == DEPTH || self.leads_out(&entry.path(), depth + 1)) {
                return true;
            }
        }
        false
    }

    /// As [`Allowed::open`], unless nothing may be changed.
    pub(crate) fn open_to_change(&self, path: &str) -> Result<Repository> {
        if self.read_only {
            return Err(Error::new("nothing may be changed here: the operator has set 'read_only'"));
        }
        self.open(path)
    }
}

/// Refuses what looks like an option: whoever wrote it meant something that is not done here.
pub(crate) fn check(what: &str, value: &str) -> Result<()> {
    if value.starts_with('-') {
        return Err(Error::invalid_arguments(format!("Invalid {what}: '{value}' - cannot start with '-'")));
    }
    Ok(())
}

/// An error of the library, for the model.
pub(crate) fn told(error: git2::Error) -> Error {
    Error::new(error.message())
}

/// What a revision names.
pub(crate) fn object<'a>(repository: &'a Repository, revision: &str) -> Result<Object<'a>> {
    repository
        .revparse_single(revision)
        .map_err(|_| Error::new(format!("Ref '{revision}' did not resolve to an object")))
}

/// The commit that a revision names.
pub(crate) fn commit<'a>(repository: &'a Repository, revision: &str) -> Result<Commit<'a>> {
    object(repository, revision)?
        .peel_to_commit()
        .map_err(|_| Error::new(format!("Ref '{revision}' did not resolve to a commit")))
}

/// The commit that is checked out; nothing before the first.
pub(crate) fn head(repository: &Repository) -> Result<Option<Commit<'_>>> {
    match repository.head() {
        Ok(head) => head.peel_to_commit().map(Some).map_err(told),
        Err(error) if error.code() == ErrorCode::UnbornBranch => Ok(None),
        Err(error) => Err(told(error)),
    }
}

/// The branch that is checked out, even before its first commit; nothing where a commit is.
pub(crate) fn branch(repository: &Repository) -> Result<Option<String>> {
    let head = repository.find_reference("HEAD").map_err(told)?;
    let target = head.symbolic_target().ok().flatten().map(str::to_owned);
    Ok(target.map(|name| name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned()))
}

/// How a commit that is checked out came to be: `HEAD detached at NAME`, as git says it.
pub(crate) fn detached(repository: &Repository) -> Result<String> {
    let Some(head) = head(repository)? else {
        return Ok("Not currently on any branch.".to_owned());
    };
    let log = repository.reflog("HEAD").map_err(told)?;
    let names = log.iter().find_map(|entry| {
        let message = entry.message().ok().flatten()?;
        let name = message.strip_prefix("checkout: moving from ")?.rsplit_once(" to ")?.1;
        Some((name.to_owned(), entry.id_new()))
    });
    let (name, id) = names.unwrap_or_else(|| (head.id().to_string(), head.id()));
    // Only a branch or tag is a name; everything else is the commit.
    let is_name = repository.resolve_reference_from_short_name(&name).is_ok();
    let name = if is_name { name } else { id.to_string().chars().take(7).collect() };
    Ok(format!("HEAD detached {} {name}", if id == head.id() { "at" } else { "from" }))
}
