//! Searches for clubs: soon at first, then seldom, and out of the budget of packets.
//!
//! A club is looked for as long as the daemon runs, so what that sends counts like announces of what is offered, and goes
//! before these: they wait until it is paid for. Only the first round of a club goes in any case.

mod company;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use p2p_package::InfoHash;

pub(crate) use self::company::Company;
use self::company::Supply;
use self::turn::ClubTurn;
use super::farewells::Farewell;
use super::offers::{ANNOUNCE_PACKETS, LOOKUP_PACKETS};
use super::turn::{LanTurn, TrackerTurn};
use super::{Announced, LookedUp, Purpose, Schedule, Task, UNKNOWN_LEFT, UnderWay, add_turns, turn as turns};

/// Rounds in the DHT under way at once, and announces.
const ROUNDS: usize = 3;
const ANNOUNCES: usize = 8;
/// What a local search is expected to send for one club: a datagram for each family.
const SEARCH_PACKETS: u32 = 2;

/// The clubs that are looked for.
#[derive(Debug)]
pub(super) struct Clubs {
    clubs: BTreeMap<InfoHash, Club>,
    company: Company,
    /// Rounds under way.
    meeting: Vec<InfoHash>,
}

#[derive(Debug)]
struct Club {
    trackers: Vec<TrackerTurn>,
    dht: Option<ClubTurn>,
    lan: Option<LanTurn>,
}

impl Default for Clubs {
    fn default() -> Self {
        Self { clubs: BTreeMap::new(), company: Company::NOBODY, meeting: Vec::new() }
    }
}

impl Clubs {
    /// What is due on the link.
    pub(super) fn lan_turns(&mut self) -> impl Iterator<Item = (&InfoHash, &mut LanTurn)> {
        self.clubs.iter_mut().filter_map(|(club, known)| Some((club, known.lan.as_mut()?)))
    }

    /// What is due at trackers, of one club or all.
    pub(super) fn tracker_turns(&self, of: Option<InfoHash>) -> impl Iterator<Item = &TrackerTurn> {
        let clubs = self.clubs.iter().filter(move |(club, _)| of.is_none_or(|of| **club == of));
        clubs.flat_map(|(_, known)| &known.trackers)
    }

    fn dht_turns(&mut self) -> impl Iterator<Item = &mut ClubTurn> {
        self.clubs.values_mut().filter_map(|known| known.dht.as_mut())
    }

    /// Looks on the link, and in the DHT, as at the start.
    pub(super) fn begin_again(&mut self, now: Instant) {
        self.lan_turns().for_each(|(_, turn)| *turn = LanTurn::new(now));
        self.dht_turns().for_each(|turn| turn.begin_again(now));
    }

    pub(super) fn handle_announced(&mut self, ended: &UnderWay, outcome: &Announced, now: Instant) {
        let supply = match self.company.supply() {
            Supply::Alone => turns::Supply::Lacking,
            Supply::Some | Supply::Enough => turns::Supply::Enough,
        };
        let Some(club) = self.clubs.get_mut(&ended.info_hash) else {
            return;
        };
        let own = |turn: &&mut TrackerTurn| turn.due.is_none() && turn.tracker == ended.tracker;
        club.trackers.iter_mut().filter(own).for_each(|turn| turn.ended(ended.event, outcome, supply, now));
    }
}

impl Schedule {
    /// Looks for the neighbours in a club from now on.
    pub(crate) fn handle_meet(&mut self, club: InfoHash, now: Instant) {
        let trackers = self.trackers(&[]);
        let means = &self.means;
        let known = self.clubs.clubs.entry(club).or_insert_with(|| Club {
            trackers: Vec::new(),
            dht: means.dht.then(|| ClubTurn::new(now)),
            lan: means.lan.then(|| LanTurn::new(now)),
        });
        add_turns(&mut known.trackers, trackers, now);
    }

    /// So many neighbours are here now.
    pub(crate) fn handle_company(&mut self, company: Company, now: Instant) {
        let before = std::mem::replace(&mut self.clubs.company, company);
        if company.supply() < before.supply() {
            self.clubs.dht_turns().for_each(|turn| turn.hasten(now));
        }
    }

    /// We are not in the club any more.
    pub(crate) fn handle_parting(&mut self, club: InfoHash) {
        for turn in self.clubs.clubs.remove(&club).into_iter().flat_map(|known| known.trackers) {
            if let Some(event) = turn.farewell(UNKNOWN_LEFT) {
                self.farewells.push(Farewell { info_hash: club, tracker: turn.tracker, event, left: UNKNOWN_LEFT });
            }
        }
    }

    /// We are in no club any more.
    pub(super) fn part_with_all(&mut self) {
        let clubs: Vec<_> = self.clubs.clubs.keys().copied().collect();
        for club in clubs {
            self.handle_parting(club);
        }
    }

    /// A [`Task::Meet`] has ended.
    pub(crate) fn handle_met(&mut self, club: InfoHash, ended: LookedUp, now: Instant) {
        self.offers.settle_other(LOOKUP_PACKETS, ended.packets, now);
        self.clubs.meeting.retain(|under_way| *under_way != club);
        let company = self.clubs.company;
        let turn = self.clubs.clubs.get_mut(&club).and_then(|known| known.dht.as_mut());
        if let Some(turn) = turn.filter(|turn| turn.due.is_none()) {
            turn.ended(ended, company, now);
        }
    }

    /// Charges a local search for so many clubs.
    pub(super) fn pay_search(&mut self, clubs: u32, now: Instant) {
        self.offers.pay_other(SEARCH_PACKETS * clubs, now);
    }

    pub(super) fn poll_club(&mut self, now: Instant) -> Option<Task> {
        self.poll_club_announce(now).or_else(|| self.poll_meeting(now))
    }

    fn poll_club_announce(&mut self, now: Instant) -> Option<Task> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let due = self.clubs.clubs.iter().find_map(|(club, known)| {
            let at = known.trackers.iter().position(|turn| is_due(self.club_announce_at(*club, turn)))?;
            Some((*club, at))
        });
        let (club, at) = due?;
        let turn = &mut self.clubs.clubs.get_mut(&club).expect("found a moment ago").trackers[at];
        let (event, tracker) = (turn.begin(UNKNOWN_LEFT), Arc::clone(&turn.tracker));
        self.offers.pay_other(ANNOUNCE_PACKETS, now);
        Some(self.announce(Farewell { info_hash: club, tracker, event, left: UNKNOWN_LEFT }, Purpose::Meet))
    }

    fn poll_meeting(&mut self, now: Instant) -> Option<Task> {
        let due =
            self.clubs.clubs.iter().find(|(club, known)| self.meeting_at(**club, known).is_some_and(|at| at <= now));
        let club = *due?.0;
        let company = self.clubs.company;
        let turn = self.clubs.clubs.get_mut(&club).and_then(|known| known.dht.as_mut()).expect("due a moment ago");
        turn.begin(now);
        let tell_below = turn.tell_below(company);
        self.clubs.meeting.push(club);
        self.offers.pay_other(LOOKUP_PACKETS, now);
        Some(Task::Meet { club, tell_below })
    }

    /// When [`Self::poll_club`] may have something.
    pub(super) fn club_timeouts(&self) -> impl Iterator<Item = Instant> {
        let gate = self.lan_gate;
        self.clubs.clubs.iter().flat_map(move |(club, known)| {
            let announces = known.trackers.iter().filter_map(|turn| self.club_announce_at(*club, turn));
            let searches = known.lan.iter().map(move |lan| lan.due.max(gate));
            announces.chain(searches).chain(self.meeting_at(*club, known))
        })
    }

    fn club_announce_at(&self, club: InfoHash, turn: &TrackerTurn) -> Option<Instant> {
        let under_way = self.announcing.iter().filter(|under_way| under_way.purpose == Purpose::Meet).count();
        if under_way < ANNOUNCES { self.announce_at(club, turn) } else { None }
    }

    /// When a round is due and paid for; `None` while something must end first.
    fn meeting_at(&self, club: InfoHash, known: &Club) -> Option<Instant> {
        let turn = known.dht.as_ref()?;
        let due = turn.due?;
        if self.clubs.meeting.len() >= ROUNDS || self.clubs.meeting.contains(&club) {
            return None;
        }
        let paid = self.offers.paid_at(LOOKUP_PACKETS);
        Some(paid.filter(|paid| !turn.is_advanced(*paid)).map_or(due, |paid| due.max(paid)))
    }
}
