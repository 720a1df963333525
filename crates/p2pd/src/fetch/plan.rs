//! What to do next to get one package: pure, so that every order of events can be tested without a network.
//!
//! A plan opens a plain stream from a mirror at once, looks for metainfo and peers beside it, and turns to a swarm when that
//! pays. In the swarm mirrors go on as webseeds. Nothing that a peer or a `.torrent` says can make it give up a mirror:
//! where a mirror's bytes contradict the pieces, the swarm is suspended and the package's SHA-256 decides who lied.

mod action;
mod company;
mod last_resort;
mod lending;
mod newcomers;
mod phase;
mod roster;
mod swarming;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use p2p_wire::MAX_GET_BYTES;

pub(crate) use action::{Action, Activity, Brief, Despair, Resume, Sharing, Urgency, Verdict};
use company::Company;
use last_resort::LastResort;
use lending::Lending;
use phase::{MetainfoState, Stream, Swarm};
use roster::Roster;

/// A single-piece package asks for metainfo only when its mirror has not delivered by then.
const SMALL_PACKAGE_PATIENCE: Duration = Duration::from_secs(1);
/// Mirrors, one after the other, may take this long to send a first byte.
const FIRST_BYTE_PATIENCE: Duration = Duration::from_secs(15);
/// So long where all of them have failed lately: for what neighbours lend whole, and for what takes them longer.
const FIRST_BYTE_PATIENCE_WITH_THE_DEAD: [Duration; 2] = [Duration::from_millis(2_500), Duration::from_secs(4)];
/// With no mirror left, this long without a byte from anybody ends the fetch.
const DESPAIR_AFTER: Duration = Duration::from_secs(8);
/// So long where neighbours disagree about the pieces: then others are tried.
const DOUBT_AFTER: Duration = Duration::from_secs(2);
/// A mirror that broke off after this many bytes is asked for the rest at once.
const WORTH_RESUMING: u64 = 64 * 1024;
/// Times that a whole file with the wrong SHA-256 is tried again, beside one for each mirror.
const EXTRA_RESTARTS: usize = 2;

/// The decisions of one package's fetch.
#[derive(Debug)]
pub(crate) struct Plan {
    brief: Brief,
    mirrors: Roster,
    stream: Option<Stream>,
    /// The mirror that was asked for the same beside the stream's, which is late to answer.
    rival: Option<usize>,
    /// The one mirror that all bytes of the stream so far came from.
    sole_mirror: Option<usize>,
    position: u64,
    metainfo: MetainfoState,
    /// Whether neighbours disagree about the pieces.
    has_other_metainfo: bool,
    peers: usize,
    company: Company,
    swarm: Option<Swarm>,
    patience: Option<Instant>,
    /// Until when peers have the first turn.
    grace_ends: Option<Instant>,
    lending: Lending,
    /// Until when neighbours may come that are worth waiting for.
    newcomers_until: Option<Instant>,
    last_resort: LastResort,
    despair: Option<Instant>,
    /// No newcomer moves `despair` beyond this, or is heard later, unless somebody has sent something meanwhile.
    latest_despair: Option<Instant>,
    /// Times that a neighbour was let send the package whole.
    borrowings: usize,
    restarts: usize,
    verifying: bool,
    ended: bool,
    actions: VecDeque<Action>,
}

impl Plan {
    /// A plan, and its first actions.
    pub(crate) fn new(brief: Brief, now: Instant) -> Self {
        let mut plan = Self {
            mirrors: Roster::new(brief.prospects.len()),
            stream: None,
            rival: None,
            sole_mirror: None,
            position: 0,
            metainfo: MetainfoState::NotSought,
            has_other_metainfo: false,
            peers: 0,
            company: Company::default(),
            swarm: None,
            patience: None,
            grace_ends: None,
            lending: Lending::default(),
            newcomers_until: None,
            last_resort: LastResort::default(),
            despair: None,
            latest_despair: None,
            borrowings: 0,
            restarts: 0,
            verifying: false,
            ended: false,
            actions: VecDeque::new(),
            brief,
        };
        plan.begin(now);
        plan
    }

    /// The next thing to do; call until there is none after every `handle_…`.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.ended || self.verifying {
            return None;
        }
        let resting = self.nothing_runs().then(|| self.mirrors.next_promised()).flatten();
        let rival = self.rival_due();
        let turns = [self.grace_ends, self.lending.turn_ends()];
        let turn = turns.into_iter().flatten().filter(|_| self.nothing_runs()).min();
        let borrowing = self.borrowing_due();
        [self.patience, self.despair_due(), self.swarm_due(), resting, rival, turn, borrowing]
            .into_iter()
            .flatten()
            .min()
    }

    /// The one mirror that all bytes of the file came from, where that is so.
    pub(crate) fn sole_mirror(&self) -> Option<usize> {
        self.sole_mirror
    }

    /// Whether mirrors alone will be used, since nobody has metainfo or since nobody may be asked.
    pub(crate) fn is_settled(&self) -> bool {
        self.metainfo == MetainfoState::Absent || self.brief.sharing == Sharing::MirrorsOnly
    }

    /// Somebody waits for the package from now on.
    pub(crate) fn handle_haste(&mut self, now: Instant) {
        self.brief.urgency = Urgency::Urgent;
        (self.brief.grace, self.grace_ends) = (None, None);
        if self.swarm.as_mut().is_some_and(|swarm| swarm.mirror_due.take().is_some()) {
            self.add_webseed(now);
        }
        self.proceed(now);
    }

    fn is_leisurely(&self) -> bool {
        self.brief.urgency == Urgency::Leisurely
    }

    /// The mirror sent bytes: the file now holds the first `position`.
    pub(crate) fn handle_stream_bytes(&mut self, position: u64, now: Instant) {
        if let Some(stream) = self.stream.as_mut().filter(|_| position > self.position) {
            stream.last_bytes = now;
            (self.despair, self.latest_despair) = (None, None);
        }
        self.position = position;
        self.consider_swarm(now);
    }

    /// The stream has delivered the last byte.
    pub(crate) fn handle_stream_end(&mut self) {
        self.stream = None;
        self.verify();
    }

    /// A mirror has begun to answer: its bytes are the stream's from now on. Whoever else was asked is asked no more.
    pub(crate) fn handle_stream_answer(&mut self, mirror: usize, now: Instant) {
        let rival = self.rival.take();
        let Some(stream) = &mut self.stream else { return };
        stream.answered = true;
        if rival == Some(mirror) {
            (stream.mirror, stream.opened, stream.last_bytes) = (mirror, now, now);
            self.sole_mirror = self.sole_mirror.filter(|_| self.position == 0).map(|_| mirror);
        }
    }

    /// The mirror that was asked beside a late one does not have it either.
    pub(crate) fn handle_rival_fault(&mut self, verdict: Verdict, now: Instant) {
        if let Some(rival) = self.rival.take() {
            self.mirrors.judge(rival, verdict, now);
        }
    }

    /// The stream broke, or never came.
    pub(crate) fn handle_stream_fault(&mut self, verdict: Verdict, now: Instant) {
        let Some(stream) = self.stream.take() else { return };
        if let Some(rival) = self.rival.take() {
            self.mirrors.judge(stream.mirror, verdict, now);
            self.sole_mirror = self.sole_mirror.filter(|_| self.position == 0).map(|_| rival);
            self.stream = Some(Stream { mirror: rival, opened: now, ..stream });
            return;
        }
        let delivered = self.position.saturating_sub(stream.from) >= WORTH_RESUMING;
        let verdict =
            if delivered && verdict == Verdict::Rests(None) { Verdict::Rests(Some(Duration::ZERO)) } else { verdict };
        self.mirrors.judge(stream.mirror, verdict, now);
        if self.metainfo == MetainfoState::NotSought {
            self.seek_metainfo();
        }
        self.proceed(now);
    }

    /// The search for metainfo has ended.
    pub(crate) fn handle_metainfo(&mut self, found: bool, now: Instant) {
        if self.metainfo != MetainfoState::Sought {
            return;
        }
        self.metainfo = if found { MetainfoState::Found } else { MetainfoState::Absent };
        if found {
            self.actions.push_back(Action::SeekPeers);
        }
        self.proceed(now);
    }

    /// Somebody who may have the package was found.
    pub(crate) fn handle_peer(&mut self, now: Instant) {
        self.peers += 1;
        self.proceed(now);
    }

    /// The metainfo was compared with bytes of a mirror; `agrees` also where no mirror could tell.
    pub(crate) fn handle_check(&mut self, agrees: bool, now: Instant) {
        if self.metainfo != MetainfoState::Checking {
            return;
        }
        self.metainfo = if agrees { MetainfoState::Trusted } else { MetainfoState::Disputed };
        self.proceed(now);
    }

    /// Somebody has sent something.
    pub(crate) fn handle_bytes(&mut self) {
        (self.despair, self.latest_despair) = (None, None);
    }

    /// The SHA-256 of the whole file is, or is not, the sync database's.
    pub(crate) fn handle_verified(&mut self, matches: bool, now: Instant) {
        self.verifying = false;
        if matches {
            self.ended = true;
            return;
        }
        self.restarts += 1;
        match (self.sole_mirror, self.metainfo) {
            (Some(mirror), _) => self.mirrors.judge(mirror, Verdict::Wrong, now),
            (None, MetainfoState::Trusted) => self.doubt_metainfo(),
            (None, _) => {}
        }
        // The mirror that disputed the metainfo has turned out wrong: the metainfo is as good as before.
        if self.metainfo == MetainfoState::Disputed && self.sole_mirror.is_some() {
            self.metainfo = MetainfoState::Trusted;
        }
        if self.restarts > self.mirrors.len() + EXTRA_RESTARTS {
            return self.fail(Despair::Mismatch);
        }
        self.begin_anew();
        // What an earlier run left was complete, and nobody was asked.
        if self.restarts == 1 && self.brief.resume == Resume::Prefix(self.brief.size) {
            self.ask_neighbours(now);
        }
        self.proceed(now);
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.ended || self.verifying {
            return;
        }
        if self.despair_due().is_some_and(|at| at <= now) {
            if !self.has_other_metainfo || self.swarm.is_none() {
                return self.fail(self.mirrors.reason());
            }
            self.give_up_swarm();
        }
        self.grace_ends = self.grace_ends.filter(|at| now < *at);
        self.lending.handle_timeout(now);
        if self.patience.is_some_and(|at| at <= now) {
            self.patience = None;
            self.seek_metainfo();
        }
        self.ask_rival(now);
        self.consider_borrowing(now);
        self.attend_swarm(now);
        self.proceed(now);
    }

    fn begin(&mut self, now: Instant) {
        match self.brief.resume {
            Resume::Prefix(bytes) if bytes == self.brief.size => return self.verify(),
            Resume::Prefix(bytes) => {
                self.position = bytes;
                self.ask_neighbours(now);
                if self.brief.sharing == Sharing::Allowed && (self.brief.pieces > 1 || self.is_leisurely()) {
                    self.grace_ends = self.brief.grace.map(|grace| now + grace);
                    self.seek_metainfo();
                } else {
                    self.patience = Some(now + SMALL_PACKAGE_PATIENCE);
                }
            }
            // To join would tell others of what is not shared.
            Resume::Pieces if self.brief.sharing == Sharing::MirrorsOnly => self.begin_anew(),
            Resume::Pieces => {
                self.ask_neighbours(now);
                self.metainfo = MetainfoState::Trusted;
                self.actions.push_back(Action::SeekPeers);
                self.join(now);
            }
        }
        self.proceed(now);
    }

    fn seek_metainfo(&mut self) {
        if self.brief.sharing == Sharing::Allowed && self.metainfo == MetainfoState::NotSought {
            self.metainfo = MetainfoState::Sought;
            self.actions.push_back(Action::SeekMetainfo);
        }
    }

    /// Keeps something going: a swarm where it pays, else a stream, else hope for a bounded time.
    fn proceed(&mut self, now: Instant) {
        if self.ended || self.verifying || self.swarm.is_some() {
            return;
        }
        self.consider_swarm(now);
        let is_their_turn = self.is_peers_turn(now) || self.lending.is_their_turn(now);
        if self.swarm.is_some() || self.stream.is_some() || is_their_turn {
            return;
        }
        match self.mirrors.best(now, &[]) {
            Some(mirror) => self.open_stream(mirror, now),
            // No mirror is left to tell who lied: the SHA-256 of what the swarm brings will.
            None if self.metainfo == MetainfoState::Disputed && self.peers > 0 => {
                self.metainfo = MetainfoState::Trusted;
                self.join(now);
            }
            None => {
                self.consider_borrowing(now);
                self.fear(now);
            }
        }
    }

    /// Whether peers may still begin before a mirror is asked.
    fn is_peers_turn(&self, now: Instant) -> bool {
        let may_come = match self.metainfo {
            MetainfoState::Sought | MetainfoState::Found | MetainfoState::Checking | MetainfoState::Trusted => true,
            MetainfoState::NotSought | MetainfoState::Disputed | MetainfoState::Absent => false,
        };
        may_come && self.grace_ends.is_some_and(|at| now < at)
    }

    fn open_stream(&mut self, mirror: usize, now: Instant) {
        self.sole_mirror =
            if self.position == 0 { Some(mirror) } else { self.sole_mirror.filter(|sole| *sole == mirror) };
        let from = self.position;
        self.stream = Some(Stream { mirror, opened: now, from, last_bytes: now, answered: false });
        let all_are_dead = self.brief.prospects.iter().all(|prospect| prospect.backs_off);
        let patience = if all_are_dead {
            FIRST_BYTE_PATIENCE_WITH_THE_DEAD[usize::from(self.brief.size > MAX_GET_BYTES)]
        } else {
            FIRST_BYTE_PATIENCE
        };
        self.despair = self.despair.or(Some(now + patience));
        self.latest_despair = self.latest_despair.or(Some(now + patience));
        self.actions.push_back(Action::OpenStream { mirror, from });
    }

    /// When another mirror is asked beside one that is late; none where there is no other, and where a swarm may help.
    fn rival_due(&self) -> Option<Instant> {
        let stream = self.stream.filter(|stream| !stream.answered && self.rival.is_none() && !self.is_leisurely())?;
        let prospect = self.brief.prospects.get(stream.mirror)?;
        self.helper(stream.mirror, stream.opened + prospect.patience).map(|_| stream.opened + prospect.patience)
    }

    fn ask_rival(&mut self, now: Instant) {
        let Some((mirror, from)) = self.stream.map(|stream| (stream.mirror, stream.from)) else { return };
        if self.rival_due().is_some_and(|at| at <= now)
            && let Some(rival) = self.helper(mirror, now)
        {
            self.rival = Some(rival);
            self.actions.push_back(Action::OpenRival { mirror: rival, from });
        }
    }

    /// A mirror that is well, other than this one.
    fn helper(&self, mirror: usize, now: Instant) -> Option<usize> {
        let unwell = self.brief.prospects.iter().enumerate().filter(|(_, prospect)| prospect.backs_off);
        let used: Vec<usize> = unwell.map(|(index, _)| index).chain([mirror]).collect();
        self.mirrors.best(now, &used)
    }

    fn close_stream(&mut self) {
        self.rival = None;
        if self.stream.take().is_some() {
            self.actions.push_back(Action::CloseStream);
        }
    }

    fn begin_anew(&mut self) {
        self.position = 0;
        if self.brief.pieces > 1 {
            self.seek_metainfo();
        }
        self.actions.push_back(Action::BeginAnew);
    }

    fn verify(&mut self) {
        self.verifying = true;
        self.actions.push_back(Action::Verify);
    }

    fn nothing_runs(&self) -> bool {
        self.stream.is_none() && self.swarm.is_none()
    }

    /// Nobody is sending: give up at once where nothing can change that, else after a while.
    fn fear(&mut self, now: Instant) {
        // A webseed reports its own end, and the engine the end of its first check.
        let somebody_works =
            self.swarm.as_ref().is_some_and(|swarm| !swarm.webseeds.is_empty() || swarm.verified_at_join.is_none());
        if somebody_works || self.ended {
            return;
        }
        self.bound_despair(now);
        self.borrow_what_is_offered();
        // Neighbours that send end in a bounded time, and say so; a stream that has ended leaves no clock behind.
        if self.lending.is_borrowing() {
            self.despair = None;
            return;
        }
        let asks = self.lending.is_at_work();
        let hope = match self.metainfo {
            MetainfoState::Sought | MetainfoState::Found | MetainfoState::Checking | MetainfoState::Trusted => true,
            MetainfoState::NotSought | MetainfoState::Disputed | MetainfoState::Absent => false,
        };
        if !asks && (self.swarm.is_some() || !hope) && self.tries_last_resort(now) {
            return;
        }
        let rested = self.mirrors.next_promised().is_some_and(|at| at < now + DESPAIR_AFTER);
        let end = match self.newcomers_due(now) {
            _ if asks => now + DESPAIR_AFTER,
            _ if self.has_other_metainfo && self.swarm.is_some() => now + DOUBT_AFTER,
            _ if hope || rested => now + self.hope_lasts(),
            Some(until) => until,
            None => return self.fail(self.mirrors.reason()),
        };
        self.despair = Some(self.despair.map_or(end, |earlier| earlier.min(end)));
    }

    fn fail(&mut self, despair: Despair) {
        self.ended = true;
        if self.swarm.take().is_some() {
            self.actions.push_back(Action::LeaveSwarm);
        }
        self.close_stream();
        self.actions.push_back(Action::Fail(despair));
    }
}

#[cfg(test)]
mod tests;
