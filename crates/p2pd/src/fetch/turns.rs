//! Who of a local network asks the mirror for which package: pure.
//!
//! Machines that update together elect, by rendezvous hashing, one for each package that nobody has: the one whose peer id gives the
//! largest number with the package's id. It asks the mirror, the others wait for it. Everybody counts by what they
//! have heard themselves; the one with the largest number of all elects itself whatever it has heard, so somebody always begins.
//!
//! Waiting ends when the one who is waited for gives no sign of life for [`PATIENCE`], which costs that time once for all
//! packages; and whatever it says when the mirror would have brought everything twice over.

mod trust;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use p2p_package::Sha256;
use trust::{MOST_BROKEN_PROMISES, Trust};
use wanted::{Progress, Wanted, Weight};

/// Somebody who is to bring a package, and neither brings nor says anything for so long, is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// When those are asked anew who are waited for, and of whom nothing comes.
const ASK_ANEW_AFTER: Duration = Duration::from_millis(400);
/// Who else wants a package is looked up so often at most.
const RIVALS_LIFE: Duration = Duration::from_millis(100);
/// A mirror of which nothing is known: bytes a second.
const UNKNOWN_RATE: u64 = 1_000_000;
/// Nobody is waited for longer, however slow the mirror is.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// So many are waited for, one after the other, before we ask the mirror ourselves.
const MOST_IN_VAIN: u8 = 2;
/// So often those nearby are asked again for all that is lacking: they know for ten minutes that we want it (docs/protocol.md), and a
/// question may go unheard.
const REMIND_EVERY: Duration = Duration::from_mins(4);
/// A neighbour that tells again and again that a package has arrived is asked about it so often at most.
const FOLLOW_UP_EVERY: Duration = Duration::from_secs(1);

/// What is to be done about a package now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Neighbours are about to answer.
    Asking,
    /// A neighbour has it.
    Here,
    /// Somebody nearby will bring it.
    Theirs,
    /// A mirror is to be asked.
    Ours,
}

/// What a neighbour says of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Here,
    /// It is being downloaded.
    Coming,
    Absent,
}

/// A neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer<N> {
    pub(crate) id: N,
    pub(crate) peer_id: [u8; 20],
    /// Only they are waited for.
    pub(crate) is_local: bool,
}

/// The packages that this machine wants, and what neighbours say of them.
#[derive(Debug)]
pub(crate) struct Turns<N> {
    us: [u8; 20],
    wanted: BTreeMap<Sha256, Wanted<N>>,
    /// When those who are waited for last gave a sign of life.
    signs: BTreeMap<N, Instant>,
    trust: Trust<N>,
    /// For how many packages each neighbour is waited for.
    queues: BTreeMap<N, usize>,
    /// When a neighbour last brought something.
    brought: Option<Instant>,
    asked_anew: Option<Instant>,
    /// When those nearby are to be reminded of what is wanted.
    remind: Option<Instant>,
    /// Bytes a second of the mirror, as it was last measured.
    rate: u64,
    /// Where nothing is left for us to ask a mirror for: until when the others are waited for.
    idle_ends: Option<Instant>,
}

impl<N: Copy + Ord> Turns<N> {
    /// Nothing is wanted yet; `us` is our peer id.
    pub(crate) fn new(us: [u8; 20]) -> Self {
        Self {
            us,
            wanted: BTreeMap::new(),
            signs: BTreeMap::new(),
            trust: Trust::new(),
            queues: BTreeMap::new(),
            brought: None,
            asked_anew: None,
            remind: None,
            rate: UNKNOWN_RATE,
            idle_ends: None,
        }
    }

    /// Somebody here wants a package of so many bytes, whose mirror sends so many a second. True where neighbours are to be asked for
    /// it.
    pub(crate) fn want(&mut self, id: Sha256, size: u64, rate: Option<u64>) -> bool {
        let ours = weight(&id, &self.us);
        self.rate = rate.unwrap_or(self.rate).max(1);
        let wanted = self.wanted.entry(id).or_insert_with(|| Wanted {
            size,
            rate: rate.unwrap_or(UNKNOWN_RATE).max(1),
            wishes: 0,
            ours,
            holders: BTreeMap::new(),
            refused: BTreeMap::new(),
            coming: BTreeMap::new(),
            rivals: BTreeMap::new(),
            rivals_at: None,
            unanswered: BTreeSet::new(),
            is_late: false,
            asked: None,
            asked_of: BTreeMap::new(),
            waited_for: None,
            wait_ends: None,
            in_vain: 0,
            progress: Progress::Waits,
        });
        wanted.wishes += 1;
        wanted.asked.is_none()
    }

    /// Somebody here does not want it any more; true where nobody does.
    pub(crate) fn release(&mut self, id: &Sha256) -> bool {
        let Some(wanted) = self.wanted.get_mut(id) else { return true };
        wanted.wishes -= 1;
        let is_last = wanted.wishes == 0;
        if is_last {
            wanted.wait_for(None, &mut self.queues);
            self.wanted.remove(id);
        }
        is_last
    }

    /// These neighbours have been asked for it.
    pub(crate) fn handle_asked(&mut self, id: &Sha256, peers: &[Peer<N>], now: Instant) {
        if let Some(wanted) = self.wanted.get_mut(id) {
            wanted.unanswered.extend(peers);
            for peer in peers {
                wanted.asked_of.entry(peer.id).or_default();
            }
            (wanted.asked, wanted.is_late) = (Some(now), false);
        }
        self.asked_anew = Some(now);
        if peers.iter().any(|peer| peer.is_local) {
            self.remind.get_or_insert(now + REMIND_EVERY);
        }
    }

    /// Neighbours have been asked anew.
    pub(crate) fn handle_asked_anew(&mut self, now: Instant) {
        self.asked_anew = Some(now);
    }

    /// Those who were asked by one question will not answer it any more.
    pub(crate) fn handle_answers_end(&mut self, id: &Sha256, asked: &BTreeSet<N>) {
        if let Some(wanted) = self.wanted.get_mut(id) {
            wanted.unanswered.retain(|peer| !asked.contains(&peer.id));
        }
    }

    /// Whether this neighbour was asked for it.
    pub(crate) fn was_asked(&self, id: &Sha256, neighbour: N) -> bool {
        self.wanted.get(id).is_some_and(|wanted| wanted.asked_of.contains_key(&neighbour))
    }

    /// Whether a neighbour that tells of the package's arrival may be asked about it now.
    pub(crate) fn follow_up(&mut self, id: &Sha256, neighbour: N, now: Instant) -> bool {
        let Some(last) = self.wanted.get_mut(id).and_then(|wanted| wanted.asked_of.get_mut(&neighbour)) else {
            return false;
        };
        let may = last.is_none_or(|at| at + FOLLOW_UP_EVERY <= now);
        if may {
            *last = Some(now);
        }
        may
    }

    /// A neighbour has answered, or has told that the package has arrived.
    pub(crate) fn handle_answer(&mut self, peer: Peer<N>, id: &Sha256, said: Said, now: Instant) {
        let Some(wanted) = self.wanted.get_mut(id) else { return };
        self.trust.name(peer.id, peer.peer_id);
        wanted.unanswered.remove(&peer);
        wanted.coming.remove(&peer.id);
        match said {
            Said::Here => _ = wanted.holders.insert(peer.id, peer.is_local),
            Said::Coming if peer.is_local => {
                wanted.coming.insert(peer.id, weight(id, &peer.peer_id));
                self.signs.entry(peer.id).and_modify(|sign| *sign = now);
            }
            Said::Coming | Said::Absent => _ = wanted.holders.remove(&peer.id),
        }
    }

    /// Whether it is time to look up who else wants the package.
    pub(crate) fn wants_rivals(&self, id: &Sha256, now: Instant) -> bool {
        let Some(wanted) = self.wanted.get(id) else { return false };
        let is_open = matches!(wanted.progress, Progress::Waits | Progress::Asked) && self.holders(id, now).is_empty();
        is_open && self.are_rivals_stale(id, now)
    }

    /// Whether they were looked up too long ago.
    pub(crate) fn are_rivals_stale(&self, id: &Sha256, now: Instant) -> bool {
        self.wanted.get(id).is_some_and(|wanted| wanted.rivals_at.is_none_or(|at| at + RIVALS_LIFE <= now))
    }

    /// These neighbours nearby want the package, too.
    pub(crate) fn handle_rivals(&mut self, id: &Sha256, rivals: &[(N, [u8; 20])], now: Instant) {
        if let Some(wanted) = self.wanted.get_mut(id) {
            // The election wants to know it as it is then.
            wanted.rivals_at = wanted.answers_due().is_none().then_some(now);
            wanted.rivals.retain(|rival, _| rivals.iter().any(|(present, _)| present == rival));
            for (rival, peer_id) in rivals {
                self.trust.name(*rival, *peer_id);
                wanted.rivals.entry(*rival).or_insert_with(|| weight(id, peer_id));
            }
        }
    }

    /// Only these are still here.
    pub(crate) fn handle_present(&mut self, present: &BTreeSet<N>) {
        for wanted in self.wanted.values_mut() {
            wanted.holders.retain(|neighbour, _| present.contains(neighbour));
            wanted.coming.retain(|neighbour, _| present.contains(neighbour));
            wanted.rivals.retain(|neighbour, _| present.contains(neighbour));
            wanted.unanswered.retain(|peer| present.contains(&peer.id));
            wanted.asked_of.retain(|neighbour, _| present.contains(neighbour));
            let waited_for = wanted.waited_for.filter(|neighbour| present.contains(neighbour));
            wanted.wait_for(waited_for, &mut self.queues);
        }
        self.signs.retain(|neighbour, _| present.contains(neighbour));
        self.trust.handle_present(present);
    }

    /// A mirror has been asked for it.
    pub(crate) fn handle_begun(&mut self, id: &Sha256) {
        self.progress(id, Progress::Asked);
    }

    /// A mirror has begun to send it, or will: nobody else is waited for any more.
    pub(crate) fn handle_sent(&mut self, id: &Sha256) {
        self.progress(id, Progress::Sent);
    }

    /// No mirror is asked any more.
    pub(crate) fn handle_ceased(&mut self, id: &Sha256) {
        if self.lacks(id) {
            self.progress(id, Progress::Waits);
        }
    }

    /// It is here.
    pub(crate) fn handle_here(&mut self, id: &Sha256) {
        self.progress(id, Progress::Here);
    }

    fn progress(&mut self, id: &Sha256, progress: Progress) {
        if let Some(wanted) = self.wanted.get_mut(id) {
            wanted.progress = progress;
            match progress {
                Progress::Waits | Progress::Asked => {}
                Progress::Sent | Progress::Here => wanted.wait_for(None, &mut self.queues),
            }
        }
    }

    /// A neighbour has brought the package.
    pub(crate) fn handle_brought(&mut self, neighbour: N, now: Instant) {
        self.brought = Some(now);
        self.trust.handle_brought(neighbour);
    }

    /// A neighbour is too busy to give anything: others are asked meanwhile.
    pub(crate) fn handle_busy(&mut self, neighbour: N, now: Instant) {
        self.trust.handle_busy(neighbour, now);
    }

    /// A neighbour that said it had the package has not given it; nothing is thought of that where it is just too busy.
    pub(crate) fn handle_refused(&mut self, neighbour: N, id: &Sha256, now: Instant) {
        if self.trust.is_resting(neighbour, now) {
            return;
        }
        if let Some(wanted) = self.wanted.get_mut(id) {
            *wanted.refused.entry(neighbour).or_default() += 1;
        }
        self.trust.handle_refused(neighbour, now);
    }

    /// Those who say that they have it, and are believed; who has not given it is the last.
    pub(crate) fn holders(&self, id: &Sha256, now: Instant) -> Vec<N> {
        let Some(wanted) = self.wanted.get(id) else { return Vec::new() };
        let tries = |holder: &N| wanted.refused.get(holder).copied().unwrap_or(0);
        let is_believed = |holder: &N| tries(holder) < MOST_BROKEN_PROMISES && self.trust.is_believed(*holder, now);
        let mut believed: Vec<N> = wanted.holders.keys().copied().filter(is_believed).collect();
        believed.sort_by_key(tries);
        believed
    }

    /// Whether one of them is local: it brings the package before a mirror does.
    pub(crate) fn is_near(&self, id: &Sha256, now: Instant) -> bool {
        let is_local = |holder: &N| self.wanted.get(id).and_then(|wanted| wanted.holders.get(holder)) == Some(&true);
        self.holders(id, now).iter().any(is_local)
    }

    /// Those nearby who want it, too, or are at it.
    pub(crate) fn companions(&self, id: &Sha256) -> Vec<N> {
        let Some(wanted) = self.wanted.get(id) else { return Vec::new() };
        wanted.coming.keys().chain(wanted.rivals.keys()).copied().collect::<BTreeSet<N>>().into_iter().collect()
    }

    /// Those nearby who want it, too, are at it, or have it; who let us wait in vain is none of them.
    pub(crate) fn company(&self, id: &Sha256, now: Instant) -> Vec<N> {
        let local_holder =
            |holder: &N| self.wanted.get(id).and_then(|wanted| wanted.holders.get(holder)) == Some(&true);
        let holders = self.holders(id, now).into_iter().filter(local_holder);
        let companions = self.companions(id).into_iter().filter(|neighbour| !self.trust.is_barred(*neighbour, now));
        companions.chain(holders).collect()
    }

    /// Whether some who were asked have not answered.
    pub(crate) fn is_unanswered(&self, id: &Sha256) -> bool {
        self.wanted.get(id).is_some_and(|wanted| !wanted.unanswered.is_empty())
    }

    /// What is wanted, and not here.
    pub(crate) fn outstanding(&self) -> Vec<Sha256> {
        let lacking = self.wanted.iter().filter(|(_, wanted)| wanted.progress != Progress::Here);
        lacking.map(|(id, _)| *id).collect()
    }

    /// Whether it is wanted, and not here.
    pub(crate) fn lacks(&self, id: &Sha256) -> bool {
        self.wanted.get(id).is_some_and(|wanted| wanted.progress != Progress::Here)
    }

    /// Whose turn it is.
    pub(crate) fn turn(&mut self, id: &Sha256, now: Instant) -> Turn {
        let has_holder = !self.holders(id, now).is_empty();
        let elected = self.elected(id, now);
        let is_waited_for = elected.is_some_and(|elected| self.queues.contains_key(&elected));
        let Some(wanted) = self.wanted.get_mut(id) else { return Turn::Ours };
        let has_begun = matches!(wanted.progress, Progress::Sent | Progress::Here);
        if has_begun || has_holder {
            wanted.wait_for(None, &mut self.queues);
            return if has_begun { Turn::Ours } else { Turn::Here };
        }
        if wanted.answers_due().is_some_and(|at| now < at) {
            return Turn::Asking;
        }
        wanted.wait_for(elected, &mut self.queues);
        let Some(elected) = elected else { return Turn::Ours };
        if !is_waited_for {
            self.signs.insert(elected, now);
        }
        if wanted.wait_ends.is_none() {
            let mirrors_time: Duration =
                self.wanted.values().filter(|wanted| wanted.progress != Progress::Here).map(Wanted::mirrors_time).sum();
            let end = now + PATIENCE + (mirrors_time.min(LONGEST_WAIT) * 2).min(LONGEST_WAIT);
            self.wanted.entry(*id).and_modify(|wanted| wanted.wait_ends = Some(end));
        }
        Turn::Theirs
    }

    /// Who is to bring the package.
    pub(crate) fn waited_for(&self, id: &Sha256) -> Option<N> {
        self.wanted.get(id)?.waited_for
    }

    /// Until when the package is waited for at the latest.
    pub(crate) fn wait_ends(&self, id: &Sha256) -> Option<Instant> {
        self.wanted.get(id)?.wait_ends
    }

    /// Notes whether all that is lacking is with neighbours: from then on they get twice the time that the mirror needs for the rest.
    pub(crate) fn note_idleness(&mut self, now: Instant) {
        let lacking = || self.wanted.values().filter(|wanted| wanted.progress != Progress::Here);
        let is_idle = !self.queues.is_empty()
            && lacking().all(|wanted| wanted.waited_for.is_some() || !wanted.holders.is_empty());
        let left = lacking().map(|wanted| wanted.size).fold(0, u64::saturating_add);
        let mirrors_time = Duration::from_millis(left.saturating_mul(1_000) / self.rate);
        let end = now + PATIENCE + (mirrors_time.min(LONGEST_WAIT) * 2).min(LONGEST_WAIT);
        self.idle_ends = is_idle.then(|| self.idle_ends.unwrap_or(end));
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let ends = self.waiting().filter_map(|(_, wanted)| wanted.wait_ends);
        let deadlines = self.waiting().filter_map(|(_, wanted)| self.deadline(wanted.waited_for?));
        let answers = self.wanted.values().filter_map(Wanted::answers_due);
        let others = [self.asking_anew_due(), self.idle_ends, self.remind, self.trust.poll_timeout()];
        ends.chain(deadlines).chain(answers).chain(others.into_iter().flatten()).min()
    }

    /// What those nearby are to be asked for again now, though nothing new is expected of them: so they go on counting with us.
    pub(crate) fn remind(&mut self, now: Instant) -> Vec<Sha256> {
        if self.remind.take_if(|at| *at <= now).is_none() {
            return Vec::new();
        }
        let lacking = self.outstanding();
        self.remind = (!lacking.is_empty()).then_some(now + REMIND_EVERY);
        lacking
    }

    /// Time has passed: who let us wait in vain is not waited for any more. The packages that neighbours are to be asked for anew.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Sha256> {
        self.trust.handle_timeout(now);
        for wanted in self.wanted.values_mut() {
            // Nobody else is part of the election; with no mirror a late answer is still worth waiting for.
            wanted.is_late |= wanted.answers_due().is_some_and(|at| at <= now);
        }
        let is_late = |neighbour: &N| self.deadline(*neighbour).is_some_and(|at| at <= now);
        for neighbour in self.queues.keys().copied().filter(is_late).collect::<Vec<N>>() {
            self.give_up(neighbour, now);
        }
        let is_over = self.idle_ends.take_if(|at| *at <= now).is_some();
        let mut disappointing = BTreeSet::new();
        let ends = |wanted: &Wanted<N>| {
            wanted.wait_ends.is_some_and(|at| at <= now) || (is_over && wanted.waited_for.is_some())
        };
        for wanted in self.wanted.values_mut().filter(|wanted| ends(wanted)) {
            (wanted.in_vain, wanted.wait_ends) = (wanted.in_vain + 1, None);
            disappointing.extend(wanted.waited_for);
            wanted.wait_for(None, &mut self.queues);
        }
        for neighbour in disappointing {
            self.trust.bar(neighbour, now);
        }
        if self.asking_anew_due().is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.waiting().map(|(id, _)| *id).collect()
    }

    fn give_up(&mut self, neighbour: N, now: Instant) {
        self.signs.remove(&neighbour);
        self.trust.bar(neighbour, now);
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.waited_for == Some(neighbour)) {
            wanted.wait_for(None, &mut self.queues);
            wanted.in_vain += 1;
        }
    }

    fn waiting(&self) -> impl Iterator<Item = (&Sha256, &Wanted<N>)> {
        self.wanted.iter().filter(|(_, wanted)| wanted.waited_for.is_some())
    }

    fn deadline(&self, neighbour: N) -> Option<Instant> {
        let sign = *self.signs.get(&neighbour)?;
        Some(self.brought.map_or(sign, |brought| brought.max(sign)) + PATIENCE)
    }

    fn asking_anew_due(&self) -> Option<Instant> {
        self.waiting().next()?;
        Some(self.asked_anew.max(self.brought)? + ASK_ANEW_AFTER)
    }

    /// Who is to bring it; none where that is us. One that is at it already goes first; where we are, too, the one whose number
    /// is larger.
    fn elected(&self, id: &Sha256, now: Instant) -> Option<N> {
        let wanted = self.wanted.get(id).filter(|wanted| wanted.in_vain < MOST_IN_VAIN)?;
        let may_bring = |(neighbour, _): &(&N, &Weight)| {
            // Who is too busy would not give it to us.
            !self.trust.is_barred(**neighbour, now) && !self.trust.is_resting(**neighbour, now)
        };
        let is_before_us = |(_, weight): &(&N, &Weight)| **weight > wanted.ours;
        let is_at_it = wanted.progress == Progress::Asked;
        let at_it = wanted.coming.iter().filter(may_bring).filter(|other| !is_at_it || is_before_us(other));
        let rivals = wanted.rivals.iter().filter(may_bring).filter(is_before_us);
        let first = at_it.max_by_key(|(_, weight)| **weight).or_else(|| rivals.max_by_key(|(_, weight)| **weight));
        first.map(|(neighbour, _)| *neighbour)
    }
}

fn weight(id: &Sha256, peer_id: &[u8; 20]) -> Weight {
    Sha256::of(&[id.as_bytes().as_slice(), peer_id].concat())
}

#[cfg(test)]
mod tests;
