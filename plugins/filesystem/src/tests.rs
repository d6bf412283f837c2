use super::*;
use mcp_plugin_api::ContentKind;
use mcp_plugin_api::serde_json::{Value, json};
use mcp_plugin_api::testing::{Kit, Script};
use std::fs;
use tempfile::TempDir;

struct Fixture {
    kit: Kit,
    folder: TempDir,
    outside: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(json!({}))
    }

    fn with(mut config: Value) -> Self {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("notes.txt"), "one\ntwo\nthree\n").unwrap();
        fs::create_dir_all(folder.path().join("src/deep")).unwrap();
        fs::write(folder.path().join("src/main.rs"), "fn main() {}\n").unwrap();
        fs::write(folder.path().join("src/deep/lib.rs"), "").unwrap();
        fs::write(outside.path().join("secret.txt"), "secret").unwrap();
        config["roots"] = json!([folder.path()]);
        Self { kit: Kit::start::<Filesystem>(config).unwrap(), folder, outside }
    }

    /// What a tool gives: its data or text, or the text of its failure.
    fn run(&self, tool: &str, arguments: Value) -> Result<Value, String> {
        let result = self.kit.tool(tool, arguments, &Script::new()).map_err(|error| error.message().to_owned())?;
        let ContentKind::Text { text } = &result.content[0].kind else {
            return Ok(Value::Null);
        };
        if result.is_error {
            return Err(text.clone());
        }
        Ok(result.structured_content.unwrap_or_else(|| text.clone().into()))
    }

    fn path(&self, below: &str) -> String {
        self.folder.path().canonicalize().unwrap().join(below).display().to_string()
    }
}

#[test]
fn text_is_read_whole_and_in_part() {
    let fixture = Fixture::new();
    let read = |arguments: Value| fixture.run("read_text_file", arguments);
    assert_eq!(read(json!({"path": "notes.txt"})), Ok("one\ntwo\nthree\n".into()));
    assert_eq!(read(json!({"path": fixture.path("notes.txt"), "head": 1})), Ok("one".into()));
    assert_eq!(read(json!({"path": "./notes.txt", "tail": 2})), Ok("two\nthree".into()));
    assert_eq!(
        read(json!({"path": "notes.txt", "head": 1, "tail": 1})),
        Err("Cannot specify both head and tail parameters simultaneously".into())
    );
    assert_eq!(read(json!({"path": "src/../notes.txt", "head": 0})), Ok("".into()));
    assert_eq!(fixture.run("read_file", json!({"path": "notes.txt", "tail": 1})), Ok("three".into()));
    let missing = format!("{}: No such file or directory (os error 2)", fixture.path("none.txt"));
    assert_eq!(read(json!({"path": "none.txt"})), Err(missing));
}

#[test]
fn nothing_outside_is_reached_by_any_path() {
    let fixture = Fixture::new();
    let secret = fixture.outside.path().join("secret.txt");
    let secret = secret.to_str().unwrap();
    let inside = fixture.path("");
    let traversals = [
        secret.to_owned(),
        format!("..{secret}"),
        format!("src/../../{secret}"),
        format!("{inside}/../{secret}"),
        format!("{}evil/x", inside.trim_end_matches('/')),
        "/etc/passwd".to_owned(),
        "../../../../../../../../etc/passwd".to_owned(),
    ];
    for path in traversals {
        for (tool, arguments) in [
            ("read_text_file", json!({"path": path})),
            ("write_file", json!({"path": path, "content": "x"})),
            ("list_directory", json!({"path": path})),
            ("get_file_info", json!({"path": path})),
            ("create_directory", json!({"path": path})),
            ("move_file", json!({"source": "notes.txt", "destination": path})),
        ] {
            assert!(fixture.run(tool, arguments).is_err(), "{tool} {path}");
        }
    }
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret");
}

#[cfg(unix)]
#[test]
fn symbolic_links_do_not_lead_out() {
    use std::os::unix::fs::symlink;
    let fixture = Fixture::new();
    symlink(fixture.outside.path(), fixture.folder.path().join("out")).unwrap();
    symlink(fixture.outside.path().join("secret.txt"), fixture.folder.path().join("secret")).unwrap();
    symlink("notes.txt", fixture.folder.path().join("inner")).unwrap();
    for path in ["out/secret.txt", "secret"] {
        assert!(fixture.run("read_text_file", json!({"path": path})).is_err(), "{path}");
        assert!(fixture.run("write_file", json!({"path": path, "content": "x"})).is_err(), "{path}");
    }
    assert!(fixture.run("list_directory", json!({"path": "out"})).is_err());
    assert!(fixture.run("create_directory", json!({"path": "out/new"})).is_err());
    assert!(fixture.run("move_file", json!({"source": "notes.txt", "destination": "out/notes.txt"})).is_err());
    // A link that stays inside is followed.
    assert_eq!(fixture.run("read_text_file", json!({"path": "inner"})), Ok("one\ntwo\nthree\n".into()));
    // What is written by it is written where it leads to, and it stays a link.
    fixture.run("write_file", json!({"path": "inner", "content": "one\n"})).unwrap();
    assert_eq!(fs::read_to_string(fixture.folder.path().join("notes.txt")).unwrap(), "one\n");
    assert!(fixture.folder.path().join("inner").is_symlink());
    // Searches tell links, and do not enter them.
    let found = fixture.run("search_files", json!({"path": "", "pattern": "*secret*"})).unwrap();
    assert_eq!(found, fixture.path("secret"));
    assert_eq!(fs::read_to_string(fixture.outside.path().join("secret.txt")).unwrap(), "secret");
}

#[test]
fn files_are_written_edited_and_moved() {
    let fixture = Fixture::new();
    let written = fixture.run("write_file", json!({"path": "new.txt", "content": "a\nb\n"}));
    assert_eq!(written, Ok("Successfully wrote to new.txt".into()));
    let difference = fixture.run(
        "edit_file",
        json!({
            "path": "new.txt", "edits": [{"oldText": "b", "newText": "c"}], "dryRun": true
        }),
    );
    assert_eq!(difference, Ok(format!(
        "```diff\nIndex: new.txt\n{}\n--- new.txt\toriginal\n+++ new.txt\tmodified\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n```\n\n",
        "=".repeat(67)
    )
    .into()));
    assert_eq!(fs::read_to_string(fixture.folder.path().join("new.txt")).unwrap(), "a\nb\n");
    fixture.run("edit_file", json!({"path": "new.txt", "edits": [{"oldText": "b", "newText": "c"}]})).unwrap();
    fixture.run("move_file", json!({"source": "new.txt", "destination": "src/moved.txt"})).unwrap();
    assert_eq!(fs::read_to_string(fixture.folder.path().join("src/moved.txt")).unwrap(), "a\nc\n");
    assert_eq!(
        fixture.run("move_file", json!({"source": "notes.txt", "destination": "src/moved.txt"})),
        Err(format!("Destination already exists: {}", fixture.path("src/moved.txt")))
    );
    let left: Vec<_> = fs::read_dir(fixture.folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("draft")), "{left:?}");
}

#[test]
fn edits_are_never_guessed() {
    let fixture = Fixture::new();
    let edit =
        |old: &str| fixture.run("edit_file", json!({"path": "notes.txt", "edits": [{"oldText": old, "newText": "x"}]}));
    assert_eq!(edit("four"), Err("Could not find exact match for edit:\nfour".into()));
    assert_eq!(edit("e"), Err("edit 1: the file has this text 3 times; give more around it".into()));
    assert_eq!(edit(""), Err("edit 1: 'oldText' is empty".into()));
    assert_eq!(fixture.run("read_text_file", json!({"path": "notes.txt"})), Ok("one\ntwo\nthree\n".into()));
}

#[test]
fn line_ends_of_the_file_are_kept() {
    let fixture = Fixture::new();
    fs::write(fixture.folder.path().join("dos.txt"), "a\r\nb\r\n").unwrap();
    fixture.run("edit_file", json!({"path": "dos.txt", "edits": [{"oldText": "a\nb", "newText": "c\nd"}]})).unwrap();
    assert_eq!(fs::read_to_string(fixture.folder.path().join("dos.txt")).unwrap(), "c\r\nd\r\n");
    // Also where the piece has none, and where it is the last.
    fixture.run("edit_file", json!({"path": "dos.txt", "edits": [{"oldText": "d", "newText": "e\nf"}]})).unwrap();
    assert_eq!(fs::read_to_string(fixture.folder.path().join("dos.txt")).unwrap(), "c\r\ne\r\nf\r\n");
    // And where it begins or ends with a line end, or is one.
    for (old, new, after) in [
        ("\nfoo", "\nbar", "x\r\nbar\r\ny\r\n"),
        ("x\n", "", "foo\r\ny\r\n"),
        ("foo\n", "a\nb\n", "x\r\na\r\nb\r\ny\r\n"),
        ("\nfoo\n", "\n", "x\r\ny\r\n"),
        ("foo\r\ny", "z", "x\r\nz\r\n"),
    ] {
        fs::write(fixture.folder.path().join("dos.txt"), "x\r\nfoo\r\ny\r\n").unwrap();
        fixture.run("edit_file", json!({"path": "dos.txt", "edits": [{"oldText": old, "newText": new}]})).unwrap();
        assert_eq!(fs::read_to_string(fixture.folder.path().join("dos.txt")).unwrap(), after, "{old:?}");
    }
    fs::write(fixture.folder.path().join("mixed.txt"), "a\r\nb\nc\r\nd").unwrap();
    let edits = json!([{"oldText": "b", "newText": "x\ny"}, {"oldText": "d", "newText": "z\n"}]);
    fixture.run("edit_file", json!({"path": "mixed.txt", "edits": edits})).unwrap();
    assert_eq!(fs::read_to_string(fixture.folder.path().join("mixed.txt")).unwrap(), "a\r\nx\ny\nc\r\nz\r\n");
}

#[test]
fn a_piece_that_is_there_twice_is_not_guessed_even_where_one_overlaps_the_other() {
    let fixture = Fixture::new();
    fs::write(fixture.folder.path().join("ends.txt"), "}\n}\n}\n").unwrap();
    let edits = json!([{"oldText": "}\n}\n", "newText": "}\n"}]);
    let error = fixture.run("edit_file", json!({"path": "ends.txt", "edits": edits})).unwrap_err();
    assert_eq!(error, "edit 1: the file has this text 2 times; give more around it");
}

#[test]
fn folders_are_listed_searched_and_shown_as_trees() {
    let fixture = Fixture::new();
    let list = |tool: &str, arguments: Value| fixture.run(tool, arguments).unwrap().as_str().unwrap().to_owned();
    assert_eq!(list("list_directory", json!({"path": "src"})), "[DIR] deep\n[FILE] main.rs");
    fs::write(fixture.folder.path().join("src/big.log"), "x".repeat(5000)).unwrap();
    let (big, main) =
        ("[FILE] big.log                           4.88 KB", "[FILE] main.rs                              13 B");
    let total = "\n\nTotal: 2 files, 1 directories\nCombined size: 4.90 KB";
    let told = list("list_directory_with_sizes", json!({"path": "src", "sortBy": "size"}));
    assert_eq!(told, format!("{big}\n{main}\n[DIR] deep{total}"));
    let told = list("list_directory_with_sizes", json!({"path": "src"}));
    assert_eq!(told, format!("{big}\n[DIR] deep\n{main}{total}"));
    fs::remove_file(fixture.folder.path().join("src/big.log")).unwrap();
    let tree = list("directory_tree", json!({"path": "src", "excludePatterns": ["main.*"]}));
    let tree: Value = mcp_plugin_api::serde_json::from_str(&tree).unwrap();
    let expected = json!([{"name": "deep", "type": "directory", "children": [{"name": "lib.rs", "type": "file"}]}]);
    assert_eq!(tree, expected);
    let search = |pattern: &str| fixture.run("search_files", json!({"path": ".", "pattern": pattern}));
    let found = format!("{}\n{}", fixture.path("src/deep/lib.rs"), fixture.path("src/main.rs"));
    assert_eq!(search("**/*.rs"), Ok(found.into()));
    assert_eq!(search("src/*.rs"), Ok(fixture.path("src/main.rs").into()));
    assert_eq!(search("*.rs"), Ok("No matches found".into()));
    assert_eq!(search("["), Err("this is no glob: unclosed character class; missing ']'".into()));
    assert_eq!(
        list("list_allowed_directories", json!({})),
        format!("Allowed directories:\n{}", fixture.path("").trim_end_matches('/'))
    );
    let info = fixture.run("get_file_info", json!({"path": "src/main.rs"})).unwrap();
    assert_eq!((&info["size"], &info["isFile"], &info["isDirectory"]), (&json!(13), &json!(true), &json!(false)));
    assert_eq!(info["modified"].as_str().unwrap().len(), "2026-01-31T00:00:00Z".len());
}

#[test]
fn a_read_only_folder_cannot_be_changed() {
    let fixture = Fixture::with(json!({"read_only": true}));
    let refused = "nothing may be changed here: the operator has set 'read_only'";
    assert_eq!(fixture.run("write_file", json!({"path": "notes.txt", "content": ""})), Err(refused.into()));
    assert_eq!(fixture.run("get_file_info", json!({"path": "notes.txt"})).unwrap()["writable"], false);
    let dry = json!({"path": "notes.txt", "edits": [{"oldText": "one", "newText": "1"}], "dryRun": true});
    assert!(fixture.run("edit_file", dry).is_ok());
}

#[test]
fn a_file_at_the_limit_is_read_and_a_larger_one_is_not() {
    let fixture = Fixture::with(json!({"max_bytes": 14}));
    assert!(fixture.run("read_text_file", json!({"path": "notes.txt"})).is_ok());
    fs::write(fixture.folder.path().join("notes.txt"), "0123456789abcde").unwrap();
    let refused = fixture.run("read_text_file", json!({"path": "notes.txt"}));
    assert_eq!(refused, Err("the file has 15 bytes, 14 are allowed".into()));
}

#[test]
fn files_are_resources() {
    let fixture = Fixture::new();
    let uri = format!("file://{}", fixture.path("notes.txt"));
    let read = fixture.kit.resource(&uri, &Script::new()).unwrap();
    assert_eq!(read.contents, [Contents::text("one\ntwo\nthree\n").uri(&uri).mime_type("text/plain")]);
    for uri in ["file:///etc/passwd", "file:///none"] {
        assert_eq!(fixture.kit.resource(uri, &Script::new()).unwrap_err().kind(), "not-found");
    }
}

#[test]
fn a_bad_configuration_stops_the_start() {
    let refused = |config: Value| Kit::start::<Filesystem>(config).err().unwrap().message().to_owned();
    assert!(refused(json!({"roots": ["/no/such/folder"]})).starts_with("the root /no/such/folder cannot be used"));
    assert!(refused(json!({"root": "/"})).contains("unknown field `root`"));
    let kit = Kit::start::<Filesystem>(json!({})).unwrap();
    let read = kit.tool("read_text_file", json!({"path": "x"}), &Script::new()).unwrap();
    assert!(read.is_error, "without roots nothing is allowed");
}

#[test]
fn edits_side_by_side_are_all_kept() {
    let fixture = Fixture::new();
    let lines: String = (0..16).map(|line| format!("line-{line:02}\n")).collect();
    fs::write(fixture.folder.path().join("lines.txt"), lines).unwrap();
    std::thread::scope(|scope| {
        for line in 0..16 {
            let fixture = &fixture;
            scope.spawn(move || {
                let edit = json!({"oldText": format!("line-{line:02}"), "newText": format!("done-{line:02}")});
                fixture.run("edit_file", json!({"path": "lines.txt", "edits": [edit]})).unwrap();
            });
        }
    });
    let text = fs::read_to_string(fixture.folder.path().join("lines.txt")).unwrap();
    assert!(text.lines().all(|line| line.starts_with("done-")), "{text}");
}

#[test]
fn several_files_share_one_bound() {
    let fixture = Fixture::with(json!({"max_bytes": 20}));
    let read = fixture.run("read_multiple_files", json!({"paths": ["notes.txt", "notes.txt"]})).unwrap();
    assert_eq!(read["files"][0]["text"], "one\ntwo\nthree\n");
    assert_eq!(read["files"][1]["error"], "the file has 14 bytes, 6 are allowed");
}
