//! A large package whole from one neighbour, where neither mirrors nor its swarm bring anything: whoever has it may be behind NAT,
//! and has called us, while we cannot call it.

use std::time::{Duration, Instant};

use p2p_wire::MAX_GET_BYTES;

use super::swarming::SWARM_STALL_LIMIT;
use super::{Action, Plan, Sharing};

/// The largest package that comes so, in bytes: it is checked in memory.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Whether neighbours were asked for a large package whole.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastResort {
    #[default]
    Untried,
    AtWork,
    Spent,
}

impl Plan {
    /// Has neighbours send a large package whole, once; whether they are at it.
    pub(super) fn tries_last_resort(&mut self, now: Instant) -> bool {
        let is_large = (MAX_GET_BYTES + 1..=LARGEST).contains(&self.brief.size);
        let is_still = |swarm: &super::Swarm| now >= swarm.last_verified.max(swarm.joined) + SWARM_STALL_LIMIT;
        let nobody_brings_it = self.swarm.as_ref().is_none_or(is_still);
        let are_there = self.brief.neighbours.is_some() && self.brief.sharing == Sharing::Allowed;
        let may_try = is_large && nobody_brings_it && are_there;
        if may_try && self.last_resort == LastResort::Untried {
            self.last_resort = LastResort::AtWork;
            self.actions.push_back(Action::BorrowLarge);
        }
        self.last_resort == LastResort::AtWork
    }

    /// No neighbour has sent the large package whole.
    pub(crate) fn handle_last_resort_end(&mut self, now: Instant) {
        if self.last_resort == LastResort::AtWork {
            (self.last_resort, self.despair) = (LastResort::Spent, None);
            if self.swarm.is_some() { self.fear(now) } else { self.proceed(now) }
        }
    }

    /// When to give up, unless a neighbour is at work, which has a clock of its own.
    pub(super) fn despair_due(&self) -> Option<Instant> {
        self.despair.filter(|_| self.last_resort != LastResort::AtWork)
    }

    /// How long a swarm of nobody but the dead is hoped for, where the last resort has failed.
    pub(super) fn hope_lasts(&self) -> Duration {
        if self.last_resort == LastResort::Spent { SWARM_STALL_LIMIT } else { super::DESPAIR_AFTER }
    }
}
