//! Which of a plugin's tools and prompts are shown now.

#![allow(clippy::disallowed_types, reason = "a lock held for a look-up is no reason for another dependency of authors")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Names that are hidden. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Visibility(Arc<Mutex<BTreeSet<(Kind, String)>>>);

/// What can be hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Tool,
    Prompt,
}

impl Visibility {
    /// Hides a name; tells whether it was shown before.
    pub(crate) fn hide(&self, kind: Kind, name: &str) -> bool {
        self.hidden().insert((kind, name.to_owned()))
    }

    /// Shows a name; tells whether it was hidden before.
    pub(crate) fn show(&self, kind: Kind, name: &str) -> bool {
        self.hidden().remove(&(kind, name.to_owned()))
    }

    pub(crate) fn is_shown(&self, kind: Kind, name: &str) -> bool {
        !self.hidden().contains(&(kind, name.to_owned()))
    }

    fn hidden(&self) -> std::sync::MutexGuard<'_, BTreeSet<(Kind, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
