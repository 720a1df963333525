//! One search, for as long as its value lives.

use p2p_package::InfoHash;
use std::sync::Arc;
use tokio::sync::mpsc;

use crate::clock;
use crate::found::Found;
use crate::shared::Shared;

/// Peers of one swarm, as they are found. Meanwhile we are announced as one who wants it; dropped, we leave it.
#[derive(Debug)]
pub struct Search {
    info_hash: InfoHash,
    listener: u64,
    found: mpsc::Receiver<Found>,
    shared: Arc<Shared>,
}

impl Search {
    pub(crate) fn new(info_hash: InfoHash, listener: u64, found: mpsc::Receiver<Found>, shared: Arc<Shared>) -> Self {
        Self { info_hash, listener, found, shared }
    }

    /// The next peer; `None` when discovery has stopped. Cancelling the call loses nothing.
    pub async fn next(&mut self) -> Option<Found> {
        self.found.recv().await
    }

    /// Says how many bytes are still missing: what the announces from now on carry. To be called right after
    /// [`Discovery::seek`](crate::Discovery::seek) with what is missing then, and with each piece that is verified; that is
    /// cheap, since it only notes the number.
    ///
    /// With 0 no more peers are looked for, trackers hear at once that the download is complete, and the drop of this value
    /// does not take us out of the swarm: offer it.
    pub fn progress(&self, left: u64) {
        self.shared.state().schedule.handle_progress(self.info_hash, left, clock::now());
        if left == 0 {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.shared.state().leave(self.info_hash, self.listener);
        self.shared.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::schedule::Means;

    #[test]
    fn only_the_end_of_a_download_wakes_the_driver() {
        let means = Means { trackers: Vec::new(), strangers: true, dht: false, lan: false, announce_budget: 5 };
        let shared = Arc::new(Shared::new(means));
        let info_hash = InfoHash::of(b"wanted");
        let (listener, found) = shared.state().listen(info_hash, Vec::new(), clock::now());
        shared.state().schedule.handle_seek(info_hash, &[], clock::now());
        let search = Search::new(info_hash, listener, found, Arc::clone(&shared));
        search.progress(7);
        assert_eq!(shared.wake.notified().now_or_never(), None);
        search.progress(0);
        assert_eq!(shared.wake.notified().now_or_never(), Some(()));
    }
}
