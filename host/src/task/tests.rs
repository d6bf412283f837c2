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

mod stores {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_found_and_listed_newest_first() {
        each_store(LIMITS, async |store: Arc<dyn TaskStore>| {
            for (id, created) in [("a", 1), ("c", 3), ("b", 2)] {
                store.insert(task(id, created)).await.unwrap();
            }
            store.insert(Task { owner: user("bob"), ..task("x", 9) }).await.unwrap();
            let found = store.get(&TaskId::of("b")).await.unwrap().unwrap();
            assert_eq!((found.created, found.status()), (Millis(2), TaskStatus::Working));
            assert_eq!(found.work.arguments.unwrap().get(), r#"{"a":1}"#);
            assert!(store.get(&TaskId::of("no")).await.unwrap().is_none());
            let page = store.list(&user("ada"), None, 2).await.unwrap();
            assert_eq!((ids(&page.tasks), page.next.is_some()), (vec!["c", "b"], true));
            let rest = store.list(&user("ada"), page.next, 2).await.unwrap();
            assert_eq!((ids(&rest.tasks), rest.next), (vec!["a"], None));
            assert_eq!(ids(&store.list(&user("bob"), None, 9).await.unwrap().tasks), ["x"]);
            assert_eq!(store.count(), 4);
        })
        .await;
    }

    #[tokio::test]
    async fn a_version_follows_the_one_before_and_no_other() {
        each_store(LIMITS, async |store: Arc<dyn TaskStore>| {
            store.insert(task("a", 1)).await.unwrap();
            let first = task("a", 1);
            let next = first.next(Millis(5), |running| running.asked("k", form()).into()).unwrap();
            assert_eq!(store.replace(next.clone()).await, Ok(Replaced::Done));
            assert_eq!(store.replace(next.clone()).await, Ok(Replaced::Stale));
            let later = next.next(Millis(6), Stage::from).unwrap().next(Millis(7), Stage::from).unwrap();
            assert_eq!(store.replace(later).await, Ok(Replaced::Stale));
            let gone = task("gone", 1).next(Millis(5), Stage::from).unwrap();
            assert_eq!(store.replace(gone).await, Ok(Replaced::Stale));
            let kept = store.get(&first.id).await.unwrap().unwrap();
            assert_eq!((kept.version, kept.status(), kept.updated), (1, TaskStatus::InputRequired, Millis(5)));
            assert_eq!(kept.running().unwrap().open["k"], form());
        })
        .await;
    }

    #[tokio::test]
    async fn bounds_are_kept_and_what_shrinks_or_is_small_always_fits() {
        each_store(LIMITS, async |store: Arc<dyn TaskStore>| {
            for number in 0..4 {
                store.insert(task(&number.to_string(), number)).await.unwrap();
            }
            let refused = store.insert(task("4", 4)).await;
            assert_eq!(refused, Err(StoreError::TooManyOfOwner { max: 4 }));
            store.insert(Task { owner: user("bob"), ..task("5", 5) }).await.unwrap();
            let refused = store.insert(Task { owner: user("eve"), ..task("6", 6) }).await;
            assert_eq!(refused, Err(StoreError::TooMany { max: 5 }));
            let large = |task: &Task, bytes: usize| {
                task.next(Millis(9), |running| running.ended(done(&"x".repeat(bytes))).into()).unwrap()
            };
            let zero = store.get(&TaskId::of("0")).await.unwrap().unwrap();
            assert_eq!(store.replace(large(&zero, 30_000)).await, Ok(Replaced::Done));
            let one = store.get(&TaskId::of("1")).await.unwrap().unwrap();
            assert_eq!(store.replace(large(&one, 30_000)).await, Err(StoreError::TooLarge { max: 40_000 }));
            assert_eq!(store.replace(large(&one, 5_000)).await, Ok(Replaced::Done), "a word about why always fits");
            let kept = store.get(&TaskId::of("0")).await.unwrap().unwrap();
            assert_eq!(kept.outcome(), Some(&done(&"x".repeat(30_000))));
        })
        .await;
    }

    #[tokio::test]
    async fn a_task_is_forgotten_at_its_time_and_not_before() {
        each_store(LIMITS, async |store: Arc<dyn TaskStore>| {
            store.insert(task("a", 1_000)).await.unwrap();
            store.insert(Task { ttl: None, ..task("b", 1_000) }).await.unwrap();
            let mut watch = store.changes().watch(&TaskId::of("a"));
            assert_eq!(store.expire(Millis(60_999)).await, Ok(0));
            assert_eq!(store.expire(Millis(61_000)).await, Ok(1));
            watch.changed().await;
            assert!(store.get(&TaskId::of("a")).await.unwrap().is_none());
            assert_eq!(store.expire(Millis(u64::MAX)).await, Ok(0), "one without an end is kept");
            // There is room again.
            for number in 0..3 {
                store.insert(task(&number.to_string(), 1)).await.unwrap();
            }
        })
        .await;
    }

    #[tokio::test]
    async fn what_others_have_left_behind_is_what_runs_and_is_not_ours() {
        each_store(LIMITS, async |store: Arc<dyn TaskStore>| {
            store.insert(task("ours", 1)).await.unwrap();
            for id in ["left", "ended"] {
                store.insert(Task { runner: runner("gone"), ..task(id, 2) }).await.unwrap();
            }
            let end = |it: Running| it.ended(Outcome::Cancelled).into();
            change(&*store, &TaskId::of("ended"), || Millis(4), end).await.unwrap();
            assert_eq!(ids(&store.left_behind(&runner("ours")).await.unwrap()), ["left"]);
        })
        .await;
    }

    #[tokio::test]
    async fn changes_are_told_once_they_can_be_seen() {
        each_store(LIMITS, async |store: Arc<dyn TaskStore>| {
            let id = TaskId::of("a");
            let (mut watch, mut all) = (store.changes().watch(&id), store.changes().listen());
            store.insert(task("a", 1)).await.unwrap();
            watch.changed().await;
            assert!(store.get(&id).await.unwrap().is_some());
            change(&*store, &id, || Millis(2), |it| it.ended(done("d")).into()).await.unwrap();
            watch.changed().await;
            assert_eq!(store.get(&id).await.unwrap().unwrap().outcome(), Some(&done("d")));
            assert_eq!((all.recv().await, all.recv().await), (Ok(id.clone()), Ok(id)));
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_change_is_lost_among_many() {
        each_store(PLENTY, async |store: Arc<dyn TaskStore>| {
            store.insert(task("a", 1)).await.unwrap();
            let workers: Vec<_> = (0..8)
                .map(|worker| {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move {
                        for step in 0..20 {
                            let key = format!("{worker}-{step}");
                            let record = |mut it: Running| {
                                it.recorded.insert(key.clone(), json!(true));
                                it.into()
                            };
                            let changed = change(&*store, &TaskId::of("a"), || Millis(2), record).await;
                            assert!(matches!(changed, Ok(Change::Done(_))));
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.await.unwrap();
            }
            let kept = store.get(&TaskId::of("a")).await.unwrap().unwrap();
            assert_eq!((kept.running().unwrap().recorded.len(), kept.version), (160, 160));
        })
        .await;
    }
}

mod disk {
    use super::*;
    use std::fs;

    async fn kept(store: &DiskStore, owner: &str) -> Vec<String> {
        let page = store.list(&user(owner), None, 99).await.unwrap();
        page.tasks.iter().map(|task| task.id.as_str().to_owned()).collect()
    }

    /// The thread that writes lets go of its file a moment after its store is gone.
    async fn opened_again(folder: &std::path::Path, number: usize) -> DiskStore {
        let file = folder.join(format!("{number}.redb"));
        loop {
            let is_free = fs::File::open(file.with_extension("lock")).unwrap().try_lock().is_ok();
            if is_free {
                return opened(folder, LIMITS);
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_was_kept_is_there_when_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(folder.path(), LIMITS);
        store.insert(task("a", 1)).await.unwrap();
        store.insert(task("b", 2)).await.unwrap();
        let ended = change(&store, &TaskId::of("b"), || Millis(3), |it| it.ended(done("d")).into()).await;
        assert!(matches!(ended, Ok(Change::Done(_))));
        drop(store);
        let store = opened_again(folder.path(), 0).await;
        assert_eq!(kept(&store, "ada").await, ["b", "a"]);
        assert_eq!(store.get(&TaskId::of("b")).await.unwrap().unwrap().outcome(), Some(&done("d")));
        assert_eq!(store.insert(task("a", 1)).await, Ok(()));
        assert_eq!(store.count(), 2);
    }

    #[tokio::test]
    async fn two_hosts_have_a_file_each_and_what_one_leaves_the_next_takes_over() {
        let folder = tempfile::tempdir().unwrap();
        let first = opened(folder.path(), LIMITS);
        let second = opened(folder.path(), LIMITS);
        first.insert(task("a", 1)).await.unwrap();
        second.insert(task("b", 2)).await.unwrap();
        assert_eq!(
            (kept(&first, "ada").await, kept(&second, "ada").await),
            (vec!["a".to_owned()], vec!["b".to_owned()])
        );
        drop(second);
        // The second's file is free, and so its tasks are whoever starts next.
        let third = opened_again(folder.path(), 1).await;
        assert_eq!(kept(&third, "ada").await, ["b"]);
        drop((first, third));
        let alone = opened_again(folder.path(), 0).await;
        let alone = if kept(&alone, "ada").await.len() == 2 {
            alone
        } else {
            drop(alone);
            opened_again(folder.path(), 1).await
        };
        assert_eq!(kept(&alone, "ada").await, ["b", "a"]);
    }

    #[tokio::test]
    async fn a_damaged_file_is_left_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0.redb"), vec![7; 5000]).unwrap();
        let store = opened(folder.path(), LIMITS);
        store.insert(task("a", 1)).await.unwrap();
        assert_eq!(fs::read(folder.path().join("0.redb")).unwrap(), vec![7; 5000]);
        assert!(folder.path().join("1.redb").exists());
    }

    #[tokio::test]
    async fn what_a_host_leaves_is_taken_over_by_one_that_lives_and_damage_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let [zero, one, two] = [0, 1, 2].map(|_| opened(folder.path(), LIMITS));
        two.insert(task("two", 2)).await.unwrap();
        drop((zero, two));
        for number in [0, 2] {
            let lock = fs::File::open(folder.path().join(format!("{number}.lock"))).unwrap();
            while lock.try_lock().is_err() {
                tokio::task::yield_now().await;
            }
        }
        fs::write(folder.path().join("0.redb"), vec![7; 5000]).unwrap();
        assert_eq!(ids(&one.left_behind(&runner("another")).await.unwrap()), ["two"]);
        assert_eq!(kept(&one, "ada").await, ["two"]);
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_harms_no_other() {
        const TASKS: redb::TableDefinition<'static, &str, &[u8]> = redb::TableDefinition::new("tasks-1");
        let folder = tempfile::tempdir().unwrap();
        {
            let database = redb::Database::create(folder.path().join("0.redb")).unwrap();
            let transaction = database.begin_write().unwrap();
            transaction.open_table(TASKS).unwrap().insert("odd", b"{}".as_slice()).unwrap();
            transaction.commit().unwrap();
        }
        let store = opened(folder.path(), LIMITS);
        store.insert(task("a", 1)).await.unwrap();
        assert_eq!(kept(&store, "ada").await, ["a"]);
        assert!(matches!(store.get(&TaskId::of("odd")).await, Err(StoreError::Broken { .. })));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tasks");
        fs::write(&file, "").unwrap();
        let (store, problem) = DiskStore::open(&file, LIMITS).unwrap();
        assert!(matches!(problem, Some(DiskError::Folder { .. })), "{problem:?}");
        assert!(matches!(store.insert(task("a", 1)).await, Err(StoreError::Broken { .. })));
        assert!(matches!(store.get(&TaskId::of("a")).await, Err(StoreError::Broken { .. })), "nobody knows");
        // As soon as it can be made, tasks are kept.
        fs::remove_file(&file).unwrap();
        store.insert(task("a", 1)).await.unwrap();
        assert_eq!(kept(&store, "ada").await, ["a"]);
    }

    #[tokio::test]
    async fn what_is_newer_is_kept_when_a_file_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (opened(folder.path(), LIMITS), opened(folder.path(), LIMITS));
        for store in [&first, &second] {
            store.insert(task("a", 1)).await.unwrap();
        }
        change(&first, &TaskId::of("a"), || Millis(2), |it| it.ended(Outcome::Cancelled).into()).await.unwrap();
        drop((first, second));
        let store = opened_again(folder.path(), 1).await;
        let store = match kept(&store, "ada").await.is_empty() {
            true => {
                drop(store);
                opened_again(folder.path(), 0).await
            }
            false => store,
        };
        assert_eq!(store.get(&TaskId::of("a")).await.unwrap().unwrap().status(), TaskStatus::Cancelled);
    }
}

/// Every order in which several changes of one task can come.
mod orders {
    use super::*;
    use crate::task::store::StoreFuture;

    /// A store whose every step waits to be let go on.
    struct Stepping(MemoryStore);

    /// Waits once.
    struct Once(bool);

    impl Future for Once {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    impl TaskStore for Stepping {
        fn insert(&self, task: Task) -> StoreFuture<'_, ()> {
            self.0.insert(task)
        }

        fn get(&self, id: &TaskId) -> StoreFuture<'_, Option<Task>> {
            let id = id.clone();
            Box::pin(async move {
                Once(false).await;
                self.0.get(&id).await
            })
        }

        fn replace(&self, task: Task) -> StoreFuture<'_, Replaced> {
            Box::pin(async move {
                Once(false).await;
                self.0.replace(task).await
            })
        }

        fn list(&self, owner: &Principal, behind: Option<ListPlace>, max: usize) -> StoreFuture<'_, Page> {
            self.0.list(owner, behind, max)
        }

        fn left_behind(&self, runner: &RunnerId) -> StoreFuture<'_, Vec<Task>> {
            self.0.left_behind(runner)
        }

        fn expire(&self, now: Millis) -> StoreFuture<'_, usize> {
            Box::pin(async move {
                Once(false).await;
                self.0.expire(now).await
            })
        }

        fn count(&self) -> usize {
            self.0.count()
        }

        fn changes(&self) -> &Changes {
            self.0.changes()
        }
    }

    /// Who changes the task.
    #[derive(Debug, Clone, Copy)]
    enum Actor {
        Complete,
        Cancel,
        Answer,
        Expire,
    }

    type Acting<'a> = Pin<Box<dyn Future<Output = Option<Outcome>> + 'a>>;

    /// What an actor does; gives how it has ended the task, if it has.
    fn act(store: &Stepping, actor: Actor) -> Acting<'_> {
        Box::pin(async move {
            let id = TaskId::of("a");
            let changed = match actor {
                Actor::Complete => change(store, &id, || Millis(2), |it| it.ended(done("d")).into()).await,
                Actor::Cancel => change(store, &id, || Millis(2), |it| it.ended(Outcome::Cancelled).into()).await,
                Actor::Answer => {
                    let answer = raw(json!({"action": "decline"}));
                    change(store, &id, || Millis(2), |it| it.answered("k", &answer).into()).await
                }
                Actor::Expire => {
                    store.expire(Millis(u64::MAX)).await.unwrap();
                    return None;
                }
            };
            match changed.unwrap() {
                Change::Done(task) => task.outcome().cloned(),
                Change::Ended(_) | Change::Gone => None,
            }
        })
    }

    /// Runs the actors in an order: at each step, of those who are not done, the one that `order` says. Gives how many there
    /// were to choose from at each step.
    fn run(actors: &[Actor], order: &[usize]) -> Vec<usize> {
        let store = Stepping(MemoryStore::new(PLENTY));
        let asked = task("a", 1).next(Millis(1), |it| it.asked("k", form()).into()).unwrap();
        let mut inserting = store.insert(Task { version: 0, ..asked });
        let mut context = Context::from_waker(Waker::noop());
        assert!(inserting.as_mut().poll(&mut context).is_ready());
        let mut acting: Vec<(Actor, Acting<'_>)> = actors.iter().map(|actor| (*actor, act(&store, *actor))).collect();
        let (mut choices, mut ends) = (Vec::new(), Vec::new());
        while !acting.is_empty() {
            let choice = order.get(choices.len()).copied().unwrap_or(0);
            choices.push(acting.len());
            if let Poll::Ready(end) = acting[choice].1.as_mut().poll(&mut context) {
                ends.extend(end);
                drop(acting.remove(choice));
            }
            assert!(choices.len() < 100, "{actors:?} do not come to an end in {order:?}");
        }
        let Poll::Ready(Ok(kept)) = store.0.get(&TaskId::of("a")).as_mut().poll(&mut context) else { panic!() };
        let expires = actors.iter().any(|actor| matches!(actor, Actor::Expire));
        match kept {
            Some(kept) => {
                assert_eq!(ends.len(), 1, "{actors:?} in {order:?}");
                assert_eq!(kept.outcome(), ends.first(), "{actors:?} in {order:?}");
            }
            None => assert!(expires && ends.len() <= 1, "{actors:?} in {order:?}"),
        }
        choices
    }

    /// Runs the actors in every order, and tells how many those are.
    fn every_order(actors: &[Actor]) -> usize {
        let mut order: Vec<usize> = Vec::new();
        for runs in 1.. {
            let choices = run(actors, &order);
            order.resize(choices.len(), 0);
            // The next order, as a number whose digits have the bases that were found.
            let Some(place) = (0..order.len()).rev().find(|place| order[*place] + 1 < choices[*place]) else {
                return runs;
            };
            order.truncate(place + 1);
            order[place] += 1;
        }
        unreachable!()
    }

    #[test]
    fn whoever_comes_in_whatever_order_the_task_has_one_end() {
        use Actor::{Answer, Cancel, Complete, Expire};
        let runs = [
            every_order(&[Complete, Cancel]),
            every_order(&[Complete, Cancel, Cancel]),
            every_order(&[Complete, Cancel, Answer]),
            every_order(&[Complete, Cancel, Expire]),
        ];
        assert!(runs.iter().sum::<usize>() > 5000, "{runs:?}");
    }
}

mod keeping {
    use super::*;

    fn keeper(store: &Arc<dyn TaskStore>, task: &Task) -> (Arc<TaskPeer>, Keeper) {
        TaskPeer::new(Arc::clone(store), Clock::at(Millis(10)), task, None, None)
    }

    async fn kept(store: &Arc<dyn TaskStore>) -> Task {
        store.get(&TaskId::of("a")).await.unwrap().unwrap()
    }

    fn memory() -> Arc<dyn TaskStore> {
        Arc::new(MemoryStore::new(PLENTY))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_a_hundred_thousand_races_each_has_one_winner() {
        race(memory(), 100_000).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_two_thousand_races_on_disk_each_has_one_winner() {
        let folder = tempfile::tempdir().unwrap();
        race(Arc::new(opened(folder.path(), PLENTY)), 2000).await;
    }

    /// Cancellations against completions, so many times.
    async fn race(store: Arc<dyn TaskStore>, races: usize) {
        let (completed, cancelled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let racers: Vec<_> = (0..8)
            .map(|racer| {
                let (store, completed, cancelled) =
                    (Arc::clone(&store), Arc::clone(&completed), Arc::clone(&cancelled));
                tokio::spawn(async move {
                    for race in 0..races / 8 {
                        let task = task(&format!("{racer}-{race}"), 1);
                        store.insert(task.clone()).await.unwrap();
                        let (_peer, keeper) = keeper(&store, &task);
                        let working = tokio::spawn(keeper.keep(async move {
                            for _ in 0..race % 4 {
                                tokio::task::yield_now().await;
                            }
                            done("d")
                        }));
                        for _ in 0..race % 7 {
                            tokio::task::yield_now().await;
                        }
                        let cancel = |it: Running| it.ended(Outcome::Cancelled).into();
                        let cancel = change(&*store, &task.id, || Millis(2), cancel).await.unwrap();
                        let left = working.await.unwrap();
                        let ended = store.get(&task.id).await.unwrap().unwrap();
                        match (cancel, left) {
                            (Change::Done(_), Left::Taken) => {
                                assert_eq!(ended.status(), TaskStatus::Cancelled);
                                cancelled.fetch_add(1, Ordering::Relaxed);
                            }
                            (Change::Ended(_), Left::Ended(outcome)) => {
                                assert_eq!((ended.status(), outcome), (TaskStatus::Completed, done("d")));
                                completed.fetch_add(1, Ordering::Relaxed);
                            }
                            both => panic!("both or neither have ended it: {both:?}"),
                        }
                    }
                })
            })
            .collect();
        for racer in racers {
            racer.await.unwrap();
        }
        let (completed, cancelled) = (completed.load(Ordering::Relaxed), cancelled.load(Ordering::Relaxed));
        assert_eq!(completed + cancelled, races);
        assert!(completed > 0 && cancelled > 0, "{completed} completed, {cancelled} cancelled");
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_in_the_record_until_it_is_answered() {
        let store = memory();
        store.insert(task("a", 1)).await.unwrap();
        let (peer, keeper) = keeper(&store, &task("a", 1));
        let answering = {
            let store = Arc::clone(&store);
            async move {
                let mut watch = store.changes().watch(&TaskId::of("a"));
                while kept(&store).await.status() != TaskStatus::InputRequired {
                    watch.changed().await;
                }
                let answer = raw(json!({"action": "accept", "content": {"n": 7}}));
                let closed = |it: Running| it.answered("k", &answer).into();
                change(&*store, &TaskId::of("a"), || Millis(11), closed).await.unwrap();
            }
        };
        let asking = async move {
            let answer = peer.ask("k", form()).await.unwrap();
            // The same once more is answered already.
            assert_eq!(peer.ask("k", form()).await.unwrap().get(), answer.get());
            done(answer.get())
        };
        let (left, ()) = tokio::join!(keeper.keep(asking), answering);
        assert!(matches!(left, Left::Ended(outcome) if outcome == done(r#"{"action":"accept","content":{"n":7}}"#)));
        assert_eq!(kept(&store).await.status(), TaskStatus::Completed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_nobody_waits_for_is_withdrawn_and_one_key_is_one_question() {
        let store = memory();
        store.insert(task("a", 1)).await.unwrap();
        let (peer, keeper) = keeper(&store, &task("a", 1));
        let seen = Arc::clone(&store);
        let asking = async move {
            let waiting = tokio::time::timeout(Duration::from_secs(5), peer.ask("k", form())).await;
            assert!(waiting.is_err());
            // Taken in order, so the withdrawal was done before this.
            assert_eq!(peer.keep(Kept::Checkpoint(json!(1))).unwrap().await, Ok(()));
            assert_eq!(kept(&seen).await.status(), TaskStatus::Working);
            let other = AskRequest { method: "roots/list", params: json!({}) };
            let (one, two) = tokio::join!(
                tokio::time::timeout(Duration::from_secs(5), peer.ask("same", form())),
                peer.ask("same", other)
            );
            assert!(one.is_err());
            let refused = "two questions have the key 'same'; give each one of its own".to_owned();
            assert_eq!(two.unwrap_err(), AskError::Refused(refused));
            done("d")
        };
        assert!(matches!(keeper.keep(asking).await, Left::Ended(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_kept_is_there_for_the_next_run() {
        let store = memory();
        store.insert(task("a", 1)).await.unwrap();
        let (peer, keeper) = keeper(&store, &task("a", 1));
        let first = async move {
            assert_eq!(peer.task().unwrap().checkpoint, None);
            peer.keep(Kept::Checkpoint(Value::Null)).unwrap().await.unwrap();
            assert_eq!(peer.task().unwrap().checkpoint, Some(Value::Null));
            let step = Kept::Step { key: "s".to_owned(), value: json!(7) };
            peer.keep(step).unwrap().await.unwrap();
            std::future::pending().await
        };
        // The host ends.
        let cut_off = tokio::time::timeout(Duration::from_secs(1), keeper.keep(first)).await;
        assert!(cut_off.is_err());
        let left = kept(&store).await;
        assert_eq!((left.status(), &left.running().unwrap().recorded["s"]), (TaskStatus::Working, &json!(7)));
        let (peer, _keeper) = super::keeping::keeper(&store, &left);
        assert_eq!(peer.task().unwrap().checkpoint, Some(Value::Null));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_of_an_earlier_run_are_answers_still() {
        let answer = raw(json!({"action": "decline"}));
        let next = |it: Running| it.asked("k", form()).answered("k", &answer).into();
        let answered = task("a", 1).next(Millis(2), next).unwrap();
        let (peer, _keeper) = keeper(&memory(), &answered);
        let ask = || Ask::Form { message: "m".to_owned(), schema: form().params["requestedSchema"].clone() };
        let Asked::Answered(Ok(given)) = peer.consult("k", ask()) else { panic!("it is asked again") };
        assert_eq!(given.get(), r#"{"action":"decline"}"#);
        assert!(matches!(peer.consult("other", ask()), Asked::Live(_)));
        let roots = peer.consult("roots", Ask::Roots);
        assert!(matches!(roots, Asked::Answered(Err(AskError::MissingCapability(it))) if it == "roots"));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_in_the_record_but_not_every_word_of_it() {
        let store = memory();
        store.insert(task("a", 1)).await.unwrap();
        let (peer, keeper) = keeper(&store, &task("a", 1));
        let seen = Arc::clone(&store);
        let working = async move {
            for number in 1..=1000_u32 {
                let message = Some("reading".to_owned());
                peer.progress(Progress { done: f64::from(number), total: Some(1000.0), message });
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let shown = kept(&seen).await;
            assert!(shown.message.as_ref().unwrap().starts_with("reading (9"), "{:?}", shown.message);
            assert!((9..=12).contains(&shown.version), "{}", shown.version);
            done("d")
        };
        assert!(matches!(keeper.keep(working).await, Left::Ended(_)));
        assert_eq!(kept(&store).await.message, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_whose_time_is_over_is_stopped() {
        let store = memory();
        store.insert(task("a", 1)).await.unwrap();
        let (peer, keeper) = keeper(&store, &task("a", 1));
        let forgetting = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(store.expire(Millis(u64::MAX)).await, Ok(1));
        };
        let (left, ()) = tokio::join!(keeper.keep(std::future::pending()), forgetting);
        assert!(matches!(left, Left::Taken));
        let over = Err(NotKept("the task is over".to_owned()));
        assert_eq!(peer.keep(Kept::Checkpoint(json!(1))).unwrap().await, over);
        assert_eq!(peer.ask("k", form()).await.unwrap_err(), AskError::Cancelled);
    }
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
