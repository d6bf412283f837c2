//! The host in the configuration of real clients: samples of their files, the real command, and what is left of them.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use mcp_host_tests::{artifact, repository};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A client: its word, the file of its sample, where that lies below the user's folder, and the key of its servers.
const CLIENTS: [(&str, &str, &str, &str); 9] = [
    ("claude-desktop", "claude-desktop.json", ".config/Claude/claude_desktop_config.json", "mcpServers"),
    ("claude-code", "claude-code.json", ".claude.json", "mcpServers"),
    ("cursor", "cursor.json", ".cursor/mcp.json", "mcpServers"),
    ("vscode", "vscode.jsonc", ".config/Code/User/mcp.json", "servers"),
    ("windsurf", "windsurf.json", ".codeium/windsurf/mcp_config.json", "mcpServers"),
    ("devin", "devin.json", ".config/devin/mcp_config.json", "mcpServers"),
    ("zed", "zed.jsonc", ".config/zed/settings.json", "context_servers"),
    ("codex", "codex.toml", ".codex/config.toml", "mcp_servers"),
    ("gemini", "gemini.json", ".gemini/settings.json", "mcpServers"),
];

/// A user with a folder of their own.
struct User(TempDir);

impl User {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Puts a sample where its client keeps it.
    fn has(&self, sample: &str, below: &str) -> String {
        let text = fs::read_to_string(repository().join("tests/fixtures/clients").join(sample)).unwrap();
        fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        fs::write(self.path(below), &text).unwrap();
        text
    }

    /// Runs the command; its code, what it printed, and what it complained of.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(artifact("mcp-host"));
        command.arg("client").args(words).env_clear().env("HOME", self.0.path());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn passes(&self, words: &[&str]) -> String {
        let (code, told, error) = self.run(words);
        assert_eq!(code, 0, "{words:?}: {told}{error}");
        told
    }
}

/// A configuration as Python reads it, which is not what wrote it: JSON without its comments, or TOML.
fn read(path: &Path) -> Value {
    let program = r"
import json, re, sys, tomllib
path = sys.argv[1]
text = open(path, encoding='utf-8').read()
if path.endswith('.toml'):
    value = tomllib.loads(text)
else:
    string = r'\x22(?:[^\x22\\]|\\.)*\x22'
    text = re.sub(string + r'|//[^\n]*|/\*.*?\*/', lambda it: it[0] if it[0][0] == '\x22' else '', text, flags=re.S)
    text = re.sub(string + r'|,(?=\s*[}\]])', lambda it: it[0] if it[0][0] == '\x22' else '', text, flags=re.S)
    value = json.loads(text)
print(json.dumps(value))
";
    let output = Command::new("python3").args(["-c", program]).arg(path).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        fs::read_to_string(path).unwrap(),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The lines of `before` are in `after`, in order: nothing was taken away, at most a comma was added.
#[track_caller]
fn assert_kept(before: &str, after: &str) {
    let bare = |line: &str| line.replace(',', "");
    let mut lines = after.lines().map(bare);
    for line in before.lines().map(bare) {
        assert!(lines.any(|it| it == line), "lost: {line}\n{after}");
    }
}

#[test]
fn what_is_installed_is_there_once_and_goes_without_a_trace() {
    for (client, sample, below, table) in CLIENTS {
        let user = User::new();
        let before = user.has(sample, below);
        let known = read(&user.path(below));
        let told = user.passes(&["install", client, "--plugins-dir", user.0.path().to_str().unwrap()]);
        assert!(told.contains("'mcp-host' is installed in "), "{told}");
        let after = fs::read_to_string(user.path(below)).unwrap();
        // In one line there is no line to keep; what it says is compared below.
        if before.lines().count() > 1 && client != "claude-code" {
            assert_kept(&before, &after);
        }
        let mut now = read(&user.path(below));
        let entry = now[table].as_object_mut().unwrap().remove("mcp-host").unwrap();
        assert_eq!(now, known, "{client}: everything else is as it was");
        assert_eq!(entry["command"], artifact("mcp-host").canonicalize().unwrap().to_str().unwrap(), "{client}");
        let folder = user.0.path();
        assert_eq!(entry["args"], json!(["--plugins-dir", folder]), "{client}");
        assert_eq!(fs::read_to_string(user.path(&format!("{below}.before-mcp-host"))).unwrap(), before, "{client}");
        // Again: nothing changes.
        let told = user.passes(&["install", client, "--plugins-dir", user.0.path().to_str().unwrap()]);
        assert!(told.starts_with("nothing to change in "), "{told}");
        assert_eq!(fs::read_to_string(user.path(below)).unwrap(), after, "{client}");
        // Another one in its place: still one.
        user.passes(&["install", client, "--http", "http://127.0.0.1:4000/mcp"]);
        let entry = read(&user.path(below))[table]["mcp-host"].clone();
        assert!(entry.to_string().contains("http://127.0.0.1:4000/mcp"), "{client}: {entry}");
        assert_eq!(fs::read_to_string(user.path(below)).unwrap().matches("4000").count(), 1, "{client}");
        user.passes(&["install", client, "--plugins-dir", user.0.path().to_str().unwrap()]);
        // Out of it again: as it was before the first of them.
        user.passes(&["remove", client]);
        assert_eq!(fs::read_to_string(user.path(below)).unwrap(), before, "{client}: nothing of it is left");
        assert!(user.passes(&["remove", client]).starts_with("nothing to change in "));
    }
}

#[test]
fn one_change_is_taken_back_to_the_byte() {
    for (client, sample, below, _) in CLIENTS {
        for (line_end, mark) in [("\n", ""), ("\r\n", "\u{feff}")] {
            let user = User::new();
            let before = format!("{mark}{}", user.has(sample, below).replace('\n', line_end));
            fs::write(user.path(below), &before).unwrap();
            user.passes(&["install", client, "--http"]);
            let after = fs::read_to_string(user.path(below)).unwrap();
            assert_ne!(after, before);
            // A text without lines has no ends of its own.
            let is_alike = !before.contains('\n') || after.matches('\n').count() == after.matches(line_end).count();
            assert!(is_alike, "{client}: {after:?}");
            user.passes(&["remove", client]);
            assert_eq!(fs::read_to_string(user.path(below)).unwrap(), before, "{client}");
            assert!(!user.path(&format!("{below}.before-mcp-host")).exists());
        }
        // Where there was nothing, nothing stays.
        let user = User::new();
        user.passes(&["install", client, "--http"]);
        assert!(user.path(below).is_file(), "{client}");
        user.passes(&["remove", client]);
        assert!(!user.path(below).exists(), "{client}");
        // An empty file is empty again.
        fs::write(user.path(below), "").unwrap();
        user.passes(&["install", client, "--http"]);
        user.passes(&["remove", client]);
        assert_eq!(fs::read_to_string(user.path(below)).unwrap(), "", "{client}");
    }
}

#[test]
fn what_a_user_does_meanwhile_stays() {
    let user = User::new();
    user.has("zed.jsonc", ".config/zed/settings.json");
    let path = user.path(".config/zed/settings.json");
    user.passes(&["install", "zed", "--http"]);
    let changed = fs::read_to_string(&path).unwrap().replace("\"vim_mode\": false,", "\"vim_mode\": true, // at last");
    fs::write(&path, changed).unwrap();
    user.passes(&["remove", "zed"]);
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.contains("\"vim_mode\": true, // at last") && after.contains("/* by address */"), "{after}");
    assert!(!after.contains("127.0.0.1"), "{after}");
}

#[test]
fn what_was_there_first_is_not_written_over() {
    let user = User::new();
    let path = user.path(".cursor/mcp.json");
    let own = json!({"mcpServers": {"mcp-host": {"command": "/opt/mine", "args": ["-x"]}}});
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let before = serde_json::to_string_pretty(&own).unwrap();
    fs::write(&path, &before).unwrap();
    user.passes(&["install", "cursor", "--http"]);
    // Somebody else changes something, and the host is installed anew.
    let mut now = read(&path);
    now["mcpServers"]["other"] = json!({"command": "/opt/other"});
    fs::write(&path, serde_json::to_string_pretty(&now).unwrap()).unwrap();
    user.passes(&["install", "cursor", "--http", "http://127.0.0.1:9/mcp"]);
    let copy = user.path(".cursor/mcp.json.before-mcp-host");
    assert_eq!(fs::read_to_string(&copy).unwrap(), before);
    let last = user.path(".cursor/mcp.json.before-mcp-host-last");
    assert_eq!(read(&last), now);
    user.passes(&["remove", "cursor"]);
    assert_eq!(read(&path)["mcpServers"], json!({"other": {"command": "/opt/other"}}));
    // Whose an entry of that name was, nobody knows; what it was is still known.
    assert_eq!(fs::read_to_string(&copy).unwrap(), before);
}

#[test]
fn what_a_user_adds_to_the_entry_stays() {
    let user = User::new();
    user.passes(&["install", "cursor", "--http"]);
    let path = user.path(".cursor/mcp.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"url\":", "\"disabled\": true,\n      \"cwd\": \"/w\",\n      \"url\":")).unwrap();
    assert!(user.passes(&["install", "cursor", "--http"]).starts_with("nothing to change in "));
    let (code, _, told) = user.run(&["install", "cursor"]);
    assert!(code != 0 && told.contains("a host without plugins: name a folder of them with --plugins-dir"), "{told}");
    user.passes(&["install", "cursor", "--plugins-dir", user.0.path().to_str().unwrap()]);
    let entry = read(&path)["mcpServers"]["mcp-host"].clone();
    let program = artifact("mcp-host").canonicalize().unwrap();
    assert_eq!(
        entry,
        json!({"disabled": true, "cwd": "/w", "command": program, "args": ["--plugins-dir", user.0.path()]}),
        "and the address is gone"
    );
    let user = User::new();
    user.passes(&["install", "codex", "--http"]);
    let path = user.path(".codex/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + "startup_timeout_sec = 5 # slow\n").unwrap();
    user.passes(&["install", "codex", "--http", "http://127.0.0.1:9/mcp"]);
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.contains("startup_timeout_sec = 5 # slow") && after.contains("127.0.0.1:9"), "{after}");
}

#[test]
fn each_client_is_told_in_its_own_words() {
    let entry = |client: &str, below: &str, table: &str, words: &[&str]| {
        let user = User::new();
        user.passes(&[&["install", client], words].concat());
        read(&user.path(below))[table]["mcp-host"].clone()
    };
    let url = "http://127.0.0.1:3000/mcp";
    for (client, _, below, table) in CLIENTS {
        let told = entry(client, below, table, &["--http"]);
        let expected = match client {
            "claude-desktop" => {
                json!({"command": "npx", "args": ["-y", "mcp-remote", url, "--transport", "http-only", "--allow-http"]})
            }
            "claude-code" | "vscode" | "gemini" => json!({"type": "http", "url": url}),
            "windsurf" => json!({"serverUrl": url}),
            "devin" => json!({"url": url, "transport": "http"}),
            _ => json!({"url": url}),
        };
        assert_eq!(told, expected, "{client}");
        let told = entry(client, below, table, &["--plugins-dir", "."]);
        let has_type = ["claude-code", "vscode"].contains(&client);
        assert_eq!(told.get("type"), has_type.then(|| json!("stdio")).as_ref(), "{client}");
    }
}

#[test]
fn an_entry_names_the_program_as_it_was_called() {
    let user = User::new();
    let home = user.0.path().canonicalize().unwrap();
    let folder = home.join("bin");
    fs::create_dir(&folder).unwrap();
    let link = folder.join("mcp-host");
    std::os::unix::fs::symlink(artifact("mcp-host"), &link).unwrap();
    fs::create_dir(home.join("other")).unwrap();
    fs::write(home.join("other/mcp-host"), "another program").unwrap();
    // A shell looks for it: a `Command` would do so in this process's own `PATH`.
    let entry = |program: &str, path: &Path| {
        let mut command = Command::new("/bin/bash");
        command.args(["-c", &format!("exec {program} client install cursor --plugins-dir .")]);
        command.env_clear().env("HOME", &home).env("PATH", path).current_dir(&home);
        assert!(command.status().unwrap().success());
        read(&user.path(".cursor/mcp.json"))["mcpServers"]["mcp-host"]["command"].clone()
    };
    assert_eq!(entry("mcp-host", &folder), json!(link));
    assert_eq!(entry("./bin/mcp-host", Path::new("/nowhere")), json!(link));
    let real = artifact("mcp-host").canonicalize().unwrap();
    let called = format!("-a mcp-host '{}'", real.display());
    assert_eq!(entry(&called, &home.join("other")), json!(real), "what has its name there is another program");
}

#[test]
fn a_dry_run_shows_the_difference_and_changes_nothing() {
    let user = User::new();
    let before = user.has("codex.toml", ".codex/config.toml");
    let told = user.passes(&["install", "codex", "--http", "--dry-run"]);
    let path = user.path(".codex/config.toml").canonicalize().unwrap();
    assert!(told.starts_with(&format!("--- {0}\n+++ {0}\n@@ ", path.display())), "{told}");
    assert!(told.contains("+[mcp_servers.mcp-host]\n+url = \"http://127.0.0.1:3000/mcp\"\n"), "{told}");
    assert!(!told.lines().any(|line| line.starts_with('-') && !line.starts_with("---")), "{told}");
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_understood_is_left_as_it_is() {
    let refused = |client: &str, below: &str, text: &str, why: &str| {
        let user = User::new();
        fs::create_dir_all(user.path(below).parent().unwrap()).unwrap();
        fs::write(user.path(below), text).unwrap();
        let (code, _, error) = user.run(&["install", client, "--http"]);
        assert_eq!(code, 1, "{client}");
        assert!(error.contains(why), "{error}");
        assert_eq!(fs::read_to_string(user.path(below)).unwrap(), text);
    };
    refused("cursor", ".cursor/mcp.json", "{\"mcpServers\": {}", "it cannot be read, so it is left as it is");
    refused("cursor", ".cursor/mcp.json", "{\"mcpServers\": [],}", "it cannot be read");
    refused("cursor", ".cursor/mcp.json", "{\"mcpServers\": []}", "'mcpServers' is not a table there");
    refused("cursor", ".cursor/mcp.json", "[]", "it is no object");
    refused("codex", ".codex/config.toml", "mcp_servers = 5", "'mcp_servers' is not a table there");
    refused("codex", ".codex/config.toml", "a = \n", "it cannot be read");
    let twice = "{\"mcpServers\": {}, \"mcpServers\": {}}";
    refused("gemini", ".gemini/settings.json", twice, "'mcpServers' stands there twice");
    let user = User::new();
    fs::create_dir(user.path(".cursor")).unwrap();
    fs::write(user.path(".cursor/mcp.json"), "{\"mcpServers\":{\"mcp-host\":{}},\"mcpServers\":{\"mcp-host\":{}}}")
        .unwrap();
    assert!(user.run(&["remove", "cursor"]).2.contains("'mcpServers' stands there twice"));
    let user = User::new();
    assert!(user.run(&["install", "cursor", "--name", "a b"]).2.contains("'a b' is no name that all clients take"));
    assert!(user.run(&["install", "cursor", "--http", "ftp://x"]).2.contains("'ftp://x' is no address of a host"));
}

#[test]
fn links_rights_and_objections_are_minded() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let user = User::new();
    user.has("gemini.json", "dotfiles/gemini.json");
    fs::set_permissions(user.path("dotfiles/gemini.json"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::create_dir(user.path(".gemini")).unwrap();
    symlink(user.path("dotfiles/gemini.json"), user.path(".gemini/settings.json")).unwrap();
    let (code, _, error) = user.run(&["install", "gemini", "--http"]);
    assert_eq!(code, 0);
    let objection = "mcp-host: Gemini CLI does not start it before 'mcp-host' is in its list mcp.allowed\n";
    assert_eq!(error, objection);
    assert!(fs::symlink_metadata(user.path(".gemini/settings.json")).unwrap().is_symlink());
    let mode = fs::metadata(user.path("dotfiles/gemini.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    // A link to what is not there yet makes it, and stays a link.
    fs::create_dir_all(user.path(".cursor")).unwrap();
    symlink("../dotfiles/cursor.json", user.path(".cursor/mcp.json")).unwrap();
    user.passes(&["install", "cursor", "--http"]);
    assert!(fs::symlink_metadata(user.path(".cursor/mcp.json")).unwrap().is_symlink());
    assert!(user.path("dotfiles/cursor.json").is_file());
    // A new file is its owner's alone: there may be secrets in it one day.
    user.passes(&["install", "codex", "--http"]);
    assert_eq!(fs::metadata(user.path(".codex/config.toml")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn clients_are_listed_with_their_servers() {
    let user = User::new();
    user.has("zed.jsonc", ".config/zed/settings.json");
    user.passes(&["install", "zed", "--http", "--name", "mine"]);
    let told: Value = serde_json::from_str(&user.passes(&["list", "--json"])).unwrap();
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), CLIENTS.len());
    for it in told {
        let is_zed = it["client"] == "zed";
        assert_eq!(it["present"], is_zed, "{it}");
        let servers = if is_zed { json!(["extension-server", "remote", "mine"]) } else { json!([]) };
        assert_eq!(it["servers"], servers);
    }
    let told = user.passes(&["list"]);
    assert!(told.contains("extension-server, remote, mine"), "{told}");
}
