//! The memory of the stateful era: who is on the other side, what is under way, what must still be delivered.
//!
//! A [`Session`] is made by `initialize` and ends by its client, by idling or with the host. Messages to the client leave
//! through an `Outlet`: an `EventStream` where they can be resumed, a pipe elsewhere. Handlers and plugins are not
//! known here.

mod id;
mod peer;
mod remote_task;
mod state;
mod store;

pub use id::SessionId;
pub use peer::SessionPeer;
pub use state::{Admitted, Refused, Session, SessionLimits};
pub use store::{Store, StoreFull, StoreLimits};
