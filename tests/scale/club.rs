//! A club over hours: daemons come, look others up, connect, announce themselves, and go.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::census::Census;
use crate::graph::Graph;
use crate::rendezvous::{Address, REMEMBERED, Rendezvous};
use crate::share::number;

/// Neighbours outside of the local network with whom a daemon dials no more.
pub(crate) const ENOUGH: usize = 24;
/// Neighbours at most, with those who called.
pub(crate) const PLACES: usize = 64;
/// Announcers that a club needs.
pub(crate) const WANTED: f64 = 300.0;
/// Rounds that a daemon stays, on average: 8 hours.
pub(crate) const STAY: usize = 16;
/// Dials of one turn.
const MOST_DIALS: usize = 200;
/// Addresses that a new neighbour tells at once (BEP 11).
const PEX: usize = 50;
/// Places that must be free so that one is announced.
const ROOM: usize = 8;
/// All have come by then.
const COMING: usize = 4;
/// Half hours that are simulated, and of which the figures are taken: the last.
const ROUNDS: usize = 24;
const MEASURED: usize = 4;

/// Who announces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announcing {
    /// With probability 300 / announcers as a look-up tells them: these taken for all members.
    Counted,
    /// While fewer than 300 announcers are to be seen, and callers would find a place. Who is not needed looks again in a day.
    Needed,
}

/// Where a daemon that has neighbours, but not enough, looks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refill {
    /// In the DHT.
    LookUp,
    /// Among its neighbours' neighbours (PEX); in the DHT only with fewer than half of enough.
    Neighbours,
}

/// What a daemon without a free place does with a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    HangsUp,
    /// It tells some of its neighbours first (PEX).
    Tells,
}

/// How daemons behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) announcing: Announcing,
    pub(crate) refill: Refill,
    pub(crate) full: Full,
}

impl Rules {
    /// Those that the document proposes.
    pub(crate) const PROPOSED: Self =
        Self { announcing: Announcing::Needed, refill: Refill::Neighbours, full: Full::Tells };
}

/// What is counted, in one half hour.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) announces: f64,
    pub(crate) look_ups: f64,
    pub(crate) dials: f64,
    pub(crate) come: f64,
}

struct Member {
    life: u32,
    comes: usize,
    /// The first round in which it looks up though it has enough neighbours.
    looks: usize,
}

pub(crate) struct Club {
    rules: Rules,
    members: Vec<Member>,
    pub(crate) graph: Graph,
    rendezvous: Rendezvous,
    /// Sums over the rounds that are measured.
    sums: Traffic,
    rng: SmallRng,
}

impl Club {
    /// A club of this size, after twelve hours.
    pub(crate) fn grown(size: usize, rules: Rules) -> Self {
        let mut rng = SmallRng::seed_from_u64(5);
        let member = |_| Member { life: 0, comes: rng.random_range(0..COMING), looks: 0 };
        let members = (0..size).map(member).collect();
        let sums = Traffic::default();
        let mut club = Self { rules, members, graph: Graph::new(size), rendezvous: Rendezvous::new(), sums, rng };
        for round in 0..ROUNDS {
            if round == ROUNDS - MEASURED {
                club.sums = Traffic::default();
            }
            for member in 0..size {
                let part = number(member) / number(size);
                let begin = REMEMBERED * u32::try_from(round).expect("few rounds");
                club.turn(member, round, begin + REMEMBERED.mul_f64(part));
            }
        }
        club
    }

    /// The traffic of one half hour, on average.
    pub(crate) fn traffic(&self) -> Traffic {
        let rounds = number(MEASURED);
        let Traffic { announces, look_ups, dials, come } = self.sums;
        Traffic {
            announces: announces / rounds,
            look_ups: look_ups / rounds,
            dials: dials / rounds,
            come: come / rounds,
        }
    }

    /// What a member does in a half hour. Who goes is followed by one who comes.
    fn turn(&mut self, member: usize, round: usize, now: Duration) {
        if round < self.members[member].comes {
            return;
        }
        if self.rng.random_bool(1.0 / number(STAY)) {
            self.graph.leave(member);
            self.members[member].life += 1;
            self.members[member].looks = 0;
            self.sums.come += 1.0;
        }
        if self.rules.refill == Refill::Neighbours {
            self.dial(member, self.told_by_neighbours(member));
        }
        let lacks = self.graph.of(member).len() < self.few();
        if !lacks && round < self.members[member].looks {
            return;
        }
        let census = Census::of(&self.rendezvous.look_up(now, &mut self.rng));
        self.sums.look_ups += 1.0;
        self.dial(member, census.seen);
        if self.is_announced(member, census.announcers, round) {
            let address = self.address(member);
            self.rendezvous.announce(address, now, &mut self.rng);
            self.sums.announces += 1.0;
        }
    }

    fn address(&self, member: usize) -> Address {
        Address { member, life: self.members[member].life }
    }

    /// Dials whom it has heard of, in any order, until it has enough; new neighbours tell of theirs.
    fn dial(&mut self, member: usize, mut heard: Vec<Address>) {
        for _ in 0..MOST_DIALS {
            if self.graph.of(member).len() >= ENOUGH || heard.is_empty() {
                return;
            }
            let index = self.rng.random_range(0..heard.len());
            let address = heard.swap_remove(index);
            let other = address.member;
            if other == member || self.graph.of(member).contains(&other) {
                continue;
            }
            self.sums.dials += 1.0;
            if address != self.address(other) {
                continue;
            }
            let has_place = self.graph.of(other).len() < PLACES;
            if has_place || self.rules.full == Full::Tells {
                self.hear_of_neighbours(other, &mut heard);
            }
            if has_place {
                self.graph.connect(member, other);
            }
        }
    }

    fn hear_of_neighbours(&mut self, other: usize, heard: &mut Vec<Address>) {
        let mut theirs = self.graph.of(other).to_vec();
        theirs.shuffle(&mut self.rng);
        heard.extend(theirs.into_iter().take(PEX).map(|one| self.address(one)));
    }

    /// What a daemon that lacks neighbours knows from those that it has.
    fn told_by_neighbours(&self, member: usize) -> Vec<Address> {
        if self.graph.of(member).len() >= ENOUGH {
            return Vec::new();
        }
        self.graph.within_two(member).into_iter().map(|one| self.address(one)).collect()
    }

    /// With fewer neighbours than this, a daemon looks others up.
    fn few(&self) -> usize {
        match self.rules.refill {
            Refill::LookUp => ENOUGH,
            Refill::Neighbours => ENOUGH / 2,
        }
    }

    fn is_announced(&mut self, member: usize, announcers: f64, round: usize) -> bool {
        match self.rules.announcing {
            Announcing::Counted => self.rng.random_bool((WANTED / announcers).min(1.0)),
            Announcing::Needed => {
                let is_needed = announcers < WANTED && self.graph.of(member).len() + ROOM <= PLACES;
                self.members[member].looks = if is_needed { round + 1 } else { round + 48 };
                is_needed
            }
        }
    }
}
