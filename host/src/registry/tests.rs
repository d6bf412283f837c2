use super::*;
use crate::call::{Call, Failure};
use mcp_plugin_api::manifest::Manifest;
use serde_json::{Value, json};

/// A callee that offers things and is never called.
struct Silent(Arc<str>);

impl Callee for Silent {
    fn plugin(&self) -> &Arc<str> {
        &self.0
    }

    fn version(&self) -> &Arc<str> {
        &self.0
    }

    fn call(&self, _: Operation, _: &str, _: &[u8], _: &Arc<Call>) -> Answer {
        Answer::Ready(Err(Failure::Stopped))
    }
}

fn offer(plugin: &str, manifest: Value, selection: Selection) -> Offer {
    Offer {
        withheld: Default::default(),
        callee: Arc::new(Silent(plugin.into())),
        manifest: Arc::new(serde_json::from_value::<Manifest>(manifest).unwrap()),
        selection,
        timeouts: TimeoutRule::default(),
    }
}

fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}, "checksInput": true})
}

fn newest() -> &'static Dialect {
    Dialect::stateful("2025-11-25").unwrap()
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.tools().iter().map(|tool| tool.name.as_str()).collect()
}

#[test]
fn the_order_is_the_plugins_names_then_their_own() {
    let build_in = |order: [&str; 2]| {
        let offers = order.map(|plugin| {
            let tools = if plugin == "a" { json!([tool("z"), tool("y")]) } else { json!([tool("b")]) };
            offer(plugin, json!({"tools": tools}), Selection::default())
        });
        build(offers.into()).0
    };
    assert_eq!(names(&build_in(["a", "b"])), ["z", "y", "b"]);
    assert_eq!(names(&build_in(["b", "a"])), ["z", "y", "b"]);
}

#[test]
fn a_clash_leaves_the_second_out_and_names_both_owners() {
    let (snapshot, clashes) = build(vec![
        offer("two", json!({"tools": [tool("x"), tool("w")]}), Selection::default()),
        offer("one", json!({"tools": [tool("x")]}), Selection::default()),
    ]);
    assert_eq!(names(&snapshot), ["x", "w"]);
    assert_eq!(&**snapshot.tool("x").unwrap().callee.plugin(), "one");
    assert_eq!(
        clashes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["tool 'x' of plugin 'two' is left out: plugin 'one' has it; give one of them a prefix"]
    );
}

#[test]
fn prefix_allow_and_deny_select_tools() {
    let glob =
        |pattern: &str| globset::GlobSetBuilder::new().add(globset::Glob::new(pattern).unwrap()).build().unwrap();
    let selection = Selection {
        prefix: "p_".to_owned(),
        allow: Some(glob("read*")),
        deny: glob("read_secret"),
        ..Selection::default()
    };
    let manifest = json!({"tools": [tool("read_a"), tool("read_secret"), tool("write")]});
    let (snapshot, clashes) = build(vec![offer("x", manifest, selection)]);
    assert_eq!(names(&snapshot), ["p_read_a"]);
    assert_eq!(clashes, []);
}

#[test]
fn a_schema_that_cannot_be_compiled_leaves_the_tool_out() {
    let bad = json!({"name": "bad", "inputSchema": {"type": 5}});
    let remote = json!({"name": "remote", "inputSchema": {"$ref": "https://example.com/schema.json"}});
    let (snapshot, clashes) =
        build(vec![offer("x", json!({"tools": [bad, remote, tool("good")]}), Selection::default())]);
    assert_eq!(names(&snapshot), ["good"]);
    assert_eq!(clashes.len(), 2, "{clashes:?}");
}

#[test]
fn pages_follow_each_other_and_survive_changes() {
    let offers = |tools: &[&str]| {
        let tools: Vec<Value> = tools.iter().map(|name| tool(name)).collect();
        build(vec![offer("x", json!({"tools": tools}), Selection::default())]).0
    };
    let page = |snapshot: &Snapshot, after: Option<&Cursor>| -> (Vec<String>, Option<Cursor>) {
        let page: Value = serde_json::from_slice(&snapshot.page(newest(), ListKind::Tools, after, 2)).unwrap();
        let names = page["tools"].as_array().unwrap();
        let names = names.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
        (names, page.get("nextCursor").map(|cursor| Cursor::decode(cursor.as_str().unwrap()).unwrap()))
    };
    let five = offers(&["a", "b", "c", "d", "e"]);
    let (first, after) = page(&five, None);
    assert_eq!(first, ["a", "b"]);
    let (second, after_second) = page(&five, after.as_ref());
    assert_eq!(second, ["c", "d"]);
    assert_eq!(page(&five, after_second.as_ref()), (vec!["e".to_owned()], None));
    // The plugin has lost tools meanwhile: the cursor still stands behind the second place.
    assert_eq!(page(&offers(&["a", "b", "c"]), after.as_ref()), (vec!["c".to_owned()], None));
    assert_eq!(page(&offers(&["a"]), after.as_ref()), (vec![], None));
    assert_eq!(page(&offers(&[]), None), (vec![], None));
}

#[test]
fn lists_are_stripped_by_revision() {
    let full = json!({
        "name": "t", "title": "T", "description": "d", "inputSchema": {"type": "object", "x-mine": [1, {"b": 2}]},
        "outputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true},
        "icons": [{"src": "https://a/b.png"}], "_meta": {"k": 1},
    });
    let array = json!({"name": "u", "inputSchema": {"type": "object"}, "outputSchema": {"type": "array"}});
    let (snapshot, _) = build(vec![offer("x", json!({"tools": [full, array]}), Selection::default())]);
    let check = |revision: &str, expected: &str| {
        let page = snapshot.page(Dialect::stateful(revision).unwrap(), ListKind::Tools, None, 10);
        assert_eq!(String::from_utf8(page.to_vec()).unwrap(), expected, "{revision}");
    };
    let newest = snapshot.page(Dialect::newest_stateless(), ListKind::Tools, None, 10);
    let newest: Value = serde_json::from_slice(&newest).unwrap();
    assert_eq!(newest["tools"][1]["outputSchema"], json!({"type": "array"}));
    check(
        "2025-11-25",
        r#"{"tools":[{"name":"t","title":"T","description":"d","icons":[{"src":"https://a/b.png"}],"_meta":{"k":1},"annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","x-mine":[1,{"b":2}]},"outputSchema":{"type":"object"}},{"name":"u","inputSchema":{"type":"object"}}]}"#,
    );
    check(
        "2025-06-18",
        r#"{"tools":[{"name":"t","title":"T","description":"d","_meta":{"k":1},"annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","x-mine":[1,{"b":2}]},"outputSchema":{"type":"object"}},{"name":"u","inputSchema":{"type":"object"}}]}"#,
    );
    check(
        "2025-03-26",
        r#"{"tools":[{"name":"t","description":"d","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","x-mine":[1,{"b":2}]}},{"name":"u","inputSchema":{"type":"object"}}]}"#,
    );
    check(
        "2024-11-05",
        r#"{"tools":[{"name":"t","description":"d","inputSchema":{"type":"object","x-mine":[1,{"b":2}]}},{"name":"u","inputSchema":{"type":"object"}}]}"#,
    );
}

#[tokio::test]
async fn publishing_announces_the_lists_that_differ_and_only_those() {
    let registry = Registry::default();
    let mut changes = registry.events().listen();
    let with = |tools: Value| build(vec![offer("x", json!({"tools": tools}), Selection::default())]).0;
    registry.publish(with(json!([tool("a")])));
    registry.publish(with(json!([tool("a")])));
    registry.publish(with(json!([])));
    assert_eq!(changes.try_recv(), Ok(Change::List(ListKind::Tools)));
    assert_eq!(changes.try_recv(), Ok(Change::List(ListKind::Tools)));
    assert!(changes.try_recv().is_err());
}

#[test]
fn readers_are_found_by_uri_and_by_template() {
    let manifest = json!({
        "resources": [{"uri": "a://1", "name": "one"}],
        "templates": [{"uriTemplate": "a://t/{id}", "name": "t"}],
    });
    let (snapshot, _) = build(vec![offer("x", manifest, Selection::default())]);
    assert!(snapshot.reading("a://1").is_some());
    assert!(snapshot.reading("a://t/7").is_some());
    assert!(snapshot.reading("a://t/7/8").is_none());
}

#[test]
fn a_list_keeps_as_long_as_the_first_that_is_in_it_and_an_operator_has_the_last_word() {
    use crate::protocol::{CacheHint, CacheRule, CacheScope};
    let public = |ttl_ms: u64| json!({"ttlMs": ttl_ms, "scope": "public"});
    let with_tools =
        |name: &str, cache: Value| offer(name, json!({"tools": [tool(name)], "cache": cache}), Selection::default());
    let resources = json!({"cache": public(9), "resources": [
        {"uri": "a://1", "name": "own", "cache": {"ttlMs": 5, "scope": "private"}},
        {"uri": "a://2", "name": "of the plugin"},
    ]});
    let (snapshot, _) = build(vec![
        with_tools("a", public(5)),
        with_tools("b", public(3)),
        offer("c", resources.clone(), Selection::default()),
    ]);
    let hint = |ttl_ms, scope| CacheHint { ttl_ms, scope };
    assert_eq!(snapshot.hint(ListKind::Tools), hint(3, CacheScope::Public));
    assert_eq!(snapshot.hint(ListKind::Resources), hint(9, CacheScope::Public));
    assert_eq!(snapshot.hint(ListKind::Prompts), hint(0, CacheScope::Private));
    assert_eq!(snapshot.hint_of_all(), hint(3, CacheScope::Public));
    assert_eq!(snapshot.reading("a://1").unwrap().cache, hint(5, CacheScope::Private));
    assert_eq!(snapshot.reading("a://2").unwrap().cache, hint(9, CacheScope::Public));
    let rule = CacheRule { ttl: Some(std::time::Duration::from_millis(1)), scope: Some(CacheScope::Private) };
    let (snapshot, _) = build(vec![offer("c", resources, Selection { cache: rule, ..Selection::default() })]);
    assert_eq!(snapshot.reading("a://2").unwrap().cache, hint(1, CacheScope::Private));
    assert_eq!(snapshot.hint(ListKind::Resources), hint(1, CacheScope::Private));
}

#[test]
fn skills_are_resources_folders_and_entries() {
    let file = |path: &str| json!({"path": path, "digest": "sha256:0", "size": 3, "mimeType": "text/plain"});
    let skill = json!({
        "uri": "skill://x/pdf",
        "frontmatter": {"name": "pdf", "description": "d"},
        "files": [file("SKILL.md"), file("a/b.txt"), file("a/c/d.txt"), file("z.txt")],
    });
    let again = json!({"skills": [skill.clone()]});
    let (snapshot, clashes) = build(vec![
        offer("x", json!({"skills": [skill]}), Selection::default()),
        offer("y", again, Selection::default()),
    ]);
    assert_eq!(clashes.len(), 1, "{clashes:?}");
    assert_eq!(snapshot.resources()[0].definition.uri, "skill://x/pdf/SKILL.md");
    assert!(snapshot.reading("skill://x/pdf/a/c/d.txt").is_some());
    assert!(snapshot.reading("skill://x/pdf/a").is_none());
    let skill = &snapshot.skills()[0];
    let names = |uri: &str| {
        let children = skill.children(uri)?;
        Some(children.iter().map(|child| child["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(names("skill://x/pdf").unwrap(), ["SKILL.md", "a", "z.txt"]);
    assert_eq!(names("skill://x/pdf/a/").unwrap(), ["b.txt", "c"]);
    for none in ["skill://x/pdf/SKILL.md", "skill://x/pdfs", "skill://x/pdf/b", "skill://y/pdf", ""] {
        assert_eq!(names(none), None, "{none}");
    }
    let first = page_of("skill://x/pdf", &skill.children("skill://x/pdf").unwrap(), None, 2).unwrap();
    let after = Cursor::decode(first["nextCursor"].as_str().unwrap());
    let second = page_of("skill://x/pdf", &skill.children("skill://x/pdf").unwrap(), after.as_ref(), 2).unwrap();
    assert_eq!(page_of("skill://x/pdf/a", &[], after.as_ref(), 2), None, "a cursor of another folder");
    assert_eq!(
        second,
        json!({"resources": [{"uri": "skill://x/pdf/z.txt", "name": "z.txt", "mimeType": "text/plain", "size": 3}]})
    );
}

#[test]
fn a_header_where_none_may_be_leaves_the_tool_out() {
    let bad = json!({"name": "bad", "inputSchema": {"type": "object", "properties": {"n": {"type": "number", "x-mcp-header": "N"}}}});
    let (snapshot, clashes) = build(vec![offer("x", json!({"tools": [bad, tool("good")]}), Selection::default())]);
    assert_eq!(names(&snapshot), ["good"]);
    assert!(clashes[0].to_string().contains("'x-mcp-header' of 'n' needs the type"), "{clashes:?}");
}

#[test]
fn schemas_over_several_lines_stand_on_one() {
    let manifest = r#"{"tools":[{"name":"t","checksInput":true,"inputSchema":{
        "type": "object",
        "x-mine": 1
    }}]}"#;
    let offer = Offer {
        withheld: Default::default(),
        callee: Arc::new(Silent("x".into())),
        manifest: Arc::new(serde_json::from_str::<Manifest>(manifest).unwrap()),
        selection: Selection::default(),
        timeouts: TimeoutRule::default(),
    };
    let page = build(vec![offer]).0.page(newest(), ListKind::Tools, None, 10);
    assert_eq!(
        String::from_utf8(page.to_vec()).unwrap(),
        r#"{"tools":[{"name":"t","inputSchema":{"type":"object","x-mine":1}}]}"#
    );
}

#[test]
fn schemas_that_are_as_before_are_not_compiled_again() {
    let manifest = |schema: Value| json!({"tools": [{"name": "t", "inputSchema": schema}]});
    let object = json!({"type": "object"});
    let (before, _) = build(vec![offer("x", manifest(object.clone()), Selection::default())]);
    let after = |schema: Value| build_after(&before, vec![offer("x", manifest(schema), Selection::default())]).0;
    let is_same = |after: &Snapshot| Arc::ptr_eq(&before.tool("t").unwrap().schemas, &after.tool("t").unwrap().schemas);
    assert!(is_same(&after(object)));
    for member in ["outputSchema", "checksInput", "checksOutput"] {
        let value = if member == "outputSchema" { json!({"type": "object"}) } else { json!(true) };
        let mut tool = json!({"name": "t", "inputSchema": {"type": "object"}});
        tool[member] = value;
        let offer = offer("x", json!({"tools": [tool]}), Selection::default());
        assert!(!is_same(&build_after(&before, vec![offer]).0), "{member}");
    }
    let other = after(json!({"type": "object", "required": ["a"]}));
    assert!(!is_same(&other));
    let check = |snapshot: &Snapshot| snapshot.tool("t").unwrap().schemas.input.as_ref().unwrap().check("{}");
    assert_eq!(check(&before), Ok(()));
    assert_eq!(check(&other), Err("the value: \"a\" is a required property".to_owned()));
}
