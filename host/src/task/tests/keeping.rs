//! The record of a running task, kept while its function works.

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
            let (store, completed, cancelled) = (Arc::clone(&store), Arc::clone(&completed), Arc::clone(&cancelled));
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
