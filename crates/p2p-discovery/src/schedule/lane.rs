//! One way of announcing what is offered, a tracker or the DHT: which of thousands is next, without looking at the others.

use std::collections::{BTreeMap, BTreeSet};

use super::second::Second;
use super::worth::Worth;

/// One in so many announces goes to who has waited longest, whatever it is worth: so nothing starves, and how rare
/// things are is learnt in time.
const EXPLORING: u32 = 4;

/// The number of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OfferId(pub(super) u32);

/// What is to be known of one offer on this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it is to be announced; while that is under way, when it was.
    pub(super) due: Second,
    /// Who else has it, as far as this way tells; [`UNHEARD`] before it did.
    others: u16,
    /// Whether we are known there.
    pub(super) is_told: bool,
    /// Refusals in a row.
    pub(super) refusals: u8,
}

const UNHEARD: u16 = u16::MAX;

/// The offers on one way, in both orders that matter.
#[derive(Debug, Default)]
pub(super) struct Lane {
    entries: BTreeMap<OfferId, Entry>,
    /// All that are not under way, the earliest first.
    by_due: BTreeSet<(Second, OfferId)>,
    /// Those of them that are due, the least worth first.
    ready: BTreeSet<(Worth, OfferId)>,
    /// Up to here `ready` has what is due.
    ready_until: Option<Second>,
    picked: u32,
}

impl Entry {
    pub(super) fn new(due: Second) -> Self {
        Self { due, others: UNHEARD, is_told: false, refusals: 0 }
    }

    pub(super) fn others(self) -> Option<u32> {
        (self.others != UNHEARD).then(|| u32::from(self.others))
    }

    pub(super) fn set_others(&mut self, others: Option<u32>) {
        self.others = others.map_or(UNHEARD, |others| u16::try_from(others).unwrap_or(UNHEARD).min(UNHEARD - 1));
    }
}

impl Lane {
    /// Puts an offer in; one that is there stays as it is.
    pub(super) fn insert(&mut self, id: OfferId, entry: Entry, worth: Worth) {
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.entries.entry(id) {
            vacant.insert(entry);
            self.queue(id, entry.due, worth);
        }
    }

    pub(super) fn remove(&mut self, id: OfferId, worth: Worth) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.by_due.remove(&(entry.due, id));
        self.ready.remove(&(worth, id));
        Some(entry)
    }

    /// An offer is worth something else from now on.
    pub(super) fn revalue(&mut self, id: OfferId, before: Worth, now: Worth) {
        if self.ready.remove(&(before, id)) {
            self.ready.insert((now, id));
        }
    }

    /// The earliest due time; what is under way does not count.
    pub(super) fn earliest(&self) -> Option<Second> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// Takes the next offer out that is due by `now`; [`Self::put_back`] ends that. `worth` tells that of any offer.
    pub(super) fn begin(&mut self, now: Second, worth: impl Fn(OfferId) -> Worth) -> Option<OfferId> {
        self.advance(now, &worth);
        let id = self.next(now)?;
        self.picked = self.picked.wrapping_add(1);
        let due = self.entries[&id].due;
        self.by_due.remove(&(due, id));
        self.ready.remove(&(worth(id), id));
        Some(id)
    }

    fn next(&self, now: Second) -> Option<OfferId> {
        if self.picked % EXPLORING == EXPLORING - 1 {
            self.by_due.first().filter(|(due, _)| *due <= now).map(|(_, id)| *id)
        } else {
            self.ready.last().map(|(_, id)| *id)
        }
    }

    /// An offer is not under way any more, and is what `entry` says.
    pub(super) fn put_back(&mut self, id: OfferId, entry: Entry, worth: Worth) {
        if let Some(known) = self.entries.get_mut(&id) {
            self.by_due.remove(&(known.due, id));
            self.ready.remove(&(worth, id));
            *known = entry;
            self.queue(id, entry.due, worth);
        }
    }

    pub(super) fn get(&self, id: OfferId) -> Option<Entry> {
        self.entries.get(&id).copied()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (OfferId, Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, *entry))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many are due, as of the last look.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    fn queue(&mut self, id: OfferId, due: Second, worth: Worth) {
        self.by_due.insert((due, id));
        if self.ready_until.is_some_and(|until| due <= until) {
            self.ready.insert((worth, id));
        }
    }

    /// Each offer passes here once for each time it becomes due.
    fn advance(&mut self, now: Second, worth: impl Fn(OfferId) -> Worth) {
        if self.ready_until.is_some_and(|until| until >= now) {
            return;
        }
        let last = OfferId(u32::MAX);
        let due = match self.ready_until {
            Some(until) => self.by_due.range((std::ops::Bound::Excluded((until, last)), upto(now))),
            None => self.by_due.range(..=(now, last)),
        };
        self.ready.extend(due.map(|(_, id)| (worth(*id), *id)));
        self.ready_until = Some(now);
    }
}

fn upto(second: Second) -> std::ops::Bound<(Second, OfferId)> {
    std::ops::Bound::Included((second, OfferId(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::second::Clock;
    use super::*;

    fn worth(id: OfferId) -> Worth {
        Worth::new(0, None, id.0)
    }

    fn seconds() -> impl Fn(u64) -> Second {
        let start = Instant::now();
        let clock = Clock::new(start);
        move |seconds| clock.past(start + Duration::from_secs(seconds))
    }

    #[test]
    fn three_of_four_go_by_worth_and_one_by_how_long_it_waits() {
        let at = seconds();
        let mut lane = Lane::default();
        for id in 0..8 {
            lane.insert(OfferId(id), Entry::new(at(u64::from(id))), worth(OfferId(id)));
        }
        let order: Vec<_> = std::iter::from_fn(|| lane.begin(at(100), worth)).map(|id| id.0).collect();
        assert_eq!(order, [7, 6, 5, 0, 4, 3, 2, 1]);
    }

    #[test]
    fn what_is_not_due_or_under_way_is_not_taken() {
        let at = seconds();
        let mut lane = Lane::default();
        for id in 0..3 {
            lane.insert(OfferId(id), Entry::new(at(10 * u64::from(id))), worth(OfferId(id)));
        }
        assert_eq!((lane.begin(at(5), worth), lane.begin(at(5), worth)), (Some(OfferId(0)), None));
        assert_eq!(lane.earliest(), Some(at(10)));
        assert_eq!((lane.begin(at(15), worth), lane.begin(at(15), worth)), (Some(OfferId(1)), None));
        lane.put_back(OfferId(0), Entry::new(at(12)), worth(OfferId(0)));
        assert_eq!(lane.begin(at(15), worth), Some(OfferId(0)));
        lane.put_back(OfferId(0), Entry::new(at(30)), worth(OfferId(0)));
        lane.remove(OfferId(0), worth(OfferId(0)));
        assert_eq!((lane.begin(at(40), worth), lane.begin(at(40), worth)), (Some(OfferId(2)), None));
    }

    #[test]
    fn an_offer_that_becomes_wanted_passes_the_others() {
        let at = seconds();
        let mut lane = Lane::default();
        for id in 0..9 {
            lane.insert(OfferId(id), Entry::new(at(0)), worth(OfferId(id)));
        }
        assert_eq!(lane.begin(at(1), worth), Some(OfferId(8)));
        let wanted = Worth::new(9, None, 3);
        lane.revalue(OfferId(3), worth(OfferId(3)), wanted);
        let now = |id| if id == OfferId(3) { wanted } else { worth(id) };
        assert_eq!(lane.begin(at(1), now), Some(OfferId(3)));
        assert_eq!(lane.begin(at(1), now), Some(OfferId(7)));
    }
}
