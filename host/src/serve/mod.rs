//! The order of the steps for one message.
//!
//! A transport hands on framed, parsed messages and what it knows of their origin; out come replies, now or later. No
//! socket and no header is known here.

mod announce;
mod server;

pub use server::{Answer, OpenError, Server, ServerLimits};
