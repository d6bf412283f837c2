//! The trace that a request is part of (2026-07-28 TC-01, TC-02; W3C Trace Context and Baggage).

/// What a client says of its trace. Values that break the W3C's rules are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The client's span: `00-<trace id>-<span id>-<flags>`.
    pub traceparent: Option<String>,
    /// What vendors add to it.
    pub tracestate: Option<String>,
    /// What the client wants passed along.
    pub baggage: Option<String>,
}

/// The longest `tracestate` that is passed on.
const MAX_STATE_BYTES: usize = 512;
/// The longest `baggage` that is passed on.
const MAX_BAGGAGE_BYTES: usize = 8192;

impl TraceContext {
    /// Reads the three values; nothing when none is usable. A state without its parent is not.
    #[must_use]
    pub fn read(traceparent: Option<String>, tracestate: Option<String>, baggage: Option<String>) -> Option<Self> {
        let traceparent = traceparent.filter(|text| is_traceparent(text));
        let tracestate = tracestate.filter(|text| traceparent.is_some() && is_list(text, MAX_STATE_BYTES));
        let baggage = baggage.filter(|text| is_list(text, MAX_BAGGAGE_BYTES));
        (traceparent.is_some() || baggage.is_some()).then_some(Self { traceparent, tracestate, baggage })
    }

    /// The trace's id: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.get(3..35)
    }
}

/// Version 00 exactly; later ones may be longer, and begin the same.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: Option<&str>, length: usize| {
        part.is_some_and(|part| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        })
    };
    let not_zero = |part: Option<&str>| part.is_some_and(|part| part.bytes().any(|byte| byte != b'0'));
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next(), parts.next(), parts.next(), parts.next());
    text.len() <= 128
        && hex(version, 2)
        && version != Some("ff")
        && hex(trace, 32)
        && not_zero(trace)
        && hex(span, 16)
        && not_zero(span)
        && hex(flags, 2)
        && (version != Some("00") || parts.next().is_none())
}

/// `key=value` pairs in printable ASCII.
fn is_list(text: &str, max_bytes: usize) -> bool {
    text.len() <= max_bytes
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && text.split(',').all(|member| member.trim().is_empty() || member.contains('='))
        && text.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn parents_are_held_to_their_form() {
        assert!(is_traceparent(PARENT));
        assert!(is_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later"));
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert!(!is_traceparent(text), "{text}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_left_out() {
        let some = |text: &str| Some(text.to_owned());
        let read = TraceContext::read(some(PARENT), some("a=1,b=2"), some("user=ada")).unwrap();
        assert_eq!((read.tracestate.as_deref(), read.baggage.as_deref()), (Some("a=1,b=2"), Some("user=ada")));
        let read = TraceContext::read(some("no"), some("a=1"), some("user=ada")).unwrap();
        assert_eq!((read.traceparent, read.tracestate), (None, None));
        let read = TraceContext::read(some(PARENT), some("a\n=1"), Some("x".repeat(9000))).unwrap();
        assert_eq!((read.tracestate, read.baggage), (None, None));
        assert_eq!(TraceContext::read(some("no"), None, None), None);
    }
}
