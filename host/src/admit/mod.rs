//! May this caller ask this now? Judged before anything is done for it.

mod origin;

pub use origin::{HostRule, OriginRefused};
