//! Machines nearby that download the same package: each asks the mirror for other pieces.
//!
//! What the others are to bring is asked of the mirror, too, once it does not come, or comes more slowly than the mirror would
//! bring it: whoever promises pieces and is slow, or gone, costs a bounded time.

use std::time::{Duration, Instant};

use super::phase::{Idle, Swarm, expected_rest};
use super::{Action, Plan};
use crate::config::Policy;
use crate::fetch::shares::Share;

/// What the others need to find one another, and for a first piece.
const START: Duration = Duration::from_millis(500);
/// Then they may pause for so many times what a piece has taken so far, and so long at least and at most.
const PAUSE: u32 = 4;
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Where nothing has come yet.
const FIRST_PIECE_WITHIN: Duration = Duration::from_secs(1);

impl Plan {
    /// So many others nearby download the package, too.
    pub(crate) fn handle_company(&mut self, others: usize, now: Instant) {
        if self.others == 0
            && let Some(swarm) = &mut self.swarm
        {
            swarm.shared = swarm.mark(now);
        }
        self.others = others;
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
        self.others > 0
            && self.share() != Share::Everything
            && self.swarm.as_ref().is_some_and(|swarm| !swarm.webseeds.is_empty())
    }

    /// When a mirror is asked for more than our share, unless the others bring something before.
    pub(super) fn widening_due(&self) -> Option<Instant> {
        let swarm = self.swarm.as_ref().filter(|_| self.withholds())?;
        let rest = swarm.rest?;
        let pause_ends = rest.at.max(swarm.last_verified) + pause(swarm);
        let turn_ends = turn(swarm, self.brief.size).map(|turn| (rest.at + turn).max(swarm.shared.at + START));
        Some(turn_ends.map_or(pause_ends, |at| at.min(pause_ends)))
    }

    pub(super) fn consider_widening(&mut self, now: Instant) {
        if self.widening_due().is_some_and(|at| at <= now)
            && let Some(swarm) = &mut self.swarm
        {
            swarm.share = swarm.share.next(self.others);
            // Its mirrors have something to do again.
            swarm.rest = None;
            swarm.note_rest(now);
            swarm.idle = swarm.idle.map(|_| Idle { since: now, acted: now });
            self.actions.push_back(Action::AskForMore);
        }
    }
}

/// How long the others may take for the rest: as long as their pace so far suggests, and not longer than the mirror would. No time
/// at all where they have been much slower than it; none is known where our own share was nothing.
fn turn(swarm: &Swarm, size: u64) -> Option<Duration> {
    let (shared, rest) = (swarm.shared, swarm.rest?);
    let ours = rest.served.saturating_sub(shared.served);
    let theirs = rest.verified.saturating_sub(shared.verified).saturating_sub(ours);
    let (elapsed, left) = (rest.at.saturating_duration_since(shared.at), size.saturating_sub(rest.verified));
    let by_mirror = expected_rest(ours, elapsed, left)?;
    let by_others = expected_rest(theirs, elapsed, left).filter(|_| theirs.saturating_mul(2) >= ours);
    Some(by_others.map_or(Duration::ZERO, |by_others| by_mirror.min(by_others + by_others / 4)))
}

/// How long nothing may come.
fn pause(swarm: &Swarm) -> Duration {
    let elapsed = swarm.last_verified.duration_since(swarm.joined);
    match elapsed.checked_div(swarm.advances) {
        Some(piece) => (piece * PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
        None => FIRST_PIECE_WITHIN,
    }
}
