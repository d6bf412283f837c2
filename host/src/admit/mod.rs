//! May this caller ask this now? Judged before anything is done for it.

mod identity;
mod origin;

pub use identity::{IdentityRule, Unidentified};
pub use origin::{HostRule, OriginRefused};
