//! The graph by its tools, in memory and in a file that several have open.

use super::Memory;
use mcp_plugin_api::serde_json::{Value, json};
use mcp_plugin_api::testing::{Kit, Script};
use std::path::Path;

fn kit(path: &Path) -> Kit {
    Kit::start::<Memory>(json!({"path": path})).unwrap()
}

fn in_memory() -> Kit {
    kit(Path::new(":memory:"))
}

#[track_caller]
fn run(kit: &Kit, tool: &str, arguments: Value) -> Value {
    let result = kit.tool(tool, arguments, &Script::new()).unwrap();
    assert!(!result.is_error, "{}", result.text());
    result.structured_content.unwrap()
}

fn ada_and_engine(kit: &Kit) {
    run(
        kit,
        "create_entities",
        json!({"entities": [
            {"name": "Ada", "entityType": "person", "observations": ["Likes math"]},
            {"name": "Engine", "entityType": "machine", "observations": []},
        ]}),
    );
    run(kit, "create_relations", json!({"relations": [{"from": "Ada", "to": "Engine", "relationType": "programs"}]}));
}

#[test]
fn what_is_created_is_read_and_created_once() {
    let kit = in_memory();
    ada_and_engine(&kit);
    let again = json!({"entities": [
        {"name": "Ada", "entityType": "other", "observations": ["new"]},
        {"name": "Charles", "entityType": "person", "observations": ["x", "x"]},
        {"name": "Charles", "entityType": "person", "observations": []},
    ]});
    let new = json!({"entities": [{"name": "Charles", "entityType": "person", "observations": ["x"]}]});
    assert_eq!(run(&kit, "create_entities", again), new);
    let relation = json!({"from": "Ada", "to": "Engine", "relationType": "programs"});
    assert_eq!(run(&kit, "create_relations", json!({"relations": [relation]})), json!({"relations": []}));
    let added = json!({"observations": [{"entityName": "Ada", "contents": ["Likes math", "Likes tea"]}]});
    let results = json!({"results": [{"entityName": "Ada", "addedObservations": ["Likes tea"]}]});
    assert_eq!(run(&kit, "add_observations", added), results);
    let graph = run(&kit, "read_graph", json!({}));
    assert_eq!(
        graph["entities"][0],
        json!({"name": "Ada", "entityType": "person", "observations": ["Likes math", "Likes tea"]})
    );
    assert_eq!(graph["entities"].as_array().unwrap().len(), 3);
    assert_eq!(graph["relations"], json!([relation]));
    let text = kit.tool("read_graph", json!({}), &Script::new()).unwrap().text();
    assert_eq!(text, mcp_plugin_api::serde_json::to_string_pretty(&graph).unwrap());
}

#[test]
fn nodes_are_found_with_their_relations() {
    let kit = in_memory();
    ada_and_engine(&kit);
    let names = |graph: Value| {
        let names = graph["entities"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), graph["relations"].as_array().unwrap().len())
    };
    let search = |query: &str| names(run(&kit, "search_nodes", json!({"query": query})));
    assert_eq!(search("MATH"), (vec!["Ada".to_owned()], 1));
    assert_eq!(search("machine"), (vec!["Engine".to_owned()], 1));
    assert_eq!(search(""), (vec!["Ada".to_owned(), "Engine".to_owned()], 1));
    assert_eq!(search("nothing"), (vec![], 0));
    let opened = names(run(&kit, "open_nodes", json!({"names": ["Engine", "nobody"]})));
    assert_eq!(opened, (vec!["Engine".to_owned()], 1));
}

#[test]
fn what_is_deleted_is_gone_with_its_relations() {
    let kit = in_memory();
    ada_and_engine(&kit);
    let gone = json!({"deletions": [{"entityName": "Ada", "observations": ["Likes math", "never"]}]});
    let done = json!({"success": true, "message": "Observations deleted successfully"});
    assert_eq!(run(&kit, "delete_observations", gone), done);
    assert_eq!(run(&kit, "read_graph", json!({}))["entities"][0]["observations"], json!([]));
    let relation = json!({"from": "Ada", "to": "Engine", "relationType": "sells"});
    run(&kit, "delete_relations", json!({"relations": [relation]}));
    assert_eq!(run(&kit, "read_graph", json!({}))["relations"].as_array().unwrap().len(), 1);
    run(&kit, "delete_entities", json!({"entityNames": ["Engine", "nobody"]}));
    let graph = run(&kit, "read_graph", json!({}));
    assert_eq!((graph["entities"].as_array().unwrap().len(), &graph["relations"]), (1, &json!([])));
}

#[test]
fn an_observation_of_nobody_keeps_all_out() {
    let kit = in_memory();
    ada_and_engine(&kit);
    let additions = json!({"observations": [
        {"entityName": "Ada", "contents": ["Likes tea"]},
        {"entityName": "Ghost", "contents": ["boo"]},
    ]});
    let result = kit.tool("add_observations", additions, &Script::new()).unwrap();
    assert_eq!((result.is_error, result.text().as_str()), (true, "Entity with name Ghost not found"));
    assert_eq!(run(&kit, "read_graph", json!({}))["entities"][0]["observations"], json!(["Likes math"]));
}

#[test]
fn two_hosts_share_a_graph_and_lose_nothing() {
    const EACH: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/graph.sqlite");
    let hosts = [kit(&path), kit(&path)];
    std::thread::scope(|scope| {
        for (number, host) in hosts.iter().enumerate() {
            scope.spawn(move || {
                for it in 0..EACH {
                    let name = format!("{number}-{it}");
                    let entity = json!({"name": name, "entityType": "t", "observations": ["o"]});
                    run(host, "create_entities", json!({"entities": [entity]}));
                }
            });
        }
    });
    drop(hosts);
    let graph = run(&kit(&path), "read_graph", json!({}));
    assert_eq!(graph["entities"].as_array().unwrap().len(), 2 * EACH);
}

#[test]
fn a_file_that_is_no_graph_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    std::fs::write(&path, "Dear Sir or Madam, this is a letter, and no database at all.".repeat(20)).unwrap();
    let error = Kit::start::<Memory>(json!({"path": path})).err().unwrap();
    assert!(error.message().contains("letter.txt cannot be used"), "{}", error.message());
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("Dear Sir"));
}

#[test]
fn the_graph_is_a_resource() {
    let kit = in_memory();
    ada_and_engine(&kit);
    let read = kit.resource("memory://knowledge-graph", &Script::new()).unwrap();
    assert_eq!(read.contents[0].mime_type.as_deref(), Some("application/json"));
}

#[test]
fn several_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| drop(kit(&path)));
            }
        });
    }
}
