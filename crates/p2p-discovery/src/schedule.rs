//! Decides what is asked and announced when: trackers, DHT and link, for what is sought and for what is offered.
//!
//! Pure: [`Schedule::poll_task`] says what to do now, `handle_*` takes what came of it. What is sought goes first; what
//! is offered has a list of bounded length and a budget of packets, because thousands of steady announces kill home
//! routers and volunteers' trackers alike.

mod farewells;
mod trackers;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_package::InfoHash;
use p2p_wire::AnnounceEvent;
use url::Url;

use self::farewells::{Farewell, Farewells};
pub(crate) use self::trackers::TrackerRecord;
use self::trackers::TrackerRecords;
pub(crate) use self::turn::Round;
use self::turn::{DhtTurn, LanTurn, Supply, TrackerTurn};
use crate::budget::Budget;
use crate::tracker::{Tracker, Trust};

/// Trackers that a stranger's `.torrent` adds to a swarm.
const MAX_STRANGER_TRACKERS: usize = 4;
/// What is offered: the newest; the rest is found through clubs.
const MAX_OFFERS: usize = 200;
/// The newest offers, which the DHT hears of too: as many as the budget pays for in a quarter of an hour.
const MAX_DHT_OFFERS: usize = 45;
/// Trackers on record before those without a swarm are forgotten.
const MAX_RECORDS: usize = 64;

/// Announces under way at once, and of these, for offers and farewells.
const ANNOUNCES: usize = 32;
const IDLE_ANNOUNCES: usize = 8;
/// DHT rounds under way at once; an offer's only when there is no other.
const LOOKUPS: usize = 8;

/// Packets a second for offers, on average: far below what makes a home router drop sessions (about 100).
const OFFER_PACKETS_PER_SECOND: u32 = 4;
/// Packets for offers at once, as when a transaction has just ended.
const OFFER_BURST: u32 = 400;
/// What a DHT round sends, about: 20 to 40 nodes asked and pinged, 20 announces.
const LOOKUP_PACKETS: u32 = 80;
/// Connect and announce, or the segments of a small HTTP request.
const ANNOUNCE_PACKETS: u32 = 4;

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
}

/// Something to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// One announce; its end goes to [`Schedule::handle_announced`].
    Announce { info_hash: InfoHash, tracker: Arc<Tracker>, event: AnnounceEvent, left: u64 },
    /// One DHT round; its end goes to [`Schedule::handle_looked_up`].
    LookUp { info_hash: InfoHash },
    /// One local search, with nothing to come back.
    Search(Vec<InfoHash>),
}

/// What came of one announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Announced {
    Answered { interval: Duration, min_interval: Option<Duration>, peers: usize },
    Refused(String),
    Failed(String),
}

#[derive(Debug)]
struct Seek {
    left: u64,
    supply: Supply,
    trackers: Vec<TrackerTurn>,
    dht: Option<DhtTurn>,
    lan: Option<LanTurn>,
}

#[derive(Debug)]
struct Offer {
    info_hash: InfoHash,
    trackers: Vec<TrackerTurn>,
    dht: Option<DhtTurn>,
}

/// All that is due, and when.
#[derive(Debug)]
pub(crate) struct Schedule {
    means: Means,
    seeks: BTreeMap<InfoHash, Seek>,
    /// The newest last.
    offers: VecDeque<Offer>,
    farewells: Farewells,
    records: TrackerRecords,
    announcing: Vec<(InfoHash, Arc<Tracker>)>,
    looking_up: Vec<InfoHash>,
    lan_gate: Instant,
    budget: Budget,
}

impl Schedule {
    pub(crate) fn new(means: Means, now: Instant) -> Self {
        Self {
            means,
            seeks: BTreeMap::new(),
            offers: VecDeque::new(),
            farewells: Farewells::default(),
            records: TrackerRecords::default(),
            announcing: Vec::new(),
            looking_up: Vec::new(),
            lan_gate: now,
            budget: Budget::new(OFFER_PACKETS_PER_SECOND, OFFER_BURST, now),
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

    /// Announces as one who has it all, from now on until [`MAX_OFFERS`] newer ones have come.
    pub(crate) fn handle_offer(&mut self, info_hash: InfoHash, strangers: &[Url], now: Instant) {
        let trackers = self.trackers(strangers);
        let known = self.offers.iter().position(|offer| offer.info_hash == info_hash);
        let mut offer = known.and_then(|at| self.offers.remove(at)).unwrap_or_else(|| Offer {
            info_hash,
            trackers: Vec::new(),
            dht: self.means.dht.then(|| DhtTurn::new(now)),
        });
        add_turns(&mut offer.trackers, trackers, now);
        self.offers.push_back(offer);
        if self.offers.len() > MAX_OFFERS
            && let Some(oldest) = self.offers.pop_front()
        {
            self.leave(oldest);
        }
        self.prune();
    }

    /// Does not offer it any more.
    pub(crate) fn handle_withdrawal(&mut self, info_hash: InfoHash) {
        let known = self.offers.iter().position(|offer| offer.info_hash == info_hash);
        if let Some(offer) = known.and_then(|at| self.offers.remove(at)) {
            self.leave(offer);
        }
    }

    /// There are new neighbours: every local search begins again.
    pub(crate) fn handle_new_links(&mut self, now: Instant) {
        for lan in self.seeks.values_mut().filter_map(|seek| seek.lan.as_mut()) {
            *lan = LanTurn::new(now);
        }
    }

    /// Only farewells from now on.
    pub(crate) fn handle_stop(&mut self) {
        let sought: Vec<_> = self.seeks.keys().copied().collect();
        for info_hash in sought {
            self.handle_end(info_hash);
        }
        for offer in std::mem::take(&mut self.offers).into_iter().rev() {
            self.leave(offer);
        }
    }

    /// What came of a [`Task::Announce`].
    pub(crate) fn handle_announced(
        &mut self,
        info_hash: InfoHash,
        tracker: &Arc<Tracker>,
        event: AnnounceEvent,
        outcome: Announced,
        now: Instant,
    ) {
        if let Some(at) = self.announcing.iter().position(|under_way| *under_way == (info_hash, Arc::clone(tracker))) {
            self.announcing.swap_remove(at);
        }
        // A seek and an offer of the same swarm never announce to one tracker at once: the one whose turn it was
        // has no due time.
        let seeks = self.seeks.get_mut(&info_hash).into_iter().map(|seek| (seek.supply, &mut seek.trackers));
        let offers = self.offers.iter_mut().filter(|offer| offer.info_hash == info_hash);
        let offers = offers.map(|offer| (Supply::Enough, &mut offer.trackers));
        let turns = seeks.chain(offers).flat_map(|(supply, turns)| turns.iter_mut().map(move |turn| (supply, turn)));
        for (supply, turn) in turns.filter(|(_, turn)| turn.due.is_none() && turn.tracker == *tracker) {
            match &outcome {
                Announced::Answered { interval, min_interval, .. } => {
                    turn.answered(*interval, *min_interval, supply, now);
                }
                Announced::Refused(_) => turn.refused(event, now),
                Announced::Failed(_) => turn.failed(event, now),
            }
        }
        match outcome {
            Announced::Answered { peers, .. } => self.records.answered(&tracker.url, peers),
            Announced::Refused(reason) => self.records.refused(&tracker.url, reason),
            Announced::Failed(error) => self.records.failed(&tracker.url, error, now),
        }
    }

    /// A [`Task::LookUp`] has ended.
    pub(crate) fn handle_looked_up(&mut self, info_hash: InfoHash, round: Round, now: Instant) {
        self.looking_up.retain(|under_way| *under_way != info_hash);
        if let Some(seek) = self.seeks.get_mut(&info_hash) {
            let supply = seek.supply;
            seek.dht.iter_mut().filter(|turn| turn.due.is_none()).for_each(|turn| turn.ended(round, supply, now));
        }
        let offers = self.offers.iter_mut().filter(|offer| offer.info_hash == info_hash);
        let turns = offers.filter_map(|offer| offer.dht.as_mut()).filter(|turn| turn.due.is_none());
        turns.for_each(|turn| turn.ended(round, Supply::Enough, now));
    }

    /// The next thing to do now; to be called until there is none.
    pub(crate) fn poll_task(&mut self, now: Instant) -> Option<Task> {
        let search = self.poll_search(now);
        let search = search.or_else(|| self.poll_seek_announce(now));
        let search = search.or_else(|| self.poll_seek_lookup(now));
        let search = search.or_else(|| self.poll_farewell(now));
        search.or_else(|| self.poll_offer(now))
    }

    /// When [`Self::poll_task`] may have something new, if nothing is handled before.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let searches = self.seeks.values().filter_map(|seek| seek.lan.as_ref()).map(|lan| lan.due.max(self.lan_gate));
        let announces = self.seeks.iter().flat_map(|(hash, seek)| self.announces_at(*hash, &seek.trackers));
        let announces = announces.filter(|_| self.announcing.len() < ANNOUNCES);
        let free = self.seeks.iter().filter(|(hash, _)| !self.looking_up.contains(hash));
        let lookups = free.filter_map(|(_, seek)| seek.dht.as_ref()?.due);
        let lookups = lookups.filter(|_| self.looking_up.len() < LOOKUPS);
        let paid_at = self.budget.free_at();
        let offers = self.offers.iter().flat_map(|offer| self.announces_at(offer.info_hash, &offer.trackers));
        let offers = offers.filter(|_| self.announcing.len() < IDLE_ANNOUNCES).map(|due| due.max(paid_at));
        let dht_offers = self.dht_offers().filter_map(|offer| offer.dht.as_ref()?.due);
        let dht_offers = dht_offers.filter(|_| self.looking_up.is_empty()).map(|due| due.max(paid_at));
        searches.chain(announces).chain(lookups).chain(offers).chain(dht_offers).min()
    }

    /// Whether nothing is under way and nothing is left to say.
    pub(crate) fn is_idle(&self) -> bool {
        self.announcing.is_empty() && self.farewells.is_empty()
    }

    /// How a tracker does, and when it will be asked next.
    pub(crate) fn tracker(&self, url: &Url) -> (TrackerRecord, Option<Instant>) {
        let turns = self.turns().filter(|turn| turn.tracker.url == *url);
        let next = turns.filter_map(|turn| turn.due).min().map(|due| self.records.ready_at(url, due));
        (self.records.get(url), next)
    }

    fn poll_search(&mut self, now: Instant) -> Option<Task> {
        if now < self.lan_gate {
            return None;
        }
        let mut hashes = Vec::new();
        for (hash, seek) in &mut self.seeks {
            if let Some(lan) = seek.lan.as_mut().filter(|lan| lan.due <= now) {
                lan.searched(now);
                hashes.push(*hash);
            }
        }
        if hashes.is_empty() {
            return None;
        }
        self.lan_gate = now + LAN_GAP;
        Some(Task::Search(hashes))
    }

    fn poll_seek_announce(&mut self, now: Instant) -> Option<Task> {
        if self.announcing.len() >= ANNOUNCES {
            return None;
        }
        let due = self.seeks.iter().find_map(|(hash, seek)| Some((*hash, self.due_turn(*hash, &seek.trackers, now)?)));
        let (info_hash, at) = due?;
        let seek = self.seeks.get_mut(&info_hash).expect("found a moment ago");
        let turn = &mut seek.trackers[at];
        let (event, left, tracker) = (turn.begin(seek.left), seek.left, Arc::clone(&turn.tracker));
        self.announcing.push((info_hash, Arc::clone(&tracker)));
        Some(Task::Announce { info_hash, tracker, event, left })
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
        Some(Task::LookUp { info_hash: *info_hash })
    }

    fn poll_farewell(&mut self, now: Instant) -> Option<Task> {
        if self.announcing.len() >= IDLE_ANNOUNCES {
            return None;
        }
        // A tracker that does not answer will forget us by itself.
        let records = &self.records;
        self.farewells.retain(|farewell| records.ready_at(&farewell.tracker.url, now) <= now);
        loop {
            let announcing = &self.announcing;
            let farewell = self.farewells.take(|farewell| !is_among(announcing, farewell.info_hash, &farewell.tracker));
            let Farewell { info_hash, tracker, event, left } = farewell?;
            // Whoever came back meanwhile, or is there for another reason too, must not be forgotten.
            if event == AnnounceEvent::Stopped && self.is_told(info_hash, &tracker) {
                continue;
            }
            if left == 0 {
                self.budget.take(ANNOUNCE_PACKETS, now);
            }
            self.announcing.push((info_hash, Arc::clone(&tracker)));
            return Some(Task::Announce { info_hash, tracker, event, left });
        }
    }

    /// Takes us out of the swarm of an offer that is no more.
    fn leave(&mut self, offer: Offer) {
        let info_hash = offer.info_hash;
        for turn in offer.trackers.into_iter().filter(TrackerTurn::is_told) {
            let (tracker, event) = (turn.tracker, AnnounceEvent::Stopped);
            self.farewells.push(Farewell { info_hash, tracker, event, left: 0 });
        }
    }

    /// Whether the tracker has heard of us, in what is sought or offered now.
    fn is_told(&self, info_hash: InfoHash, tracker: &Arc<Tracker>) -> bool {
        let seek = self.seeks.get(&info_hash).into_iter().map(|seek| &seek.trackers);
        let offers = self.offers.iter().filter(|offer| offer.info_hash == info_hash).map(|offer| &offer.trackers);
        seek.chain(offers).flatten().any(|turn| turn.tracker == *tracker && turn.is_told())
    }

    fn poll_offer(&mut self, now: Instant) -> Option<Task> {
        if self.budget.free_at() > now {
            return None;
        }
        self.poll_offer_announce(now).or_else(|| self.poll_offer_lookup(now))
    }

    fn poll_offer_announce(&mut self, now: Instant) -> Option<Task> {
        if self.announcing.len() >= IDLE_ANNOUNCES {
            return None;
        }
        let newest = self.offers.iter().enumerate().rev();
        let mut due =
            newest.filter_map(|(at, offer)| Some((at, self.due_turn(offer.info_hash, &offer.trackers, now)?)));
        let (offer, turn) = due.next()?;
        drop(due);
        self.budget.take(ANNOUNCE_PACKETS, now);
        let offer = &mut self.offers[offer];
        let turn = &mut offer.trackers[turn];
        let (info_hash, event, tracker) = (offer.info_hash, turn.begin(0), Arc::clone(&turn.tracker));
        self.announcing.push((info_hash, Arc::clone(&tracker)));
        Some(Task::Announce { info_hash, tracker, event, left: 0 })
    }

    fn poll_offer_lookup(&mut self, now: Instant) -> Option<Task> {
        if !self.looking_up.is_empty() {
            return None;
        }
        let mut newest = self.offers.iter_mut().rev().take(MAX_DHT_OFFERS);
        let due = |turn: &DhtTurn| turn.due.is_some_and(|due| due <= now);
        let offer = newest.find(|offer| offer.dht.as_ref().is_some_and(due))?;
        offer.dht.as_mut().expect("due a moment ago").due = None;
        self.budget.take(LOOKUP_PACKETS, now);
        self.looking_up.push(offer.info_hash);
        Some(Task::LookUp { info_hash: offer.info_hash })
    }

    fn dht_offers(&self) -> impl Iterator<Item = &Offer> {
        self.offers.iter().rev().take(MAX_DHT_OFFERS)
    }

    /// The first of one swarm's trackers that may be asked now.
    fn due_turn(&self, info_hash: InfoHash, turns: &[TrackerTurn], now: Instant) -> Option<usize> {
        turns.iter().position(|turn| self.announce_at(info_hash, turn).is_some_and(|due| due <= now))
    }

    fn announces_at(&self, info_hash: InfoHash, turns: &[TrackerTurn]) -> impl Iterator<Item = Instant> {
        turns.iter().filter_map(move |turn| self.announce_at(info_hash, turn))
    }

    /// When a tracker may be asked about a swarm; `None` while something must end first. A failing tracker gets one
    /// request at a time, whatever the number of swarms.
    fn announce_at(&self, info_hash: InfoHash, turn: &TrackerTurn) -> Option<Instant> {
        let url = &turn.tracker.url;
        let probed = self.records.is_failing(url) && self.announcing.iter().any(|(_, other)| other.url == *url);
        let free = !probed && !self.is_announcing(info_hash, &turn.tracker);
        turn.due.filter(|_| free).map(|due| self.records.ready_at(url, due))
    }

    fn is_announcing(&self, info_hash: InfoHash, tracker: &Arc<Tracker>) -> bool {
        is_among(&self.announcing, info_hash, tracker)
    }

    fn trackers(&self, strangers: &[Url]) -> Vec<Arc<Tracker>> {
        let is_configured = |url: &Url| self.means.trackers.iter().any(|tracker| tracker.url == *url);
        let strangers = strangers.iter().filter(|url| self.means.strangers && !is_configured(url));
        let strangers = strangers.take(MAX_STRANGER_TRACKERS).cloned();
        let strangers = strangers.map(|url| Arc::new(Tracker { url, trust: Trust::Stranger }));
        self.means.trackers.iter().cloned().chain(strangers).collect()
    }

    fn turns(&self) -> impl Iterator<Item = &TrackerTurn> {
        let seeks = self.seeks.values().flat_map(|seek| &seek.trackers);
        seeks.chain(self.offers.iter().flat_map(|offer| &offer.trackers))
    }

    fn prune(&mut self) {
        if self.records.len() <= MAX_RECORDS {
            return;
        }
        let used: Vec<Url> = self.turns().map(|turn| turn.tracker.url.clone()).collect();
        let configured = &self.means.trackers;
        self.records.retain(|url| used.contains(url) || configured.iter().any(|tracker| tracker.url == *url));
    }
}

fn is_among(announcing: &[(InfoHash, Arc<Tracker>)], info_hash: InfoHash, tracker: &Arc<Tracker>) -> bool {
    announcing.iter().any(|(hash, other)| *hash == info_hash && other == tracker)
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
