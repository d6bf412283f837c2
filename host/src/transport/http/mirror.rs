//! What headers repeat of a stateless request, held to its body (2026-07-28 H-05 to H-10, X-04).

use super::headers::PROTOCOL_VERSION;
use crate::protocol::Fault;
use crate::registry::MirroredParam;
use crate::serve::Mirror;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::borrow::Cow;

/// The method of the body.
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The name or URI of the body.
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Arguments of the body.
const PARAM: &str = "mcp-param-";

/// The headers of a request.
pub(super) struct HeaderMirror<'a>(pub(super) &'a HeaderMap);

impl HeaderMirror<'_> {
    /// The value of a header, without the spaces around it.
    fn value(&self, name: &HeaderName) -> Result<Option<&str>, Fault> {
        let mut values = self.0.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => match value.to_str() {
                Ok(text) if text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) => Ok(Some(text.trim_matches(' '))),
                _ => Err(mismatch(format!("the header {name} is not plain text"))),
            },
            (Some(_), Some(_)) => Err(mismatch(format!("the header {name} is there more than once"))),
        }
    }

    fn check(&self, name: &HeaderName, expected: &str, decoded: bool) -> Result<(), Fault> {
        let value = self.value(name)?.ok_or_else(|| mismatch(format!("the header {name} is missing")))?;
        let value = if decoded { decode(value).ok_or_else(|| malformed(name))? } else { Cow::Borrowed(value) };
        if value == expected {
            Ok(())
        } else {
            Err(mismatch(format!("the header {name} does not say what the body says")))
        }
    }
}

fn mismatch(reason: String) -> Fault {
    Fault::HeaderMismatch { reason }
}

fn malformed(name: &HeaderName) -> Fault {
    mismatch(format!("the header {name} is not well-formed Base64 of UTF-8"))
}

/// The text of a value, which may be written as `=?base64?…?=`. Anything else stands for itself.
#[must_use]
pub fn decode(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(Cow::Borrowed(value));
    };
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned)
}

impl Mirror for HeaderMirror<'_> {
    fn check_revision(&self, revision: &str) -> Result<(), Fault> {
        self.check(&PROTOCOL_VERSION, revision, false)
    }

    fn check_method(&self, method: &str) -> Result<(), Fault> {
        self.check(&METHOD, method, false)
    }

    fn check_subject(&self, subject: &str) -> Result<(), Fault> {
        self.check(&NAME, subject, true)
    }

    fn check_argument(&self, header: &str, argument: Option<&Value>) -> Result<(), Fault> {
        let name = HeaderName::try_from(format!("{PARAM}{header}"))
            .map_err(|_| mismatch(format!("'{header}' is no name of a header")))?;
        match (self.value(&name)?, argument) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(mismatch(format!("the header {name} is missing"))),
            (Some(_), None) => Err(mismatch(format!("the header {name} repeats an argument that is not there"))),
            (Some(value), Some(argument)) => {
                let value = decode(value).ok_or_else(|| malformed(&name))?;
                if MirroredParam::is_said_by(&value, argument) {
                    Ok(())
                } else {
                    Err(mismatch(format!("the header {name} does not say what the body says")))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    fn headers(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    #[track_caller]
    fn name_is(value: &'static [u8], name: &str, fits: bool) {
        let headers = headers(&[("mcp-name", value)]);
        assert_eq!(HeaderMirror(&headers).check_subject(name).is_ok(), fits, "{value:?}");
    }

    #[test]
    fn names_are_compared_exactly_and_may_be_base64() {
        name_is(b"tool", "tool", true);
        name_is(b"  tool  ", "tool", true);
        name_is(b"Tool", "tool", false);
        name_is(b"=?base64?dG9vbA==?=", "tool", true);
        name_is("=?base64?w6k=?=".as_bytes(), "é", true);
        name_is(b"=?base64?dG9vbA?=", "tool", false);
        name_is(b"=?base64?dG9!bA==?=", "tool", false);
        name_is(b"=?base64?/w==?=", "\u{ff}", false);
        name_is(b"=?BASE64?dG9vbA==?=", "tool", false);
        name_is(b"=?base64?dG9vbA==", "=?base64?dG9vbA==", true);
        name_is(b"dG9vbA==?=", "dG9vbA==?=", true);
        name_is(b"=?base64??=", "", true);
        name_is("é".as_bytes(), "é", false);
        name_is(b"a\tb", "a\tb", false);
    }

    #[test]
    fn methods_and_revisions_are_never_base64() {
        let headers =
            headers(&[("mcp-method", b"=?base64?dG9vbHMvbGlzdA==?="), ("mcp-protocol-version", b"2026-07-28")]);
        let mirror = HeaderMirror(&headers);
        assert!(mirror.check_method("tools/list").is_err());
        assert_eq!(mirror.check_revision("2026-07-28"), Ok(()));
        assert_eq!(
            mirror.check_revision("v999"),
            Err(mismatch("the header mcp-protocol-version does not say what the body says".to_owned()))
        );
    }

    #[test]
    fn a_header_that_is_missing_or_doubled_fits_nothing() {
        let none = HeaderMap::new();
        let missing = mismatch("the header mcp-method is missing".to_owned());
        assert_eq!(HeaderMirror(&none).check_method("ping"), Err(missing));
        let mut twice = headers(&[("mcp-method", b"ping")]);
        twice.append(METHOD, HeaderValue::from_static("ping"));
        assert!(HeaderMirror(&twice).check_method("ping").is_err());
    }

    #[test]
    fn arguments_and_headers_come_together() {
        let headers = headers(&[("mcp-param-count", b"42.0"), ("mcp-param-region", b"=?base64?ZXU=?=")]);
        let mirror = HeaderMirror(&headers);
        assert_eq!(mirror.check_argument("Count", Some(&json!(42))), Ok(()));
        assert_eq!(mirror.check_argument("REGION", Some(&json!("eu"))), Ok(()));
        assert_eq!(mirror.check_argument("Other", None), Ok(()));
        assert!(mirror.check_argument("Count", Some(&json!(43))).is_err());
        assert!(mirror.check_argument("Count", None).is_err());
        assert!(mirror.check_argument("Other", Some(&json!("x"))).is_err());
    }
}
