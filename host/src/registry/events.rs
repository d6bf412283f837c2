//! What has changed, told to whoever passes it on to clients.

use super::ListKind;
use tokio::sync::broadcast;

/// Something that clients may want to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A list has other items.
    List(ListKind),
    /// A resource has new content.
    Resource(String),
}

/// A line on which changes are announced. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(broadcast::Sender<Change>);

/// Changes that a listener may be behind before it loses the oldest.
const MAX_PENDING_CHANGES: usize = 1024;

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(MAX_PENDING_CHANGES))
    }
}

impl Events {
    /// Announces a change. Nobody needs to listen.
    pub fn announce(&self, change: Change) {
        let _ = self.0.send(change);
    }

    /// All changes from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }
}
