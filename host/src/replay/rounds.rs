//! From one round to the next: states are opened and judged, answers gathered, and the next state sealed.

use super::ledger::{fresh_id, seconds};
use super::state::{Refused, State};
use super::{Keys, Ledger};
use crate::call::{OpenAsks, Principal};
use crate::protocol::{Fault, RequestMeta};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bounds of rounds.
#[derive(Debug, Clone, Copy)]
pub struct RoundsLimits {
    /// How long a client may take for one.
    pub ttl: Duration,
    /// How many there may be for one request.
    pub max_rounds: u32,
    /// Bytes of a state.
    pub max_bytes: usize,
}

/// Opens and seals states. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rounds {
    keys: Keys,
    ledger: Arc<Ledger>,
    limits: RoundsLimits,
}

/// What a request is about, so that a state of another one is told from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(String);

/// Who begins a call, and whom it is for.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The plugin.
    pub plugin: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Whether the plugin wants each state to be taken once.
    pub single_use: bool,
}

/// What earlier rounds have left.
#[derive(Debug, Default)]
pub struct Retry {
    /// How many there were.
    pub round: u32,
    /// All answers.
    pub answers: BTreeMap<String, Box<RawValue>>,
    /// Values of steps that happen once.
    pub recorded: HashMap<String, Value>,
    /// The state that was used up by this.
    used: Option<(String, u64)>,
}

impl Subject {
    /// The subject of a request: its method and its params, without what changes from round to round.
    ///
    /// # Errors
    /// [`Fault::InvalidParams`] when the params cannot be read to their last member: they could be anything.
    pub fn of(method: &str, params: Option<&str>) -> Result<Self, Fault> {
        let unreadable = |_| Fault::invalid_params("invalid params: they cannot be read whole");
        let mut members: BTreeMap<String, &RawValue> =
            serde_json::from_str(params.unwrap_or("{}")).map_err(unreadable)?;
        members.retain(|key, _| !matches!(key.as_str(), "_meta" | "inputResponses" | "requestState"));
        let mut canonical = String::new();
        for (key, value) in members {
            let _ = write!(canonical, "{}:", Value::from(key));
            canonicalize(value.get(), &mut canonical).map_err(unreadable)?;
        }
        let mut digest = Sha256::new();
        digest.update((method.len() as u64).to_be_bytes());
        digest.update(method);
        digest.update(canonical);
        Ok(Self(digest.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })))
    }
}

/// JSON with sorted members and without spaces: a client may write the same params in another order. Numbers stand as they
/// were written, for no machine type holds all of them.
fn canonicalize(json: &str, canonical: &mut String) -> Result<(), serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'{') => {
            canonical.push('{');
            for (key, value) in serde_json::from_str::<BTreeMap<String, &RawValue>>(json)? {
                let _ = write!(canonical, "{}:", Value::from(key));
                canonicalize(value.get(), canonical)?;
            }
            canonical.push('}');
        }
        Some(b'[') => {
            canonical.push('[');
            for item in serde_json::from_str::<Vec<&RawValue>>(json)? {
                canonicalize(item.get(), canonical)?;
            }
            canonical.push(']');
        }
        // Strings may be escaped in more than one way.
        Some(b'"') => {
            let _ = write!(canonical, "{}", Value::from(serde_json::from_str::<String>(json)?));
        }
        _ => {
            let _ = write!(canonical, "{json},");
        }
    }
    Ok(())
}

/// Answers that one request may bring.
const MAX_ANSWERS: usize = 256;

impl Rounds {
    /// Rounds under these keys.
    #[must_use]
    pub fn new(keys: Keys, ledger: Ledger, limits: RoundsLimits) -> Self {
        Self { keys, ledger: Arc::new(ledger), limits }
    }

    /// Which states were taken.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// What earlier rounds of a request have left. `subject` is asked only if there were any.
    ///
    /// # Errors
    /// [`Fault::InvalidParams`] when the state is refused, or what should be answers is no object.
    pub fn retry(
        &self,
        meta: &RequestMeta<'_>,
        beginning: Beginning<'_>,
        subject: impl FnOnce() -> Result<Subject, Fault>,
    ) -> Result<Retry, Fault> {
        self.retry_at(seconds(SystemTime::now()), meta, beginning, subject)
    }

    fn retry_at(
        &self,
        now: u64,
        meta: &RequestMeta<'_>,
        beginning: Beginning<'_>,
        subject: impl FnOnce() -> Result<Subject, Fault>,
    ) -> Result<Retry, Fault> {
        let given = answers(meta.input_responses)?;
        let Some(state) = meta.request_state else {
            // Answers without a state are as good as those with one, unless they may count once (2026-07-28 R-10).
            let answers = if beginning.single_use { BTreeMap::new() } else { given };
            return Ok(Retry { answers, ..Retry::default() });
        };
        let text: String =
            serde_json::from_str(state.get()).map_err(|_| Fault::invalid_params("'requestState' must be a string"))?;
        let state = self
            .open(now, &text, beginning, &subject()?)
            .map_err(|refused| Fault::invalid_params(refused.to_string()))?;
        let mut answers = state.answers;
        answers.extend(given.into_iter().filter(|(key, _)| state.open.contains(key)));
        let used = state.ledger.map(|_| (state.id, state.ends));
        Ok(Retry { round: state.round, answers, recorded: state.recorded, used })
    }

    /// The call did not begin after all: what was used up for it can be used again.
    pub fn give_back(&self, retry: &Retry) {
        if let Some((state, ends)) = &retry.used {
            self.ledger.give_back(state, *ends);
        }
    }

    fn open(&self, now: u64, text: &str, beginning: Beginning<'_>, subject: &Subject) -> Result<State, Refused> {
        let state = State::open(text, &self.keys, self.limits.max_bytes)?;
        if state.principal != beginning.principal.to_string() {
            return Err(Refused::OtherPrincipal);
        }
        if state.subject != subject.0 {
            return Err(Refused::OtherRequest);
        }
        if state.plugin != version_of(beginning) {
            return Err(Refused::OtherVersion);
        }
        if state.ends < now {
            return Err(Refused::Expired);
        }
        if state.round > self.limits.max_rounds {
            return Err(Refused::TooManyRounds);
        }
        match &state.ledger {
            Some(ledger) if *ledger != self.ledger.id() => return Err(Refused::OtherLedger),
            Some(_) => match self.ledger.take(&state.id, state.ends) {
                Ok(true) => {}
                Ok(false) => return Err(Refused::Used),
                Err(error) => {
                    tracing::error!(%error, "what was used once cannot be recorded, so it is refused");
                    return Err(Refused::Used);
                }
            },
            None if beginning.single_use => return Err(Refused::OtherVersion),
            None => {}
        }
        Ok(state)
    }

    /// The state of the next round.
    ///
    /// # Errors
    /// [`Fault::PluginFailed`] when the plugin remembers too much, [`Fault::HostFailed`] without random bytes.
    pub fn next_state(
        &self,
        beginning: Beginning<'_>,
        subject: Subject,
        round: u32,
        open: &OpenAsks,
        answers: BTreeMap<String, Box<RawValue>>,
        recorded: HashMap<String, Value>,
    ) -> Result<String, Fault> {
        let failed = |reason: String| Fault::PluginFailed { plugin: beginning.plugin.to_owned(), reason };
        if round >= self.limits.max_rounds {
            return Err(failed(format!("it has asked in {} rounds and asks again", self.limits.max_rounds)));
        }
        let no_random = |_| Fault::HostFailed { reason: "no random bits".to_owned() };
        let state = State {
            id: fresh_id().map_err(no_random)?,
            ends: seconds(SystemTime::now()).saturating_add(self.limits.ttl.as_secs()),
            principal: beginning.principal.to_string(),
            subject: subject.0,
            plugin: version_of(beginning),
            round: round + 1,
            open: open.iter().map(|(key, _)| key.clone()).collect(),
            answers,
            recorded,
            ledger: beginning.single_use.then(|| self.ledger.id().to_owned()),
        };
        state.seal(&self.keys, self.limits.max_bytes).map_err(|error| failed(error.to_string()))
    }
}

fn version_of(beginning: Beginning<'_>) -> String {
    format!("{} {}", beginning.plugin, beginning.version)
}

/// The answers of a retry; `null` is none.
fn answers(raw: Option<&RawValue>) -> Result<BTreeMap<String, Box<RawValue>>, Fault> {
    let Some(raw) = raw else {
        return Ok(BTreeMap::new());
    };
    let answers: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(raw.get()).map_err(|_| Fault::invalid_params("'inputResponses' must be an object"))?;
    if answers.len() > MAX_ANSWERS {
        return Err(Fault::invalid_params(format!("'inputResponses' has more than {MAX_ANSWERS} members")));
    }
    Ok(answers)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
