//! Questions of a task, put to the client that waits for its result (2025-era K-14): each once, as long as the task wants to
//! know and this is the request that asks.

use crate::call::AskError;
use crate::outlet::Outlet;
use crate::protocol::{AskRequest, Fault};
use crate::runner::Runner;
use crate::session::Session;
use crate::task::{Running, Task, TaskId};
use crate::wire::code;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What came of a question: the client's answer, or nothing because it was withdrawn.
pub(super) type Answer = Option<Result<Box<RawValue>, AskError>>;

/// A question that was put, with its key and its number.
type UnderWay = Pin<Box<dyn Future<Output = (String, u64, Answer)> + Send>>;

/// Questions that are put to one client.
pub(super) struct Questions<'a> {
    session: &'a Arc<Session>,
    outlet: &'a Arc<dyn Outlet>,
    under_way: FuturesUnordered<UnderWay>,
    /// By key, with a number: what was withdrawn may still be under way when it is put again.
    put: BTreeMap<String, (u64, CancellationToken)>,
    next: u64,
}

impl<'a> Questions<'a> {
    /// No questions yet, for the client of a session, over the stream of the request that waits.
    pub(super) fn new(session: &'a Arc<Session>, outlet: &'a Arc<dyn Outlet>) -> Self {
        Self { session, outlet, under_way: FuturesUnordered::new(), put: BTreeMap::new(), next: 0 }
    }

    /// Puts what is open and was not put yet, if this is the request that asks; withdraws what somebody else has answered or
    /// asks now, and what nobody wants to know any more.
    pub(super) fn follow(&mut self, task: &TaskId, running: &Running, is_ours: bool) {
        self.put.retain(|key, (_, withdraw)| {
            let stays = is_ours && running.open.contains_key(key);
            if !stays {
                withdraw.cancel();
            }
            stays
        });
        // Whoever created the task could be asked this; whoever waits need not be the same.
        let open = running.open.iter().filter(|(_, request)| is_ours && request.suits(&self.session.client));
        for (key, request) in open {
            if self.put.contains_key(key) {
                continue;
            }
            let (number, withdraw) = (self.next, CancellationToken::new());
            self.next += 1;
            self.put.insert(key.clone(), (number, withdraw.clone()));
            let request = request.clone().of_task(task.as_str());
            let put = put(Arc::clone(self.session), Arc::clone(self.outlet), request, withdraw);
            let key = key.clone();
            self.under_way.push(Box::pin(async move { (key, number, put.await) }));
        }
    }

    /// The next answer, with the key of its question; never, while nothing is put.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn next(&mut self) -> (String, Answer) {
        match self.under_way.next().await {
            None => std::future::pending().await,
            Some((key, number, answer)) => {
                if self.put.get(&key).is_some_and(|(put, _)| *put == number) {
                    self.put.remove(&key);
                }
                (key, answer)
            }
        }
    }

    /// Resolves when nobody has followed the stream for so long that nobody can come back for it.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) fn left_alone(&self) -> impl Future<Output = ()> + Send + use<> {
        let (outlet, resume_for) = (Arc::clone(self.outlet), self.session.resume_for());
        async move {
            loop {
                match outlet.unfollowed_for() {
                    Some(alone) if alone >= resume_for => return,
                    Some(alone) => tokio::time::sleep(resume_for - alone).await,
                    None => tokio::time::sleep(resume_for).await,
                }
            }
        }
    }
}

/// Takes what came of a question into the task's record.
pub(super) async fn take(runner: &Runner, task: &Task, key: String, answer: Answer) -> Result<(), Fault> {
    match answer {
        Some(Ok(answer)) => runner.answer(task, &BTreeMap::from([(key, &*answer)])).await,
        Some(Err(AskError::ClientError { code, message })) => runner.refuse(&task.id, &key, code, &message).await,
        // An answer that is none, now and in the next try; or the client has cancelled what was to answer.
        Some(Err(error @ (AskError::Misfit(_) | AskError::Refused(_)))) => {
            runner.refuse(&task.id, &key, code::INVALID_PARAMS.into(), &error.to_string()).await
        }
        // It is put again, as long as the client waits and the task wants to know.
        Some(Err(AskError::TimedOut(_))) | None => Ok(()),
        // The client is gone: the question waits for it to come again.
        Some(Err(other)) => Err(Fault::AskFailed { message: other.to_string() }),
    }
}

/// Puts a question to a client; nothing when it is withdrawn.
async fn put(
    session: Arc<Session>,
    outlet: Arc<dyn Outlet>,
    request: AskRequest,
    withdraw: CancellationToken,
) -> Option<Result<Box<RawValue>, AskError>> {
    /// How soon a question is put again for which the client had no room.
    const AGAIN: Duration = Duration::from_secs(1);
    let answering = async {
        loop {
            match session.ask(&*outlet, request.clone()).await {
                Err(AskError::TooMany) => tokio::time::sleep(AGAIN).await,
                answer => return answer,
            }
        }
    };
    tokio::select! {
        biased;
        () = withdraw.cancelled() => None,
        answer = answering => Some(answer),
    }
}
