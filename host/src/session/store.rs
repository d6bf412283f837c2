//! All sessions, by id.

use super::{Session, SessionId};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How many sessions there may be, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct StoreLimits {
    /// Sessions at a time.
    pub max_sessions: usize,
    /// How long a session may be idle. One with something under way is not idle.
    pub idle_for: Duration,
}

/// The bound is reached, and every session is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {0} sessions are at work")]
pub struct StoreFull(pub usize);

/// All sessions. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    sessions: Arc<RwLock<HashMap<SessionId, Arc<Session>>>>,
    limits: StoreLimits,
}

impl Store {
    /// No sessions.
    #[must_use]
    pub fn new(limits: StoreLimits) -> Self {
        Self { sessions: Arc::default(), limits }
    }

    /// Adds a session. At the bound, idle ones make room: those first that never were initialized, then the longest idle.
    ///
    /// # Errors
    /// [`StoreFull`] when none is idle.
    pub fn insert(&self, session: &Arc<Session>) -> Result<(), StoreFull> {
        let evicted = {
            let mut sessions = self.sessions.write();
            let evicted = if sessions.len() >= self.limits.max_sessions {
                make_room(&mut sessions, self.limits.max_sessions)
            } else {
                Vec::new()
            };
            if sessions.len() >= self.limits.max_sessions {
                return Err(StoreFull(self.limits.max_sessions));
            }
            sessions.insert(session.id.clone(), Arc::clone(session));
            evicted
        };
        evicted.iter().for_each(|session| session.close());
        Ok(())
    }

    /// The session of an id.
    #[must_use]
    pub fn find(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.sessions.read().get(id).filter(|session| !session.closed.is_cancelled()).cloned()
    }

    /// Takes a session out and ends it.
    pub fn remove(&self, id: &SessionId) {
        let removed = self.sessions.write().remove(id);
        if let Some(session) = removed {
            session.close();
        }
    }

    /// How often [`Store::expire`] is worth its while.
    #[must_use]
    pub fn sweep_every(&self) -> Duration {
        (self.limits.idle_for / 4).clamp(Duration::from_millis(100), Duration::from_secs(10))
    }

    /// Ends sessions that have been idle for too long.
    pub fn expire(&self) {
        let is_over = |session: &Session| {
            session.closed.is_cancelled() || session.idle().is_some_and(|idle| idle >= self.limits.idle_for)
        };
        let over: Vec<SessionId> =
            self.sessions.read().values().filter(|session| is_over(session)).map(|it| it.id.clone()).collect();
        for id in over {
            self.remove(&id);
        }
    }

    /// Ends all sessions.
    pub fn close_all(&self) {
        let sessions = std::mem::take(&mut *self.sessions.write());
        sessions.values().for_each(|session| session.close());
    }

    /// All sessions of this moment.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.sessions.read().values().cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.read().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes out a sixteenth of the idle sessions, so that a flood does not search all of them for each newcomer.
fn make_room(sessions: &mut HashMap<SessionId, Arc<Session>>, max: usize) -> Vec<Arc<Session>> {
    let mut idle: Vec<(bool, std::cmp::Reverse<Duration>, SessionId)> = sessions
        .values()
        .filter_map(|it| Some((it.is_initialized(), std::cmp::Reverse(it.idle()?), it.id.clone())))
        .collect();
    idle.sort_unstable_by_key(|(initialized, idle, _)| (*initialized, *idle));
    idle.truncate((max / 16).max(1));
    idle.iter().filter_map(|(_, _, id)| sessions.remove(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Principal;
    use crate::outlet::StreamLimits;
    use crate::protocol::{ClientProfile, Dialect};
    use crate::session::SessionLimits;
    use crate::wire::Id;
    use tokio_util::sync::CancellationToken;

    pub(super) fn session() -> Arc<Session> {
        let limits = SessionLimits {
            max_calls: 2,
            max_asks: 1,
            ask_timeout: Duration::from_secs(5),
            max_subscriptions: 2,
            max_ended_streams: 1,
            resume_for: Duration::from_secs(60),
            stream: StreamLimits { max_events: 10, max_bytes: 1000 },
        };
        Arc::new(Session::over_streams(
            SessionId::random().unwrap(),
            Dialect::negotiate("2025-11-25"),
            ClientProfile::default(),
            Principal::Anyone,
            limits,
            &CancellationToken::new(),
        ))
    }

    fn store(max_sessions: usize) -> Store {
        Store::new(StoreLimits { max_sessions, idle_for: Duration::from_secs(60) })
    }

    #[tokio::test(start_paused = true)]
    async fn idle_sessions_expire_and_busy_ones_are_spared() {
        let store = store(10);
        let (idle, busy) = (session(), session());
        store.insert(&idle).unwrap();
        store.insert(&busy).unwrap();
        let call = busy.admit(&Id::from(1)).ok().unwrap();
        tokio::time::advance(Duration::from_secs(59)).await;
        store.expire();
        assert_eq!(store.len(), 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        store.expire();
        assert!(store.find(&idle.id).is_none());
        assert!(idle.closed.is_cancelled());
        assert!(store.find(&busy.id).is_some());
        drop(call);
        tokio::time::advance(Duration::from_secs(60)).await;
        store.expire();
        assert!(store.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_bound_the_vanished_make_room_then_the_longest_idle() {
        let store = store(2);
        let first = session();
        first.initialized();
        store.insert(&first).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let (second, third, fourth) = (session(), session(), session());
        store.insert(&second).unwrap();
        store.insert(&third).unwrap();
        assert!(store.find(&second.id).is_none(), "it never was initialized");
        third.initialized();
        store.insert(&fourth).unwrap();
        assert!(store.find(&first.id).is_none(), "it was idle for longest");
        assert_eq!(store.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_at_work_a_newcomer_is_refused() {
        let store = store(1);
        let busy = session();
        store.insert(&busy).unwrap();
        let _call = busy.admit(&Id::from(1)).ok().unwrap();
        assert_eq!(store.insert(&session()), Err(StoreFull(1)));
    }
}
