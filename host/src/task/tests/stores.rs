//! What every store does: one suite, run over each of them.

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
