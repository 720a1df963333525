//! What the next run must know: when each offer is due, by the wall clock, which goes on while we do not run.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::kept::{Kept, KeptEntry, KeptWay, WayName};
use super::super::lane::Entry;
use super::super::turn::LONGEST_INTERVAL;
use super::super::{Means, second::Clock};
use super::way::Medium;
use super::{DHT_INTERVAL, MAX_OFFERS, Offers, REFUSED};
use crate::tracker::{Tracker, Trust};

/// What is not offered again within this time after the start is gone.
const CLAIMED_WITHIN: Duration = Duration::from_hours(1);

impl Offers {
    /// Takes over what an earlier run has kept. Nothing is due later than in one interval, whatever the clock says: it
    /// may have been wrong then, or may be now.
    pub(in super::super) fn restore(&mut self, kept: Kept, means: &Means, now: Instant, wall: SystemTime) {
        for KeptWay { name, entries } in kept.ways {
            let Some(at) = self.way_named(name, means, now) else {
                continue;
            };
            let longest = if self.ways[at].medium == Medium::Dht { DHT_INTERVAL } else { LONGEST_INTERVAL };
            let entries = entries.into_iter().take(MAX_OFFERS);
            let clock = self.clock;
            self.ways[at].kept = entries.map(|kept| (kept.info_hash, entry(kept, longest, clock, now, wall))).collect();
        }
    }

    /// What is to be kept, if anything has changed since the last time.
    pub(in super::super) fn keep(&mut self, now: Instant, wall: SystemTime) -> Option<Kept> {
        if now >= self.clock.start() + CLAIMED_WITHIN {
            self.ways.iter_mut().for_each(|way| way.kept.clear());
        }
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let kept_entry = |info_hash, entry: &Entry| KeptEntry {
            info_hash,
            due: unix(wall).saturating_add(self.clock.distance(now, entry.due)),
            others: entry.others(),
            is_told: entry.is_told,
            refusals: entry.refusals,
        };
        let ways = self.ways.iter().map(|way| {
            let name = match &way.medium {
                Medium::Dht => WayName::Dht,
                Medium::Tracker(tracker) if tracker.trust == Trust::Stranger => WayName::Stranger(tracker.url.clone()),
                Medium::Tracker(tracker) => WayName::Configured(tracker.url.clone()),
            };
            let offered = way.lane.entries().map(|(id, entry)| kept_entry(self.facts[id.0 as usize].info_hash, &entry));
            let others = way.kept.iter().map(|(info_hash, entry)| kept_entry(*info_hash, entry));
            let is_news = |entry: &KeptEntry| entry.is_told || entry.refusals > 0 || entry.others.is_some();
            KeptWay { name, entries: offered.filter(is_news).chain(others).take(MAX_OFFERS).collect() }
        });
        Some(Kept { ways: ways.filter(|way| !way.entries.is_empty()).collect() })
    }

    fn way_named(&mut self, name: WayName, means: &Means, now: Instant) -> Option<usize> {
        match name {
            WayName::Dht => self.ways.iter().position(|way| way.medium == Medium::Dht),
            WayName::Configured(url) => {
                self.ways.iter().position(|way| way.tracker().is_some_and(|own| own.url == url))
            }
            WayName::Stranger(url) => {
                let tracker = means.strangers.then(|| Arc::new(Tracker { url, trust: Trust::Stranger }));
                tracker.and_then(|tracker| self.way_of_stranger(tracker, now))
            }
        }
    }
}

fn entry(kept: KeptEntry, longest: Duration, clock: Clock, now: Instant, wall: SystemTime) -> Entry {
    let longest = if kept.refusals > 0 { REFUSED[1] } else { longest };
    let longest = i64::try_from(longest.as_secs()).expect("a day at most");
    let wait = kept.due.saturating_sub(unix(wall)).min(longest);
    let mut entry = Entry::new(clock.shifted(now, wait));
    entry.set_others(kept.others);
    // Who was due so long ago is forgotten by the tracker.
    entry.is_told = kept.is_told && wait > -longest;
    entry.refusals = kept.refusals;
    entry
}

fn unix(wall: SystemTime) -> i64 {
    let since = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    wall.duration_since(SystemTime::UNIX_EPOCH).map_or_else(|before| -since(before.duration()), since)
}
