//! Machines nearby that download the same package: each asks the mirror for other pieces.
//!
//! What the others are to bring is asked of the mirror, too, once it does not come, or not in the time in which the mirror would
//! bring it: whoever promises pieces and is slow, or gone, costs a bounded time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::phase::{Idle, Mark, Swarm, expected_rest};
use super::{Action, Plan};
use crate::config::Policy;
use crate::fetch::shares::{Machine, Share};

/// What the others may need to find one another, and for a first piece, after our share was done: on a line that is shared, twice their
/// part of it, or so long for each machine where nothing is known of the mirror.
const SHORTEST_START: Duration = Duration::from_millis(500);
const LONGEST_START: Duration = Duration::from_secs(5);
const UNKNOWN_START: Duration = Duration::from_millis(250);
/// Then they may pause for as long, or for so many times what a piece has taken so far, and so long at most.
const PAUSE: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What the others may take where nothing is known of the mirror.
const UNKNOWN_TURN: Duration = Duration::from_secs(10);
/// A webseed calls the engine anew when its share changes, and what it was about to bring waits. So a change of company counts a second
/// after the one before, then after two, four and so on; and only so many do.
const FIRST_STAY: Duration = Duration::from_secs(1);
const LONGEST_STAY: Duration = Duration::from_secs(8);
const MOST_CHANGES: u32 = 8;

/// Who downloads the package, too.
#[derive(Debug, Default)]
pub(super) struct Company {
    others: BTreeSet<Machine>,
    /// Who it is by now, where that does not count yet.
    next: Option<BTreeSet<Machine>>,
    changes: u32,
    changed: Option<Instant>,
}

impl Company {
    pub(super) fn count(&self) -> usize {
        self.others.len()
    }

    fn due(&self) -> Option<Instant> {
        self.next.as_ref().filter(|_| self.changes < MOST_CHANGES)?;
        let stay = FIRST_STAY.saturating_mul(1 << self.changes.saturating_sub(1)).min(LONGEST_STAY);
        self.changed.map(|at| at + stay)
    }
}

impl Plan {
    /// These others nearby download the package, too, or have it.
    pub(crate) fn handle_company(&mut self, others: BTreeSet<Machine>, now: Instant) {
        self.company.next = Some(others).filter(|others| *others != self.company.others);
        self.consider_company(now);
    }

    /// With whom mirrors' work is shared.
    pub(crate) fn company(&self) -> &BTreeSet<Machine> {
        &self.company.others
    }

    /// The mirrors in the swarm have brought so many bytes.
    pub(crate) fn handle_webseed_bytes(&mut self, served: u64) {
        if let Some(swarm) = &mut self.swarm {
            swarm.served = served;
        }
    }

    /// How much of what is missing mirrors are asked for in the swarm.
    pub(crate) fn share(&self) -> Share {
        match &self.swarm {
            Some(swarm) if self.brief.policy != Policy::Speed => swarm.share,
            Some(_) | None => Share::Everything,
        }
    }

    /// Whether the others are to bring pieces that a mirror could bring.
    pub(super) fn withholds(&self) -> bool {
        self.company.count() > 0
            && self.share() != Share::Everything
            && self.swarm.as_ref().is_some_and(|swarm| !swarm.webseeds.is_empty())
    }

    /// When there is something to do about those who share the mirrors' work.
    pub(super) fn company_due(&self) -> Option<Instant> {
        [self.widening_due(), self.company.due()].into_iter().flatten().min()
    }

    pub(super) fn attend_company(&mut self, now: Instant) {
        self.consider_company(now);
        self.consider_widening(now);
    }

    /// Lets a change count, once it may.
    fn consider_company(&mut self, now: Instant) {
        let may_count = self.company.changes < MOST_CHANGES && self.company.due().is_none_or(|at| at <= now);
        let Some(others) = self.company.next.take_if(|_| may_count) else { return };
        let was_alone = self.company.others.is_empty();
        self.company.others = others;
        // Before that, it costs nothing.
        if let Some(swarm) = &mut self.swarm {
            if was_alone {
                swarm.shared = swarm.mark(now);
            }
            (self.company.changes, self.company.changed) = (self.company.changes + 1, Some(now));
            self.actions.push_back(Action::SetShare);
        }
    }

    /// When a mirror is asked for more than our share, unless the others bring something before.
    fn widening_due(&self) -> Option<Instant> {
        let swarm = self.swarm.as_ref().filter(|_| self.withholds())?;
        // Until then the engine looks what there is.
        swarm.verified_at_join?;
        let (rest, first) = (swarm.rest?, swarm.first_rest?);
        let pause_ends = rest.at.max(swarm.last_verified) + self.pause(swarm);
        let turn_ends = if Self::are_slow(swarm, first) {
            rest.at + self.start(swarm)
        } else {
            (first.at + self.turn(swarm, first)).max(swarm.shared.at + self.start(swarm))
        };
        Some(turn_ends.min(pause_ends))
    }

    fn consider_widening(&mut self, now: Instant) {
        if self.widening_due().is_some_and(|at| at <= now)
            && let Some(swarm) = &mut self.swarm
        {
            swarm.share = swarm.share.next(self.company.count());
            // Its mirrors have something to do again.
            swarm.rest = None;
            swarm.note_rest(now);
            swarm.idle = swarm.idle.map(|_| Idle { since: now, acted: now });
            self.actions.push_back(Action::SetShare);
        }
    }

    /// Whether the others have not yet brought half of what our mirrors had when our share was done.
    fn are_slow(swarm: &Swarm, rest: Mark) -> bool {
        let from_mirrors = swarm.served.saturating_sub(swarm.shared.served);
        let theirs = swarm.verified.saturating_sub(swarm.shared.verified).saturating_sub(from_mirrors);
        theirs.saturating_mul(2) < rest.served.saturating_sub(swarm.shared.served)
    }

    /// How long the others may take for what was missing when our share was done: a little longer than the mirror would.
    fn turn(&self, swarm: &Swarm, rest: Mark) -> Duration {
        let ours = rest.served.saturating_sub(swarm.shared.served);
        let (elapsed, left) =
            (rest.at.saturating_duration_since(swarm.shared.at), self.brief.size.saturating_sub(rest.verified));
        let by_mirror = self.mirrors_rate(swarm).map(|rate| time_for(left, rate));
        let by_mirror = by_mirror.or_else(|| expected_rest(ours, elapsed, left)).unwrap_or(UNKNOWN_TURN);
        by_mirror + by_mirror / 4
    }

    /// How long nothing may come.
    fn pause(&self, swarm: &Swarm) -> Duration {
        let elapsed = swarm.last_verified.saturating_duration_since(swarm.joined);
        // Machines that began together and share a line get their pieces at about the same time, and then nothing for a while.
        let burst = self.start(swarm);
        elapsed.checked_div(swarm.advances).map_or(burst, |piece| burst.max(piece * PAUSE).min(LONGEST_PAUSE))
    }

    /// How long they may take to begin.
    fn start(&self, swarm: &Swarm) -> Duration {
        let sharers = u32::try_from(self.company.count()).unwrap_or(u32::MAX).saturating_add(1);
        let twice = self.piece().saturating_mul(2 * u64::from(sharers));
        let start =
            self.mirrors_rate(swarm).map_or(UNKNOWN_START.saturating_mul(sharers), |rate| time_for(twice, rate));
        start.clamp(SHORTEST_START, LONGEST_START)
    }

    /// Bytes of a piece, about.
    fn piece(&self) -> u64 {
        self.brief.size / self.brief.pieces.max(1)
    }

    /// Bytes a second of the swarm's first mirror, as it was when it was measured.
    fn mirrors_rate(&self, swarm: &Swarm) -> Option<u64> {
        self.brief.prospects.get(swarm.webseeds.first()?.mirror)?.rate
    }
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / rate.max(1))
}
