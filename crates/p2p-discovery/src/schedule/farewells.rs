//! What trackers must still hear of swarms that nobody seeks or offers any more.

use std::collections::VecDeque;
use std::sync::Arc;

use p2p_package::InfoHash;
use p2p_wire::AnnounceEvent;

use crate::tracker::Tracker;

/// Farewells that wait to be said. One too many is left out: the tracker will forget us by itself.
const MAX_FAREWELLS: usize = 500;

/// A last announce.
#[derive(Debug)]
pub(super) struct Farewell {
    pub(super) info_hash: InfoHash,
    pub(super) tracker: Arc<Tracker>,
    pub(super) event: AnnounceEvent,
    pub(super) left: u64,
}

impl Farewell {
    /// Whether it is of something that was offered: then it has to be paid for.
    pub(super) fn is_offers(&self) -> bool {
        self.event == AnnounceEvent::Stopped && self.left == 0
    }
}

/// The last announces that wait, in their order.
#[derive(Debug, Default)]
pub(super) struct Farewells(VecDeque<Farewell>);

impl Farewells {
    pub(super) fn push(&mut self, farewell: Farewell) {
        if self.0.len() >= MAX_FAREWELLS {
            return;
        }
        let about = |farewell: &Farewell| (farewell.info_hash, Arc::clone(&farewell.tracker), farewell.event);
        let is_known = self.0.iter().any(|other| about(other) == about(&farewell));
        if !is_known {
            self.0.push_back(farewell);
        }
    }

    pub(super) fn retain(&mut self, is_wanted: impl FnMut(&Farewell) -> bool) {
        self.0.retain(is_wanted);
    }

    /// Takes the first that may be said now out.
    pub(super) fn take(&mut self, may_be_said: impl FnMut(&Farewell) -> bool) -> Option<Farewell> {
        let at = self.0.iter().position(may_be_said)?;
        self.0.remove(at)
    }

    /// Whether there is one like that.
    pub(super) fn any(&self, is_wanted: impl FnMut(&Farewell) -> bool) -> bool {
        self.0.iter().any(is_wanted)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
