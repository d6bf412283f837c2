//! Where files lie on every system, and that edits undo each other whatever stands around them.

use super::edit::{put, read};
use super::{Client, Edit, Os, ServerName, System, find, remove};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn file(os: Os, client: Client, variables: &[(&str, &str)]) -> PathBuf {
    let variable = |name: &str| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned());
    System { os, home: PathBuf::from("/u"), variable: &variable }.file(client)
}

#[test]
fn files_lie_where_each_system_has_them() {
    let is = |os, client, path: &str| assert_eq!(file(os, client, &[]), Path::new(path));
    is(Os::Linux, Client::ClaudeDesktop, "/u/.config/Claude/claude_desktop_config.json");
    is(Os::MacOs, Client::ClaudeDesktop, "/u/Library/Application Support/Claude/claude_desktop_config.json");
    is(Os::Windows, Client::ClaudeDesktop, "/u/AppData/Roaming/Claude/claude_desktop_config.json");
    is(Os::MacOs, Client::VsCode, "/u/Library/Application Support/Code/User/mcp.json");
    is(Os::Windows, Client::VsCode, "/u/AppData/Roaming/Code/User/mcp.json");
    is(Os::MacOs, Client::Zed, "/u/.config/zed/settings.json");
    is(Os::Windows, Client::Zed, "/u/AppData/Roaming/Zed/settings.json");
    is(Os::MacOs, Client::Devin, "/u/.config/devin/mcp_config.json");
    for os in [Os::Linux, Os::MacOs, Os::Windows] {
        is(os, Client::ClaudeCode, "/u/.claude.json");
        is(os, Client::Cursor, "/u/.cursor/mcp.json");
        is(os, Client::Windsurf, "/u/.codeium/windsurf/mcp_config.json");
        is(os, Client::Codex, "/u/.codex/config.toml");
        is(os, Client::Gemini, "/u/.gemini/settings.json");
    }
}

#[test]
fn variables_say_where_files_lie_instead() {
    let is = |client, variable, path: &str| {
        assert_eq!(file(Os::Linux, client, &[(variable, "/x")]), Path::new(path));
        assert_ne!(file(Os::Linux, client, &[(variable, "")]), Path::new(path), "an empty one says nothing");
    };
    is(Client::ClaudeCode, "CLAUDE_CONFIG_DIR", "/x/.claude.json");
    is(Client::Codex, "CODEX_HOME", "/x/config.toml");
    is(Client::Gemini, "GEMINI_CLI_HOME", "/x/.gemini/settings.json");
    is(Client::Zed, "FLATPAK_XDG_CONFIG_HOME", "/x/zed/settings.json");
    is(Client::VsCode, "XDG_CONFIG_HOME", "/x/Code/User/mcp.json");
    is(Client::VsCode, "VSCODE_PORTABLE", "/x/user-data/User/mcp.json");
}

#[test]
fn an_inline_table_of_servers_stays_one() {
    let name = ServerName::parse("ours").unwrap();
    let text = "mcp_servers = { docs = { command = \"d\" } } # all\n";
    let Edit::Changed(after) = put(Client::Codex, text, &name, &json!({"url": "http://h/mcp"})).unwrap() else {
        panic!("it is new");
    };
    assert_eq!(after.lines().count(), 1, "{after}");
    assert!(after.ends_with("# all\n"), "{after}");
    assert_eq!(read(Client::Codex, &after).unwrap()["mcp_servers"]["ours"], json!({"url": "http://h/mcp"}));
}

/// Values that a configuration may have.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~äß€]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z\"/*-]{1,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn everything_else_stays_what_it_was(
        around in proptest::collection::btree_map("[a-z]{1,8}", values(), 0..5),
        servers in proptest::option::of(proptest::collection::btree_map("[b-z]{1,6}", values(), 0..4)),
        pretty in any::<bool>(),
    ) {
        let name = ServerName::parse("a-host").unwrap();
        let entry = json!({"command": "c", "args": ["1", "2"]});
        for client in Client::ALL {
            let mut whole: serde_json::Map<_, _> = around.clone().into_iter().collect();
            if let Some(servers) = &servers {
                whole.insert(client.table().to_owned(), Value::Object(servers.clone().into_iter().collect()));
            }
            let whole = Value::Object(whole);
            let text = match client {
                Client::Codex => ::toml::to_string(&whole).unwrap(),
                _ if pretty => serde_json::to_string_pretty(&whole).unwrap(),
                _ => whole.to_string(),
            };
            let Edit::Changed(with) = put(client, &text, &name, &entry).unwrap() else { panic!("it is new") };
            let mut now = read(client, &with).unwrap();
            prop_assert_eq!(&now[client.table()]["a-host"], &entry);
            prop_assert_eq!(put(client, &with, &name, &entry).unwrap(), Edit::Unchanged);
            let Edit::Changed(without) = remove(client, &with, &name).unwrap() else { panic!("it was there") };
            now[client.table()].as_object_mut().unwrap().remove("a-host");
            if servers.is_none() && now[client.table()] == json!({}) {
                now.as_object_mut().unwrap().remove(client.table());
            }
            prop_assert_eq!(&now, &whole);
            prop_assert!(find(client, &without).unwrap().iter().all(|found| found.name != "a-host"));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}", braces in "[\\{\\}\\[\\],:\"a-c\\\\/*\n=. ]{0,80}") {
        let name = ServerName::parse("a-host").unwrap();
        for client in Client::ALL {
            for text in [&text, &braces] {
                let _ = put(client, text, &name, &json!({"command": "c"}));
                let _ = remove(client, text, &name);
            }
        }
    }
}
