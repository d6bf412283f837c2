//! The book: its references are what the host says, its configurations and commands are accepted, its links lead somewhere, its
//! first pages can be followed word for word, and it builds without a warning.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod reference;

use mcp_host_tests::{artifact, repository, run_peer_setup, target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// All pages, with the front page of the repository.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![repository().join("docs")];
    let mut pages = vec![repository().join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The blocks of a page in a language.
fn blocks(page: &Path, language: &str) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(marked) = line.strip_prefix("```").filter(|marked| !marked.is_empty()) {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if marked == language {
                blocks.push(block.join("\n") + "\n");
            }
        }
    }
    blocks
}

/// Compares a page with what it is made from; writes it with `UPDATE_DOCS` set.
#[track_caller]
fn assert_page(name: &str, made: &str) {
    let path = repository().join("docs/reference").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == made, "{name} is not what the host says now; UPDATE_DOCS=1 cargo test --test book writes it");
}

#[test]
fn the_references_are_what_the_host_says() {
    assert_page("cli.md", &reference::command_line());
    assert_page("configuration.md", &reference::configuration());
}

#[test]
fn every_configuration_is_accepted() {
    let environment = |name: &str| Some(format!("/{}", name.to_lowercase()));
    let mut seen = 0;
    for page in pages() {
        for block in blocks(&page, "toml") {
            seen += 1;
            if block.contains("[package]") || block.contains("[dev-dependencies]") {
                toml::from_str::<toml::Table>(&block).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
                continue;
            }
            mcp_host::config::parse(&block, &environment)
                .unwrap_or_else(|error| panic!("{}: {error}\n{block}", page.display()));
        }
    }
    assert!(seen >= 15, "{seen}");
}

#[test]
fn every_command_of_the_host_is_understood() {
    let mut seen = 0;
    for page in pages() {
        for line in blocks(&page, "sh").iter().flat_map(|block| block.lines()) {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let Some(words) = line
                .split("&& ")
                .find_map(|part| part.trim().strip_prefix("target/release/").or(Some(part.trim())))
                .filter(|it| it.starts_with("mcp-host "))
            else {
                continue;
            };
            seen += 1;
            // The shell takes the quotes away.
            let words = words.split(" #").next().unwrap().split_whitespace().map(|word| word.trim_matches('\''));
            let understood = mcp_host::cli::command().try_get_matches_from(words);
            assert!(understood.is_ok(), "{}: {line}\n{}", page.display(), understood.unwrap_err());
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            assert!(page.parent().unwrap().join(file).exists(), "{}: {target}", page.display());
        }
    }
}

#[test]
fn the_book_builds_without_a_warning() {
    let own = target().join("tools/bin/mdbook");
    let program = if own.is_file() { own } else { PathBuf::from("mdbook") };
    let built = Command::new(program).args(["build", "docs"]).current_dir(repository()).output();
    let built = built.unwrap_or_else(|error| panic!("mdbook: {error}; tests/run installs it"));
    let told = String::from_utf8_lossy(&built.stderr).into_owned() + &String::from_utf8_lossy(&built.stdout);
    assert!(built.status.success() && !told.contains("WARN") && !told.contains("ERROR"), "{told}");
    let listed = fs::read_to_string(repository().join("docs/SUMMARY.md")).unwrap();
    for page in pages().iter().filter(|page| page.starts_with(repository().join("docs"))) {
        let name = page.strip_prefix(repository().join("docs")).unwrap().display().to_string();
        assert!(name == "SUMMARY.md" || listed.contains(&format!("({name})")), "{name} is not in the book");
    }
}

/// Runs the shell of a page, block after block, in one folder, as a reader would.
#[track_caller]
fn follow(page: &str, folder: &Path) -> String {
    let page = repository().join("docs").join(page);
    // What takes long is there already: the host and the plugins, where a release would have put them.
    let release = folder.join("target/release");
    fs::create_dir_all(&release).unwrap();
    for name in ["mcp-host", "libtime.so", "libmemory.so"] {
        fs::copy(artifact(name), release.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(repository().join("plugin-api"), folder.join("plugin-api")).unwrap();
    let lines = blocks(&page, "sh").concat();
    let first = "cargo build --release\nexport PATH=\"$PWD/target/release:$PATH\"\n";
    let rest = lines.strip_prefix(first).unwrap_or_else(|| panic!("another beginning: {lines}"));
    let script = format!("set -eu\n{}{rest}", first.strip_prefix("cargo build --release\n").unwrap());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(&script).current_dir(folder).env("HOME", folder);
    // Nobody debugs what is built.
    shell.env("CARGO_PROFILE_DEV_DEBUG", "0");
    for (name, kept) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        let home = std::env::var_os("HOME").unwrap();
        shell.env(name, std::env::var_os(name).unwrap_or_else(|| Path::new(&home).join(kept).into()));
    }
    for name in ["CARGO_TARGET_DIR", "MCP_HOST_CONFIG", "MCP_HOST_LOG", "CARGO"] {
        shell.env_remove(name);
    }
    let run = shell.output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{script}\n{told}\n{}", String::from_utf8_lossy(&run.stderr));
    told
}

#[test]
fn the_authors_first_page_can_be_followed() {
    let folder = TempDir::new().unwrap();
    let told = follow("quick-start-author.md", folder.path());
    assert!(told.contains("created plugin 'greeter' in greeter\n") && told.contains("\nHello, Ada!\n"), "{told}");
    let difference =
        "+    \"mcp-host\": {\n+      \"type\": \"http\",\n+      \"url\": \"http://127.0.0.1:3000/mcp\"\n";
    assert!(told.contains(difference), "{told}");
    // The twelve lines on the page are those that were made.
    let page = repository().join("docs/quick-start-author.md");
    let shown = blocks(&page, "rust")[0].replace("# fn main() {}\n", "");
    assert_eq!(shown.lines().count(), 12);
    let made = fs::read_to_string(folder.path().join("greeter/src/lib.rs")).unwrap();
    assert!(made.starts_with(&shown), "{made}");
    // And those in Python say the same.
    let python =
        blocks(&page, "python").concat().replace("mcp.run()", "import asyncio; print(asyncio.run(greet('Ada')))");
    let run = Command::new(run_peer_setup().join("python/bin/python")).args(["-c", &python]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "Hello, Ada!\n", "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_operators_first_page_can_be_followed() {
    let folder = TempDir::new().unwrap();
    let told = follow("quick-start-operator.md", folder.path());
    assert!(told.contains("  tool  get_current_time  "), "{told}");
    assert!(told.contains("T21:00:00+09:00"), "{told}");
    assert!(told.contains("+      \"args\": [\"--plugins-dir\", "), "{told}");
}
