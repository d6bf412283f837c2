//! What a client carries from one round to the next.

use super::Keys;
use super::keys::KeyError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};

/// What a client carries from one round to the next, sealed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Names this state among all.
    pub(super) id: String,
    /// The second in which it ends.
    pub(super) ends: u64,
    /// Who asked.
    pub(super) principal: String,
    /// What for: a digest of the method and the params.
    pub(super) subject: String,
    /// The plugin and its version.
    pub(super) plugin: String,
    /// How many rounds there were.
    pub(super) round: u32,
    /// What was asked in the last one.
    pub(super) open: Vec<String>,
    /// All answers of earlier rounds.
    pub(super) answers: BTreeMap<String, Box<RawValue>>,
    /// Values of steps that happen once.
    pub(super) recorded: HashMap<String, Value>,
    /// Where it is taken, if it may be taken once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ledger: Option<String>,
}

/// Why a state is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// It was not sealed by one of our keys, or was changed since.
    #[error("'requestState' is not one of this server's, or was changed")]
    Foreign,
    /// Its time is over.
    #[error("'requestState' has expired: begin anew, without it")]
    Expired,
    /// It belongs to another user.
    #[error("'requestState' was given to somebody else")]
    OtherPrincipal,
    /// It belongs to another request.
    #[error("'requestState' was given for another request: method, name and arguments must stay the same")]
    OtherRequest,
    /// The plugin is another one by now.
    #[error("'requestState' was given by another version of the plugin: begin anew, without it")]
    OtherVersion,
    /// It was taken before.
    #[error("'requestState' was used already, and may be used once")]
    Used,
    /// It may be taken once, and only where it was given.
    #[error("'requestState' may be used once, and only at the server that gave it")]
    OtherLedger,
    /// There were too many rounds.
    #[error("this request has asked too often")]
    TooManyRounds,
}

/// What is not worth compressing.
const SMALL_BYTES: usize = 512;
/// Plain bytes of a state are at most this many times the bytes that it may have.
const MAX_RATIO: usize = 16;

const PLAIN: u8 = 0;
const DEFLATED: u8 = 1;

/// Why a state cannot be given.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error("what it remembers between rounds has {bytes} bytes; {max} are allowed")]
    TooLarge { bytes: usize, max: usize },
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl State {
    /// The state as text, of at most `max_bytes`.
    pub(super) fn seal(&self, keys: &Keys, max_bytes: usize) -> Result<String, SealError> {
        let json = serde_json::to_vec(self).expect("a state has string keys and no failing parts");
        if json.len() > max_bytes.saturating_mul(MAX_RATIO) {
            return Err(SealError::TooLarge { bytes: json.len(), max: max_bytes });
        }
        let mut plain = vec![PLAIN];
        // Compressed together with text that the client chooses, what it must not know would show in the length.
        if json.len() > SMALL_BYTES && self.recorded.is_empty() {
            plain[0] = DEFLATED;
            let mut encoder = flate2::write::DeflateEncoder::new(plain, flate2::Compression::fast());
            // Into memory: nothing can fail.
            let _ = encoder.write_all(&json);
            plain = encoder.finish().unwrap_or_default();
        } else {
            plain.extend_from_slice(&json);
        }
        let text = URL_SAFE_NO_PAD.encode(keys.seal(&plain)?);
        if text.len() > max_bytes {
            return Err(SealError::TooLarge { bytes: text.len(), max: max_bytes });
        }
        Ok(text)
    }

    /// The state of a text. Nothing of it is believed before the seal is.
    pub(super) fn open(text: &str, keys: &Keys, max_bytes: usize) -> Result<Self, Refused> {
        if text.len() > max_bytes {
            return Err(Refused::Foreign);
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Foreign)?;
        let plain = keys.open(&sealed).ok_or(Refused::Foreign)?;
        let json = match plain.split_first() {
            Some((&PLAIN, json)) => json.to_vec(),
            Some((&DEFLATED, deflated)) => {
                let mut json = Vec::new();
                let max = (max_bytes * MAX_RATIO) as u64;
                let mut decoder = flate2::read::DeflateDecoder::new(deflated).take(max);
                decoder.read_to_end(&mut json).map_err(|_| Refused::Foreign)?;
                json
            }
            _ => return Err(Refused::Foreign),
        };
        serde_json::from_slice(&json).map_err(|_| Refused::Foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 4096;

    fn keys() -> Keys {
        Keys::new([7; Keys::BYTES], &[])
    }

    fn state(answer: &str) -> State {
        let answer = RawValue::from_string(serde_json::json!({"action": answer}).to_string()).unwrap();
        State {
            id: "i".to_owned(),
            ends: 1,
            principal: "anyone".to_owned(),
            subject: "s".to_owned(),
            plugin: "p 1".to_owned(),
            round: 1,
            open: vec!["key".to_owned()],
            answers: BTreeMap::from([("key".to_owned(), answer)]),
            recorded: HashMap::new(),
            ledger: None,
        }
    }

    #[test]
    fn a_state_comes_back_whole_small_or_large() {
        for answer in ["accept".to_owned(), "long ".repeat(2000)] {
            let text = state(&answer).seal(&keys(), MAX).unwrap();
            let opened = State::open(&text, &keys(), MAX).unwrap();
            assert_eq!(serde_json::to_value(&opened).unwrap(), serde_json::to_value(state(&answer)).unwrap());
        }
    }

    #[test]
    fn the_size_is_bounded_on_both_ways() {
        let noise: String = (0..MAX as u64 * 4)
            .map(|at| char::from(b'!' + (at.wrapping_mul(6_364_136_223_846_793_005).rotate_left(23) % 90) as u8))
            .collect();
        assert!(matches!(state(&noise).seal(&keys(), MAX), Err(SealError::TooLarge { max: MAX, .. })));
        assert!(matches!(state(&"a".repeat(MAX * 20)).seal(&keys(), MAX), Err(SealError::TooLarge { .. })));
        let text = state("accept").seal(&keys(), MAX).unwrap();
        assert_eq!(State::open(&text, &keys(), text.len() - 1).unwrap_err(), Refused::Foreign);
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32, long in any::<bool>()) {
            let text = state(&if long { "long ".repeat(500) } else { "accept".to_owned() }).seal(&keys(), MAX).unwrap();
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert_eq!(State::open(&changed, &keys(), MAX).unwrap_err(), Refused::Foreign);
        }

        #[test]
        fn any_other_length_is_refused(cut in 1..40_usize, more in "[A-Za-z0-9_=.-]{1,20}") {
            let text = state("accept").seal(&keys(), MAX).unwrap();
            prop_assert_eq!(State::open(&text[..text.len() - cut], &keys(), MAX).unwrap_err(), Refused::Foreign);
            prop_assert_eq!(State::open(&format!("{text}{more}"), &keys(), MAX).unwrap_err(), Refused::Foreign);
        }

        #[test]
        fn any_text_is_refused(text in ".{0,200}") {
            prop_assert_eq!(State::open(&text, &keys(), MAX).unwrap_err(), Refused::Foreign);
        }
    }
}
