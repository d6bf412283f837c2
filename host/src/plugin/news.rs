//! News of a plugin, on their way to whoever tells clients: bounded, because a plugin may be talkative.

use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// News of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PluginEvent {
    /// A resource has new content.
    ResourceUpdated(String),
    /// What it offers has changed.
    ManifestChanged,
    /// It has failed once too often.
    Faulty,
}

/// Updates of resources that wait; what comes beyond them is lost.
const MAX_UPDATES: usize = 1024;

/// The plugin's end. Cheap to clone; no method blocks.
#[derive(Clone)]
pub(super) struct NewsSender {
    updates: mpsc::Sender<String>,
    /// However often the manifest changes before it is read, it is read once.
    manifest: Arc<Notify>,
    faults: Arc<Notify>,
}

/// The end that listens.
pub(super) struct News {
    updates: mpsc::Receiver<String>,
    manifest: Arc<Notify>,
    faults: Arc<Notify>,
}

/// A line for the news of one plugin.
pub(super) fn news() -> (NewsSender, News) {
    let (send, updates) = mpsc::channel(MAX_UPDATES);
    let manifest = Arc::new(Notify::new());
    let faults = Arc::new(Notify::new());
    let sender = NewsSender { updates: send, manifest: Arc::clone(&manifest), faults: Arc::clone(&faults) };
    (sender, News { updates, manifest, faults })
}

impl NewsSender {
    /// Tells something.
    pub(super) fn tell(&self, event: PluginEvent) {
        match event {
            PluginEvent::ManifestChanged => self.manifest.notify_one(),
            PluginEvent::Faulty => self.faults.notify_one(),
            PluginEvent::ResourceUpdated(uri) => {
                let _ = self.updates.try_send(uri);
            }
        }
    }
}

impl News {
    /// The next news; nothing when the plugin is gone.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn next(&mut self) -> Option<PluginEvent> {
        tokio::select! {
            () = self.manifest.notified() => Some(PluginEvent::ManifestChanged),
            () = self.faults.notified() => Some(PluginEvent::Faulty),
            uri = self.updates.recv() => uri.map(PluginEvent::ResourceUpdated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_are_told_once_and_updates_are_bounded() {
        let (send, mut news) = news();
        send.tell(PluginEvent::ManifestChanged);
        send.tell(PluginEvent::ManifestChanged);
        assert_eq!(news.next().await, Some(PluginEvent::ManifestChanged));
        for number in 0..=MAX_UPDATES {
            send.tell(PluginEvent::ResourceUpdated(number.to_string()));
        }
        drop(send);
        let mut told = 0;
        while let Some(event) = news.next().await {
            assert_eq!(event, PluginEvent::ResourceUpdated(told.to_string()));
            told += 1;
        }
        assert_eq!(told, MAX_UPDATES);
    }
}
