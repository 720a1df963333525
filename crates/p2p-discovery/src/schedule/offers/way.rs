//! One way of announcing, and how it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_package::InfoHash;

use super::super::lane::{Entry, Lane};
use super::super::turn::MISSED_ROUNDS;
use super::{ANNOUNCE_PACKETS, LOOKUP_PACKETS, is_strangers};
use crate::tracker::Tracker;

/// After so many refusals in a row a tracker is taken for one that wants none of our packages.
const ENOUGH_REFUSALS: u32 = 4;
/// Then it is asked about one more, the first time and at last.
const UNWANTED: [Duration; 2] = [Duration::from_mins(1), Duration::from_hours(2)];

/// Where something is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Medium {
    Dht,
    Tracker(Arc<Tracker>),
}

/// One way, with all that is offered this way.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) medium: Medium,
    pub(super) lane: Lane,
    /// Of the last run, and not offered again yet.
    pub(super) kept: BTreeMap<InfoHash, Entry>,
    /// Nothing goes this way before.
    pub(super) resume: Instant,
    /// Refusals, or rounds that reached nobody, in a row.
    setbacks: u32,
    /// Packets so far; who had nothing to say is not behind.
    pub(super) spent: u64,
    pub(super) under_way: usize,
}

impl Way {
    pub(super) fn new(medium: Medium, now: Instant) -> Self {
        let (lane, kept) = (Lane::default(), BTreeMap::new());
        Self { medium, lane, kept, resume: now, setbacks: 0, spent: 0, under_way: 0 }
    }

    pub(super) fn tracker(&self) -> Option<&Arc<Tracker>> {
        match &self.medium {
            Medium::Dht => None,
            Medium::Tracker(tracker) => Some(tracker),
        }
    }

    pub(super) fn is_at(&self, tracker: &Tracker) -> bool {
        self.tracker().is_some_and(|own| own.url == tracker.url)
    }

    /// Whether only the offers whose `.torrent` names it go this way.
    pub(super) fn is_strangers(&self) -> bool {
        self.tracker().is_some_and(|tracker| is_strangers(tracker))
    }

    /// What one announce is expected to send.
    pub(super) fn cost(&self) -> u32 {
        match self.medium {
            Medium::Dht => LOOKUP_PACKETS,
            Medium::Tracker(_) => ANNOUNCE_PACKETS,
        }
    }

    pub(super) fn steady(&mut self) {
        self.setbacks = 0;
    }

    /// The tracker does not want this package, and maybe no other.
    pub(super) fn refused(&mut self, now: Instant) {
        self.setbacks += 1;
        if let Some(more) = self.setbacks.checked_sub(ENOUGH_REFUSALS) {
            self.resume = now + (UNWANTED[0] * 2_u32.saturating_pow(more.min(10))).min(UNWANTED[1]);
        }
    }

    /// The node is not up, or knows nobody: no other package would get further.
    pub(super) fn missed(&mut self, now: Instant) {
        let wait = MISSED_ROUNDS.get(self.setbacks as usize).or(MISSED_ROUNDS.last());
        self.setbacks += 1;
        self.resume = now + *wait.expect("there are some");
    }
}
