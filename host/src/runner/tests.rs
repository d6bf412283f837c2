//! Tasks from their first word to their last, on virtual time and a store in memory. It is long because a task can end, wait,
//! move and come back in many orders, and each has its test.

use super::*;
use crate::call::{Call, Failure, Kept, Progress, Timeouts};
use crate::dispatch::{Dispatcher, Limits, TaskDue};
use crate::protocol::{Ask, ClientProfile, Dialect, TaskStatus};
use crate::registry::{Answer, Callee, Offer, Operation, Registry, Selection, TimeoutRule, build};
use crate::rt::Millis;
use crate::task::{Changes, MemoryStore, Replaced, StoreFuture, TaskLimits};
use futures_util::FutureExt as _;
use mcp_plugin_api::manifest::OnRestart;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A callee whose tools are named after what they do.
#[derive(Default)]
struct Fake {
    name: Arc<str>,
    calls: AtomicUsize,
    /// Futures that were dropped before their end.
    dropped: Arc<AtomicUsize>,
    said: Arc<Mutex<Vec<String>>>,
    busy: AtomicBool,
}

/// Counts when it is dropped before it is told not to.
struct Dropped(Arc<AtomicUsize>, bool);

impl Drop for Dropped {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    json!({"content": [{"type": "text", "text": text}]}).to_string().into_bytes()
}

impl Callee for Fake {
    fn plugin(&self) -> &Arc<str> {
        &self.name
    }

    fn version(&self) -> &Arc<str> {
        &self.name
    }

    fn call(&self, _: Operation, name: &str, payload: &[u8], call: &Arc<Call>) -> Answer {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.busy.load(Ordering::SeqCst) {
            return Answer::Ready(Err(Failure::Busy));
        }
        let (name, payload) = (name.to_owned(), String::from_utf8_lossy(payload).into_owned());
        let (call, said) = (Arc::clone(call), Arc::clone(&self.said));
        let mut dropped = Dropped(Arc::clone(&self.dropped), false);
        Answer::Pending(Box::pin(async move {
            // Whole, not the one field that is written below.
            let dropped = &mut dropped;
            let result = match name.as_str() {
                "minute" => {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    Ok(text(&payload))
                }
                "progresses" => {
                    for number in 1..=10_u32 {
                        tokio::time::sleep(Duration::from_secs(90)).await;
                        call.progress(Progress { done: f64::from(number), total: None, message: None });
                    }
                    Ok(text("done"))
                }
                "asks" => {
                    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
                    let ask = Ask::Form { message: "m".to_owned(), schema };
                    match call.consult("k", ask) {
                        crate::call::Asked::Answered(answer) => Ok(text(answer.unwrap().get())),
                        crate::call::Asked::Live(request) => call
                            .ask("k", request)
                            .await
                            .map(|answer| text(answer.get()))
                            .map_err(|error| Failure::AskFailed(error.to_string())),
                        crate::call::Asked::Suspended => unreachable!(),
                    }
                }
                "counts" => {
                    let from = call.peer.task().unwrap().checkpoint.map_or(0, |value| value.as_u64().unwrap());
                    for number in from..100 {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        said.lock().push(number.to_string());
                        if let Some(keeping) = call.peer.keep(Kept::Checkpoint(json!(number + 1))) {
                            keeping.await.unwrap();
                        }
                    }
                    Ok(text("counted"))
                }
                "fails" => Err(Failure::Failed("why".to_owned())),
                _ => panic!("with a secret"),
            };
            dropped.1 = true;
            result
        }))
    }
}

const TIMEOUTS: Timeouts =
    Timeouts { call: Duration::from_secs(1), max_call: Duration::from_secs(2), task: Duration::from_secs(100) };
const LIMITS: RunnerLimits = RunnerLimits {
    max_running: 2,
    max_runs: 3,
    default_ttl: Duration::from_secs(600),
    max_ttl: Duration::from_secs(3600),
    poll_interval: Duration::from_secs(1),
};

/// A host's tasks, without the host.
struct World {
    runner: Arc<Runner>,
    callee: Arc<Fake>,
    drain: Drain,
}

fn world_over(store: Arc<dyn TaskStore>) -> World {
    world_at(store, Millis(1000))
}

/// The same, at a time of day.
fn world_at(store: Arc<dyn TaskStore>, now: Millis) -> World {
    let callee = Arc::new(Fake { name: "fake".into(), ..Fake::default() });
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}, "checksInput": true, "task": {"support": "optional"}});
    let tools = ["minute", "progresses", "asks", "counts", "fails", "panics"].map(tool);
    let offer = Offer {
        withheld: Default::default(),
        callee: Arc::clone(&callee) as Arc<dyn Callee>,
        manifest: Arc::new(serde_json::from_value(json!({"tools": tools})).unwrap()),
        selection: Selection::default(),
        timeouts: TimeoutRule { all: TIMEOUTS, ..TimeoutRule::default() },
    };
    let registry = Registry::default();
    registry.publish(build(vec![offer]).0);
    let dispatcher = Dispatcher::new(registry, Limits { max_result_bytes: 10_000, page_size: 10, tasks: true });
    let drain = Drain::default();
    let runner = Runner::new(dispatcher, store, LIMITS, Clock::at(now), drain.clone()).unwrap();
    World { runner: Arc::new(runner), callee, drain }
}

fn memory() -> Arc<dyn TaskStore> {
    Arc::new(MemoryStore::new(TaskLimits { max_tasks: 100, max_per_owner: 100, max_bytes: 1 << 20 }))
}

fn world() -> World {
    world_over(memory())
}

fn ada() -> Principal {
    Principal::User("ada".into())
}

fn order(tool: &str, on_restart: OnRestart) -> Order {
    Order {
        dialect: Dialect::newest_stateless(),
        owner: ada(),
        client: ClientProfile { elicit_form: true, ..ClientProfile::default() },
        due: TaskDue { tool: tool.to_owned(), on_restart, recorded: HashMap::new() },
        arguments: Some(RawValue::from_string(r#"{"a":1}"#.to_owned()).unwrap()),
        answers: BTreeMap::new(),
        ttl: None,
        told: Box::new(|_| None),
    }
}

impl World {
    async fn begin(&self, tool: &str) -> Task {
        self.runner.begin(order(tool, OnRestart::Fail)).await.unwrap()
    }

    async fn now(&self, task: &Task) -> Task {
        self.runner.store().get(&task.id).await.unwrap().unwrap()
    }

    /// Waits until a task stands so.
    async fn until(&self, task: &Task, status: TaskStatus) -> Task {
        let mut watch = self.runner.store().changes().watch(&task.id);
        loop {
            let now = self.now(task).await;
            if now.status() == status {
                return now;
            }
            watch.changed().await;
        }
    }

    fn dropped(&self) -> usize {
        self.callee.dropped.load(Ordering::SeqCst)
    }
}

fn error_of(task: &Task) -> &str {
    match task.outcome() {
        Some(Outcome::Error(error)) => &error.message,
        other => panic!("{other:?}"),
    }
}

fn result_of(task: &Task) -> Value {
    match task.outcome() {
        Some(Outcome::Result { json, .. }) => {
            let result: Value = serde_json::from_str(json.get()).unwrap();
            result["content"][0]["text"].clone()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_kept_before_it_is_told_and_has_its_result_in_the_end() {
    let world = world();
    let task = world.begin("minute").await;
    assert_eq!((task.status(), task.created, task.ttl), (TaskStatus::Working, Millis(1000), Some(LIMITS.default_ttl)));
    let found = world.runner.find(task.id.as_str(), &ada(), TaskForm::Extension).await.unwrap();
    assert_eq!((found.version, found.work.arguments.is_some()), (0, true));
    let ended = world.until(&task, TaskStatus::Completed).await;
    assert_eq!((result_of(&ended), ended.updated), (json!(r#"{"a":1}"#), Millis(61_000)));
}

#[tokio::test(start_paused = true)]
async fn nobody_learns_of_anothers_task() {
    let world = world();
    let task = world.begin("minute").await;
    let id = task.id.as_str();
    for (owner, form) in [
        (Principal::User("bob".into()), TaskForm::Extension),
        (Principal::Anyone, TaskForm::Extension),
        (Principal::Owner, TaskForm::Extension),
        (ada(), TaskForm::Core),
    ] {
        assert_eq!(world.runner.find(id, &owner, form).await.unwrap_err(), Fault::UnknownTask, "{owner}");
    }
    assert_eq!(world.runner.find("no", &ada(), TaskForm::Extension).await.unwrap_err(), Fault::UnknownTask);
    assert_eq!(world.runner.list(&Principal::Anyone, TaskForm::Extension, None, 5).await.unwrap().tasks.len(), 0);
    assert_eq!(world.runner.list(&ada(), TaskForm::Extension, None, 5).await.unwrap().tasks.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lists_are_whole_whatever_lies_between() {
    let world = world();
    for number in 0..9 {
        let dialect = if number % 3 == 0 { Dialect::of("2025-11-25").unwrap() } else { Dialect::newest_stateless() };
        world.runner.begin(Order { dialect, ..order("minute", OnRestart::Fail) }).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let (mut behind, mut listed) = (None, Vec::new());
    loop {
        let page = world.runner.list(&ada(), TaskForm::Extension, behind, 2).await.unwrap();
        listed.extend(page.tasks.iter().map(|task| task.created.0));
        behind = page.next;
        if behind.is_none() {
            break;
        }
    }
    assert_eq!(listed, [1008, 1007, 1005, 1004, 1002, 1001]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_ends_at_once_and_its_work_is_dropped() {
    let world = world();
    let task = world.begin("minute").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let Change::Done(cancelled) = world.runner.cancel(&task.id).await.unwrap() else { panic!() };
    assert_eq!(cancelled.status(), TaskStatus::Cancelled);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((world.dropped(), world.runner.busy()), (1, (0, 0)));
    assert!(matches!(world.runner.cancel(&task.id).await, Ok(Change::Ended(_))));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.now(&task).await.status(), TaskStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn what_fails_panics_or_takes_too_long_is_a_failed_task() {
    let world = world();
    let failed = world.until(&world.begin("fails").await, TaskStatus::Failed).await;
    assert_eq!(error_of(&failed), "plugin 'fake' failed: why");
    let panicked = world.until(&world.begin("panics").await, TaskStatus::Failed).await;
    assert_eq!(error_of(&panicked), "the host failed: it panicked; please report this");
    assert_eq!(panicked.message.as_deref(), Some(error_of(&panicked)));
    let unknown = world.until(&world.begin("asks-nobody").await, TaskStatus::Failed).await;
    assert!(error_of(&unknown).starts_with("unknown tool 'asks-nobody'"));
}

#[tokio::test(start_paused = true)]
async fn progress_prolongs_a_task_up_to_its_time_and_silence_ends_it() {
    let world = world();
    // 90 seconds between words, and 100 without one end it: in all it takes longer than it is kept.
    let task = world.begin("progresses").await;
    tokio::time::sleep(Duration::from_secs(500)).await;
    assert_eq!(world.now(&task).await.status(), TaskStatus::Working);
    let ended = world.until(&task, TaskStatus::Failed).await;
    assert_eq!(error_of(&ended), "plugin 'fake' did not answer within 10m");
    assert_eq!(ended.updated, Millis(601_000), "with its time, which is 600 seconds");
    let silent = Order { ttl: Some(Duration::from_secs(30)), ..order("minute", OnRestart::Fail) };
    let silent = world.runner.begin(silent).await.unwrap();
    let ended = world.until(&silent, TaskStatus::Failed).await;
    assert_eq!(ended.updated.0 - ended.created.0, 30_000);
}

#[tokio::test(start_paused = true)]
async fn an_expired_task_is_unknown_and_its_work_is_stopped() {
    let world = world();
    let task = world.begin("asks").await;
    world.until(&task, TaskStatus::InputRequired).await;
    tokio::time::sleep(Duration::from_millis(599_900)).await;
    world.runner.expire().await;
    assert!(world.runner.find(task.id.as_str(), &ada(), TaskForm::Extension).await.is_ok(), "2026-07-28 K-15");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let unknown = world.runner.find(task.id.as_str(), &ada(), TaskForm::Extension).await;
    assert_eq!(unknown.unwrap_err(), Fault::UnknownTask, "before anybody sweeps");
    world.runner.expire().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((world.dropped(), world.runner.store().count()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn more_than_may_run_wait_for_their_turn_and_can_be_cancelled_there() {
    let world = world();
    let tasks = [world.begin("minute").await, world.begin("minute").await, world.begin("minute").await];
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.runner.busy(), world.callee.calls.load(Ordering::SeqCst)), ((2, 1), 2));
    world.runner.cancel(&tasks[2].id).await.unwrap();
    world.until(&tasks[1], TaskStatus::Completed).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.runner.busy(), world.callee.calls.load(Ordering::SeqCst)), ((0, 0), 2), "it never began");
}

#[tokio::test(start_paused = true)]
async fn a_busy_plugin_is_tried_again() {
    let world = world();
    world.callee.busy.store(true, Ordering::SeqCst);
    let task = world.begin("minute").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.now(&task).await.status(), TaskStatus::Working);
    world.callee.busy.store(false, Ordering::SeqCst);
    world.until(&task, TaskStatus::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn questions_are_answered_by_their_keys_and_misfits_refused() {
    let world = world();
    let task = world.begin("asks").await;
    let asked = world.until(&task, TaskStatus::InputRequired).await;
    let raw = |value: Value| RawValue::from_string(value.to_string()).unwrap();
    let (unknown, misfit) = (raw(json!({})), raw(json!({"action": "accept", "content": {"n": "x"}})));
    let answers = BTreeMap::from([("other".to_owned(), &*unknown)]);
    assert_eq!(world.runner.answer(&asked, &answers).await, Ok(()), "2026-07-28 K-10");
    let answers = BTreeMap::from([("k".to_owned(), &*misfit)]);
    let refused =
        "the answer for 'k' is not taken: the client's answer does not fit the form that it was asked to show";
    assert_eq!(world.runner.answer(&asked, &answers).await, Err(Fault::invalid_params(refused)));
    assert_eq!(world.now(&task).await.status(), TaskStatus::InputRequired);
    let answer = raw(json!({"action": "accept", "content": {"n": 7}}));
    world.runner.answer(&asked, &BTreeMap::from([("k".to_owned(), &*answer)])).await.unwrap();
    let ended = world.until(&task, TaskStatus::Completed).await;
    assert_eq!(result_of(&ended), json!(r#"{"action":"accept","content":{"n":7}}"#));
    assert_eq!(world.runner.answer(&ended, &BTreeMap::new()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_hears_of_is_cancelled() {
    let world = world();
    let begun = world.runner.begin(order("minute", OnRestart::Fail));
    drop(Box::pin(begun).as_mut().now_or_never());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let kept = world.runner.list(&ada(), TaskForm::Extension, None, 5).await.unwrap().tasks;
    assert_eq!((kept[0].status(), world.callee.calls.load(Ordering::SeqCst)), (TaskStatus::Cancelled, 0));
}

#[tokio::test(start_paused = true)]
async fn at_the_hosts_end_a_task_that_can_end_does_and_others_are_left_as_they_are() {
    let world = world();
    let (short, long) = (world.begin("minute").await, world.begin("counts").await);
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert!(!world.drain.finish(Duration::from_secs(10), || ()).await);
    assert_eq!(world.now(&short).await.status(), TaskStatus::Completed);
    assert_eq!((world.now(&long).await.status(), world.dropped()), (TaskStatus::Working, 1));
    assert_eq!(world.runner.begin(order("minute", OnRestart::Fail)).await.unwrap_err(), Fault::ShuttingDown);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_client_does_not_hold_up_the_end() {
    let world = world();
    let task = world.begin("asks").await;
    world.until(&task, TaskStatus::InputRequired).await;
    let began = tokio::time::Instant::now();
    assert!(world.drain.finish(Duration::from_secs(10), || ()).await);
    assert_eq!((began.elapsed(), world.now(&task).await.status()), (Duration::ZERO, TaskStatus::InputRequired));
}

/// Kills a host, and starts another one over the same store.
async fn killed(world: World) -> World {
    let next = world_over(Arc::clone(world.runner.store()));
    next.runner.take_up().await;
    next
}

/// Ends a host, and starts another one over the same store.
async fn restarted(world: &World) -> World {
    world.drain.finish(Duration::ZERO, || ()).await;
    let next = world_over(Arc::clone(world.runner.store()));
    next.runner.take_up().await;
    next
}

#[tokio::test(start_paused = true)]
async fn what_a_host_leaves_behind_is_failed_or_run_again_as_its_tool_says() {
    let world = world();
    let fails = world.begin("counts").await;
    let reruns = world.runner.begin(order("counts", OnRestart::Rerun)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(40_500)).await;
    let next = restarted(&world).await;
    let failed = next.now(&fails).await;
    assert_eq!(failed.status(), TaskStatus::Failed);
    assert!(error_of(&failed).starts_with("the host was restarted while this ran"));
    let ended = next.until(&reruns, TaskStatus::Completed).await;
    assert_eq!((result_of(&ended), next.callee.calls.load(Ordering::SeqCst)), (json!("counted"), 1));
    // From its checkpoint on, and no number twice.
    assert_eq!(*next.callee.said.lock(), (40..100).map(|it: u32| it.to_string()).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_ends_nothing_and_one_that_is_set_forward_begins_nothing_that_is_over() {
    let world = world_at(memory(), Millis(10_000_000));
    let task = world.runner.begin(order("counts", OnRestart::Rerun)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5500)).await;
    world.drain.finish(Duration::ZERO, || ()).await;
    let back = world_at(Arc::clone(world.runner.store()), Millis(1000));
    back.runner.take_up().await;
    tokio::time::sleep(Duration::from_millis(5500)).await;
    let now = back.now(&task).await;
    assert_eq!((now.status(), now.created), (TaskStatus::Working, Millis(10_000_000)));
    assert!(now.updated >= Millis(10_005_000), "what has changed later never looks older");
    back.drain.finish(Duration::ZERO, || ()).await;
    let forward = world_at(Arc::clone(world.runner.store()), Millis(10_000_000 + 600_000));
    forward.runner.take_up().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(forward.callee.calls.load(Ordering::SeqCst), 0);
    assert_eq!(
        forward.runner.find(task.id.as_str(), &ada(), TaskForm::Extension).await.unwrap_err(),
        Fault::UnknownTask
    );
    forward.runner.expire().await;
    assert_eq!(forward.runner.store().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_question_outlives_the_host_and_so_does_its_answer() {
    let world = world();
    let task = world.runner.begin(order("asks", OnRestart::Rerun)).await.unwrap();
    let asked = world.until(&task, TaskStatus::InputRequired).await;
    let next = restarted(&world).await;
    assert_eq!(next.now(&task).await.status(), TaskStatus::InputRequired, "it is shown as before");
    let answer = RawValue::from_string(r#"{"action":"decline"}"#.to_owned()).unwrap();
    // Even if the function has not asked again yet.
    next.runner.answer(&asked, &BTreeMap::from([("k".to_owned(), &*answer)])).await.unwrap();
    let ended = next.until(&task, TaskStatus::Completed).await;
    assert_eq!(result_of(&ended), json!(r#"{"action":"decline"}"#));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_its_host_each_time_is_given_up() {
    let mut world = world();
    let task = world.runner.begin(order("asks", OnRestart::Rerun)).await.unwrap();
    for runs in 2..=3 {
        world = killed(world).await;
        assert_eq!(world.now(&task).await.running().unwrap().runs, runs);
    }
    let failed = killed(world).await.now(&task).await;
    assert_eq!(error_of(&failed), "it was begun 3 times, and each time the host ended before it did");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_ends_in_order_does_not_count() {
    let mut world = world();
    let task = world.runner.begin(order("asks", OnRestart::Rerun)).await.unwrap();
    for _ in 0..10 {
        world.until(&task, TaskStatus::InputRequired).await;
        world = restarted(&world).await;
        assert_eq!(world.now(&task).await.running().unwrap().runs, 1);
    }
}

/// A store that fails as long as it is told to.
struct Failing {
    store: Arc<dyn TaskStore>,
    fails: AtomicBool,
}

impl Failing {
    fn or<'a, T: Send + 'a>(&self, work: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match self.fails.load(Ordering::SeqCst) {
            false => work,
            true => {
                Box::pin(std::future::ready(Err(StoreError::Broken { reason: "no space left on /secret".to_owned() })))
            }
        }
    }
}

impl TaskStore for Failing {
    fn insert(&self, task: Task) -> StoreFuture<'_, ()> {
        self.or(self.store.insert(task))
    }

    fn get(&self, id: &TaskId) -> StoreFuture<'_, Option<Task>> {
        self.store.get(id)
    }

    fn replace(&self, task: Task) -> StoreFuture<'_, Replaced> {
        match self.fails.load(Ordering::SeqCst) {
            false => self.store.replace(task),
            true => self.or(self.store.replace(Task { version: u64::MAX, ..task })),
        }
    }

    fn list(&self, owner: &Principal, behind: Option<ListPlace>, max: usize) -> StoreFuture<'_, Page> {
        self.store.list(owner, behind, max)
    }

    fn left_behind(&self, runner: &RunnerId) -> StoreFuture<'_, Vec<Task>> {
        self.store.left_behind(runner)
    }

    fn expire(&self, now: Millis) -> StoreFuture<'_, usize> {
        self.or(self.store.expire(now))
    }

    fn count(&self) -> usize {
        self.store.count()
    }

    fn changes(&self) -> &Changes {
        self.store.changes()
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_full_for_a_while_loses_no_result_and_takes_no_new_task() {
    let store = Arc::new(Failing { store: memory(), fails: AtomicBool::new(false) });
    let world = world_over(Arc::clone(&store) as Arc<dyn TaskStore>);
    let task = world.begin("minute").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    store.fails.store(true, Ordering::SeqCst);
    let reason = "the place where they are kept does not work; its operator must see to that".to_owned();
    let refused = world.runner.begin(order("minute", OnRestart::Fail)).await;
    assert_eq!(refused.unwrap_err(), Fault::TasksUnavailable { reason });
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.now(&task).await.status(), TaskStatus::Working, "its end could not be written");
    store.fails.store(false, Ordering::SeqCst);
    let ended = world.until(&task, TaskStatus::Completed).await;
    assert_eq!((result_of(&ended), world.callee.calls.load(Ordering::SeqCst)), (json!(r#"{"a":1}"#), 1));
}

#[tokio::test(start_paused = true)]
async fn a_result_without_room_waits_for_it_and_is_an_error_that_says_so_at_last() {
    let large = RawValue::from_string(json!({"a": "x".repeat(9_000)}).to_string()).unwrap();
    let order = || Order { arguments: Some(large.clone()), ..order("minute", OnRestart::Fail) };
    let bytes = serde_json::to_vec(&world().runner.begin(order()).await.unwrap()).unwrap().len();
    // Room for both tasks, but not for a result, which is a little larger than its arguments.
    let limits = TaskLimits { max_tasks: 9, max_per_owner: 9, max_bytes: 2 * bytes + 10 };
    let world = world_over(Arc::new(MemoryStore::new(limits)));
    let tasks = [world.runner.begin(order()).await.unwrap(), world.runner.begin(order()).await.unwrap()];
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert_eq!(world.now(&tasks[0]).await.status(), TaskStatus::Working, "room may come");
    let failed = world.until(&tasks[0], TaskStatus::Failed).await;
    assert!(error_of(&failed).starts_with("its result is not kept: the tasks that are kept have"));
    // What the first one leaves is room for the second.
    world.until(&tasks[1], TaskStatus::Completed).await;
}
