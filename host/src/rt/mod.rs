//! What keeps the process running and lets it stop: drain, owned tasks, counted work.
//!
//! Nothing of MCP is known here.

mod blocking;
mod clock;
mod drain;
mod files;
mod group;
mod in_flight;
mod signals;
mod standard;
mod stdout;
mod turn;

pub use blocking::{Blocking, BlockingError};
pub use clock::{Clock, Millis};
pub use drain::{Drain, Phase};
pub use files::{
    FileLooks, is_exposed, is_own_folder, is_still_at, is_writable_for_all, make_private, make_private_folder, private,
};
pub use group::{Ending, end_group, lead_group, script};
pub use in_flight::{InFlight, InFlightGuard};
pub use signals::{Hangups, end_by_request, end_only_by_request, end_requested, end_wanted};
pub use standard::{standard_input, standard_output};
pub use stdout::take_stdout;
pub use turn::Turn;
