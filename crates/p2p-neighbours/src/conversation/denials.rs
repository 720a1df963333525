//! Packages that the other side asked for in vain.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use p2p_package::Sha256;

use super::limits::{DENIAL_AGE, MAX_DENIALS};

/// What the other side was told that we do not have, or not yet, and when; the oldest first, and the first to be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Denials(VecDeque<(Instant, Sha256)>);

impl Denials {
    pub(crate) fn note(&mut self, id: Sha256, now: Instant) {
        self.expire(now);
        if self.0.len() == MAX_DENIALS {
            self.0.pop_front();
        }
        self.0.push_back((now, id));
    }

    /// Whether the other side waits for this one.
    pub(crate) fn contains(&self, id: &Sha256, now: Instant) -> bool {
        self.0.iter().any(|(since, denied)| denied == id && now < *since + DENIAL_AGE)
    }

    /// Those of `ids` that the other side waits for. It is told once.
    pub(crate) fn take(&mut self, ids: &[Sha256], now: Instant) -> Vec<Sha256> {
        self.expire(now);
        let ids: BTreeSet<_> = ids.iter().collect();
        let mut told = BTreeSet::new();
        self.0.retain(|(_, denied)| {
            let is_here = ids.contains(denied);
            if is_here {
                told.insert(*denied);
            }
            !is_here
        });
        told.into_iter().collect()
    }

    fn expire(&mut self, now: Instant) {
        while self.0.front().is_some_and(|(since, _)| *since + DENIAL_AGE <= now) {
            self.0.pop_front();
        }
    }
}
