//! One package that this machine wants: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use p2p_package::Sha256;

use super::Peer;

/// Answers that come later are no part of an election.
const ANSWERS_WITHIN: Duration = Duration::from_millis(20);

/// How far we are with a package ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Waits,
    /// A mirror has been asked, and has sent nothing yet.
    Asked,
    /// A mirror sends it.
    Sent,
    Here,
}

/// A candidate's number for a package.
pub(super) type Weight = Sha256;

/// What neighbours say of a package, and how far we are with it.
#[derive(Debug)]
pub(super) struct Wanted<N> {
    pub(super) size: u64,
    /// Bytes a second of its mirror.
    pub(super) rate: u64,
    /// Fetches and transactions that want it.
    pub(super) wishes: usize,
    pub(super) ours: Weight,
    /// And whether they are local.
    pub(super) holders: BTreeMap<N, bool>,
    /// Who has not given it, and how often.
    pub(super) refused: BTreeMap<N, u8>,
    pub(super) coming: BTreeMap<N, Weight>,
    pub(super) rivals: BTreeMap<N, Weight>,
    pub(super) rivals_at: Option<Instant>,
    pub(super) unanswered: BTreeSet<Peer<N>>,
    /// Whether the others' answers come too late for an election.
    pub(super) is_late: bool,
    pub(super) asked: Option<Instant>,
    /// Who was asked, and when an arrival there was last asked about.
    pub(super) asked_of: BTreeMap<N, Option<Instant>>,
    pub(super) waited_for: Option<N>,
    pub(super) wait_ends: Option<Instant>,
    pub(super) in_vain: u8,
    pub(super) progress: Progress,
}

impl<N: Copy + Ord> Wanted<N> {
    /// Waits for this one from now on; `queues` keeps count.
    pub(super) fn wait_for(&mut self, neighbour: Option<N>, queues: &mut BTreeMap<N, usize>) {
        if let Some(before) = self.waited_for
            && let Some(count) = queues.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                queues.remove(&before);
            }
        }
        if let Some(neighbour) = neighbour {
            *queues.entry(neighbour).or_default() += 1;
        }
        self.waited_for = neighbour;
    }

    /// Until when neighbours nearby may still answer before somebody is elected.
    pub(super) fn answers_due(&self) -> Option<Instant> {
        let is_open = !self.is_late && self.unanswered.iter().any(|peer| peer.is_local);
        self.asked.filter(|_| is_open).map(|asked| asked + ANSWERS_WITHIN)
    }

    /// What the mirror would need for it alone.
    pub(super) fn mirrors_time(&self) -> Duration {
        Duration::from_millis(self.size.saturating_mul(1_000) / self.rate)
    }
}
