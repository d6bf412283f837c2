//! What keeps the process running and lets it stop: drain, owned tasks, counted work.
//!
//! Nothing of MCP is known here.

mod blocking;
mod clock;
mod drain;
mod in_flight;
mod standard;
mod stdout;
mod turn;

pub use blocking::{Blocking, BlockingError};
pub use clock::{Clock, Millis};
pub use drain::{Drain, Phase};
pub use in_flight::{InFlight, InFlightGuard};
pub use standard::{standard_input, standard_output};
pub use stdout::take_stdout;
pub use turn::Turn;
