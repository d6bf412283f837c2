//! Streamable HTTP (2025-era H-01 to H-26): one endpoint, sessions, resumable streams.
//!
//! `listen` owns sockets and their bounds, `endpoint` the verbs, `headers` what they must say, `sse` streams of events,
//! `oldest` the transport before this one, `health` the word for operators.

mod body;
mod endpoint;
mod headers;
mod health;
mod listen;
mod oldest;
mod refusal;
mod sse;
mod stall;

pub use body::HttpLimits;
pub use endpoint::{Endpoint, OldestTransport, router};
pub use health::{Health, HealthDetail, PluginHealth};
pub use listen::{ListenError, Listener};
