//! Which of a mirror's connections are in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::fault::MirrorFault;

/// Mirrors whose connections are counted before idle ones are forgotten.
const MAX_COUNTED_MIRRORS: usize = 256;

/// How much a request can wait for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Somebody waits for just this answer: it may have any connection.
    Urgent,
    /// Others can bring it too: it leaves one connection to the urgent ones, where there are more than one.
    Bulk,
}

/// The connections to all mirrors.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    queue_timeout: Duration,
    mirrors: Mutex<HashMap<String, Mirror>>,
}

/// The connections to one mirror.
#[derive(Debug, Clone)]
struct Mirror {
    all: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
}

/// One connection's place; it is free again when the value is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    _any: OwnedSemaphorePermit,
    _bulk: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// At most `most` to each mirror; whoever waits for one does so for `queue_timeout` at most.
    pub(crate) fn new(most: usize, queue_timeout: Duration) -> Self {
        Self { most: most.max(1), queue_timeout, mirrors: Mutex::default() }
    }

    /// Whether an urgent request to this mirror would not have to wait now.
    pub(crate) fn has_room(&self, url: &Url) -> bool {
        self.lock().get(&key(url)).is_none_or(|mirror| mirror.all.available_permits() > 0)
    }

    /// Waits for a place.
    pub(crate) async fn place(&self, url: &Url, urgency: Urgency) -> Result<Connection, MirrorFault> {
        let mirror = self.mirror(url);
        let place = async {
            let bulk = match urgency {
                Urgency::Urgent => None,
                Urgency::Bulk => Some(permit(mirror.bulk).await),
            };
            Connection { _any: permit(mirror.all).await, _bulk: bulk }
        };
        tokio::time::timeout(self.queue_timeout, place).await.map_err(|_| MirrorFault::Crowded)
    }

    fn mirror(&self, url: &Url) -> Mirror {
        let mut mirrors = self.lock();
        if mirrors.len() >= MAX_COUNTED_MIRRORS {
            // Each permit, and everybody who waits for one, has the semaphore too.
            mirrors.retain(|_, mirror| Arc::strong_count(&mirror.all) > 1);
        }
        let new = || Mirror {
            all: Arc::new(Semaphore::new(self.most)),
            bulk: Arc::new(Semaphore::new(self.most.saturating_sub(1).max(1))),
        };
        mirrors.entry(key(url)).or_insert_with(new).clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Mirror>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(url: &Url) -> String {
    url.origin().ascii_serialization()
}

async fn permit(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    semaphore.acquire_owned().await.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str) -> Url {
        format!("http://{host}/core/a").parse().expect("a URL")
    }

    #[tokio::test]
    async fn whoever_waits_for_too_long_is_told_that_all_connections_are_in_use() {
        let connections = Connections::new(2, Duration::from_millis(20));
        let first = connections.place(&url("a"), Urgency::Urgent).await.expect("a free place");
        assert!(connections.has_room(&url("a")));
        let _second = connections.place(&url("a"), Urgency::Urgent).await.expect("a free place");
        assert!(!connections.has_room(&url("a")) && connections.has_room(&url("b")));
        let third = connections.place(&url("a"), Urgency::Urgent).await;
        assert!(matches!(third, Err(MirrorFault::Crowded)), "{third:?}");
        drop(first);
        assert!(connections.has_room(&url("a")));
        assert!(connections.place(&url("a"), Urgency::Urgent).await.is_ok());
    }

    #[tokio::test]
    async fn bulk_leaves_the_last_connection_free_unless_it_is_the_only_one() {
        for most in [1, 2, 6] {
            let connections = Connections::new(most, Duration::from_millis(20));
            let mut taken = Vec::new();
            while let Ok(connection) = connections.place(&url("a"), Urgency::Bulk).await {
                taken.push(connection);
            }
            assert_eq!(taken.len(), (most - 1).max(1));
            assert_eq!(connections.place(&url("a"), Urgency::Urgent).await.is_ok(), most > 1);
        }
    }

    #[tokio::test]
    async fn idle_mirrors_are_forgotten_and_busy_ones_are_not() {
        let connections = Connections::new(1, Duration::from_millis(20));
        let _busy = connections.place(&url("busy"), Urgency::Bulk).await.expect("a free place");
        for number in 0..2 * MAX_COUNTED_MIRRORS {
            drop(connections.place(&url(&format!("m{number}")), Urgency::Bulk).await.expect("a free place"));
        }
        assert!(connections.lock().len() <= MAX_COUNTED_MIRRORS);
        assert!(!connections.has_room(&url("busy")));
    }
}
