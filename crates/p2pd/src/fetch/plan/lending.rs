//! Neighbours: they are asked first, and a small package comes from one of them whole.

use std::time::{Duration, Instant};

use super::{Action, LastResort, Plan, Sharing};
use crate::config::Policy;

/// Neighbours that say they have the package may take twice as long as expected, and so long at most from the question on,
/// before a mirror is asked as well.
const LONGEST_TURN: Duration = Duration::from_millis(250);

/// Neighbours that are let send one package, one after the other: who says that it has it need not.
const MOST_BORROWINGS: usize = 8;

/// What has come of a neighbour's word that it would send the package whole.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Offer {
    #[default]
    None,
    Made,
    Taken,
}

/// Neighbours that were asked.
#[derive(Debug, Default)]
pub(super) struct Lending {
    asked: Option<Instant>,
    /// Until when no mirror is asked.
    turn_ends: Option<Instant>,
    /// Whether they may still bring the package.
    at_work: bool,
    /// Whether one has it, and would send it whole.
    offer: Offer,
    /// Whether one nearby is getting it, for us as well.
    brings: bool,
}

impl Lending {
    /// Somebody else is asked, after those who were asked first; no mirror waits for that.
    pub(super) fn begin_again(&mut self) {
        (self.at_work, self.offer) = (true, Offer::None);
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.at_work
    }

    /// Whether one of them sends the package, or will.
    pub(super) fn is_borrowing(&self) -> bool {
        self.at_work && self.offer == Offer::Taken
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
            self.lending =
                Lending { asked: Some(now), turn_ends: Some(now + turn), at_work: true, ..Lending::default() };
            self.actions.push_back(Action::AskNeighbours);
        }
    }

    /// A neighbour nearby is getting or sending the package, and is given up by then: no mirror is asked before, and one that has
    /// been asked, and has sent nothing, is not any more.
    pub(crate) fn handle_neighbour_brings(&mut self, until: Instant) {
        let has_bytes = self.stream.is_some_and(|stream| stream.answered) || self.position > 0;
        let may_wait = self.lending.at_work && self.swarm.is_none() && self.brief.policy != Policy::Speed;
        if may_wait && !has_bytes && !self.ended && !self.verifying {
            self.close_stream();
            (self.despair, self.latest_despair) = (None, None);
            (self.lending.turn_ends, self.lending.brings) = (Some(until), true);
        }
    }

    /// A neighbour has the package, and would send it whole.
    pub(crate) fn handle_offer(&mut self, now: Instant) {
        if self.borrowings >= MOST_BORROWINGS {
            return self.handle_neighbours_end(false, now);
        }
        self.lending.offer = if self.lending.at_work { Offer::Made } else { Offer::None };
        self.consider_borrowing(now);
    }

    /// A neighbour has begun to send the whole package, and is expected to need so long.
    pub(crate) fn handle_neighbour_sends(&mut self, expected: Duration, now: Instant) {
        // They have a clock of their own.
        self.despair = None;
        if self.lending.is_their_turn(now) && !self.lending.brings {
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
        if self.lending.offer == Offer::Made {
            // They have a clock of their own.
            (self.lending.offer, self.despair) = (Offer::Taken, None);
            self.borrowings += 1;
            self.actions.push_back(Action::Borrow);
        }
    }

    /// When a mirror that does not answer is not waited for any longer.
    pub(super) fn borrowing_due(&self) -> Option<Instant> {
        let silent = self.stream.filter(|stream| self.lending.offer == Offer::Made && !stream.answered)?;
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
        let is_asked = self.lending.at_work || self.last_resort == LastResort::AtWork;
        if self.ended || self.verifying || !is_asked {
            return;
        }
        (self.lending, self.last_resort) = (Lending::default(), LastResort::Spent);
        if self.swarm.take().is_some() {
            self.actions.push_back(Action::LeaveSwarm);
        }
        self.close_stream();
        self.sole_mirror = None;
        self.actions.push_back(Action::TakeLent);
        self.verify();
    }
}
