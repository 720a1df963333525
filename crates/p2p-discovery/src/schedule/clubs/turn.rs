//! When one club is looked for in the DHT next.

use std::time::{Duration, Instant};

use super::super::{LookedUp, Round};
use super::company::{Company, Supply};

/// Rounds after the first, while there is no neighbour: who started in the same moment is found by the second.
const ALONE: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
];
/// Between two rounds while there are some neighbours: they tell of others too (BEP 11).
const SOME: Duration = Duration::from_mins(15);
/// While there are enough. DHT nodes forget who announced himself after about half an hour.
const ENOUGH: Duration = Duration::from_mins(25);
/// While there are enough, and enough others are announced.
const UNNEEDED: Duration = Duration::from_hours(24);
/// After a round that reached nobody. While the node knows nobody a round is no packet, so it is tried again soon.
const MISSED: [Duration; 10] = [
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(5),
];
/// What the budget lets through within this time after the beginning, the first round may take at once: with that the first
/// minute keeps to the budget too.
const ADVANCE: Duration = Duration::from_secs(55);
/// However often the network changes and neighbours go, rounds are so far from each other.
const AGAIN: Duration = Duration::from_mins(1);
const HASTENED: Duration = Duration::from_mins(5);

/// With so many announced, nobody has to be announced beside them.
const ENOUGH_ANNOUNCED: u32 = 300;
/// Who has found nobody by so many rounds was told of many that are not there, and is announced whatever it is told.
const DECEIVED_AFTER: usize = 2;

/// One club in the DHT.
#[derive(Debug)]
pub(super) struct ClubTurn {
    /// When the next round is due; while one runs, `None`.
    pub(super) due: Option<Instant>,
    /// When it all began, as long as nothing was sent since.
    untried_since: Option<Instant>,
    rounds: usize,
    misses: usize,
    begun: Option<Instant>,
}

impl ClubTurn {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: Some(now), untried_since: Some(now), rounds: 0, misses: 0, begun: None }
    }

    /// Whether the round goes before it is paid for, which is at `paid`.
    pub(super) fn is_advanced(&self, paid: Instant) -> bool {
        self.untried_since.is_some_and(|since| paid <= since + ADVANCE)
    }

    pub(super) fn begin(&mut self, now: Instant) {
        (self.due, self.begun) = (None, Some(now));
    }

    /// The round that begins now tells nodes of us if fewer than this seem to be announced.
    pub(super) fn tell_below(&self, company: Company) -> u32 {
        match company.supply() {
            _ if !company.has_room() => 0,
            Supply::Alone if self.rounds >= DECEIVED_AFTER => u32::MAX,
            Supply::Alone | Supply::Some | Supply::Enough => ENOUGH_ANNOUNCED,
        }
    }

    pub(super) fn ended(&mut self, ended: LookedUp, company: Company, now: Instant) {
        self.untried_since = self.untried_since.filter(|_| ended.packets == 0);
        if ended.round == Round::Missed {
            let wait = MISSED.get(self.misses).or(MISSED.last()).expect("there are some");
            self.misses += 1;
            self.due = Some(now + *wait);
            return;
        }
        let wait = match company.supply() {
            Supply::Alone => *ALONE.get(self.rounds).or(ALONE.last()).expect("there are some"),
            Supply::Some => SOME,
            Supply::Enough if ended.round == Round::Unneeded => UNNEEDED,
            Supply::Enough => ENOUGH,
        };
        (self.rounds, self.misses) = (self.rounds + 1, 0);
        self.due = Some(now + wait);
    }

    /// Another network, or the same after a sleep: everything begins again.
    pub(super) fn begin_again(&mut self, now: Instant) {
        let first = self.begun.map_or(now, |begun| now.max(begun + AGAIN));
        if let Some(due) = self.due.filter(|due| first < *due) {
            *self = Self { due: Some(first.min(due)), begun: self.begun, ..Self::new(now) };
        }
    }

    /// Neighbours have gone, so that there are too few now.
    pub(super) fn hasten(&mut self, now: Instant) {
        let first = self.begun.map_or(now, |begun| now.max(begun + HASTENED));
        self.due = self.due.map(|due| due.min(first));
    }
}
