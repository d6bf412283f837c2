use super::*;
use mcp_plugin_api::serde_json::{Value, json};
use mcp_plugin_api::testing::{Kit, Script};

fn kit(config: Value) -> Kit {
    Kit::start::<Sqlite>(config).unwrap()
}

/// What a tool gives: its data, or the text of its failure.
fn run(kit: &Kit, tool: &str, arguments: Value) -> Result<Value, String> {
    let result = kit.tool(tool, arguments, &Script::new()).map_err(|error| error.message().to_owned())?;
    let text = text_of(&result);
    if result.is_error { Err(text) } else { Ok(result.structured_content.unwrap_or(Value::String(text))) }
}

fn text_of(result: &ToolResult) -> String {
    match &result.content[0].kind {
        mcp_plugin_api::ContentKind::Text { text } => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

fn filled(config: Value) -> Kit {
    let kit = kit(config);
    run(
        &kit,
        "create_table",
        json!({"query": "CREATE TABLE birds (id INTEGER PRIMARY KEY, name TEXT, weight REAL, raw BLOB)"}),
    )
    .unwrap();
    let insert = "INSERT INTO birds (name, weight, raw) VALUES (?, ?, x'00ff'), ('wren', NULL, NULL)";
    let changed = run(&kit, "write_query", json!({"query": insert, "params": ["owl", 1.5]}));
    assert_eq!(changed.unwrap(), json!({"affected_rows": 2}));
    kit
}

#[test]
fn rows_come_back_with_their_types() {
    let kit = filled(json!({}));
    assert_eq!(
        run(&kit, "read_query", json!({"query": "SELECT * FROM birds ORDER BY id"})).unwrap(),
        json!({
            "columns": ["id", "name", "weight", "raw"],
            "rows": [[1, "owl", 1.5, "00ff"], [2, "wren", null, null]],
            "truncated": false
        })
    );
    let by_name = json!({"query": "SELECT id FROM birds WHERE name = ?", "params": ["wren"]});
    assert_eq!(run(&kit, "read_query", by_name).unwrap()["rows"], json!([[2]]));
}

#[test]
fn a_query_cannot_change_anything() {
    let kit = filled(json!({}));
    let sneaky = [
        "DELETE FROM birds",
        "WITH x AS (SELECT 1) DELETE FROM birds",
        "INSERT INTO birds (name) VALUES ('x') RETURNING id",
        "PRAGMA query_only = 0",
        "PRAGMA hard_heap_limit = 100000",
        "SELECT 1; PRAGMA writable_schema = 1",
        "ATTACH '/tmp/x' AS x",
        "VACUUM INTO '/tmp/x'",
        "SELECT load_extension('x')",
    ];
    for query in sneaky {
        assert!(run(&kit, "read_query", json!({"query": query})).is_err(), "{query}");
    }
    let left = run(&kit, "read_query", json!({"query": "SELECT count(*) FROM birds"})).unwrap();
    assert_eq!(left["rows"], json!([[2]]));
}

#[test]
fn transactions_cannot_outlive_a_call() {
    let kit = filled(json!({}));
    for begin in ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s", "COMMIT", "ROLLBACK"] {
        for tool in ["read_query", "write_query"] {
            let refused = run(&kit, tool, json!({"query": begin})).unwrap_err();
            assert!(refused.starts_with("this statement is not allowed here"), "{begin}: {refused}");
        }
    }
    run(&kit, "write_query", json!({"query": "INSERT INTO birds (name) VALUES ('tit')"})).unwrap();
}

#[test]
fn a_statement_that_returns_rows_is_run_to_its_end_once() {
    let kit = filled(json!({}));
    let insert = json!({"query": "INSERT INTO birds (name) VALUES ('a'), ('b'), ('c') RETURNING id"});
    assert_eq!(run(&kit, "write_query", insert).unwrap(), json!({"affected_rows": 3}));
    let count = run(&kit, "read_query", json!({"query": "SELECT count(*) FROM birds"})).unwrap();
    assert_eq!(count["rows"], json!([[5]]));
}

#[test]
fn a_changed_schema_changes_no_rows_and_lists_its_tables() {
    let kit = filled(json!({}));
    let changed = run(&kit, "write_query", json!({"query": "CREATE TABLE trees (id INTEGER)"})).unwrap();
    assert_eq!(changed, json!({"affected_rows": 0}));
    assert_eq!(kit.manifest().resources.len(), 4);
    run(&kit, "write_query", json!({"query": "DROP TABLE trees"})).unwrap();
    assert_eq!(kit.manifest().resources.len(), 3);
}

#[test]
fn large_results_are_cut_and_large_values_refused() {
    let kit = kit(json!({}));
    let many =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) SELECT zeroblob(500000) FROM n";
    let rows = run(&kit, "read_query", json!({"query": many})).unwrap();
    assert_eq!((rows["rows"].as_array().unwrap().len(), &rows["truncated"]), (16, &json!(true)));
    assert!(run(&kit, "read_query", json!({"query": "SELECT zeroblob(2000000)"})).is_err());
}

#[test]
fn a_read_only_database_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("birds.db");
    drop(filled(json!({"path": path})));
    let kit = kit(json!({"path": path, "read_only": true}));
    let refused = run(&kit, "write_query", json!({"query": "DELETE FROM birds"}));
    assert_eq!(refused, Err("this database is read-only".to_owned()));
    let kept = run(&kit, "read_query", json!({"query": "SELECT count(*) FROM birds"})).unwrap();
    assert_eq!(kept["rows"], json!([[2]]));
}

#[test]
fn a_database_does_not_outgrow_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    for path in [Value::Null, json!(folder.path().join("birds.db"))] {
        let kit = filled(json!({"path": path, "max_mebibytes": 2}));
        let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)";
        let fill = format!("{numbers} INSERT INTO birds (raw) SELECT zeroblob(100000) FROM n");
        let refused = "nothing was changed: the database may grow to 2 MiB, and disks must have room for it and for what is sorted";
        assert_eq!(run(&kit, "write_query", json!({"query": fill})), Err(refused.to_owned()));
        let kept = run(&kit, "read_query", json!({"query": "SELECT count(*) FROM birds"})).unwrap();
        assert_eq!(kept["rows"], json!([[2]]), "what does not fit is not there by half");
    }
}

#[test]
fn how_a_database_is_kept_is_its_owners_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own.db"), folder.path().join("other.db"));
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    for (path, kept) in [(own, "wal"), (other, "delete")] {
        let kit = kit(json!({"path": path}));
        run(&kit, "create_table", json!({"query": "CREATE TABLE birds (name)"})).unwrap();
        let mode: String = rusqlite::Connection::open(&path)
            .unwrap()
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, kept);
    }
}

#[test]
fn a_read_only_database_in_memory_is_refused() {
    let refused = Kit::start::<Sqlite>(json!({"read_only": true})).err().unwrap();
    assert!(refused.message().contains("name a 'path'"));
}

#[test]
fn rows_are_bounded_at_the_limit() {
    let kit = filled(json!({"max_rows": 2}));
    let all = run(&kit, "read_query", json!({"query": "SELECT id FROM birds"})).unwrap();
    assert_eq!((all["rows"].as_array().unwrap().len(), &all["truncated"]), (2, &json!(false)));
    run(&kit, "write_query", json!({"query": "INSERT INTO birds (name) VALUES ('tit')"})).unwrap();
    let more = run(&kit, "read_query", json!({"query": "SELECT id FROM birds"})).unwrap();
    assert_eq!((more["rows"].as_array().unwrap().len(), &more["truncated"]), (2, &json!(true)));
}

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

#[test]
fn time_is_bounded() {
    let kit = kit(json!({"max_time_ms": 50}));
    assert_eq!(
        run(&kit, "read_query", json!({"query": ENDLESS})),
        Err("the statement was ended: it may take 50ms".to_owned())
    );
    assert!(run(&kit, "read_query", json!({"query": "SELECT 1"})).is_ok(), "the connection is usable afterwards");
}

#[test]
fn a_cancelled_call_ends_its_statement() {
    let kit = kit(json!({"max_time_ms": 600_000}));
    let script = Script::new();
    script.cancel();
    let result = kit.tool("read_query", json!({"query": ENDLESS}), &script).unwrap();
    assert!(result.is_error);
}

#[test]
fn the_schema_is_a_resource_and_so_is_every_table() {
    let kit = filled(json!({}));
    let sql = "CREATE TABLE birds (id INTEGER PRIMARY KEY, name TEXT, weight REAL, raw BLOB);\n";
    for uri in ["sqlite://schema", "sqlite://table/birds"] {
        let read = kit.resource(uri, &Script::new()).unwrap();
        assert_eq!(read.contents, [Contents::text(sql).uri(uri).mime_type("application/sql")]);
    }
    assert_eq!(kit.resource("sqlite://table/none", &Script::new()).unwrap_err().kind(), "not-found");
    let listed: Vec<String> = kit.manifest().resources.into_iter().map(|it| it.uri).collect();
    assert_eq!(listed, ["memo://insights", "sqlite://schema", "sqlite://table/birds"]);
    assert_eq!(kit.complete_template("sqlite://table/{name}", "name", "bi").unwrap().values, ["birds"]);
}

#[test]
fn tables_are_listed_and_described() {
    let kit = filled(json!({}));
    assert_eq!(run(&kit, "list_tables", json!({})).unwrap()["rows"], json!([["birds"]]));
    let columns = run(&kit, "describe_table", json!({"table_name": "birds"})).unwrap();
    assert_eq!(columns["rows"][1], json!([1, "name", "TEXT", 0, null, 0]));
    let missing = run(&kit, "describe_table", json!({"table_name": "none"}));
    assert_eq!(missing, Err("there is no such table; list_tables names those there are".to_owned()));
}

#[test]
fn only_create_table_creates_a_table() {
    let refused = run(&kit(json!({})), "create_table", json!({"query": "DROP TABLE birds"}));
    assert_eq!(refused, Err("only CREATE TABLE is allowed here; use write_query".to_owned()));
}

#[test]
fn the_schema_can_be_replayed() {
    let kit = kit(json!({}));
    run(&kit, "create_table", json!({"query": "CREATE TABLE birds (id INTEGER PRIMARY KEY AUTOINCREMENT)"})).unwrap();
    let schema = kit.resource("sqlite://schema", &Script::new()).unwrap();
    let told = mcp_plugin_api::serde_json::to_value(&schema.contents).unwrap()[0]["text"].clone();
    assert_eq!(told, "CREATE TABLE birds (id INTEGER PRIMARY KEY AUTOINCREMENT);\n");
}

#[test]
fn insights_are_kept_as_long_as_the_host_runs() {
    let kit = kit(json!({}));
    let memo = || {
        let read = kit.resource("memo://insights", &Script::new()).unwrap();
        mcp_plugin_api::serde_json::to_value(&read.contents).unwrap()[0]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(memo(), "No insights yet: append_insight adds one.");
    let told = kit.tool("append_insight", json!({"insight": "owls are heavy"}), &Script::new()).unwrap();
    assert_eq!(told.text(), "Insight added to memo");
    assert_eq!(memo(), "- owls are heavy\n");
}

#[test]
fn a_statement_that_changes_nothing_says_so() {
    let kit = filled(json!({}));
    run(&kit, "write_query", json!({"query": "INSERT INTO birds (name) VALUES ('a'), ('b')"})).unwrap();
    let again = json!({"query": "CREATE TABLE IF NOT EXISTS birds (id INTEGER)"});
    assert_eq!(run(&kit, "write_query", again).unwrap(), json!({"affected_rows": 0}));
    run(&kit, "create_table", json!({"query": "CREATE\nTABLE sqliteXy (id INTEGER)"})).unwrap();
    assert_eq!(run(&kit, "list_tables", json!({})).unwrap()["rows"], json!([["birds"], ["sqliteXy"]]));
}

#[test]
fn several_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| drop(kit(json!({"path": path}))));
            }
        });
    }
}
