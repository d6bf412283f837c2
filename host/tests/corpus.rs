//! The corpora of the fuzz targets, replayed.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../fuzz/targets.rs"]
mod targets;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn no_corpus_panics() {
    replay("envelope", targets::envelope);
    replay("lines", targets::lines);
    replay("library", targets::library);
    replay("config", targets::config);
    replay("uri_template", targets::uri_template);
    replay("results", targets::results);
    replay("meta", targets::meta);
    replay("task", targets::task);
    replay("header", targets::header);
    replay("request_state", targets::request_state);
    replay("frame", targets::frame);
    replay("lock", targets::lock);
    replay("signature", targets::signature);
}
