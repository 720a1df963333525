//! Neighbours: they are asked first, and a small package comes from one of them whole.

use std::time::{Duration, Instant};

use super::{Action, Plan, Sharing};
use crate::config::Policy;

/// Neighbours that say they have the package may take twice as long as expected, and so long at most from the question on,
/// before a mirror is asked as well.
const LONGEST_TURN: Duration = Duration::from_millis(250);

/// Neighbours that were asked.
#[derive(Debug, Default)]
pub(super) struct Lending {
    asked: Option<Instant>,
    /// Until when no mirror is asked.
    turn_ends: Option<Instant>,
    /// Whether they may still bring the package.
    at_work: bool,
    /// Whether one has it, and would send it whole.
    offered: bool,
}

impl Lending {
    pub(super) fn is_at_work(&self) -> bool {
        self.at_work
    }

    pub(super) fn turn_ends(&self) -> Option<Instant> {
        self.turn_ends
    }

    pub(super) fn is_their_turn(&self, now: Instant) -> bool {
        self.at_work && self.turn_ends.is_some_and(|at| now < at)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.turn_ends = self.turn_ends.filter(|at| now < *at);
    }
}

impl Plan {
    /// Asks the neighbours, if there are any: the mirrors wait for so long.
    pub(super) fn ask_neighbours(&mut self, now: Instant) {
        if let Some(turn) = self.brief.neighbours.filter(|_| self.brief.sharing == Sharing::Allowed) {
            let turn = if self.brief.policy == Policy::Speed { Duration::ZERO } else { turn };
            self.lending = Lending { asked: Some(now), turn_ends: Some(now + turn), at_work: true, offered: false };
            self.actions.push_back(Action::AskNeighbours);
        }
    }

    /// A neighbour has the package, and would send it whole.
    pub(crate) fn handle_offer(&mut self, now: Instant) {
        self.lending.offered = self.lending.at_work;
        self.consider_borrowing(now);
    }

    /// A neighbour has begun to send the whole package, and is expected to need so long.
    pub(crate) fn handle_neighbour_sends(&mut self, expected: Duration, now: Instant) {
        // They have a clock of their own.
        self.despair = None;
        if self.lending.is_their_turn(now) {
            let longest = self.lending.asked.map(|asked| asked + LONGEST_TURN);
            self.lending.turn_ends = longest.map(|longest| longest.min(now + expected * 2));
        }
    }

    /// Borrows what a neighbour offers, unless a mirror is at it: both at once would be waste.
    pub(super) fn consider_borrowing(&mut self, now: Instant) {
        let is_needed = self.nothing_runs() || self.borrowing_due().is_some_and(|at| at <= now);
        if is_needed && !self.ended && !self.verifying {
            self.borrow_what_is_offered();
        }
    }

    pub(super) fn borrow_what_is_offered(&mut self) {
        if std::mem::take(&mut self.lending.offered) {
            self.actions.push_back(Action::Borrow);
        }
    }

    /// When a mirror that does not answer is not waited for any longer.
    pub(super) fn borrowing_due(&self) -> Option<Instant> {
        let silent = self.stream.filter(|stream| self.lending.offered && !stream.answered)?;
        Some(silent.opened + LONGEST_TURN)
    }

    /// None of the neighbours sends the package whole. Where one nearby has it, a swarm gets the first turn.
    pub(crate) fn handle_neighbours_end(&mut self, one_nearby_has_it: bool, now: Instant) {
        self.lending = Lending::default();
        let may_wait = self.nothing_runs() && self.brief.pieces > 1 && self.brief.policy != Policy::Speed;
        if one_nearby_has_it && may_wait && self.brief.grace.is_none() {
            self.brief.grace = Some(LONGEST_TURN);
            self.grace_ends = Some(now + LONGEST_TURN);
        }
        self.proceed(now);
    }

    /// A neighbour has sent the whole package, and its SHA-256 is right.
    pub(crate) fn handle_lent(&mut self) {
        if self.ended || self.verifying || !self.lending.at_work {
            return;
        }
        self.lending = Lending::default();
        if self.swarm.take().is_some() {
            self.actions.push_back(Action::LeaveSwarm);
        }
        self.close_stream();
        self.sole_mirror = None;
        self.actions.push_back(Action::TakeLent);
        self.verify();
    }
}
