//! What a store on disk does beside that: files, locks, damage, and hosts that are gone.

use super::*;
use std::fs;

async fn kept(store: &DiskStore, owner: &str) -> Vec<String> {
    let page = store.list(&user(owner), None, 99).await.unwrap();
    page.tasks.iter().map(|task| task.id.as_str().to_owned()).collect()
}

/// Waits until a file is free: the thread that writes lets go of it a moment after its store is gone.
async fn until_free(folder: &std::path::Path, number: usize) {
    let lock = fs::File::open(folder.join(format!("{number}.lock"))).unwrap();
    while lock.try_lock().is_err() {
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
    until_free(folder.path(), 0).await;
    let store = opened(folder.path(), LIMITS);
    assert_eq!(kept(&store, "ada").await, ["b", "a"]);
    assert_eq!(store.get(&TaskId::of("b")).await.unwrap().unwrap().outcome(), Some(&done("d")));
    assert_eq!(store.insert(task("a", 1)).await, Ok(()));
    assert_eq!(store.count(), 2);
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(folder.path(), LIMITS);
    store.insert(task("a", 1)).await.unwrap();
    let bytes = || fs::read(folder.path().join("0.redb")).unwrap();
    let before = bytes();
    assert_eq!(store.expire(Millis(2)).await, Ok(0));
    assert_eq!(store.left_behind(&RunnerId::random().unwrap()).await.unwrap().len(), 1);
    assert!(bytes() == before, "the file was written");
}

#[tokio::test]
async fn two_hosts_have_a_file_each_and_what_one_leaves_the_next_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let first = opened(folder.path(), LIMITS);
    let second = opened(folder.path(), LIMITS);
    first.insert(task("a", 1)).await.unwrap();
    second.insert(task("b", 2)).await.unwrap();
    assert_eq!((kept(&first, "ada").await, kept(&second, "ada").await), (vec!["a".to_owned()], vec!["b".to_owned()]));
    drop(second);
    // The second's file is free, and so its tasks are whoever starts next.
    until_free(folder.path(), 1).await;
    let third = opened(folder.path(), LIMITS);
    assert_eq!(kept(&third, "ada").await, ["b"]);
    drop((first, third));
    until_free(folder.path(), 0).await;
    until_free(folder.path(), 1).await;
    let alone = opened(folder.path(), LIMITS);
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
    until_free(folder.path(), 0).await;
    until_free(folder.path(), 2).await;
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
    until_free(folder.path(), 0).await;
    until_free(folder.path(), 1).await;
    let store = opened(folder.path(), LIMITS);
    assert_eq!(store.get(&TaskId::of("a")).await.unwrap().unwrap().status(), TaskStatus::Cancelled);
}
