//! Whoever holds the record of a running task: writes down what its function does, and hears of what others do to it.

use super::store::Change;
use super::{Outcome, RunnerId, Running, Stage, StoreError, Task, TaskId, TaskStore, Watch, change};
use crate::call::{AskError, Kept, NotKept, Progress};
use crate::protocol::AskRequest;
use crate::rt::Clock;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

/// Holds the record of one running task.
pub struct Keeper {
    store: Arc<dyn TaskStore>,
    clock: Clock,
    id: TaskId,
    runner: RunnerId,
    watch: Watch,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Questions whose function waits, by the keys that clients see.
    waiting: HashMap<String, Vec<Answering>>,
    /// What was asked last under each key of the function.
    asked: HashMap<String, Asked>,
    shown: Shown,
    /// When it looks at the record again, whether it was told of a change or not.
    look_at: Instant,
}

/// A question of a function.
struct Asked {
    /// The key that clients see.
    shown: String,
    request: AskRequest,
}

type Answering = oneshot::Sender<Result<Box<RawValue>, AskError>>;

/// What the record tells of progress, and when it may tell more: each word is a write to disk.
struct Shown {
    next: Instant,
    every: Duration,
    latest: Arc<Latest>,
    is_due: bool,
}

/// The last that a task's function has said of its progress: what is said faster than it is written is not kept.
#[derive(Default)]
pub(super) struct Latest {
    progress: Mutex<Option<Progress>>,
    changed: Notify,
}

impl Latest {
    /// Says how far the work is.
    pub(super) fn say(&self, progress: Progress) {
        *self.progress.lock() = Some(progress);
        self.changed.notify_one();
    }
}

/// What a task's function does.
pub(super) enum Order {
    Ask { key: String, request: AskRequest, answer: Answering },
    Withdraw { key: String },
    Keep { kept: Kept, done: oneshot::Sender<Result<(), NotKept>> },
}

/// Where what a task's function does goes.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) latest: Arc<Latest>,
}

/// How a keeper left its task.
#[derive(Debug)]
pub enum Left {
    /// It has ended in this way, and nobody has ended it before.
    Ended(Outcome),
    /// Somebody else has ended it, or its time is over: its function is to be stopped.
    Taken,
}

/// A record is told of progress this often at most.
const MIN_SHOWN: Duration = Duration::from_secs(1);

/// How soon a store that does not work is tried again, and how soon at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A question that cannot be put is tried again, with pauses up to this.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// How often the record is looked at without word of a change: word of one may be lost between processes.
const LOOK: Duration = Duration::from_secs(60);

/// For how long a result that does not fit into the store waits for room.
const ROOM: Duration = Duration::from_secs(60);

/// Questions that one task may put in its life: they are all kept.
const MAX_QUESTIONS: usize = 1000;

impl Keeper {
    /// A keeper of a task, and where its function's orders go.
    pub(super) fn new(store: Arc<dyn TaskStore>, clock: Clock, task: &Task) -> (Self, Line) {
        let (send, orders) = mpsc::unbounded_channel();
        let latest = Arc::new(Latest::default());
        let watch = store.changes().watch(&task.id);
        let every = task.poll_interval.max(MIN_SHOWN);
        let shown = Shown { next: Instant::now(), every, latest: Arc::clone(&latest), is_due: false };
        let keeper = Self {
            store,
            clock,
            id: task.id.clone(),
            runner: task.runner.clone(),
            watch,
            orders,
            waiting: HashMap::new(),
            asked: HashMap::new(),
            shown,
            look_at: Instant::now(),
        };
        (keeper, Line { orders: send, latest })
    }

    /// Keeps the record while `work` is done, and ends it with what that gives. When somebody else ends the task, `work` is
    /// dropped.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, and leaves the task running in its record.
    pub async fn keep(mut self, work: impl Future<Output = Outcome>) -> Left {
        let mut work = std::pin::pin!(work);
        // Whoever has ended it before this began to watch is not told of.
        if self.look().await {
            return Left::Taken;
        }
        let latest = Arc::clone(&self.shown.latest);
        loop {
            let show_at = self.shown.is_due.then_some(self.shown.next);
            tokio::select! {
                biased;
                outcome = &mut work => return self.end(outcome).await,
                () = self.watch.changed() => {
                    if self.look().await {
                        return Left::Taken;
                    }
                }
                () = tokio::time::sleep_until(self.look_at) => {
                    if self.look().await {
                        return Left::Taken;
                    }
                }
                Some(order) = self.orders.recv() => self.take(order).await,
                () = latest.changed.notified() => self.shown.is_due = true,
                () = until(show_at) => self.show().await,
            }
        }
    }

    /// Looks what others have done. Whether the task is over.
    async fn look(&mut self) -> bool {
        let found = self.store.get(&self.id).await;
        // What could not be seen now must be seen soon: an answer may be there, or the end.
        self.look_at = Instant::now() + if found.is_ok() { LOOK } else { RETRY.0 * 10 };
        match found {
            Ok(Some(task)) if task.runner != self.runner => true,
            Ok(Some(task)) => match task.running() {
                Some(running) => {
                    self.deliver(running);
                    false
                }
                None => true,
            },
            Ok(None) => true,
            Err(error) => {
                tracing::warn!(task = %self.id, %error, "a task cannot be read");
                false
            }
        }
    }

    /// Gives answers to whoever waits for them.
    fn deliver(&mut self, running: &Running) {
        self.waiting.retain(|key, waiting| {
            let Some(answer) = running.answer(key) else {
                return true;
            };
            for answering in waiting.drain(..) {
                let _ = answering.send(answer.clone());
            }
            false
        });
    }

    async fn take(&mut self, order: Order) {
        match order {
            Order::Ask { key, request, answer } => self.ask(key, request, answer).await,
            Order::Withdraw { key } => self.withdraw(&key).await,
            Order::Keep { kept, done } => {
                let kept = self
                    .change(|mut running| {
                        match kept.clone() {
                            Kept::Step { key, value } => drop(running.recorded.insert(key, value)),
                            Kept::Checkpoint(value) => running.checkpoint = Some(value),
                        }
                        running.into()
                    })
                    .await;
                let _ = done.send(match kept {
                    Ok(Change::Done(_)) => Ok(()),
                    Ok(Change::Ended(_) | Change::Gone) => Err(NotKept("the task is over".to_owned())),
                    Err(error) => {
                        // A full disk is no reason to stop what is being done: what was kept before still holds.
                        tracing::warn!(task = %self.id, %error, "how far a task is cannot be kept");
                        Ok(())
                    }
                });
            }
        }
    }

    async fn ask(&mut self, key: String, request: AskRequest, answer: Answering) {
        let refuse = |reason: &str, answer: Answering| drop(answer.send(Err(AskError::Refused(reason.to_owned()))));
        let is_other = self
            .asked
            .get(&key)
            .is_some_and(|asked| asked.request != request && self.waiting.contains_key(&asked.shown));
        if is_other {
            return refuse(&format!("two questions have the key '{key}'; give each one of its own"), answer);
        }
        let mut wait = RETRY.0;
        loop {
            match self.put(&key, &request).await {
                Ok(Some((shown, running))) => {
                    self.waiting.entry(shown.clone()).or_default().push(answer);
                    self.asked.insert(key, Asked { shown, request });
                    return self.deliver(&running);
                }
                Ok(None) => return drop(answer.send(Err(AskError::Cancelled))),
                // A disk may be full for a while.
                Err(Some(error)) if wait < ASK_AGAIN => {
                    tracing::warn!(task = %self.id, %error, "a question of a task cannot be put; it is tried again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                // What the system says is for the operator.
                Err(Some(error)) => {
                    tracing::error!(task = %self.id, %error, "a question of a task cannot be put");
                    return refuse("no question can be kept now; try again later", answer);
                }
                Err(None) => return refuse(&format!("a task puts at most {MAX_QUESTIONS} questions"), answer),
            }
        }
    }

    /// Puts a question into the record: gives the key that clients see, and the record. Nothing when the task is over; an
    /// error without a cause when there are too many.
    async fn put(&self, key: &str, request: &AskRequest) -> Result<Option<(String, Running)>, Option<StoreError>> {
        let current = self.store.get(&self.id).await.map_err(Some)?;
        let Some(running) = current.as_ref().and_then(Task::running) else {
            return Ok(None);
        };
        if running.open.len() + running.closed.len() >= MAX_QUESTIONS {
            return Err(None);
        }
        let shown = running.key_of(key, request);
        let again = format!("{key}~");
        // What an earlier run has asked in other words, nobody waits for any more.
        let stale = |open: &String| {
            *open != shown && (open == key || open.starts_with(&again)) && !self.waiting.contains_key(open)
        };
        let stale: Vec<String> = running.open.keys().filter(|open| stale(open)).cloned().collect();
        let asked = |running: Running| {
            let running = stale.iter().fold(running, |running, key| running.withdrawn(key));
            running.asked(&shown, request.clone()).into()
        };
        match self.change(asked).await.map_err(Some)? {
            Change::Done(task) => Ok(task.running().map(|running| (shown, running.clone()))),
            Change::Ended(_) | Change::Gone => Ok(None),
        }
    }

    /// Nobody waits for an answer any more, unless two did.
    async fn withdraw(&mut self, key: &str) {
        let Some(Asked { shown, .. }) = self.asked.get(key) else {
            return;
        };
        let shown = shown.clone();
        if let Some(waiting) = self.waiting.get_mut(&shown) {
            waiting.retain(|answering| !answering.is_closed());
            if !waiting.is_empty() {
                return;
            }
            self.waiting.remove(&shown);
        }
        if let Err(error) = self.change(|running| running.withdrawn(&shown).into()).await {
            tracing::warn!(task = %self.id, %error, "a question of a task cannot be withdrawn");
        }
    }

    /// Tells of progress in the record.
    async fn show(&mut self) {
        self.shown.next = Instant::now() + self.shown.every;
        self.shown.is_due = false;
        let latest = self.shown.latest.progress.lock().take();
        let Some(message) = latest.map(|progress| progress_text(&progress)) else {
            return;
        };
        let Ok(Some(task)) = self.store.get(&self.id).await else {
            return;
        };
        if let Ok(next) = task.next(self.clock.now(), Stage::from) {
            // Somebody was quicker, or it cannot be written: the next word will do.
            let _ = self.store.replace(Task { message: Some(message), ..next }).await;
        }
    }

    async fn change(&self, step: impl Fn(Running) -> Stage + Send) -> Result<Change, StoreError> {
        change(&*self.store, &self.id, || self.clock.now(), step).await
    }

    /// Ends the task. What was done is not lost because a disk is full for a while: it is tried again until it is written, or
    /// the process ends.
    async fn end(mut self, mut outcome: Outcome) -> Left {
        // Nobody is there any more who could order something.
        self.orders.close();
        let room_until = Instant::now() + ROOM;
        let mut wait = RETRY.0;
        loop {
            match self.change(|running| running.ended(outcome.clone()).into()).await {
                Ok(Change::Done(_)) => return Left::Ended(outcome),
                Ok(Change::Ended(_) | Change::Gone) => return Left::Taken,
                // Room may come while others go; when it does not, this is said instead, which is small.
                Err(error @ StoreError::TooLarge { .. }) if Instant::now() >= room_until => {
                    tracing::warn!(task = %self.id, %error, "the result of a task is not kept");
                    outcome = Outcome::Error(crate::protocol::WireError {
                        code: crate::wire::code::INTERNAL_ERROR,
                        message: format!("its result is not kept: {error}"),
                        data: None,
                    });
                }
                Err(error) => {
                    tracing::error!(task = %self.id, %error, "the end of a task cannot be written; it is tried again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }
}

/// Resolves at a time; never without one.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Progress in words, for clients that see the record only.
fn progress_text(progress: &Progress) -> String {
    const MAX_CHARS: usize = 500;
    let done = progress.done;
    let text = match (&progress.message, progress.total) {
        (Some(message), Some(total)) => format!("{message} ({done} of {total})"),
        (Some(message), None) => message.clone(),
        (None, Some(total)) => format!("{done} of {total}"),
        (None, None) => format!("{done}"),
    };
    text.chars().take(MAX_CHARS).collect()
}
