//! What the schedule wants done, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use p2p_package::InfoHash;
use p2p_wire::AnnounceEvent;

use super::turn::Round;
use crate::tracker::Tracker;

/// What something is done for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Somebody waits for peers.
    Seek,
    /// Neighbours are looked for, and shall find us.
    Meet,
    /// Others shall find us.
    Offer,
}

/// Something to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// One announce; its end goes to [`Schedule::handle_announced`](super::Schedule::handle_announced).
    Announce { info_hash: InfoHash, tracker: Arc<Tracker>, event: AnnounceEvent, left: u64, purpose: Purpose },
    /// One DHT round; its end goes to [`Schedule::handle_looked_up`](super::Schedule::handle_looked_up).
    LookUp { info_hash: InfoHash, purpose: Purpose },
    /// One DHT round for a club, which tells nodes of us if fewer than `tell_below` seem to be announced; its end goes to
    /// [`Schedule::handle_met`](super::Schedule::handle_met).
    Meet { club: InfoHash, tell_below: u32 },
    /// One local search, with nothing to come back.
    Search(Vec<InfoHash>),
}

/// What came of one announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Announced {
    Answered { interval: Duration, min_interval: Option<Duration>, peers: usize, seeders: u32 },
    Refused(String),
    Failed(String),
}

/// What came of one DHT round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LookedUp {
    pub(crate) round: Round,
    /// Peers beside us.
    pub(crate) others: u32,
    /// Packets sent.
    pub(crate) packets: u32,
}

impl LookedUp {
    /// Nobody was asked.
    pub(crate) const MISSED: Self = Self { round: Round::Missed, others: 0, packets: 0 };
}
