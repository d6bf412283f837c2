//! Bytes in and out: framing, status codes, streams.
//!
//! Plugins and the catalogue are not known here; what a message means is decided in `serve`.

mod duplex;
mod gather;
pub mod http;
pub mod stdio;
