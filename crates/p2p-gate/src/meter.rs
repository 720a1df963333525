//! Counts the bytes of one connection, and of all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::claim::Claim;
use crate::clock;

/// Bytes sent at once that are more than keep-alives and refusals.
const SERVING: usize = 512;

/// Bytes exchanged with strangers since the gate was built.
#[derive(Debug, Default)]
pub(crate) struct Odometer {
    downloaded: AtomicU64,
    uploaded: AtomicU64,
    /// The part of it that went to peers outside of the local networks.
    uploaded_outside: AtomicU64,
    /// Where somebody wants to be told that `uploaded_outside` has come.
    mark: AtomicU64,
    mark_passed: Notify,
}

impl Odometer {
    pub(crate) fn downloaded(&self) -> u64 {
        self.downloaded.load(Ordering::Relaxed)
    }

    pub(crate) fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    pub(crate) fn uploaded_outside(&self) -> u64 {
        self.uploaded_outside.load(Ordering::SeqCst)
    }

    /// Returns once so many bytes have gone outside. Only the last mark that was set is told of.
    pub(crate) async fn uploaded_outside_reaches(&self, mark: u64) {
        self.mark.store(mark, Ordering::SeqCst);
        while self.uploaded_outside() < mark {
            self.mark_passed.notified().await;
        }
    }

    fn handle_sent_outside(&self, bytes: u64) {
        let sum = self.uploaded_outside.fetch_add(bytes, Ordering::SeqCst) + bytes;
        let mark = self.mark.load(Ordering::SeqCst);
        if (mark..mark.saturating_add(bytes)).contains(&sum) {
            self.mark_passed.notify_one();
        }
    }
}

/// Bytes of one connection; what it counts, the gate's odometer counts too.
#[derive(Debug)]
pub(crate) struct Meter {
    since: Instant,
    downloaded: AtomicU64,
    uploaded: AtomicU64,
    /// Milliseconds from `since` to the last byte that arrived.
    last_received: AtomicU64,
    /// The same to the last [`SERVING`] bytes that were sent at once, or to the begin of the peer's turn.
    last_served: AtomicU64,
    /// Whether the peer waits for its turn.
    waits: AtomicBool,
    /// Whether the peer keeps its place.
    is_kept: AtomicBool,
    /// Whether the peer is outside of the local networks.
    is_outside: bool,
    odometer: Arc<Odometer>,
}

impl Meter {
    pub(crate) fn new(odometer: Arc<Odometer>, is_outside: bool) -> Self {
        let [downloaded, uploaded, last_received, last_served] = [0; 4].map(AtomicU64::new);
        let (since, [waits, is_kept]) = (clock::now(), [false; 2].map(AtomicBool::new));
        Self { since, downloaded, uploaded, last_received, last_served, waits, is_kept, is_outside, odometer }
    }

    pub(crate) fn handle_received(&self, bytes: usize) {
        self.downloaded.fetch_add(bytes as u64, Ordering::Relaxed);
        self.odometer.downloaded.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_received.store(self.age(), Ordering::Relaxed);
    }

    pub(crate) fn handle_sent(&self, bytes: usize) {
        self.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
        self.odometer.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.is_outside {
            self.odometer.handle_sent_outside(bytes as u64);
        }
        if bytes >= SERVING {
            self.last_served.store(self.age(), Ordering::Relaxed);
        }
    }

    pub(crate) fn handle_claim(&self, claim: Claim) {
        if claim == Claim::Served {
            // It could take nothing while it waited.
            self.last_served.store(self.age(), Ordering::Relaxed);
        }
        self.waits.store(claim == Claim::Waiting, Ordering::Relaxed);
        self.is_kept.store(claim == Claim::Kept, Ordering::Relaxed);
    }

    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    pub(crate) fn downloaded(&self) -> u64 {
        self.downloaded.load(Ordering::Relaxed)
    }

    pub(crate) fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    pub(crate) fn last_received(&self) -> Instant {
        self.since + Duration::from_millis(self.last_received.load(Ordering::Relaxed))
    }

    /// Whether the peer waits for its turn.
    pub(crate) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Whether the peer keeps its place.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// When the peer took last what is more than a sign of life, or its turn began; the connection's begin for never.
    pub(crate) fn last_served(&self) -> Instant {
        self.since + Duration::from_millis(self.last_served.load(Ordering::Relaxed))
    }

    fn age(&self) -> u64 {
        u64::try_from(clock::now().duration_since(self.since).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_mark_is_told_of_once_bytes_outside_have_reached_it() {
        let odometer = Arc::new(Odometer::default());
        let (home, outside) = (Meter::new(Arc::clone(&odometer), false), Meter::new(Arc::clone(&odometer), true));
        let waiting = Arc::clone(&odometer);
        let waiting = tokio::spawn(async move { waiting.uploaded_outside_reaches(100).await });
        tokio::task::yield_now().await;
        home.handle_sent(1_000);
        outside.handle_sent(99);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        outside.handle_sent(30);
        waiting.await.expect("no panic");
        assert_eq!((odometer.uploaded(), odometer.uploaded_outside()), (1_129, 129));
        // What has been reached already is told at once.
        odometer.uploaded_outside_reaches(129).await;
    }
}
