//! Counts the bytes of one connection, and of all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock;

/// Bytes exchanged with strangers since the gate was built.
#[derive(Debug, Default)]
pub(crate) struct Odometer {
    downloaded: AtomicU64,
    uploaded: AtomicU64,
}

impl Odometer {
    pub(crate) fn downloaded(&self) -> u64 {
        self.downloaded.load(Ordering::Relaxed)
    }

    pub(crate) fn uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
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
    odometer: Arc<Odometer>,
}

impl Meter {
    pub(crate) fn new(odometer: Arc<Odometer>) -> Self {
        let (downloaded, uploaded, last_received) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { since: clock::now(), downloaded, uploaded, last_received, odometer }
    }

    pub(crate) fn handle_received(&self, bytes: usize) {
        self.downloaded.fetch_add(bytes as u64, Ordering::Relaxed);
        self.odometer.downloaded.fetch_add(bytes as u64, Ordering::Relaxed);
        let elapsed = clock::now().duration_since(self.since).as_millis();
        self.last_received.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn handle_sent(&self, bytes: usize) {
        self.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
        self.odometer.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
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
}
