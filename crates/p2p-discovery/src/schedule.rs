//! Decides what is asked and announced when: trackers, DHT and link, for what is sought and for what is offered.
//!
//! Pure: [`Schedule::poll_task`] says what to do now, `handle_*` takes what came of it. What is sought goes first and
//! waits for nothing; clubs and what is offered have a budget of packets, because thousands of steady announces kill home routers and
//! volunteers' trackers alike.

mod clubs;
mod farewells;
mod kept;
mod lane;
mod offers;
mod second;
mod task;
mod trackers;
mod turn;
mod worth;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use p2p_package::InfoHash;
use p2p_wire::AnnounceEvent;
use url::Url;

use self::clubs::Clubs;
pub(crate) use self::clubs::Company;
use self::farewells::{Farewell, Farewells};
pub(crate) use self::kept::{Kept, KeptFault};
use self::offers::Offers;
pub(crate) use self::task::{Announced, LookedUp, Purpose, Task};
pub(crate) use self::trackers::TrackerRecord;
use self::trackers::TrackerRecords;
pub(crate) use self::turn::Round;
use self::turn::{DhtTurn, LanTurn, Supply, TrackerTurn};
use crate::health::Announcing;
use crate::tracker::{Tracker, Trust};

/// Trackers that a stranger's `.torrent` adds to a swarm.
const MAX_STRANGER_TRACKERS: usize = 4;
/// Trackers on record before those without a swarm are forgotten.
const MAX_RECORDS: usize = 64;

/// Announces of what is sought under way at once, and farewells.
const ANNOUNCES: usize = 32;
const FAREWELLS: usize = 8;
/// DHT rounds for what is sought under way at once.
const LOOKUPS: usize = 8;

/// With fewer peers than this, a swarm is looked for harder.
const ENOUGH_PEERS: usize = 10;
/// What is announced as missing while nobody has said how much is.
const UNKNOWN_LEFT: u64 = 1;
/// Local searches wait for each other this long, so that a transaction's packages share datagrams.
const LAN_GAP: Duration = Duration::from_millis(50);

/// What may be asked at all.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    /// The user's trackers; with [`Self::strangers`] off, the only ones.
    pub(crate) trackers: Vec<Arc<Tracker>>,
    /// Whether a `.torrent`'s trackers count.
    pub(crate) strangers: bool,
    /// Whether there is a DHT.
    pub(crate) dht: bool,
    /// Whether there is local service discovery.
    pub(crate) lan: bool,
    /// Packets a second for what is offered, on average; 0: nothing of it is announced.
    pub(crate) announce_budget: u32,
}

#[derive(Debug)]
struct Seek {
    left: u64,
    supply: Supply,
    trackers: Vec<TrackerTurn>,
    dht: Option<DhtTurn>,
    lan: Option<LanTurn>,
}

/// An announce that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
struct UnderWay {
    info_hash: InfoHash,
    tracker: Arc<Tracker>,
    purpose: Purpose,
    event: AnnounceEvent,
}

/// All that is due, and when.
#[derive(Debug)]
pub(crate) struct Schedule {
    means: Means,
    seeks: BTreeMap<InfoHash, Seek>,
    clubs: Clubs,
    offers: Offers,
    farewells: Farewells,
    records: TrackerRecords,
    announcing: Vec<UnderWay>,
    /// For what is sought.
    looking_up: Vec<InfoHash>,
    lan_gate: Instant,
    is_stopping: bool,
}

impl Schedule {
    pub(crate) fn new(means: Means, now: Instant) -> Self {
        Self {
            offers: Offers::new(&means, now),
            means,
            seeks: BTreeMap::new(),
            clubs: Clubs::default(),
            farewells: Farewells::default(),
            records: TrackerRecords::default(),
            announcing: Vec::new(),
            looking_up: Vec::new(),
            lan_gate: now,
            is_stopping: false,
        }
    }

    /// Looks for a swarm from now on; one that is sought already gets the new trackers.
    pub(crate) fn handle_seek(&mut self, info_hash: InfoHash, strangers: &[Url], now: Instant) {
        let trackers = self.trackers(strangers);
        let seek = self.seeks.entry(info_hash).or_insert_with(|| Seek {
            left: UNKNOWN_LEFT,
            supply: Supply::Lacking,
            trackers: Vec::new(),
            dht: self.means.dht.then(|| DhtTurn::new(now)),
            lan: self.means.lan.then(|| LanTurn::new(now)),
        });
        add_turns(&mut seek.trackers, trackers, now);
    }

    /// So many peers of the swarm are known now.
    pub(crate) fn handle_peers(&mut self, info_hash: InfoHash, known: usize) {
        if let Some(seek) = self.seeks.get_mut(&info_hash) {
            seek.supply = if known < ENOUGH_PEERS { Supply::Lacking } else { Supply::Enough };
        }
    }

    /// So many bytes are missing; with none, peers are sought no more.
    pub(crate) fn handle_progress(&mut self, info_hash: InfoHash, left: u64, now: Instant) {
        let Some(seek) = self.seeks.get_mut(&info_hash) else {
            return;
        };
        seek.left = left;
        if left == 0 {
            (seek.dht, seek.lan) = (None, None);
            seek.trackers.iter_mut().for_each(|turn| turn.hasten_completed(now));
        }
    }

    /// Nobody looks for the swarm any more.
    pub(crate) fn handle_end(&mut self, info_hash: InfoHash) {
        let Some(seek) = self.seeks.remove(&info_hash) else {
            return;
        };
        for turn in seek.trackers {
            if let Some(event) = turn.farewell(seek.left) {
                let tracker = turn.tracker;
                self.farewells.push(Farewell { info_hash, tracker, event, left: seek.left });
            }
        }
        self.prune();
    }

    /// Announces as one who has it all, from now on. `since` is when we got it, in seconds since 1970.
    pub(crate) fn handle_offer(&mut self, info_hash: InfoHash, since: u32, strangers: &[Url], now: Instant) {
        let strangers = self.trackers(strangers).split_off(self.means.trackers.len());
        self.offers.insert(info_hash, since, strangers, now);
        self.prune();
    }

    /// Offers exactly these from now on; each with when we got it.
    pub(crate) fn handle_holdings(&mut self, mut held: Vec<(InfoHash, u32)>, now: Instant) {
        let mut hashes: Vec<_> = held.iter().map(|(info_hash, _)| *info_hash).collect();
        hashes.sort_unstable();
        for gone in self.offers.missing_in(&hashes) {
            self.handle_withdrawal(gone);
        }
        held.sort_by_key(|(info_hash, since)| (std::cmp::Reverse(*since), *info_hash));
        for (info_hash, since) in held {
            self.offers.insert(info_hash, since, Vec::new(), now);
        }
    }

    /// How often peers have asked lately for what is offered; for the others, nobody has.
    pub(crate) fn handle_demand(&mut self, demand: &[(InfoHash, u32)]) {
        self.offers.set_demand(demand);
    }

    /// Does not offer it any more.
    pub(crate) fn handle_withdrawal(&mut self, info_hash: InfoHash) {
        for tracker in self.offers.remove(&info_hash) {
            self.farewells.push(Farewell { info_hash, tracker, event: AnnounceEvent::Stopped, left: 0 });
        }
    }

    /// There is another network, or the same after a sleep: every local search begins again, and that of clubs.
    pub(crate) fn handle_new_links(&mut self, now: Instant) {
        self.clubs.begin_again(now);
        for lan in self.seeks.values_mut().filter_map(|seek| seek.lan.as_mut()) {
            *lan = LanTurn::new(now);
        }
    }

    /// Takes over when an earlier run's offers are due. To be called before anything is offered.
    pub(crate) fn handle_kept(&mut self, kept: Kept, now: Instant, wall: SystemTime) {
        self.offers.restore(kept, &self.means, now, wall);
    }

    /// What the next run must know, if that is not what was kept last.
    pub(crate) fn keep(&mut self, now: Instant, wall: SystemTime) -> Option<Kept> {
        self.offers.keep(now, wall)
    }

    /// Only farewells from now on: of what is sought, and of as few offers as the budget pays for at once. Trackers
    /// forget the others by themselves, or hear of them again when we are back.
    pub(crate) fn handle_stop(&mut self, now: Instant) {
        self.is_stopping = true;
        let sought: Vec<_> = self.seeks.keys().copied().collect();
        for info_hash in sought {
            self.handle_end(info_hash);
        }
        self.part_with_all();
        for (info_hash, tracker) in self.offers.stop(now) {
            self.farewells.push(Farewell { info_hash, tracker, event: AnnounceEvent::Stopped, left: 0 });
        }
    }

    /// What came of a [`Task::Announce`], for which `sent` packets went.
    pub(crate) fn handle_announced(&mut self, task: &Task, outcome: Announced, sent: u32, now: Instant) {
        let Task::Announce { info_hash, tracker, event, purpose, .. } = task else {
            return;
        };
        let under_way =
            UnderWay { info_hash: *info_hash, tracker: Arc::clone(tracker), purpose: *purpose, event: *event };
        if let Some(at) = self.announcing.iter().position(|other| *other == under_way) {
            self.announcing.swap_remove(at);
        }
        match purpose {
            Purpose::Seek => self.seek_announced(&under_way, &outcome, now),
            Purpose::Meet => {
                self.offers.settle_other(offers::ANNOUNCE_PACKETS, sent, now);
                self.clubs.handle_announced(&under_way, &outcome, now);
            }
            Purpose::Offer if *event == AnnounceEvent::Stopped => {}
            Purpose::Offer => self.offers.announced(*info_hash, tracker, &outcome, sent, now),
        }
        match outcome {
            Announced::Answered { peers, .. } => self.records.answered(&tracker.url, peers),
            Announced::Refused(reason) => self.records.refused(&tracker.url, reason),
            Announced::Failed(error) => self.records.failed(&tracker.url, error, now),
        }
    }

    fn seek_announced(&mut self, ended: &UnderWay, outcome: &Announced, now: Instant) {
        let Some(seek) = self.seeks.get_mut(&ended.info_hash) else {
            return;
        };
        let supply = seek.supply;
        let own = |turn: &&mut TrackerTurn| turn.due.is_none() && turn.tracker == ended.tracker;
        seek.trackers.iter_mut().filter(own).for_each(|turn| turn.ended(ended.event, outcome, supply, now));
    }

    /// A [`Task::LookUp`] has ended.
    pub(crate) fn handle_looked_up(&mut self, info_hash: InfoHash, purpose: Purpose, ended: LookedUp, now: Instant) {
        if purpose == Purpose::Offer {
            return self.offers.looked_up(info_hash, ended, now);
        }
        self.looking_up.retain(|under_way| *under_way != info_hash);
        if let Some(seek) = self.seeks.get_mut(&info_hash) {
            let supply = seek.supply;
            let turns = seek.dht.iter_mut().filter(|turn| turn.due.is_none());
            turns.for_each(|turn| turn.ended(ended.round, supply, now));
        }
    }

    /// The DHT node has sent so many packets for itself: they are the budget's too.
    pub(crate) fn handle_upkeep(&mut self, packets: u32, now: Instant) {
        self.offers.pay_other(packets, now);
    }

    /// The next thing to do now; to be called until there is none.
    pub(crate) fn poll_task(&mut self, now: Instant) -> Option<Task> {
        let search = self.poll_search(now);
        let search = search.or_else(|| self.poll_seek_announce(now));
        let search = search.or_else(|| self.poll_seek_lookup(now));
        let search = search.or_else(|| self.poll_farewell(now));
        let search = search.or_else(|| self.poll_club(now));
        search.or_else(|| if self.offers_wait() { None } else { self.poll_offer(now) })
    }

    /// When [`Self::poll_task`] may have something new, if nothing is handled before.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let searches = self.seeks.values().filter_map(|seek| seek.lan.as_ref()).map(|lan| lan.due.max(self.lan_gate));
        let announces = self.seeks.iter().flat_map(|(hash, seek)| self.announces_at(*hash, &seek.trackers));
        let announces = announces.filter(|_| self.sought_announces() < ANNOUNCES);
        let free = self.seeks.iter().filter(|(hash, _)| !self.looking_up.contains(hash));
        let lookups = free.filter_map(|(_, seek)| seek.dht.as_ref()?.due);
        let lookups = lookups.filter(|_| self.looking_up.len() < LOOKUPS);
        let waits = self.offers_wait();
        let offers = if waits { None } else { self.offers.poll_timeout(&self.records) };
        let farewells = self.farewell_at();
        searches.chain(announces).chain(lookups).chain(offers).chain(farewells).chain(self.club_timeouts()).min()
    }

    /// Whether nothing is under way and nothing is left to say.
    pub(crate) fn is_idle(&self) -> bool {
        self.announcing.is_empty() && self.farewells.is_empty()
    }

    /// How a tracker does, and when it will be asked next.
    pub(crate) fn tracker(&self, url: &Url) -> (TrackerRecord, Option<Instant>) {
        let turns = self.seeks.values().flat_map(|seek| &seek.trackers).chain(self.clubs.tracker_turns(None));
        let turns = turns.filter(|turn| turn.tracker.url == *url);
        let next = turns.filter_map(|turn| turn.due).chain(self.offers.next_at(url)).min();
        (self.records.get(url), next.map(|due| self.records.ready_at(url, due)))
    }

    /// How many others have what is offered, as last heard.
    pub(crate) fn rarity(&self, info_hash: &InfoHash) -> Option<u32> {
        self.offers.rarity(info_hash)
    }

    /// How announcing what we hold does.
    pub(crate) fn announcing(&self) -> Announcing {
        self.offers.announcing()
    }

    fn poll_search(&mut self, now: Instant) -> Option<Task> {
        if now < self.lan_gate {
            return None;
        }
        let mut due = |(hash, lan): (&InfoHash, &mut LanTurn)| {
            let is_due = lan.due <= now;
            is_due.then(|| lan.searched(now));
            is_due.then_some(*hash)
        };
        let mut hashes: Vec<_> = self.clubs.lan_turns().filter_map(&mut due).collect();
        let clubs = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
        let seeks = self.seeks.iter_mut().filter_map(|(hash, seek)| Some((hash, seek.lan.as_mut()?)));
        hashes.extend(seeks.filter_map(&mut due));
        if hashes.is_empty() {
            return None;
        }
        self.pay_search(clubs, now);
        self.lan_gate = now + LAN_GAP;
        Some(Task::Search(hashes))
    }

    fn poll_seek_announce(&mut self, now: Instant) -> Option<Task> {
        if self.sought_announces() >= ANNOUNCES {
            return None;
        }
        let due = self.seeks.iter().find_map(|(hash, seek)| Some((*hash, self.due_turn(*hash, &seek.trackers, now)?)));
        let (info_hash, at) = due?;
        let seek = self.seeks.get_mut(&info_hash).expect("found a moment ago");
        let turn = &mut seek.trackers[at];
        let (event, left, tracker) = (turn.begin(seek.left), seek.left, Arc::clone(&turn.tracker));
        Some(self.announce(Farewell { info_hash, tracker, event, left }, Purpose::Seek))
    }

    fn poll_seek_lookup(&mut self, now: Instant) -> Option<Task> {
        if self.looking_up.len() >= LOOKUPS {
            return None;
        }
        let looking_up = &self.looking_up;
        let due =
            |(_, seek): &(_, &mut Seek)| seek.dht.as_ref().and_then(|turn| turn.due).is_some_and(|due| due <= now);
        let free = self.seeks.iter_mut().filter(|(hash, _)| !looking_up.contains(hash));
        let (info_hash, seek) = free.into_iter().find(due)?;
        seek.dht.as_mut().expect("due a moment ago").due = None;
        self.looking_up.push(*info_hash);
        Some(Task::LookUp { info_hash: *info_hash, purpose: Purpose::Seek })
    }

    fn poll_farewell(&mut self, now: Instant) -> Option<Task> {
        if self.farewells.is_empty() || self.announcing.len() >= FAREWELLS {
            return None;
        }
        // A tracker that does not answer will forget us by itself.
        let records = &self.records;
        self.farewells.retain(|farewell| records.ready_at(&farewell.tracker.url, now) <= now);
        loop {
            let (announcing, pays) = (&self.announcing, self.is_stopping || self.offers.pays_at(now));
            let may_be_said = |farewell: &Farewell| (pays || !farewell.is_offers()) && !is_among(announcing, farewell);
            let farewell = self.farewells.take(may_be_said)?;
            // Whoever came back meanwhile, or is there for another reason too, must not be forgotten.
            if farewell.event == AnnounceEvent::Stopped && self.is_told(farewell.info_hash, &farewell.tracker) {
                continue;
            }
            let purpose = if farewell.is_offers() { Purpose::Offer } else { Purpose::Seek };
            if purpose == Purpose::Offer {
                self.offers.pay_farewell(now);
            }
            return Some(self.announce(farewell, purpose));
        }
    }

    /// When a farewell of an offer is paid for. All others are said at once, or when something has ended.
    fn farewell_at(&self) -> Option<Instant> {
        let waits = self.announcing.len() < FAREWELLS
            && self.farewells.any(|farewell| farewell.is_offers() && !is_among(&self.announcing, farewell));
        if waits { self.offers.farewell_at() } else { None }
    }

    fn announce(&mut self, farewell: Farewell, purpose: Purpose) -> Task {
        let Farewell { info_hash, tracker, event, left } = farewell;
        self.announcing.push(UnderWay { info_hash, tracker: Arc::clone(&tracker), purpose, event });
        Task::Announce { info_hash, tracker, event, left, purpose }
    }

    /// Whether the tracker has heard of us, in what is sought or offered now.
    fn is_told(&self, info_hash: InfoHash, tracker: &Arc<Tracker>) -> bool {
        let turns = self.seeks.get(&info_hash).into_iter().flat_map(|seek| &seek.trackers);
        let mut turns = turns.chain(self.clubs.tracker_turns(Some(info_hash)));
        turns.any(|turn| turn.tracker == *tracker && turn.is_told()) || self.offers.is_told(&info_hash, tracker)
    }

    /// Somebody waits for what is under way: offers must not take any of its packets' way.
    fn offers_wait(&self) -> bool {
        self.is_stopping || !self.looking_up.is_empty() || self.sought_announces() > 0
    }

    fn sought_announces(&self) -> usize {
        self.announcing.iter().filter(|under_way| under_way.purpose == Purpose::Seek).count()
    }

    fn poll_offer(&mut self, now: Instant) -> Option<Task> {
        let task = self.offers.poll(&self.records, now)?;
        if let Task::Announce { info_hash, tracker, event, purpose, .. } = &task {
            let (tracker, event, purpose) = (Arc::clone(tracker), *event, *purpose);
            self.announcing.push(UnderWay { info_hash: *info_hash, tracker, purpose, event });
        }
        Some(task)
    }

    /// The first of one swarm's trackers that may be asked now.
    fn due_turn(&self, info_hash: InfoHash, turns: &[TrackerTurn], now: Instant) -> Option<usize> {
        turns.iter().position(|turn| self.announce_at(info_hash, turn).is_some_and(|due| due <= now))
    }

    fn announces_at(&self, info_hash: InfoHash, turns: &[TrackerTurn]) -> impl Iterator<Item = Instant> {
        turns.iter().filter_map(move |turn| self.announce_at(info_hash, turn))
    }

    /// When a tracker may be asked about a swarm that is sought, or a club; `None` while something must end first. A failing
    /// tracker gets one request at a time, whatever the number of swarms. Offers under way hold nobody up.
    fn announce_at(&self, info_hash: InfoHash, turn: &TrackerTurn) -> Option<Instant> {
        let url = &turn.tracker.url;
        let mut sought = self.announcing.iter().filter(|other| other.purpose != Purpose::Offer);
        let is_failing = self.records.is_failing(url);
        let is_busy = sought.any(|other| {
            (is_failing && other.tracker.url == *url) || (other.info_hash == info_hash && other.tracker == turn.tracker)
        });
        turn.due.filter(|_| !is_busy).map(|due| self.records.ready_at(url, due))
    }

    fn trackers(&self, strangers: &[Url]) -> Vec<Arc<Tracker>> {
        let is_configured = |url: &Url| self.means.trackers.iter().any(|tracker| tracker.url == *url);
        let strangers = strangers.iter().filter(|url| self.means.strangers && !is_configured(url));
        let strangers = strangers.take(MAX_STRANGER_TRACKERS).cloned();
        let strangers = strangers.map(|url| Arc::new(Tracker { url, trust: Trust::Stranger }));
        self.means.trackers.iter().cloned().chain(strangers).collect()
    }

    fn prune(&mut self) {
        if self.records.len() <= MAX_RECORDS {
            return;
        }
        let sought = self.seeks.values().flat_map(|seek| &seek.trackers).map(|turn| &turn.tracker.url);
        let used: Vec<Url> = sought.chain(self.offers.trackers()).cloned().collect();
        let configured = &self.means.trackers;
        self.records.retain(|url| used.contains(url) || configured.iter().any(|tracker| tracker.url == *url));
    }
}

fn is_among(announcing: &[UnderWay], farewell: &Farewell) -> bool {
    announcing.iter().any(|other| other.info_hash == farewell.info_hash && other.tracker == farewell.tracker)
}

/// Two `.torrent` files of one swarm may name different trackers; together they still get no more than the limit.
fn add_turns(turns: &mut Vec<TrackerTurn>, trackers: Vec<Arc<Tracker>>, now: Instant) {
    for tracker in trackers {
        let strangers = turns.iter().filter(|turn| turn.tracker.trust == Trust::Stranger).count();
        let is_allowed = tracker.trust == Trust::Configured || strangers < MAX_STRANGER_TRACKERS;
        if is_allowed && !turns.iter().any(|turn| turn.tracker == tracker) {
            turns.push(TrackerTurn::new(tracker, now));
        }
    }
}

#[cfg(test)]
mod tests;
