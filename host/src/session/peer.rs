//! The client of a session, as one of its calls sees it.

use super::Session;
use crate::call::{AskError, AskFuture, Asked, LogMessage, Peer, Progress, Teller};
use crate::outlet::Delivery;
use crate::protocol::{Ask, AskRefused, AskRequest, ClientProfile};
use crate::wire;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The client's side of one call: everything goes over the call's own outlet (2025-era H-15).
pub struct SessionPeer {
    session: Arc<Session>,
    teller: Arc<Teller>,
}

impl SessionPeer {
    /// The client's side of a call.
    #[must_use]
    pub fn new(session: Arc<Session>, teller: Arc<Teller>) -> Self {
        Self { session, teller }
    }
}

impl Peer for SessionPeer {
    fn client(&self) -> &ClientProfile {
        &self.session.client
    }

    fn wants_progress(&self) -> bool {
        self.teller.wants_progress()
    }

    fn progress(&self, progress: Progress) {
        let message = progress.message.filter(|_| self.session.dialect.features.second_wave);
        self.teller.progress(Progress { message, ..progress });
    }

    fn log(&self, message: LogMessage) {
        if message.level >= self.session.log_level() {
            self.teller.log(message);
        }
    }

    fn release(&self, retry: Duration) {
        if self.session.dialect.features.primed_streams {
            self.teller.outlet().release(retry);
        }
    }

    fn elicitation_done(&self, id: &str) {
        if self.session.client.elicit_url && self.session.dialect.features.fourth_wave {
            let params = json!({"elicitationId": id});
            let message = wire::notification("notifications/elicitation/complete", &params);
            if let Err(message) = self.teller.outlet().send(message, Delivery::MustKeep) {
                self.session.announce(message);
            }
        }
    }

    fn consult(&self, _key: &str, ask: Ask) -> Asked {
        if self.teller.is_over() {
            return Asked::Answered(Err(AskError::Cancelled));
        }
        match ask.request(self.session.dialect, &self.session.client) {
            Ok(request) => Asked::Live(request),
            Err(AskRefused::MissingCapability(capability)) => {
                Asked::Answered(Err(AskError::MissingCapability(capability.to_owned())))
            }
            Err(other) => Asked::Answered(Err(AskError::Refused(other.to_string()))),
        }
    }

    fn ask(&self, _key: &str, request: AskRequest) -> AskFuture<'_> {
        Box::pin(self.session.ask(self.teller.outlet(), request))
    }
}
