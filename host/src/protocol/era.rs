//! The era of a message: decided once, from what the message itself says (dual-era §1).
//!
//! The body is the source of truth; a header decides only where the body is silent. Nothing that an earlier message said
//! is asked.

use super::{Dialect, RequestMeta};

/// Which eras are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocols {
    /// Both, side by side.
    #[default]
    Both,
    /// 2024-11-05 to 2025-11-25, which begin with `initialize`.
    Stateful,
    /// 2026-07-28, in which every request stands for itself.
    Stateless,
}

/// The era that a message is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraOf {
    /// It belongs to a session, or opens one.
    Stateful,
    /// It stands for itself; whether it says all that it must is not judged yet.
    Stateless,
}

/// What is known of a message beside its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// The revision that a header names.
    pub revision: Option<&'a str>,
    /// Whether it names a session, or comes over a pipe that has one.
    pub session: bool,
}

impl Protocols {
    /// The era of a message of `method`, whose params say `meta`.
    #[must_use]
    pub fn era(self, method: &str, meta: &RequestMeta<'_>, around: Around<'_>) -> EraOf {
        let by_header = |revision| names_stateless(revision, around.session);
        let is_stateless = match self {
            Self::Stateful => false,
            Self::Stateless => true,
            Self::Both if meta.names_revision() => true,
            // Without a revision of its own, a handshake is one, whatever stale headers come with it (D-04, D-07).
            Self::Both if method == "initialize" => false,
            Self::Both => around.revision.is_some_and(by_header) || meta.has_signs(),
        };
        if is_stateless { EraOf::Stateless } else { EraOf::Stateful }
    }

    /// Whether sessions can be opened.
    #[must_use]
    pub fn has_sessions(self) -> bool {
        self != Self::Stateless
    }
}

/// Whether a header's revision is of the stateless era (D-04). One that nobody knows is, unless it looks older and comes
/// with a session, which then says what is wrong (2025-era H-25).
fn names_stateless(revision: &str, session: bool) -> bool {
    if Dialect::stateful(revision).is_some() {
        return false;
    }
    let looks_older = looks_like_a_date(revision) && revision < Dialect::newest_stateless().revision;
    !(looks_older && session)
}

fn looks_like_a_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    const NEW: &str = "2026-07-28";

    #[track_caller]
    fn check(row: &str, method: &str, meta: Value, header: Option<&str>, session: bool, expected: EraOf) {
        let params = RawValue::from_string(json!({"_meta": meta}).to_string()).unwrap();
        let meta = RequestMeta::of(Some(&params));
        assert_eq!(
            Protocols::Both.era(method, &meta, Around { revision: header, session }),
            expected,
            "{row}: {method}"
        );
    }

    #[test]
    fn every_row_of_the_table_is_kept() {
        use EraOf::{Stateful, Stateless};
        let named = |revision: Value| json!({"io.modelcontextprotocol/protocolVersion": revision});
        for method in ["tools/list", "initialize", "ping", "server/discover", "no/such"] {
            check("D-03", method, named(json!(NEW)), None, true, Stateless);
            check("D-03, any value", method, named(json!("v999")), Some("2025-11-25"), false, Stateless);
            check("D-03, ill-typed", method, named(json!(7)), None, false, Stateless);
            check("D-03, null", method, named(Value::Null), None, false, Stateless);
        }
        check("D-04", "tools/list", json!({}), Some(NEW), false, Stateless);
        check("D-04, with a session", "tools/list", json!({}), Some(NEW), true, Stateless);
        check("D-04, unknown", "tools/list", json!({}), Some("v999.0.0"), true, Stateless);
        check("D-04, newer", "tools/list", json!({}), Some("2027-01-01"), true, Stateless);
        check("D-04, old-looking", "tools/list", json!({}), Some("1999-01-01"), false, Stateless);
        check("D-04, old-looking, with a session", "tools/list", json!({}), Some("1999-01-01"), true, Stateful);
        for key in ["clientCapabilities", "clientInfo", "logLevel"] {
            let meta = json!({format!("io.modelcontextprotocol/{key}"): {}});
            check("D-05", "tools/list", meta.clone(), None, true, Stateless);
            check("D-05", "tools/list", meta, Some("2025-11-25"), false, Stateless);
        }
        check("D-06", "tools/list", json!({"progressToken": 1}), Some("2025-11-25"), true, Stateful);
        for header in [None, Some("2025-06-18"), Some(NEW), Some("v999.0.0")] {
            check("D-07", "initialize", json!({}), header, false, Stateful);
        }
        check("D-09", "tools/list", json!({}), None, false, Stateful);
        check("D-09, legacy header", "tools/list", json!({}), Some("2024-11-05"), false, Stateful);
    }

    #[test]
    fn messages_without_params_go_by_the_header() {
        let era = |revision, session| Protocols::Both.era("", &RequestMeta::default(), Around { revision, session });
        assert_eq!(era(Some(NEW), false), EraOf::Stateless);
        assert_eq!(era(Some("2025-03-26"), true), EraOf::Stateful);
        assert_eq!(era(None, false), EraOf::Stateful);
    }

    #[test]
    fn an_era_that_is_off_has_no_messages() {
        let none = RequestMeta::default();
        assert_eq!(
            Protocols::Stateful.era("tools/list", &none, Around { revision: Some(NEW), session: false }),
            EraOf::Stateful
        );
        assert_eq!(Protocols::Stateless.era("initialize", &none, Around::default()), EraOf::Stateless);
    }

    #[test]
    fn dates_are_told_from_other_text() {
        assert!(looks_like_a_date("1999-01-01"));
        for text in ["", "v999.0.0", "1999-1-01", "1999-01-012", "1999/01/01", "199é-01-1"] {
            assert!(!looks_like_a_date(text), "{text}");
        }
    }
}
