//! Neighbours that come while a package has no source: after a restart without servers they are a moment behind pacman.

use std::time::{Duration, Instant};

use super::phase::MetainfoState;
use super::{DESPAIR_AFTER, Despair, LastResort, Plan, Sharing};

/// How long one that has just come may take to answer, whatever the time is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl Plan {
    /// Neighbours may come until then: where no mirror can be reached, they are waited for.
    pub(crate) fn expect_newcomers(&mut self, until: Instant) {
        self.newcomers_until = Some(until);
    }

    /// Somebody has become a neighbour, and is asked. As after the first question,
    /// [`handle_neighbours_end`](Self::handle_neighbours_end) says when that is over.
    pub(crate) fn handle_newcomer(&mut self, now: Instant) {
        let is_late = self.latest_despair.is_some_and(|at| at <= now);
        if self.ended || is_late || self.brief.sharing != Sharing::Allowed {
            return;
        }
        self.lending.begin_again();
        if self.last_resort == LastResort::Spent {
            self.last_resort = LastResort::Untried;
        }
        // One that has a large package tells its pieces, too.
        if self.metainfo == MetainfoState::Absent && self.swarm.is_none() && self.brief.pieces > 1 {
            self.metainfo = MetainfoState::NotSought;
            self.seek_metainfo();
        }
        let answered = now + ANSWER_WITHIN;
        let end = self.latest_despair.map_or(answered, |latest| latest.min(answered));
        self.despair = self.despair.map(|at| at.max(end));
    }

    /// Nobody is sending: from now on newcomers are heard for a bounded time, however many come.
    pub(super) fn bound_despair(&mut self, now: Instant) {
        let latest = now + DESPAIR_AFTER;
        self.latest_despair = Some(self.latest_despair.map_or(latest, |earlier| earlier.min(latest)));
    }

    /// Until when newcomers are waited for, with nobody else left.
    pub(super) fn newcomers_due(&self, now: Instant) -> Option<Instant> {
        let is_shared = self.brief.sharing == Sharing::Allowed;
        let is_worth_it = is_shared && self.mirrors.reason() == Despair::Unreachable;
        self.newcomers_until.filter(|until| is_worth_it && now < *until)
    }
}
