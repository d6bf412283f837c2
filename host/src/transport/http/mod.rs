//! Streamable HTTP (2025-era H-01 to H-26, 2026-07-28 H-01 to H-18): one endpoint for both eras.
//!
//! `listen` owns sockets and their bounds, `endpoint` the verbs and the choice of the era, `stateful` sessions and resumable
//! streams, `stateless` requests that stand for themselves, `headers` and `mirror` what headers must say, `sse` streams of
//! events, `oldest` the transport before this one, `health` the word for operators.

mod body;
mod endpoint;
mod headers;
mod health;
mod listen;
mod mirror;
mod oldest;
mod refusal;
mod sse;
mod stall;
mod stateful;
mod stateless;

pub use body::HttpLimits;
pub use endpoint::{Endpoint, OldestTransport, router};
pub use health::{Health, HealthDetail, PluginHealth, TasksHealth};
pub use listen::{ListenError, Listener};
pub use mirror::decode as decode_header;
