//! Requests to the client, and its answers.

use super::Session;
use super::guards::OpenAsk;
use crate::call::AskError;
use crate::outlet::{Delivery, Outlet};
use crate::protocol::{AnswerRule, AskRequest, RELATED_TASK};
use crate::wire::{self, Id, ResponseBody};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

impl Session {
    /// Puts a question to the client over `outlet`, and waits for the answer.
    ///
    /// # Errors
    /// See [`AskError`].
    ///
    /// # Cancel safety
    /// Dropping the future withdraws the question: the client is told so (2025-era U-04).
    pub async fn ask(&self, outlet: &dyn Outlet, request: AskRequest) -> Result<Box<RawValue>, AskError> {
        let ttl_ms = u64::try_from(self.limits.ask_timeout.as_millis()).unwrap_or(u64::MAX);
        match request.as_task_of_client(self.dialect, &self.client, ttl_ms) {
            Some(as_task) => self.ask_as_task(outlet, &as_task, &request.answer_rule()).await,
            None => self.request(outlet, request.method, &request.params, Some(request.answer_rule())).await,
        }
    }

    /// How long the client may take to answer a question.
    pub(in crate::session) fn ask_timeout(&self) -> Duration {
        self.limits.ask_timeout
    }

    /// A number for a request of ours.
    pub(in crate::session) fn next_number(&self) -> u64 {
        let mut state = self.state.lock();
        state.next_ask += 1;
        state.next_ask - 1
    }

    /// Sends a request to the client over `outlet`, and waits for its result, which must be as `rule` says. Otherwise as
    /// [`Session::ask`].
    pub(in crate::session) async fn request(
        &self,
        outlet: &dyn Outlet,
        method: &str,
        params: &Value,
        rule: Option<AnswerRule>,
    ) -> Result<Box<RawValue>, AskError> {
        let (send, receive) = oneshot::channel();
        let number = {
            let mut state = self.state.lock();
            if state.asks.len() >= self.limits.max_asks {
                return Err(AskError::TooMany);
            }
            let number = state.next_ask;
            state.next_ask += 1;
            state.asks.insert(number, (rule, send));
            number
        };
        let task = params["_meta"].get(RELATED_TASK);
        let mut open = OpenAsk { session: self, outlet, number, task, answered: false };
        let message = wire::request(number, method, params);
        if let Err(message) = outlet.send(message, Delivery::MustKeep)
            && self.standalone().send(message, Delivery::MustKeep).is_err()
        {
            open.answered = true;
            self.state.lock().asks.remove(&number);
            return Err(AskError::Gone);
        }
        let timeout = self.limits.ask_timeout;
        let answer = tokio::select! {
            () = self.closed.cancelled() => Err(AskError::Gone),
            answer = tokio::time::timeout(timeout, receive) => match answer {
                Err(_) => return Err(AskError::TimedOut(timeout)),
                Ok(Err(_)) => Err(AskError::Gone),
                Ok(Ok(answer)) => answer,
            },
        };
        open.answered = true;
        self.state.lock().asks.remove(&number);
        answer
    }

    /// The client will answer nothing any more.
    pub fn abandon_asks(&self) {
        self.state.lock().asks.clear();
    }

    /// Delivers the client's answer to a question. An answer to no open question is ignored.
    pub fn answer(&self, id: &Id, body: &ResponseBody<'_>) {
        #[derive(Deserialize)]
        struct ClientError {
            #[serde(default)]
            code: i64,
            #[serde(default)]
            message: String,
        }
        let Ok(number) = id.as_json().parse::<u64>() else {
            return;
        };
        let asked = {
            let mut state = self.state.lock();
            state.used = Instant::now();
            state.asks.remove(&number)
        };
        let Some((rule, waiting)) = asked else {
            return;
        };
        let answer = match body {
            ResponseBody::Result(result) => match rule.map_or(Ok(()), |rule| rule.check(result)) {
                Ok(()) => Ok((*result).to_owned()),
                Err(reason) => Err(AskError::Misfit(reason)),
            },
            ResponseBody::Error(error) => Err(match serde_json::from_str::<ClientError>(error.get()) {
                Ok(ClientError { code, message }) => AskError::ClientError { code, message },
                Err(_) => AskError::ClientError { code: 0, message: "an error that cannot be read".to_owned() },
            }),
        };
        let _ = waiting.send(answer);
    }
}
