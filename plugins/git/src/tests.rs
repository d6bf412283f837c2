//! Real repositories, made by git itself, which also says what is right. The file is long because git has many states.

use super::Git;
use mcp_plugin_api::serde_json::{Value, json};
use mcp_plugin_api::testing::{Kit, Script};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

struct Yard {
    folder: TempDir,
    kit: Kit,
}

impl Yard {
    /// A repository with three commits.
    fn new() -> Self {
        let yard = Self::empty();
        yard.write("a.txt", "one\ntwo\nthree\n");
        yard.write("dir/b.txt", "bee\n");
        yard.commit("First commit", 1);
        yard.write("a.txt", "one\n2\nthree\n");
        yard.commit("Second commit\n\nBody line 1\nBody line 2", 2);
        fs::remove_file(yard.path("dir/b.txt")).unwrap();
        yard.write("bin", "\0\u{1}\u{2}");
        yard.write("c.txt", "no newline at end");
        yard.commit("Third commit", 3);
        yard
    }

    fn empty() -> Self {
        let folder = TempDir::new().unwrap();
        let kit = Kit::start::<Git>(json!({"roots": [folder.path()]})).unwrap();
        let yard = Self { folder, kit };
        fs::create_dir(yard.root()).unwrap();
        yard.git(&["init", "--quiet", "--initial-branch=main"]);
        yard.git(&["config", "user.name", "Ada L"]);
        yard.git(&["config", "user.email", "ada@example.org"]);
        yard
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("repo")
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    fn write(&self, below: &str, text: &str) {
        fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        fs::write(self.path(below), text).unwrap();
    }

    /// Commits everything, on a day of January 2026.
    fn commit(&self, message: &str, day: u32) {
        self.git(&["add", "--all"]);
        let date = format!("2026-01-0{day}T10:00:00+01:00");
        self.git_with(
            &["commit", "--quiet", "--message", message],
            &[("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)],
        );
    }

    #[track_caller]
    fn git(&self, words: &[&str]) -> String {
        self.git_with(words, &[])
    }

    #[track_caller]
    fn git_with(&self, words: &[&str], environment: &[(&str, &str)]) -> String {
        let mut git = Command::new("git");
        git.args(words)
            .current_dir(self.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        git.env("LC_ALL", "C").envs(environment.iter().copied());
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"] {
            git.env_remove(name);
        }
        let output = git.output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        told.strip_suffix('\n').map(str::to_owned).unwrap_or(told)
    }

    #[track_caller]
    fn run(&self, tool: &str, mut arguments: Value) -> String {
        arguments["repo_path"] = json!(self.root());
        let result = self.kit.tool(tool, arguments, &Script::new()).unwrap();
        assert!(!result.is_error, "{tool}: {}", result.text());
        result.text()
    }

    #[track_caller]
    fn fails(&self, tool: &str, mut arguments: Value) -> String {
        arguments["repo_path"] = json!(self.root());
        match self.kit.tool(tool, arguments, &Script::new()) {
            Ok(result) => {
                assert!(result.is_error, "{tool}: {}", result.text());
                result.text()
            }
            Err(error) => error.message().to_owned(),
        }
    }

    /// The status is what git says.
    #[track_caller]
    fn assert_status(&self) {
        assert_eq!(self.run("git_status", json!({})), format!("Repository status:\n{}", self.git(&["status"])));
    }
}

#[test]
fn the_status_is_what_git_says() {
    let yard = Yard::empty();
    yard.assert_status();
    yard.write("new.txt", "new\n");
    yard.assert_status();
    yard.git(&["add", "new.txt"]);
    yard.assert_status();
    let yard = Yard::new();
    yard.assert_status();
    yard.write("a.txt", "staged\n");
    yard.write("moved.txt", "no newline at end");
    fs::remove_file(yard.path("c.txt")).unwrap();
    yard.git(&["add", "--all"]);
    yard.assert_status();
    yard.write("a.txt", "and more\n");
    yard.write("deep/er/x.txt", "x\n");
    yard.assert_status();
    fs::remove_file(yard.path("bin")).unwrap();
    yard.assert_status();
    yard.git(&["reset", "--quiet", "--hard"]);
    yard.git(&["checkout", "--quiet", "HEAD~1"]);
    yard.assert_status();
    yard.git(&["tag", "v1"]);
    yard.git(&["checkout", "--quiet", "main"]);
    yard.git(&["checkout", "--quiet", "v1"]);
    yard.assert_status();
}

#[test]
fn the_status_knows_what_a_branch_follows_and_what_is_merged() {
    let yard = Yard::new();
    yard.git(&["branch", "other", "HEAD~1"]);
    yard.git(&["branch", "--set-upstream-to=other"]);
    yard.assert_status();
    yard.git(&["branch", "--force", "other", "main"]);
    yard.assert_status();
    yard.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    yard.assert_status();
    yard.write("a.txt", "ours\n");
    yard.commit("ours", 4);
    yard.assert_status();
    yard.git(&["checkout", "--quiet", "-b", "theirs", "HEAD~1"]);
    yard.write("a.txt", "theirs\n");
    yard.commit("theirs", 5);
    let _ = Command::new("git").args(["merge", "main"]).current_dir(yard.root()).output().unwrap();
    yard.assert_status();
    assert!(yard.fails("git_commit", json!({"message": "m"})).starts_with("there are conflicts"));
    yard.write("a.txt", "both\n");
    assert_eq!(yard.run("git_add", json!({"files": ["a.txt"]})), "Files staged successfully");
    yard.assert_status();
    yard.run("git_commit", json!({"message": "Merge"}));
    yard.assert_status();
    assert_eq!(yard.git(&["log", "-1", "--format=%s %P"]).split(' ').count(), 3, "it has two parents");
}

#[test]
fn a_merge_that_has_put_changes_aside_is_left_to_git() {
    let yard = Yard::new();
    yard.git(&["checkout", "--quiet", "-b", "theirs"]);
    yard.write("theirs.txt", "theirs\n");
    yard.commit("theirs", 4);
    yard.git(&["checkout", "--quiet", "main"]);
    yard.write("a.txt", "not committed\n");
    yard.git(&["merge", "--quiet", "--no-ff", "--no-commit", "--autostash", "theirs"]);
    assert!(yard.path(".git/MERGE_AUTOSTASH").is_file());
    let refused = yard.fails("git_commit", json!({"message": "m"}));
    assert!(refused.ends_with("run git commit"), "{refused}");
    yard.git(&["commit", "--quiet", "--no-edit"]);
    assert_eq!(fs::read_to_string(yard.path("a.txt")).unwrap(), "not committed\n");
}

#[test]
fn every_kind_of_conflict_is_told() {
    let yard = Yard::new();
    for name in ["theirs-gone", "ours-gone", "both"] {
        yard.write(name, "base\n");
    }
    yard.commit("base", 4);
    yard.git(&["checkout", "--quiet", "-b", "theirs"]);
    fs::remove_file(yard.path("theirs-gone")).unwrap();
    yard.write("ours-gone", "theirs\n");
    yard.write("both", "theirs\n");
    yard.write("new", "theirs\n");
    yard.commit("theirs", 5);
    yard.git(&["checkout", "--quiet", "main"]);
    yard.write("theirs-gone", "ours\n");
    fs::remove_file(yard.path("ours-gone")).unwrap();
    yard.write("both", "ours\n");
    yard.write("new", "ours\n");
    yard.commit("ours", 6);
    let _ = Command::new("git").args(["merge", "theirs"]).current_dir(yard.root()).output().unwrap();
    yard.assert_status();
    let refused = yard.fails("git_checkout", json!({"branch_name": "theirs"}));
    assert!(refused.starts_with("something is under way here"), "{refused}");
}

#[test]
fn a_rebase_goes_on_after_a_commit_and_a_reset() {
    let yard = Yard::new();
    let mut rebase = Command::new("git");
    rebase.args(["rebase", "--interactive", "HEAD~2"]).current_dir(yard.root());
    rebase.env("GIT_SEQUENCE_EDITOR", "sed -i 1s/pick/edit/").env("GIT_EDITOR", "true");
    assert!(rebase.output().unwrap().status.success());
    yard.write("extra", "x\n");
    yard.run("git_add", json!({"files": ["extra"]}));
    yard.run("git_commit", json!({"message": "Extra"}));
    yard.run("git_reset", json!({}));
    assert!(yard.path(".git/rebase-merge").is_dir());
    let mut on = Command::new("git");
    on.args(["rebase", "--continue"]).current_dir(yard.root()).env("GIT_EDITOR", "true");
    assert!(on.output().unwrap().status.success());
    assert_eq!(yard.git(&["log", "--format=%s"]), "Third commit\nExtra\nSecond commit\nFirst commit");
}

#[test]
fn a_link_in_place_of_a_folder_lends_nothing() {
    let yard = Yard::new();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("b.txt"), "secret\n").unwrap();
    yard.write("d/b.txt", "mine\n");
    yard.commit("d", 4);
    fs::remove_dir_all(yard.path("d")).unwrap();
    std::os::unix::fs::symlink(outside.path(), yard.path("d")).unwrap();
    yard.run("git_add", json!({"files": ["."]}));
    assert!(!yard.git(&["diff", "--cached"]).contains("secret"));
    assert_eq!(yard.git(&["diff", "--cached", "--name-status"]), "A\td\nD\td/b.txt");
}

#[test]
fn data_that_lie_elsewhere_are_not_used() {
    let refused = |prepare: &dyn Fn(&Yard, &Path)| {
        let (yard, other) = (Yard::new(), Yard::new());
        prepare(&yard, &other.root());
        let told = yard.fails("git_status", json!({}));
        assert!(told.contains("lie elsewhere"), "{told}");
    };
    refused(&|yard, other| {
        let text = format!("{}\n", other.join(".git/objects").display());
        fs::write(yard.path(".git/objects/info/alternates"), text).unwrap();
    });
    refused(&|yard, other| {
        fs::remove_file(yard.path(".git/logs/HEAD")).unwrap();
        std::os::unix::fs::symlink(other.join("a.txt"), yard.path(".git/logs/HEAD")).unwrap();
    });
    refused(&|yard, other| {
        fs::rename(yard.path(".git/refs"), yard.path(".git/refs.old")).unwrap();
        std::os::unix::fs::symlink(other.join(".git/refs"), yard.path(".git/refs")).unwrap();
    });
}

#[test]
fn a_branch_of_another_working_tree_changes_nothing() {
    let yard = Yard::new();
    yard.git(&["branch", "taken", "HEAD~1"]);
    let tree = yard.folder.path().join("tree");
    yard.git(&["worktree", "add", "--quiet", tree.to_str().unwrap(), "taken"]);
    yard.fails("git_checkout", json!({"branch_name": "taken"}));
    yard.assert_status();
    assert_eq!(yard.git(&["status", "--short"]), "");
}

#[test]
fn oddities_hide_nothing_else() {
    let yard = Yard::new();
    let date = "@999999999999 +0000";
    yard.git_with(
        &["commit", "--quiet", "--allow-empty", "-m", "Far"],
        &[("GIT_AUTHOR_DATE", date), ("GIT_COMMITTER_DATE", date)],
    );
    assert_eq!(yard.run("git_log", json!({})).matches("Commit: ").count(), 4);
    yard.git(&["remote", "add", "origin", "."]);
    yard.git(&["fetch", "--quiet", "origin"]);
    yard.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone"]);
    yard.git(&["branch", "zeta"]);
    yard.git(&["pack-refs", "--all"]);
    yard.git(&["branch", "beta"]);
    assert_eq!(yard.run("git_branch", json!({"branch_type": "all"})), yard.git(&["branch", "--all"]));
    assert!(yard.run("git_show", json!({"revision": "HEAD^{/Second}"})).contains("Second commit"));
    // A repository within this one keeps nothing else from being staged.
    for (name, has_commit) in [("sub", true), ("bare", false)] {
        fs::create_dir(yard.path(name)).unwrap();
        let inner = |words: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=a", "-c", "user.email=b"]).args(words).current_dir(yard.path(name));
            assert!(git.status().unwrap().success());
        };
        inner(&["init", "--quiet"]);
        if has_commit {
            inner(&["commit", "--quiet", "--allow-empty", "-m", "x"]);
        }
    }
    yard.write("beside", "x\n");
    assert_eq!(yard.run("git_add", json!({"files": ["."]})), "Files staged successfully");
    assert_eq!(yard.git(&["diff", "--cached", "--name-only"]), "beside");
    assert!(yard.fails("git_log", json!({"start_timestamp": "2 weeks"})).starts_with("Invalid start_timestamp"));
}

#[test]
fn differences_are_what_git_says() {
    let yard = Yard::new();
    yard.write("a.txt", "one\n2\nthree\nfour\n");
    yard.git(&["add", "a.txt"]);
    yard.write("a.txt", "ONE\n2\nthree\nfour\n");
    for lines in [0, 3] {
        let unified = format!("--unified={lines}");
        let arguments = json!({"context_lines": lines});
        let unstaged = format!("Unstaged changes:\n{}", yard.git(&["diff", &unified]));
        assert_eq!(yard.run("git_diff_unstaged", arguments.clone()), unstaged);
        let staged = format!("Staged changes:\n{}", yard.git(&["diff", &unified, "--cached"]));
        assert_eq!(yard.run("git_diff_staged", arguments), staged);
        for target in ["HEAD", "HEAD~2", "HEAD~2..HEAD", "HEAD~1...main"] {
            let told = yard.run("git_diff", json!({"target": target, "context_lines": lines}));
            assert_eq!(told, format!("Diff with {target}:\n{}", yard.git(&["diff", &unified, target])));
        }
    }
    yard.git(&["mv", "c.txt", "renamed.txt"]);
    let staged = format!("Staged changes:\n{}", yard.git(&["diff", "--cached"]));
    assert_eq!(yard.run("git_diff_staged", json!({})), staged);
    assert_eq!(yard.fails("git_diff", json!({"target": "nope"})), "Ref 'nope' did not resolve to an object");
    let refused = yard.fails("git_diff", json!({"target": "--output=x"}));
    assert_eq!(refused, "Invalid target: '--output=x' - cannot start with '-'");
    let yard = Yard::new();
    assert_eq!(yard.run("git_diff_unstaged", json!({})), "Unstaged changes:\n");
}

#[test]
fn a_commit_is_shown_with_what_it_changed() {
    let yard = Yard::new();
    let id = yard.git(&["rev-parse", "HEAD~1"]);
    let expected = format!(
        "commit {id}\nAuthor: Ada L <ada@example.org>\nDate:   2026-01-02 10:00:00 +0100\n\n    Second commit\n    \n    Body \
         line 1\n    Body line 2\n\n--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    );
    assert_eq!(yard.run("git_show", json!({"revision": "HEAD~1"})), expected);
    let third = yard.run("git_show", json!({"revision": "main"}));
    let changes = "\n--- /dev/null\n+++ b/bin\nBinary files /dev/null and b/bin differ\n\n--- /dev/null\n+++ b/c.txt\n@@ -0,0 \
                   +1 @@\n+no newline at end\n\\ No newline at end of file\n\n--- a/dir/b.txt\n+++ /dev/null\n@@ -1 +0,0 \
                   @@\n-bee\n";
    assert!(third.ends_with(changes), "{third}");
    assert_eq!(yard.run("git_show", json!({"revision": "HEAD:a.txt"})), "one\n2\nthree\n");
    assert_eq!(yard.run("git_show", json!({"revision": "HEAD~1:dir"})), "b.txt");
    assert_eq!(yard.run("git_show", json!({"revision": "HEAD~1:"})), "a.txt\ndir/");
    assert_eq!(yard.fails("git_show", json!({"revision": "HEAD:no"})), "Blob or Tree named 'no' not found");
}

#[test]
fn history_is_told_within_its_bounds() {
    let yard = Yard::new();
    let id = yard.git(&["rev-parse", "HEAD"]);
    let last = format!(
        "Commit history:\nCommit: {id}\nAuthor: Ada L\nDate: 2026-01-03 10:00:00+01:00\nMessage: Third commit\n\n"
    );
    assert_eq!(yard.run("git_log", json!({"max_count": 1})), last);
    let count = |arguments: Value| yard.run("git_log", arguments).matches("Commit: ").count();
    assert_eq!((count(json!({})), count(json!({"max_count": 0})), count(json!({"max_count": -1}))), (3, 0, 3));
    assert_eq!(count(json!({"start_timestamp": "2026-01-02", "end_timestamp": "2026-01-02T23:00:00Z"})), 1);
    assert_eq!(count(json!({"start_timestamp": "2026-01-02T09:00:00Z"})), 2);
    assert_eq!(count(json!({"end_timestamp": "100 years ago"})), 0);
    assert_eq!(count(json!({"start_timestamp": "200 years ago", "end_timestamp": "now"})), 3);
    assert!(
        yard.fails("git_log", json!({"start_timestamp": "some day"}))
            .starts_with("Invalid start_timestamp: 'some day' - ")
    );
}

#[test]
fn lines_are_traced_to_their_commits() {
    let yard = Yard::new();
    // Git writes a caret before the first commit, and one digit less of it.
    let expected: Vec<String> =
        yard.git(&["blame", "--abbrev=7", "-b", "--root", "a.txt"]).lines().map(str::to_owned).collect();
    let told = yard.run("git_blame", json!({"file": "a.txt"}));
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
    let one = yard.run("git_blame", json!({"file": "a.txt", "first_line": 2, "last_line": 2}));
    assert_eq!(one.trim_end(), expected[1]);
    assert_eq!(yard.fails("git_blame", json!({"file": "no"})), "no such path 'no' in HEAD");
    assert_eq!(yard.fails("git_blame", json!({"file": "a.txt", "first_line": 9})), "file a.txt has only 3 lines");
    assert_eq!(yard.fails("git_blame", json!({"file": "bin"})), "'bin' is not text");
}

#[test]
fn what_is_staged_is_committed_and_what_is_not_stays() {
    let yard = Yard::new();
    yard.write("new.txt", "new\n");
    yard.write("a.txt", "changed\n");
    fs::remove_file(yard.path("c.txt")).unwrap();
    assert_eq!(yard.run("git_add", json!({"files": ["new.txt", "c.txt"]})), "Files staged successfully");
    assert_eq!(yard.git(&["diff", "--cached", "--name-status"]), "D\tc.txt\nA\tnew.txt");
    assert!(yard.run("git_add", json!({"files": ["new.txt"]})).starts_with("No changes were staged: "));
    let told = yard.run("git_commit", json!({"message": "Add new.txt"}));
    let id = yard.git(&["rev-parse", "HEAD"]);
    assert_eq!(told, format!("Changes committed successfully with hash {id}"));
    assert_eq!(yard.git(&["log", "-1", "--format=%an <%ae> %B"]), "Ada L <ada@example.org> Add new.txt\n");
    assert_eq!(yard.git(&["status", "--short"]), " M a.txt");
    assert_eq!(yard.git(&["fsck", "--strict"]), "");
    assert!(yard.fails("git_commit", json!({"message": "m"})).starts_with("No changes staged for commit. "));
    assert_eq!(yard.run("git_add", json!({"files": ["."]})), "Files staged successfully");
    assert_eq!(yard.run("git_reset", json!({})), "All staged changes reset");
    assert_eq!(yard.git(&["status", "--short"]), " M a.txt");
}

#[test]
fn only_files_of_the_repository_are_staged() {
    let yard = Yard::new();
    let outside = |file: &str| format!("Path '{file}' is outside the repository '{}/'", yard.root().display());
    for file in ["../x", "/etc/passwd", "dir/../../x"] {
        assert_eq!(yard.fails("git_add", json!({"files": [file]})), outside(file));
    }
    assert_eq!(
        yard.fails("git_add", json!({"files": ["missing.txt"]})),
        "pathspec 'missing.txt' did not match any files"
    );
    yard.write("*.txt", "star\n");
    yard.write("a.txt", "changed\n");
    yard.run("git_add", json!({"files": ["*.txt"]}));
    assert_eq!(yard.git(&["diff", "--cached", "--name-only"]), "*.txt", "a star is a star");
    std::os::unix::fs::symlink("/etc", yard.path("link")).unwrap();
    let beyond = yard.fails("git_add", json!({"files": ["link/passwd"]}));
    assert_eq!(beyond, "pathspec 'link/passwd' is beyond a symbolic link");
    assert_eq!(yard.git(&["diff", "--cached", "--name-only"]), "*.txt");
}

#[test]
fn a_repository_without_commits_survives_everything() {
    let yard = Yard::empty();
    assert_eq!(yard.run("git_reset", json!({})), "All staged changes reset");
    yard.fails("git_log", json!({}));
    assert_eq!(yard.fails("git_show", json!({"revision": "HEAD"})), "Ref 'HEAD' did not resolve to an object");
    assert_eq!(yard.run("git_branch", json!({"branch_type": "local"})), "");
    yard.write("a", "a");
    yard.run("git_add", json!({"files": ["a"]}));
    yard.run("git_reset", json!({}));
    assert_eq!(yard.git(&["status", "--short"]), "?? a");
    yard.run("git_add", json!({"files": ["a"]}));
    yard.run("git_commit", json!({"message": "First"}));
    assert_eq!(yard.git(&["log", "--format=%s"]), "First");
}

#[test]
fn branches_are_made_listed_and_checked_out() {
    let yard = Yard::new();
    assert_eq!(yard.run("git_create_branch", json!({"branch_name": "topic"})), "Created branch 'topic' from 'main'");
    let from = json!({"branch_name": "old", "base_branch": "HEAD~1"});
    assert_eq!(yard.run("git_create_branch", from), "Created branch 'old' from 'HEAD~1'");
    let again = yard.fails("git_create_branch", json!({"branch_name": "topic"}));
    assert_eq!(again, "Cannot create branch 'topic': refs/heads/topic already exists");
    yard.fails("git_create_branch", json!({"branch_name": "bad name"}));
    let list = |arguments: Value| yard.run("git_branch", arguments);
    assert_eq!(list(json!({"branch_type": "local"})), yard.git(&["branch"]));
    let id = yard.git(&["rev-parse", "main"]);
    let arguments = json!({"branch_type": "local", "contains": id});
    assert_eq!(list(arguments), yard.git(&["branch", "--contains", &id]));
    let arguments = json!({"branch_type": "local", "not_contains": id});
    assert_eq!(list(arguments), yard.git(&["branch", "--no-contains", &id]));
    assert_eq!(yard.run("git_checkout", json!({"branch_name": "old"})), "Switched to branch 'old'");
    assert!(yard.path("dir/b.txt").exists());
    yard.assert_status();
    yard.write("c.txt", "in the way\n");
    let refused = yard.fails("git_checkout", json!({"branch_name": "main"}));
    assert!(refused.contains("would be overwritten by checkout:\n\tc.txt\n"), "{refused}");
    assert_eq!(fs::read_to_string(yard.path("c.txt")).unwrap(), "in the way\n");
    fs::remove_file(yard.path("c.txt")).unwrap();
    let told = yard.run("git_checkout", json!({"branch_name": id}));
    assert_eq!(told, format!("HEAD is now detached at {}", &id[..7]));
    yard.assert_status();
    assert_eq!(list(json!({"branch_type": "local"})), yard.git(&["branch"]));
    assert!(yard.fails("git_create_branch", json!({"branch_name": "x"})).starts_with("HEAD is detached"));
    assert_eq!(yard.fails("git_checkout", json!({"branch_name": "nope"})), "Ref 'nope' did not resolve to an object");
    let clone = yard.folder.path().join("clone");
    yard.git(&["clone", "--quiet", ".", clone.to_str().unwrap()]);
    let remote =
        yard.kit.tool("git_branch", json!({"repo_path": clone, "branch_type": "all"}), &Script::new()).unwrap();
    let output = Command::new("git").args(["branch", "--all"]).current_dir(&clone).output().unwrap();
    assert_eq!(remote.text(), String::from_utf8(output.stdout).unwrap().trim_end());
}

#[test]
fn nothing_outside_the_roots_is_used() {
    let yard = Yard::new();
    let other = Yard::new();
    let status = |kit: &Kit, path: &Path| {
        let result = kit.tool("git_status", json!({"repo_path": path}), &Script::new()).unwrap();
        (result.is_error, result.text())
    };
    let (failed, told) = status(&yard.kit, &other.root());
    assert!(failed && told.contains("is outside the allowed folders"), "{told}");
    // A repository that says that its files are elsewhere.
    yard.git(&["config", "core.worktree", other.root().to_str().unwrap()]);
    assert!(status(&yard.kit, &yard.root()).1.contains("is outside the allowed folders"));
    yard.git(&["config", "--unset", "core.worktree"]);
    // Or its data.
    let fake = yard.folder.path().join("fake");
    fs::create_dir(&fake).unwrap();
    fs::write(fake.join(".git"), format!("gitdir: {}/.git\n", other.root().display())).unwrap();
    assert!(status(&yard.kit, &fake).1.contains("is outside the allowed folders"));
    assert!(status(&yard.kit, &yard.path("dir")).0, "only a root is one");
    let none = Kit::start::<Git>(json!({})).unwrap();
    assert!(status(&none, &yard.root()).1.contains("plugins.git.config.roots"));
    let reader = Kit::start::<Git>(json!({"roots": [yard.folder.path()], "read_only": true})).unwrap();
    assert!(!status(&reader, &yard.root()).0);
    for (tool, more) in
        [("git_reset", json!({})), ("git_add", json!({"files": ["a.txt"]})), ("git_commit", json!({"message": "m"}))]
    {
        let mut arguments = more;
        arguments["repo_path"] = json!(yard.root());
        let refused = reader.tool(tool, arguments, &Script::new()).unwrap();
        assert_eq!(refused.text(), "nothing may be changed here: the operator has set 'read_only'");
    }
}
