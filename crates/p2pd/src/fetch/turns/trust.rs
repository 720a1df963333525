//! Which neighbours are not waited for: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Who was waited for in vain, or has not given what it said it had, is not waited for so long, unless it brings something.
pub(super) const BARRED_FOR: Duration = Duration::from_mins(1);
/// One that has so often, in a row, not given what it said it had.
pub(super) const MOST_BROKEN_PROMISES: u8 = 2;

/// What neighbours have done so far, by peer id: who comes back is still the same.
#[derive(Debug)]
pub(super) struct Trust<N> {
    names: BTreeMap<N, [u8; 20]>,
    /// Until when.
    barred: BTreeMap<[u8; 20], Instant>,
    broken_promises: BTreeMap<[u8; 20], u8>,
}

impl<N: Copy + Ord> Trust<N> {
    pub(super) fn new() -> Self {
        Self { names: BTreeMap::new(), barred: BTreeMap::new(), broken_promises: BTreeMap::new() }
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
        }
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

    /// Whether it may be asked for what it says it has.
    pub(super) fn is_believed(&self, neighbour: N, now: Instant) -> bool {
        let broken = self.names.get(&neighbour).and_then(|name| self.broken_promises.get(name));
        broken.is_none_or(|broken| *broken < MOST_BROKEN_PROMISES) || !self.is_barred(neighbour, now)
    }
}
