//! Changes of the catalogue, told to every session that may hear of them.

use super::Server;
use crate::registry::{Change, ListKind};
use crate::session::Session;
use crate::wire;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

impl Server {
    /// Gives what passes changes on until the host drains: those that come from this call on, whenever it is begun. So call it before
    /// anybody is answered.
    pub fn announce_changes(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        let mut changes = self.registry().events().listen();
        async move {
            loop {
                let change = tokio::select! {
                    () = self.drain().draining() => return,
                    change = changes.recv() => change,
                };
                match change {
                    Ok(change) => self.announce(&change),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "changes came faster than they could be passed on");
                        // Which lists changed is lost, so clients are told of all.
                        for kind in [ListKind::Tools, ListKind::Resources, ListKind::Prompts] {
                            self.announce(&Change::List(kind));
                        }
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// Tells every client that wants to hear of it, of either era (dual-era §5).
    fn announce(&self, change: &Change) {
        self.sessions().iter().for_each(|session| announce(session, change));
        self.listeners.announce(change);
    }
}

/// Tells one session (2025-era T-10, R-07, R-08, P-05).
fn announce(session: &Session, change: &Change) {
    let (method, params) = match change {
        Change::List(ListKind::Tools) => ("notifications/tools/list_changed", json!({})),
        Change::List(ListKind::Prompts) => ("notifications/prompts/list_changed", json!({})),
        Change::List(ListKind::Resources | ListKind::Templates | ListKind::Skills) => {
            ("notifications/resources/list_changed", json!({}))
        }
        Change::Resource(uri) => {
            if !session.hears_of(uri) {
                return;
            }
            ("notifications/resources/updated", json!({"uri": uri}))
        }
    };
    session.announce(wire::notification(method, &params));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Principal;
    use crate::config::{Overrides, Settings, parse};
    use crate::dispatch::Dispatcher;
    use crate::outlet::{Delivery, Outlet};
    use crate::protocol::{ClientProfile, Dialect};
    use crate::registry::Registry;
    use crate::replay::{Keys, Ledger, Rounds};
    use crate::rt::Drain;
    use crate::session::{SessionId, Store};
    use bytes::Bytes;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    struct Pipe(mpsc::UnboundedSender<Bytes>);

    impl Outlet for Pipe {
        fn send(&self, message: Bytes, _: Delivery) -> Result<(), Bytes> {
            self.0.send(message).map_err(|error| error.0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_that_comes_before_anybody_has_waited_for_one() {
        let overrides = Overrides { plugin_dirs: vec!["p".into()], ..Overrides::default() };
        let settings = Settings::resolve(parse("", &|_| None).unwrap(), overrides).unwrap();
        let (registry, store, drain) = (Registry::default(), Store::new(settings.store), Drain::default());
        let dispatcher = Dispatcher::new(registry.clone(), settings.dispatch);
        let limits = settings.request_state.limits;
        let rounds = Rounds::new(Keys::ephemeral().unwrap(), Ledger::in_memory().unwrap(), limits);
        let session_limits = settings.server.session;
        let server =
            Server::new(dispatcher, settings.face, settings.server, store.clone(), rounds, None, drain.clone());
        let (send, mut told) = mpsc::unbounded_channel();
        let (id, dialect) = (SessionId::random().unwrap(), Dialect::negotiate("2025-11-25"));
        let (client, closed, pipe) = (ClientProfile::default(), CancellationToken::new(), Arc::new(Pipe(send)));
        let session = Session::over_pipe(id, dialect, client, Principal::Owner, session_limits, &closed, pipe);
        let session = Arc::new(session);
        session.initialized();
        store.insert(&session).unwrap();

        let telling = Arc::new(server).announce_changes();
        registry.events().announce(Change::List(ListKind::Tools));
        tokio::select! {
            () = telling => panic!("the host does not drain"),
            message = told.recv() => {
                let message: serde_json::Value = serde_json::from_slice(&message.unwrap()).unwrap();
                assert_eq!(message["method"], "notifications/tools/list_changed");
            }
            () = tokio::time::sleep(std::time::Duration::from_secs(5)) => panic!("the change was lost"),
        }
    }
}
