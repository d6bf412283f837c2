//! The plugins in the box beside the official servers of the same name: the same calls, the same results. What differs is named
//! here, and does differ. The file is long because a server is one list of calls, and there are six of them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{Host, Stdio, call, request, run_peer_setup};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What a call came to.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    is_error: bool,
    text: String,
    data: Value,
}

/// Two servers that should do the same.
struct Pair {
    theirs: Stdio,
    ours: Stdio,
    host: Host,
    /// What is called differently on either side, and what it is called here.
    names: Vec<(String, &'static str)>,
    calls: u64,
}

impl Pair {
    fn new(plugin: &str, config: &str, official: Command) -> Self {
        let (host, mut ours) =
            Host::with(&[plugin]).config(&format!("[plugins.{plugin}.config]\n{config}")).serve_stdio();
        let mut theirs = Stdio::start(official);
        for client in [&mut theirs, &mut ours] {
            let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
            assert!(client.ask(&request(0, "initialize", hello))["result"].is_object());
            client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        }
        Self { theirs, ours, host, names: Vec::new(), calls: 0 }
    }

    /// A folder of each side, which is called the same in what is compared.
    fn folders(mut self, theirs: &Path, ours: &Path) -> Self {
        for folder in [theirs, ours] {
            self.names.push((folder.canonicalize().unwrap().display().to_string(), "FOLDER"));
        }
        self
    }

    /// The outcome of a call on both sides: theirs, ours. `FOLDER` in arguments is each side's own.
    fn outcomes(&mut self, tool: &str, arguments: &Value) -> (Outcome, Outcome) {
        self.calls += 1;
        let own = |side: usize, names: &[(String, &'static str)]| match names.get(side) {
            Some((folder, _)) => serde_json::from_str(&arguments.to_string().replace("FOLDER", folder)).unwrap(),
            None => arguments.clone(),
        };
        let theirs = self.theirs.ask(&call(self.calls, tool, own(0, &self.names)));
        let ours = self.ours.ask(&call(self.calls, tool, own(1, &self.names)));
        (self.outcome(&theirs, tool), self.outcome(&ours, tool))
    }

    fn outcome(&self, reply: &Value, tool: &str) -> Outcome {
        let plain = |text: &str| {
            let mut text = text.strip_prefix(&format!("Error executing tool {tool}: ")).unwrap_or(text).to_owned();
            for (name, word) in &self.names {
                text = text.replace(name, word);
            }
            text
        };
        match reply["error"]["message"].as_str() {
            Some(message) => Outcome { is_error: true, text: plain(message), data: Value::Null },
            None => Outcome {
                is_error: reply["result"]["isError"] == true,
                text: plain(reply["result"]["content"][0]["text"].as_str().unwrap_or_default()),
                data: serde_json::from_str(&plain(&reply["result"]["structuredContent"].to_string())).unwrap(),
            },
        }
    }

    /// The same, to the letter.
    #[track_caller]
    fn same(&mut self, tool: &str, arguments: Value) {
        let (theirs, ours) = self.outcomes(tool, &arguments);
        assert_eq!(
            (ours.is_error, ours.text),
            (theirs.is_error, theirs.text),
            "{tool} {arguments}\n{}",
            self.host.log()
        );
    }

    /// The same, but for spaces at the ends of lines.
    #[track_caller]
    fn alike(&mut self, tool: &str, arguments: Value) {
        let (theirs, ours) = self.outcomes(tool, &arguments);
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&ours.text), lines(&theirs.text), "{tool} {arguments}");
    }

    /// Both refuse, each in its own words.
    #[track_caller]
    fn both_refuse(&mut self, tool: &str, arguments: Value) {
        let (theirs, ours) = self.outcomes(tool, &arguments);
        assert!(ours.is_error && theirs.is_error, "{tool} {arguments}: {theirs:?} {ours:?}");
    }

    /// Ours answers, and not with the same, for a reason.
    #[track_caller]
    fn differs(&mut self, tool: &str, arguments: Value, reason: &str) {
        let (theirs, ours) = self.outcomes(tool, &arguments);
        assert!(!ours.is_error, "{tool} {arguments} does not answer: {ours:?}");
        let is_same = (ours.is_error, &ours.text) == (theirs.is_error, &theirs.text);
        assert!(!is_same, "{tool} {arguments} no longer differs: {reason}");
    }

    /// Theirs takes what ours refuses, for a reason.
    #[track_caller]
    fn refuses(&mut self, tool: &str, arguments: Value, reason: &str) {
        let (theirs, ours) = self.outcomes(tool, &arguments);
        assert!(ours.is_error && !theirs.is_error, "{tool} {arguments}: {reason}: {theirs:?} {ours:?}");
    }

    /// Every tool of theirs is ours too, with its arguments; ours demands none more.
    #[track_caller]
    fn has_all_tools(&mut self) {
        let theirs = self.theirs.ask(&request(9000, "tools/list", json!({})))["result"]["tools"].clone();
        let ours = self.ours.ask(&request(9000, "tools/list", json!({})))["result"]["tools"].clone();
        let ours = ours.as_array().unwrap();
        for tool in theirs.as_array().unwrap() {
            let mine =
                ours.iter().find(|it| it["name"] == tool["name"]).unwrap_or_else(|| panic!("no {}", tool["name"]));
            let (schema, own) = (&tool["inputSchema"], &mine["inputSchema"]);
            for argument in schema["properties"].as_object().into_iter().flat_map(serde_json::Map::keys) {
                assert!(own["properties"][argument].is_object(), "{} lacks {argument}", tool["name"]);
            }
            for needed in own["required"].as_array().into_iter().flatten() {
                let is_needed = schema["required"].as_array().is_some_and(|all| all.contains(needed));
                assert!(is_needed, "{} demands {needed}", tool["name"]);
            }
            let hint = |it: &Value| it["annotations"]["readOnlyHint"] == true;
            if tool["annotations"].is_object() {
                assert_eq!(hint(mine), hint(tool), "{}", tool["name"]);
            }
        }
    }
}

fn peer(program: &str) -> Command {
    Command::new(run_peer_setup().join(program))
}

fn node(script: &str) -> Command {
    let mut command = peer("node_modules/node/bin/node");
    command.arg(run_peer_setup().join("node_modules").join(script));
    command
}

/// A folder with files, the same each time.
fn files() -> (TempDir, PathBuf) {
    let whole = TempDir::new().unwrap();
    let folder = whole.path().join("files");
    fs::create_dir_all(folder.join("src/deep")).unwrap();
    fs::create_dir(folder.join("empty")).unwrap();
    let text: String = ["one", "two", "three", "four", "five", "six"].map(|line| format!("{line}\n")).concat();
    for (name, bytes) in [
        ("notes.txt", text.as_bytes()),
        ("nonl.txt", b"a\nb\nc"),
        ("ticks.md", b"# T\n```\ncode\n```\n"),
        ("big.log", "x".repeat(5000).as_bytes()),
        ("latin1.txt", b"caf\xe9\n"),
        ("p.png", b"\x89PNG\r\n\x1a\n"),
        ("src/main.rs", b"fn main() {\n    println!(\"hi\");\n}\n"),
        ("src/deep/lib.rs", b""),
    ] {
        fs::write(folder.join(name), bytes).unwrap();
    }
    std::os::unix::fs::symlink("notes.txt", folder.join("inner")).unwrap();
    let folder = folder.canonicalize().unwrap();
    (whole, folder)
}

#[test]
fn filesystem() {
    let ((_theirs, their_folder), (_ours, our_folder)) = (files(), files());
    let mut official = node("@modelcontextprotocol/server-filesystem/dist/index.js");
    official.arg(&their_folder);
    let mut pair =
        Pair::new("filesystem", &format!("roots = [{our_folder:?}]"), official).folders(&their_folder, &our_folder);
    pair.has_all_tools();
    pair.same("list_allowed_directories", json!({}));
    for tool in ["read_file", "read_text_file"] {
        pair.same(tool, json!({"path": "FOLDER/notes.txt"}));
        pair.same(tool, json!({"path": "notes.txt", "head": 2}));
        pair.same(tool, json!({"path": "FOLDER/nonl.txt", "tail": 2}));
        pair.same(tool, json!({"path": "FOLDER/src/../inner"}));
        pair.same(tool, json!({"path": "notes.txt", "head": 1, "tail": 1}));
        pair.differs(
            tool,
            json!({"path": "notes.txt", "tail": 2}),
            "what stands behind the last line break is no line",
        );
        pair.differs(tool, json!({"path": "notes.txt", "head": 0}), "no lines are none, and not all");
        pair.refuses(
            tool,
            json!({"path": "latin1.txt"}),
            "bytes that are no text are told, and not replaced: who writes them back would break the file",
        );
        pair.refuses(tool, json!({"path": "notes.txt", "bogus": 1}), "arguments that mean nothing are told");
        pair.both_refuse(tool, json!({"path": "FOLDER/none.txt"}));
        pair.both_refuse(tool, json!({"path": "FOLDER/src"}));
        pair.same(tool, json!({"path": "/etc/passwd"}));
        pair.both_refuse(tool, json!({"path": "../x"}));
    }
    pair.same("read_multiple_files", json!({"paths": ["FOLDER/notes.txt", "nonl.txt"]}));
    let (theirs, ours) =
        pair.outcomes("read_multiple_files", &json!({"paths": ["notes.txt", "none.txt", "/etc/passwd"]}));
    assert_eq!(theirs.text.split("\n---\n").count(), ours.text.split("\n---\n").count());
    pair.same("read_media_file", json!({"path": "p.png"}));
    for folder in ["FOLDER", "empty", "src"] {
        pair.same("list_directory", json!({"path": folder}));
        pair.alike("list_directory_with_sizes", json!({"path": folder, "sortBy": "name"}));
    }
    pair.same("directory_tree", json!({"path": "src"}));
    // A link is told as what it is.
    let mut trees = |arguments: Value| {
        let (theirs, ours) = pair.outcomes("directory_tree", &arguments);
        assert_eq!(ours.text.replace("symlink", "file"), theirs.text);
    };
    trees(json!({"path": "FOLDER"}));
    trees(json!({"path": "FOLDER", "excludePatterns": ["deep", "*.txt"]}));
    pair.both_refuse("list_directory", json!({"path": "FOLDER/notes.txt"}));
    for pattern in ["*.rs", "**/*.rs", "**/deep", "*", "zzz*", "NOTES*", "notes"] {
        pair.same("search_files", json!({"path": "FOLDER", "pattern": pattern}));
    }
    pair.same("search_files", json!({"path": "FOLDER", "pattern": "**/*.rs", "excludePatterns": ["src/deep/**"]}));
    pair.differs(
        "search_files",
        json!({"path": "FOLDER", "pattern": "**/*.rs", "excludePatterns": ["deep"]}),
        "a folder that is left out is left out with what is in it, as in directory_tree",
    );
    pair.refuses("search_files", json!({"path": "FOLDER", "pattern": "["}), "what is no glob is told");
    let (theirs, ours) = pair.outcomes("get_file_info", &json!({"path": "FOLDER/src/main.rs"}));
    let plain = |text: &str| -> Vec<String> {
        let is_time = |line: &&str| ["created:", "modified:", "accessed:"].iter().any(|word| line.starts_with(word));
        text.lines().filter(|line| !is_time(line)).map(str::to_owned).collect()
    };
    assert_eq!((plain(&ours.text), ours.text.lines().count()), (plain(&theirs.text), theirs.text.lines().count()));
    assert_eq!(ours.data["size"], 34, "times are RFC 3339, and all of it is data too");
    // What changes.
    pair.same("write_file", json!({"path": "FOLDER/new.txt", "content": "hello ü\n"}));
    pair.same("write_file", json!({"path": "FOLDER/inner", "content": "one\ntwo\nthree\nfour\nfive\nsix\n"}));
    pair.both_refuse("write_file", json!({"path": "none/new.txt", "content": ""}));
    pair.both_refuse("write_file", json!({"path": "/etc/x", "content": ""}));
    let edit = |old: &str, new: &str| json!([{"oldText": old, "newText": new}]);
    pair.same("edit_file", json!({"path": "FOLDER/notes.txt", "edits": edit("two", "TWO"), "dryRun": true}));
    let both = json!([{"oldText": "two", "newText": "TWO"}, {"oldText": "six\n", "newText": ""}]);
    pair.same("edit_file", json!({"path": "FOLDER/notes.txt", "edits": both}));
    pair.same("edit_file", json!({"path": "FOLDER/ticks.md", "edits": edit("code", "CODE")}));
    pair.same("edit_file", json!({"path": "FOLDER/nonl.txt", "edits": edit("c", "d")}));
    pair.same("edit_file", json!({"path": "FOLDER/src/main.rs", "edits": edit("println!(\"hi\");", "a();\n    b();")}));
    pair.same("edit_file", json!({"path": "FOLDER/notes.txt", "edits": edit("nothing like it", "x")}));
    pair.refuses(
        "edit_file",
        json!({"path": "FOLDER/notes.txt", "edits": edit("e", "E"), "dryRun": true}),
        "what is there more than once is not guessed",
    );
    pair.refuses(
        "edit_file",
        json!({"path": "FOLDER/notes.txt", "edits": edit("", "x"), "dryRun": true}),
        "nothing is everywhere",
    );
    pair.same("read_text_file", json!({"path": "notes.txt"}));
    pair.same("create_directory", json!({"path": "FOLDER/n1/n2"}));
    pair.same("create_directory", json!({"path": "FOLDER/n1/n2"}));
    pair.both_refuse("create_directory", json!({"path": "FOLDER/notes.txt"}));
    pair.same("move_file", json!({"source": "FOLDER/new.txt", "destination": "FOLDER/n1/moved.txt"}));
    pair.same("move_file", json!({"source": "FOLDER/n1/moved.txt", "destination": "FOLDER/notes.txt"}));
    pair.both_refuse("move_file", json!({"source": "none", "destination": "x"}));
    pair.same("list_directory", json!({"path": "FOLDER"}));
}

#[test]
fn memory() {
    let folder = TempDir::new().unwrap();
    let mut official = node("@modelcontextprotocol/server-memory/dist/index.js");
    official.env("MEMORY_FILE_PATH", folder.path().join("memory.jsonl"));
    let mut pair = Pair::new("memory", &format!("path = {:?}", folder.path().join("memory.sqlite")), official);
    pair.has_all_tools();
    let steps = [
        ("read_graph", json!({})),
        (
            "create_entities",
            json!({"entities": [
                {"name": "Ada", "entityType": "person", "observations": ["Likes math", "Größe: 1,60 m"]},
                {"name": "Engine", "entityType": "machine", "observations": []},
            ]}),
        ),
        (
            "create_entities",
            json!({"entities": [
                {"name": "Ada", "entityType": "other", "observations": []},
                {"name": "Charles", "entityType": "person", "observations": ["x"]},
            ]}),
        ),
        (
            "create_relations",
            json!({"relations": [
                {"from": "Ada", "to": "Engine", "relationType": "programs"},
                {"from": "Charles", "to": "Engine", "relationType": "builds"},
                {"from": "Ghost", "to": "Nobody", "relationType": "haunts"},
            ]}),
        ),
        ("create_relations", json!({"relations": [{"from": "Ada", "to": "Engine", "relationType": "programs"}]})),
        ("add_observations", json!({"observations": [{"entityName": "Ada", "contents": ["Likes math", "Likes tea"]}]})),
        ("add_observations", json!({"observations": [{"entityName": "Ghost", "contents": ["boo"]}]})),
        ("search_nodes", json!({"query": "MATH"})),
        ("search_nodes", json!({"query": "machine"})),
        ("search_nodes", json!({"query": ""})),
        ("search_nodes", json!({"query": "nothing"})),
        ("open_nodes", json!({"names": ["Engine", "nobody"]})),
        ("open_nodes", json!({"names": []})),
        ("delete_observations", json!({"deletions": [{"entityName": "Ada", "observations": ["Likes tea", "never"]}]})),
        ("delete_relations", json!({"relations": [{"from": "Charles", "to": "Engine", "relationType": "builds"}]})),
        ("delete_entities", json!({"entityNames": ["Engine", "nobody"]})),
        ("read_graph", json!({})),
    ];
    for (tool, arguments) in steps {
        pair.same(tool, arguments.clone());
        if tool.starts_with("read") || tool.starts_with("search") || tool.starts_with("open") {
            let (theirs, ours) = pair.outcomes(tool, &arguments);
            assert_eq!(ours.data, theirs.data, "{tool}");
        }
    }
    pair.both_refuse("create_entities", json!({"entities": [{"name": "x"}]}));
    let twice = json!({"entities": [
        {"name": "Twin", "entityType": "t", "observations": ["o", "o"]},
        {"name": "Twin", "entityType": "t", "observations": []},
    ]});
    pair.differs("create_entities", twice, "what is named twice in one call is there once");
    let read = |client: &mut Stdio| {
        let read = request(9001, "resources/read", json!({"uri": "memory://knowledge-graph"}));
        client.ask(&read)["result"]["contents"][0]["mimeType"].clone()
    };
    assert_eq!(read(&mut pair.ours), read(&mut pair.theirs));
}

/// A repository with three commits, the same each time.
fn repository(whole: &Path) -> PathBuf {
    let root = whole.join("repo");
    fs::create_dir_all(root.join("dir")).unwrap();
    let git = |words: &[&str], day: u32| {
        let date = format!("2026-01-0{day}T10:00:00+01:00");
        let mut git = Command::new("git");
        git.args(words).current_dir(&root).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
            git.env_remove(name);
        }
        git.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        assert!(git.output().unwrap().status.success(), "git {words:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"], 1);
    git(&["config", "user.name", "Ada L"], 1);
    git(&["config", "user.email", "ada@example.org"], 1);
    git(&["config", "commit.gpgsign", "false"], 1);
    fs::write(root.join("a.txt"), "one\ntwo\nthree\n").unwrap();
    fs::write(root.join("dir/b.txt"), "bee\n").unwrap();
    git(&["add", "."], 1);
    git(&["commit", "--quiet", "-m", "First commit"], 1);
    git(&["branch", "feature"], 1);
    fs::write(root.join("a.txt"), "one\n2\nthree\n").unwrap();
    git(&["commit", "--quiet", "-am", "Second commit\n\nBody line 1\nBody line 2"], 2);
    git(&["rm", "--quiet", "dir/b.txt"], 3);
    fs::write(root.join("bin"), b"\0\x01").unwrap();
    fs::write(root.join("c.txt"), "no newline at end").unwrap();
    git(&["add", "."], 3);
    git(&["commit", "--quiet", "-m", "Third commit"], 3);
    git(&["tag", "v1"], 3);
    root
}

#[test]
fn git() {
    let (theirs, ours) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (their_root, our_root) = (repository(theirs.path()), repository(ours.path()));
    let mut official = peer("python2/bin/mcp-server-git");
    official.env("GIT_CONFIG_SYSTEM", "/dev/null").env("LC_ALL", "C");
    let mut pair = Pair::new("git", &format!("roots = [{:?}]", ours.path()), official).folders(&their_root, &our_root);
    pair.has_all_tools();
    let at = |mut arguments: Value| {
        arguments["repo_path"] = json!("FOLDER");
        arguments
    };
    pair.same("git_status", at(json!({})));
    pair.same("git_log", at(json!({})));
    pair.same("git_log", at(json!({"max_count": 1})));
    pair.same("git_log", at(json!({"max_count": 0})));
    pair.same(
        "git_log",
        at(json!({"start_timestamp": "2026-01-02T00:00:00Z", "end_timestamp": "2026-01-02T23:00:00Z"})),
    );
    pair.refuses("git_log", at(json!({"start_timestamp": "some day"})), "what is no time is told");
    for revision in ["HEAD", "HEAD~1", "HEAD~2", "v1", "HEAD:a.txt", "HEAD~1:dir", "HEAD~1:", "nope"] {
        pair.same("git_show", at(json!({"revision": revision})));
    }
    pair.both_refuse("git_show", at(json!({"revision": "v1:nope.txt"})));
    pair.same("git_show", at(json!({"revision": "--output=x"})));
    pair.same("git_branch", at(json!({"branch_type": "local"})));
    pair.same("git_branch", at(json!({"branch_type": "all"})));
    pair.same("git_branch", at(json!({"branch_type": "remote"})));
    pair.same("git_branch", at(json!({"branch_type": "local", "contains": "v1"})));
    pair.same("git_branch", at(json!({"branch_type": "local", "not_contains": "v1"})));
    pair.both_refuse("git_branch", at(json!({"branch_type": "bogus"})));
    for target in ["feature", "HEAD~2", "nope", "--stat"] {
        pair.same("git_diff", at(json!({"target": target})));
    }
    pair.same("git_diff", at(json!({"target": "HEAD~2", "context_lines": 0})));
    pair.differs("git_diff", at(json!({"target": "HEAD~2..HEAD"})), "a range of commits works");
    for (root, text) in [(&their_root, "one\n2\nthree\nfour\n"), (&our_root, "one\n2\nthree\nfour\n")] {
        fs::write(root.join("a.txt"), text).unwrap();
        fs::write(root.join("new.txt"), "new\n").unwrap();
    }
    pair.same("git_diff_unstaged", at(json!({})));
    pair.same("git_add", at(json!({"files": ["a.txt"]})));
    pair.same("git_add", at(json!({"files": ["a.txt"]})));
    for root in [&their_root, &our_root] {
        fs::write(root.join("a.txt"), "ONE\n2\nthree\nfour\n").unwrap();
    }
    pair.same("git_status", at(json!({})));
    for lines in [0, 3] {
        pair.same("git_diff_unstaged", at(json!({"context_lines": lines})));
        pair.same("git_diff_staged", at(json!({"context_lines": lines})));
        pair.same("git_diff", at(json!({"target": "HEAD", "context_lines": lines})));
    }
    pair.same("git_reset", at(json!({})));
    pair.same("git_status", at(json!({})));
    pair.same("git_commit", at(json!({"message": "nothing staged"})));
    pair.both_refuse("git_add", at(json!({"files": ["missing.txt"]})));
    pair.both_refuse("git_add", at(json!({"files": ["../outside.txt"]})));
    pair.both_refuse("git_add", at(json!({"files": []})));
    pair.same("git_add", at(json!({"files": ["."]})));
    let (theirs_told, ours_told) = pair.outcomes("git_commit", &at(json!({"message": "Subject\n\nBody"})));
    let words = "Changes committed successfully with hash ";
    assert!(theirs_told.text.starts_with(words) && ours_told.text.starts_with(words), "{theirs_told:?} {ours_told:?}");
    pair.same("git_status", at(json!({})));
    let (theirs_told, ours_told) = pair.outcomes("git_log", &at(json!({"max_count": 1})));
    assert!(theirs_told.text.ends_with("Message: Subject\n\nBody\n"), "{theirs_told:?}");
    assert!(
        ours_told.text.ends_with("Message: Subject\n\nBody\n\n"),
        "a message ends its last line, as with git itself: {ours_told:?}"
    );
    pair.same("git_create_branch", at(json!({"branch_name": "topic"})));
    pair.same("git_create_branch", at(json!({"branch_name": "topic"})));
    pair.same("git_create_branch", at(json!({"branch_name": "from-tag", "base_branch": "v1"})));
    pair.same("git_create_branch", at(json!({"branch_name": "-x"})));
    pair.both_refuse("git_create_branch", at(json!({"branch_name": "bad name"})));
    pair.both_refuse("git_create_branch", at(json!({"branch_name": "t", "base_branch": "nope"})));
    pair.same("git_checkout", at(json!({"branch_name": "feature"})));
    pair.same("git_status", at(json!({})));
    pair.same("git_checkout", at(json!({"branch_name": "nope"})));
    pair.same("git_checkout", at(json!({"branch_name": "v1"})));
    pair.same("git_status", at(json!({})));
    pair.same("git_branch", at(json!({"branch_type": "local"})));
    pair.same("git_create_branch", at(json!({"branch_name": "fromdetached"})));
    pair.same("git_checkout", at(json!({"branch_name": "main"})));
    pair.both_refuse("git_status", json!({"repo_path": "/nonexistent"}));
    pair.both_refuse("git_status", json!({"repo_path": 5}));
}

/// A web site.
fn site(pages: &'static [(&'static str, &'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let reader = BufReader::new(stream.try_clone().unwrap());
                let lines: Vec<String> =
                    reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
                let page = pages.iter().find(|(known, ..)| *known == path);
                let (head, body) = page.map_or(("404 Not Found", ""), |(_, head, body)| (*head, *body));
                let length = body.len();
                let _ =
                    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn fetch() {
    const PAGES: &[(&str, &str, &str)] = &[
        ("/robots.txt", "200 OK\r\nContent-Type: text/plain", "User-agent: *\nDisallow: /private\n"),
        ("/plain.txt", "200 OK\r\nContent-Type: text/plain; charset=utf-8", "line 000\nline 001\nline 002\na😀b\n"),
        ("/data.json", "200 OK\r\nContent-Type: application/json", "{\"a\": [1, 2, {\"b\": \"ü\"}]}"),
        (
            "/page.html",
            "200 OK\r\nContent-Type: text/html",
            "<html><body><article><h2>Owls</h2><p>They are heavy.</p></article></body></html>",
        ),
        ("/empty.txt", "200 OK\r\nContent-Type: text/plain", ""),
        ("/private/x", "200 OK\r\nContent-Type: text/plain", "secret"),
        ("/moved", "302 Found\r\nLocation: /plain.txt", ""),
        ("/hidden", "302 Found\r\nLocation: /private/x", ""),
        ("/500", "500 Oops\r\nContent-Type: text/plain", "boom"),
    ];
    let url = site(PAGES);
    let at = |path: &str, mut more: Value| {
        more["url"] = json!(format!("{url}{path}"));
        more
    };
    // It would install packages at its first page, if it found a Node.
    let official = |words: &[&str]| {
        let mut official = peer("python2/bin/mcp-server-fetch");
        official.args(words).env("PATH", run_peer_setup().join("python2/bin"));
        official.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
        official
    };
    let mut pair = Pair::new("fetch", "networks = [\"127.0.0.0/8\"]", official(&["--allow-private-ips"]));
    pair.has_all_tools();
    for path in ["/plain.txt", "/data.json", "/empty.txt", "/moved", "/missing", "/500"] {
        pair.same("fetch", at(path, json!({})));
    }
    pair.same("fetch", at("/page.html", json!({"raw": true})));
    pair.same("fetch", at("/plain.txt", json!({"max_length": 10})));
    pair.same("fetch", at("/plain.txt", json!({"max_length": 3, "start_index": 27})));
    pair.same("fetch", at("/plain.txt", json!({"start_index": 1000})));
    pair.same("fetch", json!({"url": "http://127.0.0.1:1/x"}));
    pair.both_refuse("fetch", json!({"url": "not a url"}));
    pair.both_refuse("fetch", json!({"url": "file:///etc/passwd"}));
    pair.both_refuse("fetch", at("/plain.txt", json!({"max_length": 0})));
    for path in ["/private/x", "/hidden"] {
        let (theirs, ours) = pair.outcomes("fetch", &at(path, json!({})));
        let own_name = |text: &str, from: &str| text.replace(from, "AGENT");
        let theirs = own_name(
            &theirs.text,
            "ModelContextProtocol/1.0 (Autonomous; +https://github.com/modelcontextprotocol/servers)",
        );
        assert_eq!(
            own_name(&ours.text, "mcp-host-fetch/1.0 (Autonomous; +https://github.com/mcp-host/mcp-host)"),
            theirs
        );
    }
    let (theirs, ours) = pair.outcomes("fetch", &at("/page.html", json!({})));
    let words = |text: &str| {
        text.split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(&ours.text), words(&theirs.text));
    let mut pair = Pair::new("fetch", "", official(&[]));
    let (theirs, ours) = pair.outcomes("fetch", &at("/plain.txt", json!({})));
    let reason = "127.0.0.1 resolves to 127.0.0.1, which is not a public address.";
    assert!(theirs.text.contains(reason) && ours.is_error, "{theirs:?}");
    assert!(ours.text.contains(reason), "{ours:?}");
    let prompt = |client: &mut Stdio| {
        let get =
            request(9002, "prompts/get", json!({"name": "fetch", "arguments": {"url": format!("{url}/plain.txt")}}));
        client.ask(&get)["result"]["messages"][0]["content"]["text"].as_str().unwrap().contains(reason)
    };
    assert!(prompt(&mut pair.ours) && prompt(&mut pair.theirs));
}

#[test]
fn time() {
    let mut official = peer("python2/bin/mcp-server-time");
    official.args(["--local-timezone", "Europe/Berlin"]);
    let mut pair = Pair::new("time", "local_timezone = \"Europe/Berlin\"", official);
    pair.has_all_tools();
    let data =
        |outcome: &Outcome| -> Value { serde_json::from_str(&outcome.text).unwrap_or_else(|_| panic!("{outcome:?}")) };
    for (from, to) in [("Europe/Berlin", "Asia/Tokyo"), ("America/New_York", "Asia/Kathmandu"), ("UTC", "UTC")] {
        let arguments = json!({"source_timezone": from, "time": "14:30", "target_timezone": to});
        let (theirs, ours) = pair.outcomes("convert_time", &arguments);
        assert_eq!(data(&ours), data(&theirs), "{arguments}");
    }
    for zone in ["Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu"] {
        let (theirs, ours) = pair.outcomes("get_current_time", &json!({"timezone": zone}));
        let (theirs, ours) = (data(&theirs), data(&ours));
        for key in ["timezone", "day_of_week", "is_dst"] {
            assert_eq!(ours[key], theirs[key], "{zone} {key}");
        }
        assert_eq!(ours["datetime"].as_str().unwrap().len(), theirs["datetime"].as_str().unwrap().len());
    }
    pair.both_refuse("get_current_time", json!({"timezone": "Mars/Base"}));
    pair.both_refuse("convert_time", json!({"source_timezone": "UTC", "time": "noon", "target_timezone": "UTC"}));
    pair.differs("get_current_time", json!({}), "a zone that is not named is the local one");
}

#[test]
fn sqlite() {
    let folder = TempDir::new().unwrap();
    let mut official = peer("python/bin/mcp-server-sqlite");
    official.arg("--db-path").arg(folder.path().join("theirs.db"));
    let mut pair = Pair::new("sqlite", &format!("path = {:?}", folder.path().join("ours.db")), official);
    pair.has_all_tools();
    // Theirs are rows as Python writes them, ours columns and rows as JSON: the same once both are read.
    let rows = |text: &str| -> Value {
        let program = "import ast, json, sys; print(json.dumps([list(map(lambda it: it.hex() if isinstance(it, bytes) else it, row.values())) for row in ast.literal_eval(sys.argv[1])]))";
        let output = Command::new("python3").args(["-c", program, text]).output().unwrap();
        assert!(output.status.success(), "{text}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let create = "CREATE TABLE birds (id INTEGER PRIMARY KEY, name TEXT NOT NULL, weight REAL)";
    pair.same("create_table", json!({"query": create}));
    for (query, changed) in [
        ("INSERT INTO birds (name, weight) VALUES ('owl', 2.0), ('wren', NULL)", 2),
        ("UPDATE birds SET weight = 0.01 WHERE name = 'wren'", 1),
        ("DELETE FROM birds WHERE name = 'emu'", 0),
    ] {
        let (theirs, ours) = pair.outcomes("write_query", &json!({"query": query}));
        assert_eq!((rows(&theirs.text), &ours.data["affected_rows"]), (json!([[changed]]), &json!(changed)), "{query}");
    }
    for query in
        ["SELECT * FROM birds ORDER BY id", "SELECT count(*) AS n FROM birds", "SELECT name FROM birds WHERE 0"]
    {
        let (theirs, ours) = pair.outcomes("read_query", &json!({"query": query}));
        assert_eq!(ours.data["rows"], rows(&theirs.text), "{query}");
    }
    for (tool, arguments) in [("list_tables", json!({})), ("describe_table", json!({"table_name": "birds"}))] {
        let (theirs, ours) = pair.outcomes(tool, &arguments);
        assert_eq!(ours.data["rows"], rows(&theirs.text), "{tool}");
    }
    pair.same("append_insight", json!({"insight": "owls are heavy"}));
    // What fails is an error here, and text there.
    for (tool, query) in [
        ("read_query", "SELECT * FROM none"),
        ("read_query", "DELETE FROM birds"),
        ("write_query", "SELECT 1"),
        ("create_table", "DROP TABLE birds"),
        ("read_query", "nonsense"),
    ] {
        let (theirs, ours) = pair.outcomes(tool, &json!({"query": query}));
        assert!(
            ours.is_error && !theirs.is_error && theirs.text.to_lowercase().contains("error"),
            "{tool} {query}: {theirs:?}"
        );
    }
    let (theirs, ours) = pair.outcomes("read_query", &json!({"query": "SELECT count(*) FROM birds"}));
    assert_eq!((ours.data["rows"].clone(), rows(&theirs.text)), (json!([[2]]), json!([[2]])));
}
