//! Git repositories in folders that the operator allows: status, differences, history, branches and commits.
//!
//! The tools are those of the official git server, by name, arguments and results, and one more for blame. Nothing is run:
//! no git, no hooks, no filters of a repository's configuration.

mod change;
mod diff;
mod history;
mod repository;
mod status;

use mcp_plugin_api::prelude::*;
use repository::Allowed;
use std::path::PathBuf;

/// Repositories that may be used.
pub struct Git {
    allowed: Allowed,
}

/// The plugin's configuration.
#[model]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folders whose repositories may be used: the folders themselves, and those below them. Without any, every tool says so.
    #[serde(default)]
    roots: Vec<PathBuf>,
    /// Nothing may be changed. Default: false.
    #[serde(default)]
    read_only: bool,
}

/// Which branches.
#[model]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum BranchType {
    /// Those of this repository.
    Local,
    /// Those of others, as they were when they were fetched last.
    Remote,
    /// Both.
    All,
}

#[plugin(wants = ["read", "write"], instructions = "repo_path is the root of a repository.")]
impl Git {
    #[start]
    fn start(config: Config) -> Result<Self> {
        repository::check_configuration()?;
        Ok(Self { allowed: Allowed::new(&config.roots, config.read_only)? })
    }

    /// Shows the working tree status
    #[tool(read_only, idempotent, open_world = false)]
    fn git_status(
        &self,
        /** The repository's root. */
        repo_path: String,
    ) -> Result<String> {
        let repository = self.allowed.open(&repo_path)?;
        Ok(format!("Repository status:\n{}", status::tell(&repository)?))
    }

    /// Shows changes in the working directory that are not yet staged
    #[tool(read_only, idempotent, open_world = false)]
    fn git_diff_unstaged(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** Lines around each change. */
        #[default(3)]
        context_lines: u32,
    ) -> Result<String> {
        let repository = self.allowed.open(&repo_path)?;
        Ok(format!("Unstaged changes:\n{}", diff::unstaged(&repository, context_lines)?))
    }

    /// Shows changes that are staged for commit
    #[tool(read_only, idempotent, open_world = false)]
    fn git_diff_staged(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** Lines around each change. */
        #[default(3)]
        context_lines: u32,
    ) -> Result<String> {
        let repository = self.allowed.open(&repo_path)?;
        Ok(format!("Staged changes:\n{}", diff::staged(&repository, context_lines)?))
    }

    /// Shows differences between branches or commits
    #[tool(read_only, idempotent, open_world = false)]
    fn git_diff(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** What the working tree is compared with; or two of them, `A..B`. */
        target: String,
        /** Lines around each change. */
        #[default(3)]
        context_lines: u32,
    ) -> Result<String> {
        repository::check("target", &target)?;
        let repository = self.allowed.open(&repo_path)?;
        Ok(format!("Diff with {target}:\n{}", diff::with(&repository, &target, context_lines)?))
    }

    /// Records changes to the repository
    #[tool(destructive = false, idempotent = false, open_world = false)]
    fn git_commit(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** What was done, and why. */
        message: String,
    ) -> Result<String> {
        let repository = self.allowed.open_to_change(&repo_path)?;
        Ok(format!("Changes committed successfully with hash {}", change::commit(&repository, &message)?))
    }

    /// Adds file contents to the staging area
    #[tool(destructive = false, idempotent, open_world = false)]
    fn git_add(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** Files and folders, as seen from the root; `.` is all of it. */
        #[schemars(length(min = 1))]
        files: Vec<String>,
    ) -> Result<String> {
        let repository = self.allowed.open_to_change(&repo_path)?;
        Ok(if change::add(&repository, &files)? {
            "Files staged successfully".to_owned()
        } else {
            "No changes were staged: the given paths had nothing new to stage. git_status shows what is modified or \
             untracked."
                .to_owned()
        })
    }

    /// Unstages all staged changes
    #[tool(destructive, idempotent, open_world = false)]
    fn git_reset(
        &self,
        /** The repository's root. */
        repo_path: String,
    ) -> Result<&'static str> {
        change::reset(&self.allowed.open_to_change(&repo_path)?)?;
        Ok("All staged changes reset")
    }

    /// Shows the commit logs
    #[tool(read_only, idempotent, open_world = false)]
    fn git_log(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** Commits at most; all with -1. */
        #[default(10)]
        max_count: i64,
        /** Commits since then: '2026-01-31', '2026-01-31 14:30', an RFC 3339 time, or '2 weeks ago'. */
        start_timestamp: Option<String>,
        /** Commits until then. */
        end_timestamp: Option<String>,
        ctx: &Context,
    ) -> Result<String> {
        let since = start_timestamp.as_deref().map(|it| history::moment("start_timestamp", it)).transpose()?;
        let until = end_timestamp.as_deref().map(|it| history::moment("end_timestamp", it)).transpose()?;
        let repository = self.allowed.open(&repo_path)?;
        let entries = history::log(&repository, usize::try_from(max_count).ok(), since, until, ctx)?;
        Ok(format!("Commit history:\n{}", entries.join("\n")))
    }

    /// Creates a new branch from an optional base branch
    #[tool(destructive = false, idempotent = false, open_world = false)]
    fn git_create_branch(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** The new branch. */
        branch_name: String,
        /** Where it begins: a branch, tag or commit. The current branch without it. */
        base_branch: Option<String>,
    ) -> Result<String> {
        repository::check("branch name", &branch_name)?;
        if let Some(base) = &base_branch {
            repository::check("base branch", base)?;
        }
        let repository = self.allowed.open_to_change(&repo_path)?;
        let base = change::create_branch(&repository, &branch_name, base_branch.as_deref())?;
        Ok(format!("Created branch '{branch_name}' from '{base}'"))
    }

    /// Switches branches
    #[tool(destructive = false, idempotent = false, open_world = false)]
    fn git_checkout(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** A branch, or any revision. */
        branch_name: String,
    ) -> Result<String> {
        repository::check("branch name", &branch_name)?;
        change::checkout(&self.allowed.open_to_change(&repo_path)?, &branch_name)
    }

    /// Shows the contents of a commit, or of a file or directory given as `<revision>:<path>`
    #[tool(read_only, idempotent, open_world = false)]
    fn git_show(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** A branch, tag or commit; `HEAD~2:src/lib.rs` is a file in one. */
        revision: String,
    ) -> Result<String> {
        repository::check("revision", &revision)?;
        diff::show(&self.allowed.open(&repo_path)?, &revision)
    }

    /// List Git branches
    #[tool(read_only, idempotent, open_world = false)]
    fn git_branch(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** Which. */
        branch_type: BranchType,
        /** Only those that have this commit. */
        contains: Option<String>,
        /** Only those that do not have this commit. */
        not_contains: Option<String>,
    ) -> Result<String> {
        for given in [&contains, &not_contains].into_iter().flatten() {
            repository::check("contains value", given)?;
        }
        let repository = self.allowed.open(&repo_path)?;
        history::branches(&repository, branch_type, contains.as_deref(), not_contains.as_deref())
    }

    /// Shows which commit each line of a file comes from
    #[tool(read_only, idempotent, open_world = false)]
    fn git_blame(
        &self,
        /** The repository's root. */
        repo_path: String,
        /** The file, as seen from the root. */
        file: String,
        /** A branch, tag or commit. */
        #[default("HEAD".to_owned())]
        revision: String,
        /** The first line, from 1. */
        first_line: Option<usize>,
        /** The last line. */
        last_line: Option<usize>,
    ) -> Result<String> {
        repository::check("revision", &revision)?;
        let repository = self.allowed.open(&repo_path)?;
        history::blame(&repository, &file, &revision, first_line.unwrap_or(1), last_line)
    }
}

#[cfg(test)]
mod tests;
