//! Asking clients that keep nothing open (2026-07-28 R): a call ends with its questions, and is run again with the answers.
//!
//! In go the answers of a retry and the state that the round before gave; out come the questions of this round and the
//! next state. The state is sealed: it names who asked, what for, until when and which plugin, and holds all answers so
//! far, so that any host with the key can go on. Nothing is kept here between rounds, but for the states of which each may
//! be taken once. Who runs the call, and how an answer is written, is not known here.

mod keys;
mod ledger;
mod peer;
mod rounds;
mod state;

pub use keys::{KeyError, Keys};
pub use ledger::Ledger;
pub use peer::ReplayPeer;
pub use rounds::{Beginning, Retry, Rounds, RoundsLimits, Subject};
