//! How trackers answer, over all swarms: a dead one is left alone for longer and longer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use url::Url;

/// The wait after the first failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// The longest wait. Short enough that a tracker is back soon after the network is.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// The record of every tracker that was asked.
#[derive(Debug, Default)]
pub(super) struct TrackerRecords {
    records: BTreeMap<Url, TrackerRecord>,
}

/// The record of one tracker.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrackerRecord {
    failures: u32,
    resume: Option<Instant>,
    /// Why the last answer was none.
    pub(crate) last_error: Option<String>,
    /// Peers in the last good answer.
    pub(crate) peers: usize,
}

impl TrackerRecords {
    pub(super) fn answered(&mut self, url: &Url, peers: usize) {
        self.records.insert(url.clone(), TrackerRecord { peers, ..TrackerRecord::default() });
    }

    /// It answered, but not with peers: it is alive.
    pub(super) fn refused(&mut self, url: &Url, reason: String) {
        let record = self.records.entry(url.clone()).or_default();
        (record.failures, record.resume, record.last_error) = (0, None, Some(reason));
    }

    pub(super) fn failed(&mut self, url: &Url, error: String, now: Instant) {
        let record = self.records.entry(url.clone()).or_default();
        let wait = FIRST_WAIT * 2_u32.saturating_pow(record.failures.min(10));
        record.failures += 1;
        record.resume = Some(now + wait.min(LONGEST_WAIT));
        record.last_error = Some(error);
    }

    pub(super) fn get(&self, url: &Url) -> TrackerRecord {
        self.records.get(url).cloned().unwrap_or_default()
    }

    /// Whether it may be asked, and if not yet, when.
    pub(super) fn ready_at(&self, url: &Url, due: Instant) -> Instant {
        self.records.get(url).and_then(|record| record.resume).map_or(due, |resume| due.max(resume))
    }

    pub(super) fn is_failing(&self, url: &Url) -> bool {
        self.records.get(url).is_some_and(|record| record.failures > 0)
    }

    /// Forgets the trackers that no swarm has any more.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&Url) -> bool) {
        self.records.retain(|url, _| wanted(url));
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}
