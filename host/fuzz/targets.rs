//! What each fuzz target does with its bytes. The tests run the same functions over the corpus.

use mcp_host::call::Principal;
use mcp_host::protocol::{Around, Protocols, RequestMeta, TraceContext};
use mcp_host::replay::{Beginning, Keys, Ledger, Rounds, RoundsLimits, Subject};
use mcp_host::task::{ListPlace, Stage, Task};
use mcp_host::transport::http::decode_header;
use mcp_host::wire::{Incoming, LineReader, parse};
use mcp_host::{config, plugin, protocol, registry};
use mcp_plugin_api::uri_template::UriTemplate;
use serde_json::value::RawValue;
use std::time::Duration;

/// Messages, whole: what is read is borrowed from the bytes, and nothing panics.
pub(crate) fn envelope(bytes: &[u8]) {
    if let Ok(Incoming::Batch(messages)) = parse(bytes, 64) {
        assert!(!messages.is_empty(), "an empty batch is an error");
    }
}

/// Lines: no line has a newline or more than the limit, wherever the chunks end.
pub(crate) fn lines(bytes: &[u8]) {
    let mut reader = LineReader::new(16);
    for chunk in bytes.chunks(7) {
        reader.buffer().extend_from_slice(chunk);
        while let Some(line) = reader.next_line() {
            if let mcp_host::wire::Line::Message(message) = line {
                assert!(message.len() <= 16 && !message.contains(&b'\n'));
            }
        }
    }
    let _ = reader.last_line();
}

/// Libraries: a file is judged by its bytes, whatever they are.
pub(crate) fn library(bytes: &[u8]) {
    let _ = plugin::inspect_bytes(bytes);
}

/// Configurations.
pub(crate) fn config(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(file) = config::parse(text, &|_| Some("value".to_owned()))
    {
        let _ = config::Settings::resolve(file, config::Overrides::default());
    }
}

/// Templates and URIs, divided by a line break.
pub(crate) fn uri_template(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some((template, uri)) = text.split_once('\n')
        && let Ok(template) = UriTemplate::parse(template)
    {
        let _ = template.matches(uri);
    }
}

/// Results of plugins: what is passed on is one line of JSON in every dialect.
pub(crate) fn results(bytes: &[u8]) {
    for dialect in protocol::Dialect::all() {
        if let Ok(result) = protocol::tool_result(dialect, bytes.to_vec(), 1 << 20, |_| Ok(())) {
            assert!(!result.json.contains(&b'\n') && !result.json.contains(&b'\r'));
        }
        let _ = protocol::prompt_result(dialect, bytes.to_vec(), 1 << 20);
    }
}

/// Params of any era: what they say of themselves is read or refused, and the era is decided.
pub(crate) fn meta(bytes: &[u8]) {
    let Ok(params) = serde_json::from_slice::<&RawValue>(bytes) else {
        return;
    };
    let meta = RequestMeta::of(Some(params));
    for session in [false, true] {
        let _ = Protocols::Both.era("tools/call", &meta, Around { revision: None, session });
    }
    if let Ok(claims) = meta.claims() {
        assert!(meta.names_revision());
        if let Some(TraceContext { traceparent: Some(parent), .. }) = claims.trace {
            assert!(parent.is_ascii() && parent.len() >= 55);
        }
    }
    let _ = registry::MirroredParam::all(params);
    let _ = Subject::of("tools/call", Some(params.get()));
}

/// What is said of tasks: wishes, filters and cursors of clients, and records on disk. A record that is read is shown in every
/// dialect, and written as it was read; an ended one has no way back.
pub(crate) fn task(bytes: &[u8]) {
    if let Ok(params) = serde_json::from_slice::<&RawValue>(bytes) {
        let meta = RequestMeta::of(Some(params));
        let _ = meta.wanted_task();
        if let Ok(filter) = protocol::read_params::<protocol::ListenParams>(Some(params)) {
            let _ = filter.notifications.checked(16);
        }
        let _ = protocol::read_params::<protocol::UpdateTaskParams<'_>>(Some(params));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(place) = ListPlace::decode(text)
    {
        assert_eq!(ListPlace::decode(&place.encode()), Some(place));
    }
    let Ok(task) = serde_json::from_slice::<Task>(bytes) else {
        return;
    };
    for dialect in protocol::Dialect::all() {
        let members = task.shown().members(dialect);
        assert!(members["createdAt"].as_str().is_some_and(|at| at.ends_with('Z')));
    }
    assert_eq!(task.next(task.updated, Stage::from).is_ok(), task.running().is_some());
    let written = serde_json::to_string(&task).expect("what was read can be written");
    let again: Task = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).expect("it can be written again"), written);
}

/// Values of headers, which may be Base64: what is not marked as such stands for itself.
pub(crate) fn header(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let marked = text.starts_with("=?base64?") && text.ends_with("?=") && text.len() >= "=?base64??=".len();
    match decode_header(text) {
        Some(decoded) => assert!(marked || decoded == text),
        None => assert!(marked),
    }
    for value in [serde_json::json!(text), serde_json::json!(42), serde_json::json!(true)] {
        let _ = registry::MirroredParam::is_said_by(text, &value);
    }
    let _ = TraceContext::read(Some(text.to_owned()), Some(text.to_owned()), Some(text.to_owned()));
}

/// States that clients hand in: none that was not sealed here is taken.
pub(crate) fn request_state(bytes: &[u8]) {
    let limits = RoundsLimits { ttl: Duration::from_secs(60), max_rounds: 4, max_bytes: 1 << 16 };
    let Ok(ledger) = Ledger::in_memory() else {
        return;
    };
    let rounds = Rounds::new(Keys::new([7; Keys::BYTES], &[]), ledger, limits);
    let text = String::from_utf8_lossy(bytes);
    let Ok(params) = serde_json::value::to_raw_value(&serde_json::json!({"requestState": text})) else {
        return;
    };
    let beginning = Beginning { principal: &Principal::Anyone, plugin: "p", version: "1", single_use: false };
    let taken = rounds.retry(&RequestMeta::of(Some(&params)), beginning, || Subject::of("tools/call", None));
    assert!(taken.is_err());
}

/// What a worker process sends: frames are read one after the other, and are written as they were read.
pub(crate) fn frame(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((frame, taken))) = plugin::Frame::read(rest) {
        let mut written = Vec::new();
        frame.write(&mut written);
        assert_eq!(written, rest[..taken]);
        rest = &rest[taken..];
    }
}

/// Files of approved definitions: one that is read differs from nothing more than itself.
pub(crate) fn lock(bytes: &[u8]) {
    if let Ok(lock) = plugin::DefinitionLock::parse(bytes) {
        assert_eq!(lock.difference(&lock, |_| true), "");
        let _ = plugin::DefinitionLock::default().difference(&lock, |_| true);
    }
}

/// Signatures and keys: what is none is refused, and nothing that was not signed passes.
pub(crate) fn signature(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let keys: Vec<_> = plugin::TrustedKey::parse(text).into_iter().collect();
    assert!(plugin::verify(b"nobody has signed this", text, &keys).is_err());
    let _ = plugin::public_key(text);
    let _ = plugin::Digest::parse(text);
}
