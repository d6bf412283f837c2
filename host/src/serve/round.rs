//! How a call of a stateless request ends: with its reply, or with the questions for which it will be run again.

use super::Server;
use super::server::{Reply, refusal};
use crate::call::{AskError, Call, OpenAsks, Principal, Teller};
use crate::dispatch::Resolution;
use crate::protocol::{Ask, Dialect, Fault, Method, Standing, tool_error};
use crate::replay::{Beginning, ReplayPeer, Retry, Subject};
use crate::wire::Id;
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;

/// A call that may end with questions.
pub(super) struct Conversation {
    pub(super) call: Arc<Call>,
    pub(super) peer: Arc<ReplayPeer>,
    pub(super) teller: Arc<Teller>,
    pub(super) retry: Retry,
    pub(super) callee: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) single_use: bool,
}

/// What the next round is sealed with.
pub(super) struct Round {
    pub(super) dialect: &'static Dialect,
    pub(super) id: Id,
    pub(super) method: Method,
    pub(super) method_name: String,
    pub(super) params: Option<Box<RawValue>>,
    pub(super) principal: Principal,
}

impl Server {
    /// The reply at the end of a call, or the questions for which it will be run again.
    pub(super) fn end_round(
        &self,
        round: Round,
        conversation: Option<Conversation>,
        result: Result<Resolution, Fault>,
    ) -> Reply {
        let (dialect, id) = (round.dialect, round.id.clone());
        let Some(conversation) = conversation else {
            return self.reply(dialect, &id, result);
        };
        conversation.teller.end();
        self.give_back(&conversation, &result);
        let asked = match result {
            Ok(Resolution::InputRequired { asks, recorded }) => Ok((asks, recorded)),
            // The function cannot go on before the user was at a URL: the client is sent there, and comes again.
            Err(Fault::UrlRequired { data, .. }) => {
                if let Some(message) = url_refused(&conversation, &data) {
                    let result = match round.method {
                        Method::CallTool => Ok(Resolution::Complete(tool_error(message))),
                        _ => Err(Fault::AskFailed { message: message.to_owned() }),
                    };
                    return self.reply(dialect, &id, result);
                }
                url_asks(&conversation, &data).map(|asks| (asks, conversation.call.all_recorded()))
            }
            result => return self.reply(dialect, &id, result),
        };
        let input_required = asked.and_then(|(asks, recorded)| self.next_round(&round, &conversation, &asks, recorded));
        match input_required {
            Ok(bytes) => Reply { bytes, standing: Standing::Answered },
            Err(fault) => refusal(dialect, &id, &fault),
        }
    }

    /// What was used up for a call that did not begin after all can be used again.
    pub(super) fn give_back(&self, conversation: &Conversation, result: &Result<Resolution, Fault>) {
        if result.as_ref().is_err_and(Fault::is_before_the_call) {
            self.rounds.give_back(&conversation.retry);
        }
    }

    fn next_round(
        &self,
        round: &Round,
        conversation: &Conversation,
        asks: &OpenAsks,
        recorded: HashMap<String, Value>,
    ) -> Result<Bytes, Fault> {
        let Conversation { peer, callee, version, single_use, retry, .. } = conversation;
        // 2026-07-28 R-01.
        if !matches!(round.method, Method::CallTool | Method::GetPrompt | Method::ReadResource) {
            let reason = "it asked the client where nothing can be asked".to_owned();
            return Err(Fault::PluginFailed { plugin: callee.to_string(), reason });
        }
        let beginning = Beginning { principal: &round.principal, plugin: callee, version, single_use: *single_use };
        let subject = Subject::of(&round.method_name, round.params.as_deref().map(RawValue::get))?;
        let state = self.rounds.next_state(beginning, subject, retry.round, asks, peer.used_answers(), recorded)?;
        Ok(self.encoder.input_required(&round.id, asks, &state))
    }
}

/// Why a function that needs the user at a URL is not run again: the user said no (2026-07-28 R-09).
fn url_refused(conversation: &Conversation, data: &Value) -> Option<&'static str> {
    #[derive(serde::Deserialize)]
    struct Answer {
        action: String,
    }
    let elicitations = data["elicitations"].as_array()?;
    let answers = elicitations.iter().filter_map(|it| conversation.retry.answers.get(it["elicitationId"].as_str()?));
    let mut actions = answers.filter_map(|answer| serde_json::from_str::<Answer>(answer.get()).ok());
    actions.find_map(|answer| match answer.action.as_str() {
        "decline" => Some("the user declined to open the URL that this needs"),
        "cancel" => Some("the user dismissed the URL that this needs"),
        _ => None,
    })
}

/// The questions of a function that cannot go on before the user was at a URL.
fn url_asks(conversation: &Conversation, data: &Value) -> Result<OpenAsks, Fault> {
    let mut asks = OpenAsks::new();
    for elicitation in data["elicitations"].as_array().into_iter().flatten() {
        let text = |key: &str| elicitation[key].as_str().unwrap_or_default().to_owned();
        let (id, url) = (text("elicitationId"), text("url"));
        if id.is_empty() || url.is_empty() {
            let reason = "it wants the user at a URL, but lacks 'elicitationId' or 'url'".to_owned();
            return Err(Fault::PluginFailed { plugin: conversation.callee.to_string(), reason });
        }
        let ask = Ask::Url { id: id.clone(), message: text("message"), url };
        let request = conversation.peer.request(ask).map_err(|error| match error {
            AskError::MissingCapability(capability) => Fault::MissingCapability { capability },
            other => Fault::AskFailed { message: other.to_string() },
        })?;
        asks.push((id, request));
    }
    if asks.is_empty() {
        let reason = "it wants the user at a URL, but names none".to_owned();
        return Err(Fault::PluginFailed { plugin: conversation.callee.to_string(), reason });
    }
    Ok(asks)
}
