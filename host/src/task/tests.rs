use super::*;

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
