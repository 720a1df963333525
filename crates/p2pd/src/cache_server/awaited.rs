//! A fetch that a client makes us do.

use std::time::Duration;

use tokio::sync::watch;

use super::guests::Errand;
use crate::fetch::Snapshot;

/// A package's fetch goes on for so long when its last client has gone.
const LINGER: Duration = Duration::from_secs(10);

/// A fetch, and what it counts for its client.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) snapshots: watch::Receiver<Snapshot>,
    errand: Option<Errand>,
}

impl Awaited {
    pub(super) fn new(snapshots: watch::Receiver<Snapshot>, errand: Errand) -> Self {
        Self { snapshots, errand: Some(errand) }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let goes_on = self.snapshots.borrow().outcome.is_none();
        // It counts as long as it goes on: or a client on another machine could begin as many as it likes.
        if let Some(errand) = self.errand.take().filter(|errand| goes_on && errand.is_foreign()) {
            tokio::spawn(async move {
                tokio::time::sleep(LINGER).await;
                drop(errand);
            });
        }
    }
}
