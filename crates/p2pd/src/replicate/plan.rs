//! What to fetch and what to drop, and when: pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use p2p_package::{PackageId, Sha256};

use super::choice::{Candidate, Place, choose};
use super::pace::Pace;
use crate::config::Order;

/// Parts of the spread: a package that could not be had rests for one such part, then twice as long, up to the whole.
const REST: u32 = 24;
/// The same for everything after a failure, up to a quarter of the spread: mirrors and peers may be out of reach.
const PAUSE: u32 = 144;
/// Doublings after which a rest is longer than any spread.
const MAX_DOUBLINGS: u32 = 8;

/// What is there and what is wished, as of now.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// What the replicated repositories list and may be shared.
    pub(crate) candidates: Vec<Candidate>,
    /// What else is ours.
    pub(crate) others: Vec<(PackageId, Fate)>,
}

/// What becomes of a package of ours that is no candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Superseded, excluded, or its repository is not replicated any more.
    Fallen,
    /// Its repository's database cannot be read at the moment, so nobody knows.
    Unknown,
}

/// The configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Goal {
    /// In bytes.
    pub(crate) budget: u64,
    pub(crate) order: Order,
    pub(crate) spread: Duration,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Remove this package of ours, then ask again.
    Drop(PackageId),
    /// Fetch this, then report [`handle_arrived`](Plan::handle_arrived) or another end.
    Fetch(Wish),
    /// Nothing before this time, or before the next look.
    Wait(Option<SystemTime>),
}

/// A package that is to be fetched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish {
    pub(crate) id: PackageId,
    pub(crate) repository: Arc<str>,
}

/// Packages and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) packages: u64,
    pub(crate) bytes: u64,
}

/// Decides for one machine.
///
/// It holds a set of packages that together fit into the budget. What is not listed any more goes at once; what
/// others have pushed out of the set stays until its room is needed.
#[derive(Debug)]
pub(crate) struct Plan {
    goal: Goal,
    pace: Pace,
    /// Names of the packages in the set: see [`choose`].
    members: BTreeSet<Box<str>>,
    wanted: u64,
    /// What is in the set and not here, the best first.
    missing: VecDeque<Wish>,
    /// What is ours and must go.
    fallen: Vec<PackageId>,
    /// What is ours and not in the set, the best first.
    spare: Vec<PackageId>,
    held: Amount,
    failures: BTreeMap<Sha256, Failure>,
    /// Failures since the last success.
    misfortunes: u32,
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    times: u32,
    until: SystemTime,
}

impl Plan {
    pub(crate) fn new(goal: Goal, pace: Pace) -> Self {
        Self {
            goal,
            pace,
            members: BTreeSet::new(),
            wanted: 0,
            missing: VecDeque::new(),
            fallen: Vec::new(),
            spare: Vec::new(),
            held: Amount::default(),
            failures: BTreeMap::new(),
            misfortunes: 0,
        }
    }

    /// The configuration may have changed; a look must follow.
    pub(crate) fn set_goal(&mut self, goal: Goal) {
        self.goal = goal;
    }

    /// Takes over what is there and what is listed.
    pub(crate) fn handle_look(&mut self, look: Look, now: SystemTime) {
        let Look { candidates, others } = look;
        let is_ours = |one: &&Candidate| one.place == Place::Ours;
        if self.members.is_empty() {
            self.members = candidates.iter().filter(is_ours).map(|one| one.name().into()).collect();
        }
        let unknown = amount(others.iter().filter(|(_, fate)| *fate == Fate::Unknown).map(|(id, _)| id));
        let budget = self.goal.budget.saturating_sub(unknown.bytes);
        let (chosen, left) = choose(&candidates, self.goal.order, budget, &self.members);
        self.members = chosen.iter().map(|at| candidates[*at].name().into()).collect();
        self.wanted = chosen.len() as u64;
        self.held = amount(others.iter().map(|(id, _)| id).chain(candidates.iter().filter(is_ours).map(|one| &one.id)));
        let fallen = others.into_iter().filter(|(_, fate)| *fate == Fate::Fallen);
        self.fallen = fallen.map(|(id, _)| id).collect();
        let left = left.iter().map(|at| &candidates[*at]);
        self.spare = left.filter(is_ours).map(|one| one.id.clone()).collect();
        let chosen = chosen.iter().map(|at| &candidates[*at]).filter(|one| one.place == Place::Missing);
        let wish = |one: &Candidate| Wish { id: one.id.clone(), repository: Arc::clone(&one.repository) };
        self.missing = chosen.map(wish).collect();
        let listed: BTreeSet<_> = self.missing.iter().map(|wish| wish.id.sha256).collect();
        self.failures.retain(|sha256, _| listed.contains(sha256));
        self.keep_pace(now);
    }

    /// What to do now.
    pub(crate) fn poll(&mut self, now: SystemTime) -> Step {
        if let Some(id) = self.fallen.pop() {
            return self.drop(id);
        }
        if self.held.bytes > self.goal.budget
            && let Some(id) = self.spare.pop()
        {
            return self.drop(id);
        }
        let due = self.next();
        let Some(at) = self.missing.iter().position(|wish| self.is_rested(&wish.id, now)) else {
            return Step::Wait(due);
        };
        if due.is_none_or(|due| due > now) {
            return Step::Wait(due);
        }
        let wish = self.missing[at].clone();
        if self.held.bytes.saturating_add(wish.id.size) <= self.goal.budget {
            self.pace.handle_begun(&wish.id.sha256, wish.id.size, self.goal.spread, now);
            return Step::Fetch(wish);
        }
        match self.spare.pop() {
            Some(id) => self.drop(id),
            // What we know nothing of takes the room.
            None => Step::Wait(None),
        }
    }

    /// The package is here and ours.
    pub(crate) fn handle_arrived(&mut self, id: &PackageId, now: SystemTime) {
        self.misfortunes = 0;
        self.held.packages += 1;
        self.held.bytes += id.size;
        self.handle_gone(id, now);
    }

    /// The package need not be fetched: it is somewhere else, or a client fetches it.
    pub(crate) fn handle_gone(&mut self, id: &PackageId, now: SystemTime) {
        self.missing.retain(|wish| wish.id != *id);
        self.failures.remove(&id.sha256);
        self.keep_pace(now);
    }

    /// The package could not be had.
    pub(crate) fn handle_failure(&mut self, id: &PackageId, now: SystemTime) {
        let spread = self.goal.spread;
        let failure = self.failures.entry(id.sha256).or_insert(Failure { times: 0, until: now });
        failure.until = now + doubled(spread / REST, failure.times).min(spread);
        failure.times = failure.times.saturating_add(1);
        let pause = doubled(spread / PAUSE, self.misfortunes).min(spread / 4);
        self.misfortunes = self.misfortunes.saturating_add(1);
        self.pace.put_off(now + pause);
    }

    /// A client came first; it is tried again when none is there.
    pub(crate) fn handle_interruption(&mut self, now: SystemTime) {
        self.pace.hasten(now);
    }

    /// Nothing can be fetched for a while: the disk is full.
    pub(crate) fn handle_no_room(&mut self, now: SystemTime) {
        self.pace.put_off(now + self.goal.spread / PAUSE);
    }

    /// When the next fetch is due; none while nothing is missing.
    pub(crate) fn next(&self) -> Option<SystemTime> {
        let rested = self.missing.iter().map(|wish| self.failures.get(&wish.id.sha256).map(|failure| failure.until));
        // `None` comes first: a package that has not failed is rested.
        let rested = rested.min()?;
        self.pace.next().max(rested)
    }

    /// What is ours.
    pub(crate) fn held(&self) -> Amount {
        self.held
    }

    /// How many packages should be ours.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// To be remembered over restarts.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    fn drop(&mut self, id: PackageId) -> Step {
        self.held.packages = self.held.packages.saturating_sub(1);
        self.held.bytes = self.held.bytes.saturating_sub(id.size);
        Step::Drop(id)
    }

    fn is_rested(&self, id: &PackageId, now: SystemTime) -> bool {
        self.failures.get(&id.sha256).is_none_or(|failure| failure.until <= now)
    }

    fn keep_pace(&mut self, now: SystemTime) {
        let bytes = self.missing.iter().map(|wish| wish.id.size).fold(0, u64::saturating_add);
        self.pace.handle_missing(self.missing.len(), bytes, self.goal.spread, now);
    }
}

fn amount<'a>(ids: impl Iterator<Item = &'a PackageId>) -> Amount {
    ids.fold(Amount::default(), |sum, id| Amount {
        packages: sum.packages + 1,
        bytes: sum.bytes.saturating_add(id.size),
    })
}

fn doubled(time: Duration, times: u32) -> Duration {
    time.saturating_mul(1 << times.min(MAX_DOUBLINGS))
}

#[cfg(test)]
mod tests;
