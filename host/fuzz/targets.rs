//! What each fuzz target does with its bytes. The tests run the same functions over the corpus.

use mcp_host::wire::{Incoming, LineReader, parse};
use mcp_host::{config, plugin, protocol};
use mcp_plugin_api::uri_template::UriTemplate;

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
            assert!(!result.contains(&b'\n') && !result.contains(&b'\r'));
        }
        let _ = protocol::prompt_result(dialect, bytes.to_vec(), 1 << 20);
    }
}
