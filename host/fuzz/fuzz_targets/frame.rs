//! See `targets::frame`.

#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code, reason = "each target is one function of the file")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::frame(bytes));
