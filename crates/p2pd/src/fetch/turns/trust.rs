//! Which neighbours are not waited for: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Who was waited for in vain, or has not given what it said it had, is not waited for so long, unless it brings something.
pub(super) const BARRED_FOR: Duration = Duration::from_mins(1);
/// One that has so often, in a row, not given what it said it had.
pub(super) const MOST_BROKEN_PROMISES: u8 = 2;
/// Who says that it is too busy is left alone for so long, twice as long each time, and [`BARRED_FOR`] at most.
pub(super) const FIRST_REST: Duration = Duration::from_secs(1);

/// What neighbours have done so far, by peer id: who comes back is still the same.
#[derive(Debug)]
pub(super) struct Trust<N> {
    names: BTreeMap<N, [u8; 20]>,
    /// Until when.
    barred: BTreeMap<[u8; 20], Instant>,
    broken_promises: BTreeMap<[u8; 20], u8>,
    /// Who was too busy, and has brought nothing since.
    resting: BTreeMap<[u8; 20], Rest>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    length: Duration,
    is_over: bool,
}

impl<N: Copy + Ord> Trust<N> {
    pub(super) fn new() -> Self {
        Self {
            names: BTreeMap::new(),
            barred: BTreeMap::new(),
            broken_promises: BTreeMap::new(),
            resting: BTreeMap::new(),
        }
    }

    pub(super) fn name(&mut self, neighbour: N, peer_id: [u8; 20]) {
        self.names.insert(neighbour, peer_id);
    }

    /// Only these are still here.
    pub(super) fn handle_present(&mut self, present: &BTreeSet<N>) {
        self.names.retain(|neighbour, _| present.contains(neighbour));
    }

    pub(super) fn handle_brought(&mut self, neighbour: N) {
        if let Some(name) = self.names.get(&neighbour) {
            self.barred.remove(name);
            self.broken_promises.remove(name);
            self.resting.remove(name);
        }
    }

    /// It has, but does not give just now: no promise is broken by that.
    pub(super) fn handle_busy(&mut self, neighbour: N, now: Instant) {
        // Gets that were asked together are refused together.
        if let Some(name) = self.names.get(&neighbour).filter(|_| !self.is_resting(neighbour, now)) {
            let length = self.resting.get(name).map_or(FIRST_REST, |last| (last.length * 2).min(BARRED_FOR));
            self.resting.insert(*name, Rest { until: now + length, length, is_over: false });
        }
        self.resting.retain(|_, rest| now < rest.until + BARRED_FOR);
    }

    /// When somebody's rest ends: it may be asked again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.resting.values().filter(|rest| !rest.is_over).map(|rest| rest.until).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.resting.values_mut().for_each(|rest| rest.is_over |= rest.until <= now);
    }

    pub(super) fn handle_refused(&mut self, neighbour: N, now: Instant) {
        if let Some(name) = self.names.get(&neighbour) {
            let broken = self.broken_promises.entry(*name).or_default();
            *broken = broken.saturating_add(1);
        }
        self.bar(neighbour, now);
    }

    pub(super) fn bar(&mut self, neighbour: N, now: Instant) {
        if let Some(name) = self.names.get(&neighbour) {
            self.barred.insert(*name, now + BARRED_FOR);
        }
        self.barred.retain(|_, until| now < *until);
        self.broken_promises.retain(|name, _| self.barred.contains_key(name));
    }

    pub(super) fn is_barred(&self, neighbour: N, now: Instant) -> bool {
        self.names.get(&neighbour).and_then(|name| self.barred.get(name)).is_some_and(|until| now < *until)
    }

    /// Whether it was too busy a moment ago.
    pub(super) fn is_resting(&self, neighbour: N, now: Instant) -> bool {
        self.names.get(&neighbour).and_then(|name| self.resting.get(name)).is_some_and(|rest| now < rest.until)
    }

    /// Whether it may be asked for what it says it has.
    pub(super) fn is_believed(&self, neighbour: N, now: Instant) -> bool {
        if self.is_resting(neighbour, now) {
            return false;
        }
        let broken = self.names.get(&neighbour).and_then(|name| self.broken_promises.get(name));
        broken.is_none_or(|broken| *broken < MOST_BROKEN_PROMISES) || !self.is_barred(neighbour, now)
    }
}
