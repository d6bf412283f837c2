//! The ways to a client: messages leave through an [`Outlet`], without waiting; an [`EventStream`] is one that keeps them.
//!
//! In go messages that are bytes already, out they come at whoever follows. What a message means is not known here, nor
//! who the client is.

mod stream;
mod way;

pub use stream::{EventStream, Position, Read, Reader, StreamLimits};
pub use way::{Delivery, Outlet};
