//! Which mirrors may be asked now, and what the faults of the others were: pure.

use std::time::{Duration, Instant};

use super::{Despair, Verdict};

/// A mirror that failed without delivering anything is not asked again before this.
const REST: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    Lacks,
    /// It failed. Only where it named the time itself (Retry-After) is that worth waiting for.
    RestsUntil {
        at: Instant,
        promised: bool,
    },
    Wrong,
}

/// The mirrors of one package, in the order in which they are tried.
#[derive(Debug)]
pub(super) struct Roster(Vec<Standing>);

impl Roster {
    pub(super) fn new(mirrors: usize) -> Self {
        Self(vec![Standing::Good; mirrors])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Notes a mirror's fault.
    pub(super) fn judge(&mut self, mirror: usize, verdict: Verdict, now: Instant) {
        self.0[mirror] = match verdict {
            Verdict::Lacks => Standing::Lacks,
            Verdict::Rests(rest) => Standing::RestsUntil { at: now + rest.unwrap_or(REST), promised: rest.is_some() },
            Verdict::Wrong => Standing::Wrong,
        };
    }

    /// The first mirror that may be asked and is not `used`; one that never failed before one that did.
    pub(super) fn best(&self, now: Instant, used: &[usize]) -> Option<usize> {
        let usable = |index: &usize| match self.0[*index] {
            Standing::Good => true,
            Standing::RestsUntil { at, .. } => at <= now,
            Standing::Lacks | Standing::Wrong => false,
        };
        let mut candidates = (0..self.0.len()).filter(|index| !used.contains(index)).filter(usable);
        candidates.clone().find(|index| self.0[*index] == Standing::Good).or_else(|| candidates.next())
    }

    /// When the first mirror that promised to be back is.
    pub(super) fn next_promised(&self) -> Option<Instant> {
        let promised = |standing: &Standing| match standing {
            Standing::RestsUntil { at, promised: true } => Some(*at),
            Standing::RestsUntil { .. } | Standing::Good | Standing::Lacks | Standing::Wrong => None,
        };
        self.0.iter().filter_map(promised).min()
    }

    /// Why none of them delivers.
    pub(super) fn reason(&self) -> Despair {
        if !self.0.is_empty() && self.0.iter().all(|standing| *standing == Standing::Lacks) {
            Despair::NotFound
        } else if self.0.contains(&Standing::Wrong) {
            Despair::Mismatch
        } else {
            Despair::Unreachable
        }
    }
}
