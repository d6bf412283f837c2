use super::*;
use crate::call::{AskError, Asked, Kept, NotKept, Peer as _, Principal, Progress};
use crate::protocol::{Ask, AskRequest, ClientProfile, Dialect, TaskStatus};
use crate::rt::{Clock, Millis};
use mcp_plugin_api::manifest::OnRestart;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

mod disk;
mod keeping;
mod orders;
mod stores;

const LIMITS: TaskLimits = TaskLimits { max_tasks: 5, max_per_owner: 4, max_bytes: 40_000 };
const PLENTY: TaskLimits = TaskLimits { max_tasks: 1 << 20, max_per_owner: 1 << 20, max_bytes: 1 << 30 };

fn user(name: &str) -> Principal {
    Principal::User(name.into())
}

fn runner(name: &str) -> RunnerId {
    serde_json::from_value(name.into()).unwrap()
}

fn raw(value: Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

/// A task of `ada` that was created at `created` and is kept for a minute.
fn task(id: &str, created: u64) -> Task {
    let able = ClientProfile { elicit_form: true, ..ClientProfile::default() };
    Task {
        id: TaskId::of(id),
        owner: user("ada"),
        dialect: Dialect::newest_stateless(),
        created: Millis(created),
        updated: Millis(created),
        ttl: Some(Duration::from_secs(60)),
        poll_interval: Duration::from_secs(1),
        version: 0,
        runner: runner("ours"),
        work: Work {
            tool: "t".to_owned(),
            arguments: Some(raw(json!({"a": 1}))),
            client: able,
            on_restart: OnRestart::Rerun,
        },
        message: None,
        stage: Running::default().begun().into(),
    }
}

fn done(text: &str) -> Outcome {
    Outcome::Result { json: raw(json!({"content": text})), meta: None, is_error: false }
}

fn form() -> AskRequest {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let ask = Ask::Form { message: "m".to_owned(), schema };
    ask.request(Dialect::newest_stateless(), &task("t", 0).work.client).unwrap()
}

fn ids(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.id.as_str()).collect()
}

/// A store on disk that works.
fn opened(folder: &std::path::Path, limits: TaskLimits) -> DiskStore {
    let (store, problem) = DiskStore::open(folder, limits).unwrap();
    assert!(problem.is_none(), "{problem:?}");
    store
}

/// Runs a test over every store that there is: what one does, all do.
async fn each_store<F: Future<Output = ()>>(limits: TaskLimits, test: impl Fn(Arc<dyn TaskStore>) -> F) {
    test(Arc::new(MemoryStore::new(limits))).await;
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(opened(folder.path(), limits))).await;
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_forgotten() {
    let changes = Changes::default();
    let id = TaskId::of("t");
    let (mut one, other) = (changes.watch(&id), changes.watch(&id));
    changes.announce(&id);
    one.changed().await;
    drop((one, other));
    assert_eq!(changes.watched(), 0);
}

#[test]
fn names_are_long_random_and_not_in_logs() {
    let names: BTreeSet<String> = (0..1000).map(|_| TaskId::random().unwrap().as_str().to_owned()).collect();
    assert_eq!(names.len(), 1000);
    assert!(names.iter().all(|name| name.len() == 32));
    assert_eq!(format!("{0} {0:?}", TaskId::of("abcdefghij")), "abcdef… abcdef…");
}

#[test]
fn a_tool_that_failed_says_why_and_an_ended_task_keeps_no_arguments() {
    let failed = Outcome::Result {
        json: raw(json!({"content": [{"type": "text", "text": "no such file"}], "isError": true})),
        meta: None,
        is_error: true,
    };
    let ended = task("a", 1).next(Millis(0), |it| it.ended(failed.clone()).into()).unwrap();
    assert_eq!((ended.status(), ended.message.as_deref()), (TaskStatus::ToolFailed, Some("no such file")));
    assert_eq!((ended.updated, ended.work.arguments.is_none()), (Millis(1), true), "time does not run backwards");
    assert_eq!(ended.next(Millis(9), Stage::from).unwrap_err(), Final);
}

#[test]
fn places_are_carried_and_others_refused() {
    let place = ListPlace::of(&task("a:b", 17));
    assert_eq!(ListPlace::decode(&place.encode()), Some(place));
    for foreign in ["", "!", "YTpi", "MTc"] {
        assert_eq!(ListPlace::decode(foreign), None, "{foreign}");
    }
}

/// What happens to a task.
#[derive(Debug, Clone)]
enum Happening {
    /// One of two questions, under one of three keys.
    Ask(u8, bool),
    Answer(u8),
    Withdraw(u8),
    End(bool),
}

/// One of two questions.
fn question(other: bool) -> AskRequest {
    let message = if other { "another" } else { "one" };
    AskRequest { params: json!({"mode": "form", "message": message, "requestedSchema": {"type": "object"}}), ..form() }
}

proptest! {
    #[test]
    fn an_ended_task_never_changes_and_a_key_that_was_shown_is_one_questions(
        happenings in proptest::collection::vec(
            prop_oneof![
                8 => (0..3_u8, any::<bool>()).prop_map(|(key, other)| Happening::Ask(key, other)),
                4 => (0..3_u8).prop_map(Happening::Answer),
                4 => (0..3_u8).prop_map(Happening::Withdraw),
                1 => any::<bool>().prop_map(Happening::End),
            ],
            0..40,
        )
    ) {
        let mut now = task("a", 1);
        // Which question each key was shown with, and which of them were answered.
        let (mut shown, mut answered) = (HashMap::new(), BTreeSet::new());
        let mut ended = None;
        for happening in happenings {
            let open_of = |now: &Task, key: u8| -> Option<String> {
                let prefix = key.to_string();
                now.running()?.open.keys().find(|open| open.starts_with(&prefix)).cloned()
            };
            let answer = raw(json!({"action": "cancel"}));
            let next = now.next(Millis(2), |it| match &happening {
                Happening::Ask(key, other) => {
                    let wire = it.key_of(&key.to_string(), &question(*other));
                    it.asked(&wire, question(*other)).into()
                }
                Happening::Answer(key) => match open_of(&now, *key) {
                    Some(open) => it.answered(&open, &answer).into(),
                    None => it.answered("no", &answer).into(),
                },
                Happening::Withdraw(key) => it.withdrawn(&open_of(&now, *key).unwrap_or_default()).into(),
                Happening::End(true) => it.ended(done("d")).into(),
                Happening::End(false) => it.ended(Outcome::Cancelled).into(),
            });
            match (ended, next) {
                (Some(_), next) => prop_assert!(next.is_err()),
                (None, Err(_)) => prop_assert!(false, "it had not ended"),
                (None, Ok(next)) => {
                    prop_assert_eq!(next.version, now.version + 1);
                    if let Happening::Answer(key) = &happening {
                        answered.extend(open_of(&now, *key));
                    }
                    now = next;
                }
            }
            match now.running() {
                Some(running) => {
                    for (key, request) in &running.open {
                        prop_assert!(!answered.contains(key), "2026-07-28 K-09: {} is open again", key);
                        let first = shown.entry(key.clone()).or_insert_with(|| request.clone());
                        prop_assert_eq!(&*first, request, "2026-07-28 K-09: {} is another question", key);
                    }
                    let expected = if running.open.is_empty() { TaskStatus::Working } else { TaskStatus::InputRequired };
                    prop_assert_eq!(now.status(), expected);
                }
                None => ended = Some(now.status()),
            }
            if let Some(ended) = ended {
                prop_assert_eq!(now.status(), ended);
            }
            // What is written is what is read.
            let written = serde_json::to_string(&now).unwrap();
            prop_assert_eq!(serde_json::to_string(&serde_json::from_str::<Task>(&written).unwrap()).unwrap(), written);
        }
    }
}
