//! What the headers of a request must say.

use super::refusal::Refusal;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};

/// The session's id (2025-era H-20).
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The revision that was negotiated (2025-era H-25).
pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Where a broken stream is to go on (2025-era H-18).
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a client accepts as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    /// JSON and event streams.
    Both,
    /// JSON only.
    Json,
    /// Event streams only.
    Stream,
}

/// The only value of a header.
///
/// # Errors
/// A refusal when there are several, or one that is not plain text.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, &format!("the header {name} is not plain text"))),
        (Some(_), Some(_)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, &format!("the header {name} is there more than once")))
        }
    }
}

/// What a client accepts (2025-era H-04); nothing said is everything.
///
/// # Errors
/// A refusal when neither JSON nor event streams are accepted.
pub(super) fn accepts(headers: &HeaderMap) -> Result<Accepts, Refusal> {
    if !headers.contains_key(header::ACCEPT) {
        return Ok(Accepts::Both);
    }
    match (takes(headers, "application", "json"), takes(headers, "text", "event-stream")) {
        (true, true) => Ok(Accepts::Both),
        (true, false) => Ok(Accepts::Json),
        (false, true) => Ok(Accepts::Stream),
        (false, false) => {
            Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "accept application/json and text/event-stream"))
        }
    }
}

/// Whether event streams are accepted by name or wildcard (2025-era H-13).
pub(super) fn accepts_stream(headers: &HeaderMap) -> bool {
    takes(headers, "text", "event-stream")
}

/// Whether `Accept` has a range that holds a type, with a quality above zero.
fn takes(headers: &HeaderMap, kind: &str, subtype: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let Some((range_kind, range_subtype)) = parts.next().and_then(|it| it.split_once('/')) else {
                return false;
            };
            let refused = parts.any(|parameter| {
                let quality = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
                quality.is_some_and(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0))
            });
            let holds = |range: &str, name: &str| range == "*" || range.eq_ignore_ascii_case(name);
            !refused && holds(range_kind, kind) && holds(range_subtype, subtype)
        })
}

/// Holds a body to be JSON (2025-era H-05).
///
/// # Errors
/// A refusal when it says something else, or nothing.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let kind = single(headers, &header::CONTENT_TYPE)?.and_then(|value| value.split(';').next()).unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the Content-Type must be application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[track_caller]
    fn check(accept: &'static str, expected: Option<Accepts>) {
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        assert_eq!(accepts(&headers).ok(), expected, "{accept}");
    }

    #[test]
    fn accept_is_read_with_wildcards_parameters_and_qualities() {
        check("application/json, text/event-stream", Some(Accepts::Both));
        check("*/*", Some(Accepts::Both));
        check("application/*;q=0.9, text/*", Some(Accepts::Both));
        check("application/json; charset=utf-8", Some(Accepts::Json));
        check("APPLICATION/JSON", Some(Accepts::Json));
        check("text/event-stream", Some(Accepts::Stream));
        check("application/json, text/event-stream;q=0", Some(Accepts::Json));
        check("text/html", None);
        check("", None);
        assert_eq!(accepts(&HeaderMap::new()).ok(), Some(Accepts::Both));
    }
}
