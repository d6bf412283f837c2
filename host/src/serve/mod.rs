//! The order of the steps for one message.
//!
//! A transport hands on framed, parsed messages and what it knows of their origin; out come replies, now or later. No
//! socket and no header is known here. `stateful` has the messages of sessions, `stateless` requests that stand for
//! themselves, `listen` their streams of changes, `server` what both eras share.

mod announce;
mod listen;
mod round;
mod server;
mod stateful;
mod stateless;
mod tasks;

pub use listen::{Channel, Subscription};
pub use server::{Reply, Server, ServerFace, ServerLimits};
pub use stateful::{Answer, OpenError};
pub use stateless::{Cancel, Mirror, StatelessAnswer, StatelessRequest};
