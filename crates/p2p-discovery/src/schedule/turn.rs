//! What one swarm has due at one tracker, in the DHT and on the link.

use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_wire::AnnounceEvent;

use super::Announced;
use crate::tracker::Tracker;

/// No tracker is asked about one swarm more often than this, whatever it allows.
pub(super) const SHORTEST_INTERVAL: Duration = Duration::from_mins(1);
/// Longer intervals would let us be forgotten; BEP 3 trackers say half an hour.
pub(super) const LONGEST_INTERVAL: Duration = Duration::from_hours(2);
/// After a tracker refused one swarm, the first time and at last.
const REFUSED: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(30)];

/// DHT rounds after the first, while peers are lacking.
const LACKING_ROUNDS: [Duration; 3] = [Duration::from_secs(15), Duration::from_mins(1), Duration::from_mins(5)];
/// DHT rounds after one that reached nobody.
pub(super) const MISSED_ROUNDS: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
];
/// All later DHT rounds: nodes keep an announce for half an hour or less (BEP 5 names no time).
const DHT_INTERVAL: Duration = Duration::from_mins(15);

/// Local searches after the first; datagrams do get lost.
const LAN_ROUNDS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(25)];
/// All later local searches: BEP 14 allows no more.
const LAN_INTERVAL: Duration = Duration::from_mins(5);

/// What a tracker knows of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Started,
    Completed,
}

/// One swarm at one tracker.
#[derive(Debug)]
pub(super) struct TrackerTurn {
    pub(super) tracker: Arc<Tracker>,
    /// When it is to be asked next; while it is being asked, `None`.
    pub(super) due: Option<Instant>,
    told: Told,
    refusals: u32,
}

/// Whether a round in the DHT reached anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    /// Some node knows us now.
    Announced,
    /// So many others are announced that nobody was told of us.
    Unneeded,
    /// The node was not up yet, or knows nobody.
    Missed,
}

/// What the last round brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    /// Too few peers are known.
    Lacking,
    /// There are enough.
    Enough,
}

impl TrackerTurn {
    pub(super) fn new(tracker: Arc<Tracker>, now: Instant) -> Self {
        Self { tracker, due: Some(now), told: Told::Nothing, refusals: 0 }
    }

    /// The event of the announce that now begins.
    pub(super) fn begin(&mut self, left: u64) -> AnnounceEvent {
        self.due = None;
        let (event, told) = match (self.told, left) {
            (Told::Nothing, 0) => (AnnounceEvent::Started, Told::Completed),
            (Told::Nothing, _) => (AnnounceEvent::Started, Told::Started),
            (Told::Started, 0) => (AnnounceEvent::Completed, Told::Completed),
            (told, _) => (AnnounceEvent::Regular, told),
        };
        self.told = told;
        event
    }

    /// What came of the announce that began with `event`.
    pub(super) fn ended(&mut self, event: AnnounceEvent, outcome: &Announced, supply: Supply, now: Instant) {
        match outcome {
            Announced::Answered { interval, min_interval, .. } => self.answered(*interval, *min_interval, supply, now),
            Announced::Refused(_) => self.refused(event, now),
            Announced::Failed(_) => self.failed(event, now),
        }
    }

    fn answered(&mut self, interval: Duration, min_interval: Option<Duration>, supply: Supply, now: Instant) {
        self.refusals = 0;
        let wait = match supply {
            Supply::Lacking => min_interval.unwrap_or(interval).min(interval),
            Supply::Enough => interval,
        };
        self.due = Some(now + wait.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL));
    }

    /// The tracker does not want this swarm; it may do well with others.
    fn refused(&mut self, event: AnnounceEvent, now: Instant) {
        self.forget(event);
        let wait = REFUSED[0] * 2_u32.saturating_pow(self.refusals.min(10));
        self.refusals += 1;
        self.due = Some(now + wait.min(REFUSED[1]));
    }

    /// The tracker did not answer; when it is tried again is the tracker's matter, not the swarm's.
    fn failed(&mut self, event: AnnounceEvent, now: Instant) {
        self.forget(event);
        self.due = Some(now);
    }

    fn forget(&mut self, event: AnnounceEvent) {
        self.told = match event {
            AnnounceEvent::Regular => return,
            AnnounceEvent::Started | AnnounceEvent::Stopped => Told::Nothing,
            AnnounceEvent::Completed => Told::Started,
        };
    }

    /// What is complete is said at once where the start was.
    pub(super) fn hasten_completed(&mut self, now: Instant) {
        if self.told == Told::Started && self.due.is_some() {
            self.due = Some(now);
        }
    }

    /// Whether the tracker counts us in, as far as we know.
    pub(super) fn is_told(&self) -> bool {
        self.told != Told::Nothing
    }

    /// What the tracker must still hear when nobody seeks any more.
    pub(super) fn farewell(&self, left: u64) -> Option<AnnounceEvent> {
        match (self.told, left) {
            (Told::Started, 0) => Some(AnnounceEvent::Completed),
            (Told::Started, _) => Some(AnnounceEvent::Stopped),
            (Told::Nothing | Told::Completed, _) => None,
        }
    }
}

/// One swarm in the DHT.
#[derive(Debug)]
pub(super) struct DhtTurn {
    /// When the next round is due; while one runs, `None`.
    pub(super) due: Option<Instant>,
    rounds: usize,
    misses: usize,
}

impl DhtTurn {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: Some(now), rounds: 0, misses: 0 }
    }

    pub(super) fn ended(&mut self, round: Round, supply: Supply, now: Instant) {
        if round == Round::Missed {
            let wait = MISSED_ROUNDS.get(self.misses).or(MISSED_ROUNDS.last()).expect("there are some");
            self.misses += 1;
            self.due = Some(now + *wait);
            return;
        }
        self.misses = 0;
        let lacking = LACKING_ROUNDS.get(self.rounds).filter(|_| supply == Supply::Lacking);
        self.rounds += 1;
        self.due = Some(now + *lacking.unwrap_or(&DHT_INTERVAL));
    }
}

/// One swarm on the link.
#[derive(Debug)]
pub(super) struct LanTurn {
    pub(super) due: Instant,
    rounds: usize,
}

impl LanTurn {
    pub(super) fn new(now: Instant) -> Self {
        Self { due: now, rounds: 0 }
    }

    pub(super) fn searched(&mut self, now: Instant) {
        self.due = now + *LAN_ROUNDS.get(self.rounds).unwrap_or(&LAN_INTERVAL);
        self.rounds += 1;
    }
}
