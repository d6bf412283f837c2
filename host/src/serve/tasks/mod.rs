//! Tasks on the wire: how each era begins, finds, follows and ends them.
//!
//! What both share is small: a record is found for whoever asks, or is unknown; a change of it is told to those who follow
//! it. `stateful` has the messages of 2025-11-25, `stateless` those of the extension.

mod announce;
mod questions;
mod stateful;
mod stateless;

pub(super) use announce::Followers;
pub(super) use stateless::detailed;

use super::Server;
use crate::call::Principal;
use crate::protocol::{Fault, OfferedTasks};
use crate::runner::Runner;
use std::sync::Arc;

impl Server {
    /// Whether there are tasks, and whether a client can list its own: only where it is known who asks (2025-era K-10).
    pub(super) fn offered_tasks(&self, principal: &Principal) -> OfferedTasks {
        match (&self.runner, principal) {
            (None, _) => OfferedTasks::None,
            (Some(_), Principal::Anyone) => OfferedTasks::ById,
            (Some(_), Principal::Owner | Principal::User(_)) => OfferedTasks::Listed,
        }
    }

    /// Who runs tasks.
    pub(super) fn tasks(&self) -> Result<&Arc<Runner>, Fault> {
        self.runner.as_ref().ok_or_else(|| Fault::TasksUnavailable { reason: "this host has no tasks".to_owned() })
    }
}
