//! Every order in which several changes of one task can come.

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
