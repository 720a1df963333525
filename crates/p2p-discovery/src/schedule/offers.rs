//! What is offered, thousands of it, and what of that is announced next: within a budget of packets, the most wanted and
//! rarest first.

mod memory;
mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_package::InfoHash;
use p2p_wire::AnnounceEvent;
use url::Url;

use self::way::{Medium, Way};
use super::lane::{Entry, OfferId};
use super::second::Clock;
use super::trackers::TrackerRecords;
use super::turn::LONGEST_INTERVAL;
use super::worth::Worth;
use super::{Announced, LookedUp, Means, Purpose, Round, Task};
use crate::budget::Budget;
use crate::health::Announcing;
use crate::tracker::{Tracker, Trust};

/// Offers; a full mirror has 15,000. What is beyond is served all the same.
const MAX_OFFERS: usize = 20_000;
/// Trackers of strangers that offers are announced to, and of one offer.
const MAX_STRANGER_WAYS: usize = 16;
const MAX_STRANGERS: usize = super::MAX_STRANGER_TRACKERS;
/// Announces to trackers under way at once.
const ANNOUNCES: usize = 8;

/// What an announce in the DHT is expected to send; what it really sent counts in the end.
pub(super) const LOOKUP_PACKETS: u32 = 30;
/// Connect and announce by both families, or the segments of a small HTTP request.
pub(super) const ANNOUNCE_PACKETS: u32 = 4;
/// Packets that go at once after a time without any, as when a package has just come.
pub(super) const BURST: u32 = 40;

/// DHT nodes forget a peer after about half an hour: transmission's after 32 minutes, libtorrent's after 45. Who is due
/// by then and found worth it stays findable without a gap.
const DHT_INTERVAL: Duration = Duration::from_mins(25);
/// After a tracker has refused a package, the first time and at last: most likely it takes registered ones only.
const REFUSED: [Duration; 2] = [Duration::from_mins(30), Duration::from_hours(24)];

/// One offer, apart from when it is due where.
#[derive(Debug, Clone, Copy)]
struct Facts {
    info_hash: InfoHash,
    /// When we got it, seconds since 1970.
    since: u32,
    demand: u32,
    others: Option<u32>,
}

/// All offers.
#[derive(Debug)]
pub(super) struct Offers {
    clock: Clock,
    ids: BTreeMap<InfoHash, OfferId>,
    /// By number; that of a withdrawn offer is in `free`.
    facts: Vec<Facts>,
    free: Vec<OfferId>,
    demanded: BTreeSet<OfferId>,
    ways: Vec<Way>,
    /// None where nothing that we hold is announced.
    budget: Option<Budget>,
    /// Packets sent for offers since the start.
    packets: u64,
    polled_at: Instant,
    /// Whether anything has changed that should be kept.
    is_changed: bool,
}

impl Facts {
    fn worth(&self) -> Worth {
        Worth::new(self.demand, self.others, self.since)
    }
}

impl Offers {
    pub(super) fn new(means: &Means, now: Instant) -> Self {
        let dht = means.dht.then_some(Medium::Dht);
        let ways = dht.into_iter().chain(means.trackers.iter().cloned().map(Medium::Tracker));
        let budget = std::num::NonZeroU32::new(means.announce_budget).map(|packets| {
            let mut budget = Budget::new(packets.get(), BURST, now);
            // Nothing was saved up before the start.
            budget.spend(BURST, now);
            budget
        });
        Self {
            clock: Clock::new(now),
            ids: BTreeMap::new(),
            facts: Vec::new(),
            free: Vec::new(),
            demanded: BTreeSet::new(),
            ways: ways.map(|medium| Way::new(medium, now)).collect(),
            budget,
            packets: 0,
            polled_at: now,
            is_changed: false,
        }
    }

    /// Announces as one who has it all, from now on. One that is offered already gets the new trackers.
    pub(super) fn insert(&mut self, info_hash: InfoHash, since: u32, strangers: Vec<Arc<Tracker>>, now: Instant) {
        let id = match self.ids.get(&info_hash) {
            Some(id) => *id,
            None if self.ids.len() >= MAX_OFFERS => return,
            None => self.number(Facts { info_hash, since, demand: 0, others: None }),
        };
        let worth = self.worth(id);
        let due = self.clock.past(now);
        for way in &mut self.ways {
            let kept = way.kept.remove(&info_hash);
            if kept.is_some() || !way.is_strangers() {
                way.lane.insert(id, kept.unwrap_or_else(|| Entry::new(due)), worth);
            }
        }
        for tracker in strangers {
            let named = self.ways.iter().filter(|way| way.is_strangers() && way.lane.get(id).is_some()).count();
            if named < MAX_STRANGERS
                && let Some(at) = self.way_of_stranger(tracker, now)
            {
                self.ways[at].lane.insert(id, Entry::new(due), worth);
            }
        }
        self.hear(id);
    }

    /// Offers it no more. The trackers that know us there.
    pub(super) fn remove(&mut self, info_hash: &InfoHash) -> Vec<Arc<Tracker>> {
        let Some(id) = self.ids.remove(info_hash) else {
            return Vec::new();
        };
        let worth = self.worth(id);
        self.demanded.remove(&id);
        self.free.push(id);
        self.is_changed = true;
        let ways = self.ways.iter_mut();
        let told = ways.filter_map(|way| way.lane.remove(id, worth).filter(|entry| entry.is_told).and(way.tracker()));
        told.cloned().collect()
    }

    /// What is offered and not among `held`, which is sorted.
    pub(super) fn missing_in(&self, held: &[InfoHash]) -> Vec<InfoHash> {
        self.ids.keys().filter(|info_hash| held.binary_search(info_hash).is_err()).copied().collect()
    }

    /// How often peers have asked lately; who is not named was not asked for.
    pub(super) fn set_demand(&mut self, demand: &[(InfoHash, u32)]) {
        let before = std::mem::take(&mut self.demanded);
        for (info_hash, count) in demand {
            if let Some(id) = self.ids.get(info_hash).copied().filter(|_| *count > 0) {
                self.demanded.insert(id);
                self.revalue(id, |facts| facts.demand = *count);
            }
        }
        for id in before.difference(&self.demanded.clone()) {
            self.revalue(*id, |facts| facts.demand = 0);
        }
    }

    /// The next announce, if one is due and paid for.
    pub(super) fn poll(&mut self, records: &TrackerRecords, now: Instant) -> Option<Task> {
        self.polled_at = now;
        let (at, paid_at) = self.next_way(records, now)?;
        if paid_at > now {
            return None;
        }
        let (facts, way) = (&self.facts, &mut self.ways[at]);
        let id = way.lane.begin(self.clock.past(now), |id| facts[id.0 as usize].worth())?;
        let spent = way.spent;
        way.under_way += 1;
        way.spent += u64::from(way.cost());
        let (cost, info_hash) = (way.cost(), facts[id.0 as usize].info_hash);
        let task = match &way.medium {
            Medium::Dht => Task::LookUp { info_hash, purpose: Purpose::Offer },
            Medium::Tracker(tracker) => {
                let is_told = way.lane.get(id).is_some_and(|entry| entry.is_told);
                let event = if is_told { AnnounceEvent::Regular } else { AnnounceEvent::Started };
                let tracker = Arc::clone(tracker);
                Task::Announce { info_hash, tracker, event, left: 0, purpose: Purpose::Offer }
            }
        };
        self.spend(cost, now);
        // Who had nothing to say meanwhile has not saved packets up by that.
        let idle: Vec<usize> =
            (0..self.ways.len()).filter(|at| self.gate(*at, records).is_none_or(|due| due > now)).collect();
        for other in idle.into_iter().filter(|other| *other != at) {
            self.ways[other].spent = self.ways[other].spent.max(spent);
        }
        Some(task)
    }

    /// When [`Self::poll`] may have something.
    pub(super) fn poll_timeout(&self, records: &TrackerRecords) -> Option<Instant> {
        self.budget.as_ref()?;
        let due_later =
            (0..self.ways.len()).filter_map(|at| self.gate(at, records)).filter(|due| *due > self.polled_at);
        let paid_at = self.next_way(records, self.polled_at).map(|(_, paid_at)| paid_at);
        due_later.chain(paid_at).min()
    }

    /// Of the ways that have something due, the one that has used least of the budget so far; and when it is paid for.
    fn next_way(&self, records: &TrackerRecords, now: Instant) -> Option<(usize, Instant)> {
        let budget = self.budget.as_ref()?;
        let due = (0..self.ways.len()).filter(|at| self.gate(*at, records).is_some_and(|due| due <= now));
        let at = due.min_by_key(|at| self.ways[*at].spent)?;
        Some((at, budget.ready_at(self.ways[at].cost())))
    }

    /// When this way may be used, the budget aside; `None` while something must end first.
    fn gate(&self, at: usize, records: &TrackerRecords) -> Option<Instant> {
        let way = &self.ways[at];
        let due = self.clock.instant(way.lane.earliest()?).max(way.resume);
        match &way.medium {
            Medium::Dht => (way.under_way == 0).then_some(due),
            Medium::Tracker(tracker) => {
                let under_way: usize =
                    self.ways.iter().filter(|way| way.tracker().is_some()).map(|way| way.under_way).sum();
                let is_probed = records.is_failing(&tracker.url) && way.under_way > 0;
                (under_way < ANNOUNCES && !is_probed).then(|| records.ready_at(&tracker.url, due))
            }
        }
    }

    /// What came of a tracker's announce; `sent` packets went.
    pub(super) fn announced(
        &mut self,
        info_hash: InfoHash,
        tracker: &Tracker,
        outcome: &Announced,
        sent: u32,
        now: Instant,
    ) {
        self.settle(ANNOUNCE_PACKETS, sent, now);
        let Some(at) = self.ways.iter().position(|way| way.is_at(tracker)) else {
            return;
        };
        let way = &mut self.ways[at];
        way.under_way = way.under_way.saturating_sub(1);
        match outcome {
            Announced::Answered { .. } => way.steady(),
            Announced::Refused(_) => way.refused(now),
            Announced::Failed(_) => {}
        }
        let Some((id, mut entry)) = self.ids.get(&info_hash).and_then(|id| Some((*id, way.lane.get(*id)?))) else {
            return;
        };
        let clock = self.clock;
        match outcome {
            Announced::Answered { interval, min_interval, seeders, .. } => {
                // A tracker that knows us counts us in.
                let others = seeders.saturating_sub(1);
                entry.set_others(Some(others));
                (entry.is_told, entry.refusals) = (true, 0);
                let wait = (*interval).max(min_interval.unwrap_or_default());
                entry.due = clock.next(now + wait.clamp(super::turn::SHORTEST_INTERVAL, LONGEST_INTERVAL));
            }
            Announced::Refused(_) => {
                let wait = REFUSED[0] * 2_u32.saturating_pow(u32::from(entry.refusals.min(10)));
                (entry.is_told, entry.refusals) = (false, entry.refusals.saturating_add(1));
                entry.due = clock.next(now + wait.min(REFUSED[1]));
            }
            // When the tracker is tried again is the tracker's matter, not the package's.
            Announced::Failed(_) => {}
        }
        let worth = self.worth(id);
        self.ways[at].lane.put_back(id, entry, worth);
        self.hear(id);
    }

    /// A DHT round has ended.
    pub(super) fn looked_up(&mut self, info_hash: InfoHash, ended: LookedUp, now: Instant) {
        self.settle(LOOKUP_PACKETS, ended.packets, now);
        let Some(at) = self.ways.iter().position(|way| way.medium == Medium::Dht) else {
            return;
        };
        let way = &mut self.ways[at];
        way.under_way = way.under_way.saturating_sub(1);
        match ended.round {
            Round::Announced | Round::Unneeded => way.steady(),
            Round::Missed => way.missed(now),
        }
        let Some((id, mut entry)) = self.ids.get(&info_hash).and_then(|id| Some((*id, way.lane.get(*id)?))) else {
            return;
        };
        if ended.round == Round::Announced {
            entry.set_others(Some(ended.others));
            entry.is_told = true;
            entry.due = self.clock.next(now + DHT_INTERVAL);
        }
        let worth = self.worth(id);
        self.ways[at].lane.put_back(id, entry, worth);
        self.hear(id);
    }

    /// Notes packets that no announce of an offer has sent.
    pub(super) fn pay_other(&mut self, packets: u32, now: Instant) {
        if let Some(budget) = self.budget.as_mut().filter(|_| packets > 0) {
            budget.spend(packets, now);
        }
    }

    /// Corrects what was expected of such packets to what was really sent.
    pub(super) fn settle_other(&mut self, expected: u32, sent: u32, now: Instant) {
        self.pay_other(sent.saturating_sub(expected), now);
        if let Some(budget) = &mut self.budget {
            budget.refund(expected.saturating_sub(sent));
        }
    }

    /// When so many packets are paid for; `None` without a budget.
    pub(super) fn paid_at(&self, packets: u32) -> Option<Instant> {
        self.budget.as_ref().map(|budget| budget.ready_at(packets))
    }

    /// Whether a farewell's packets may go now; with no budget, nobody knows of us.
    pub(super) fn pays_at(&self, now: Instant) -> bool {
        self.farewell_at().is_some_and(|paid_at| paid_at <= now)
    }

    /// Notes a farewell.
    pub(super) fn pay_farewell(&mut self, now: Instant) {
        self.spend(ANNOUNCE_PACKETS, now);
    }

    /// When a farewell will be paid for.
    pub(super) fn farewell_at(&self) -> Option<Instant> {
        self.paid_at(ANNOUNCE_PACKETS)
    }

    /// What farewells a stop pays for: the newest that trackers know of. They are due again at once in the next run.
    pub(super) fn stop(&mut self, now: Instant) -> Vec<(InfoHash, Arc<Tracker>)> {
        let most = if self.budget.is_some() { (BURST / ANNOUNCE_PACKETS) as usize } else { 0 };
        let mut told = Vec::new();
        for (at, way) in self.ways.iter().enumerate() {
            let Some(tracker) = way.tracker() else { continue };
            let known = way.lane.entries().filter(|(_, entry)| entry.is_told);
            told.extend(known.map(|(id, _)| (self.facts[id.0 as usize].since, id, at, Arc::clone(tracker))));
        }
        told.sort_by_key(|(since, id, at, _)| (std::cmp::Reverse(*since), *id, *at));
        told.truncate(most);
        let due = self.clock.past(now);
        for (_, id, at, _) in &told {
            let worth = self.worth(*id);
            let mut entry = self.ways[*at].lane.get(*id).expect("among the entries a moment ago");
            (entry.is_told, entry.due) = (false, due);
            self.ways[*at].lane.put_back(*id, entry, worth);
        }
        self.is_changed = true;
        told.into_iter().map(|(_, id, _, tracker)| (self.facts[id.0 as usize].info_hash, tracker)).collect()
    }

    pub(super) fn is_told(&self, info_hash: &InfoHash, tracker: &Tracker) -> bool {
        let way = self.ways.iter().find(|way| way.is_at(tracker));
        let entry = way.zip(self.ids.get(info_hash)).and_then(|(way, id)| way.lane.get(*id));
        entry.is_some_and(|entry| entry.is_told)
    }

    /// When a tracker is asked next about an offer.
    pub(super) fn next_at(&self, url: &Url) -> Option<Instant> {
        let way = self.ways.iter().find(|way| way.tracker().is_some_and(|tracker| tracker.url == *url))?;
        self.budget.as_ref()?;
        way.lane.earliest().map(|due| self.clock.instant(due).max(way.resume))
    }

    /// The trackers that offers are announced to.
    pub(super) fn trackers(&self) -> impl Iterator<Item = &Url> {
        self.ways.iter().filter_map(Way::tracker).map(|tracker| &tracker.url)
    }

    /// How many others have it, as last heard.
    pub(super) fn rarity(&self, info_hash: &InfoHash) -> Option<u32> {
        self.ids.get(info_hash).and_then(|id| self.facts[id.0 as usize].others)
    }

    pub(super) fn announcing(&self) -> Announcing {
        let due = self.ways.iter().map(|way| way.lane.ready()).max().unwrap_or(0);
        Announcing { offers: self.ids.len(), due, packets: self.packets }
    }

    fn number(&mut self, facts: Facts) -> OfferId {
        let id = if let Some(id) = self.free.pop() {
            self.facts[id.0 as usize] = facts;
            id
        } else {
            self.facts.push(facts);
            OfferId(u32::try_from(self.facts.len() - 1).expect("20,000 at most"))
        };
        self.ids.insert(facts.info_hash, id);
        id
    }

    /// The way of a stranger's tracker, in place of one that nobody uses where there are too many; its place.
    fn way_of_stranger(&mut self, tracker: Arc<Tracker>, now: Instant) -> Option<usize> {
        if let Some(at) = self.ways.iter().position(|way| way.tracker().is_some_and(|known| known.url == tracker.url)) {
            return Some(at);
        }
        if self.ways.iter().filter(|way| way.is_strangers()).count() >= MAX_STRANGER_WAYS {
            let unused =
                |way: &Way| way.is_strangers() && way.lane.is_empty() && way.kept.is_empty() && way.under_way == 0;
            let at = self.ways.iter().position(unused)?;
            self.ways.remove(at);
        }
        // A new way has not saved packets up either.
        let spent = self.ways.iter().map(|way| way.spent).max().unwrap_or(0);
        let mut way = Way::new(Medium::Tracker(tracker), now);
        way.spent = spent;
        self.ways.push(way);
        Some(self.ways.len() - 1)
    }

    fn worth(&self, id: OfferId) -> Worth {
        self.facts[id.0 as usize].worth()
    }

    fn revalue(&mut self, id: OfferId, change: impl FnOnce(&mut Facts)) {
        let before = self.worth(id);
        change(&mut self.facts[id.0 as usize]);
        let now = self.worth(id);
        if before != now {
            self.ways.iter_mut().for_each(|way| way.lane.revalue(id, before, now));
        }
    }

    /// Takes over how many others have it: whoever knows most of them.
    fn hear(&mut self, id: OfferId) {
        let others = self.ways.iter().filter_map(|way| way.lane.get(id)?.others()).max();
        self.revalue(id, |facts| facts.others = others);
        self.is_changed = true;
    }

    fn spend(&mut self, packets: u32, now: Instant) {
        self.packets += u64::from(packets);
        if let Some(budget) = &mut self.budget {
            budget.spend(packets, now);
        }
    }

    /// Corrects what was expected to what was really sent.
    fn settle(&mut self, expected: u32, sent: u32, now: Instant) {
        self.packets += u64::from(sent);
        self.packets -= u64::from(expected);
        self.settle_other(expected, sent, now);
    }
}

/// A stranger's tracker and a configured one at the same URL are one tracker.
fn is_strangers(tracker: &Tracker) -> bool {
    tracker.trust == Trust::Stranger
}
