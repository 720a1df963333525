//! What to do next to get one package: pure, so that every order of events can be tested without a network.
//!
//! A plan opens a plain stream from a mirror at once, looks for metainfo and peers beside it, and turns to a swarm when that
//! pays. In the swarm mirrors go on as webseeds. Nothing that a peer or a `.torrent` says can make it give up a mirror:
//! where a mirror's bytes contradict the pieces, the swarm is suspended and the package's SHA-256 decides who lied.

mod action;
mod phase;
mod roster;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::Policy;

pub(crate) use action::{Action, Activity, Brief, Despair, Resume, Sharing, Verdict};
use phase::{Idle, MetainfoState, Stream, Swarm, Webseed, expected_rest};
use roster::Roster;

/// A stream that is expected to end within this time is left alone: a swarm takes about as long to get going.
const SWARM_PAYS_AFTER: Duration = Duration::from_millis(250);
/// How long a stream must have run before its rate says anything.
const RATE_IS_KNOWN_AFTER: Duration = Duration::from_millis(100);
/// A stream that has been silent for this long no longer keeps the package from a swarm.
const STREAM_SILENCE: Duration = Duration::from_secs(1);
/// A single-piece package asks for metainfo only when its mirror has not delivered by then.
const SMALL_PACKAGE_PATIENCE: Duration = Duration::from_secs(1);
/// A webseed that nobody asks for anything, while pieces are missing, means that a peer sits on them.
const WEBSEED_IDLE_LIMIT: Duration = Duration::from_millis(500);
/// A swarm that verified nothing for this long gets another mirror.
const SWARM_STALL_LIMIT: Duration = Duration::from_secs(2);
/// A big package takes a second mirror when the rest would take this long.
const SECOND_MIRROR_AFTER: Duration = Duration::from_secs(5);
/// A webseed that owes something and is silent for so long, while pieces come from elsewhere, is parted from: the pieces that
/// it holds are free at once.
const WEBSEED_SILENCE: Duration = Duration::from_secs(1);
/// With an idle webseed, this long without a verified piece is the fault of whoever holds the missing ones.
const PIECE_PATIENCE: Duration = Duration::from_secs(2);
/// Mirrors, one after the other, may take this long to send a first byte.
const FIRST_BYTE_PATIENCE: Duration = Duration::from_secs(15);
/// With no mirror left, this long without a byte from anybody ends the fetch.
const DESPAIR_AFTER: Duration = Duration::from_secs(8);
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
    /// The one mirror that all bytes of the stream so far came from.
    sole_mirror: Option<usize>,
    position: u64,
    metainfo: MetainfoState,
    peers: usize,
    swarm: Option<Swarm>,
    patience: Option<Instant>,
    despair: Option<Instant>,
    restarts: usize,
    verifying: bool,
    ended: bool,
    actions: VecDeque<Action>,
}

impl Plan {
    /// A plan, and its first actions.
    pub(crate) fn new(brief: Brief, now: Instant) -> Self {
        let mut plan = Self {
            mirrors: Roster::new(brief.mirrors),
            stream: None,
            sole_mirror: None,
            position: 0,
            metainfo: MetainfoState::NotSought,
            peers: 0,
            swarm: None,
            patience: None,
            despair: None,
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
        let swarm = self.swarm.as_ref();
        let idle = swarm.and_then(|swarm| swarm.idle).map(|idle| idle.acted + WEBSEED_IDLE_LIMIT);
        let stall = swarm.map(|swarm| swarm.attended + SWARM_STALL_LIMIT);
        let resting = self.nothing_runs().then(|| self.mirrors.next_promised()).flatten();
        let silent = swarm.and_then(Swarm::next_silence).map(|at| at + WEBSEED_SILENCE);
        [self.patience, self.despair, idle, stall, silent, resting].into_iter().flatten().min()
    }

    /// The one mirror that all bytes of the file came from, where that is so.
    pub(crate) fn sole_mirror(&self) -> Option<usize> {
        self.sole_mirror
    }

    /// Whether mirrors alone will be used, since nobody has metainfo or since nobody may be asked.
    pub(crate) fn is_settled(&self) -> bool {
        self.metainfo == MetainfoState::Absent || self.brief.sharing == Sharing::MirrorsOnly
    }

    /// The mirror sent bytes: the file now holds the first `position`.
    pub(crate) fn handle_stream_bytes(&mut self, position: u64, now: Instant) {
        if let Some(stream) = self.stream.as_mut().filter(|_| position > self.position) {
            stream.last_bytes = now;
            self.despair = None;
        }
        self.position = position;
        self.consider_swarm(now);
    }

    /// The stream has delivered the last byte.
    pub(crate) fn handle_stream_end(&mut self) {
        self.stream = None;
        self.verify();
    }

    /// The stream broke, or never came.
    pub(crate) fn handle_stream_fault(&mut self, verdict: Verdict, now: Instant) {
        let Some(stream) = self.stream.take() else { return };
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

    /// Pieces were verified in the swarm.
    pub(crate) fn handle_swarm_progress(&mut self, verified: u64, now: Instant) {
        let Some(swarm) = &mut self.swarm else { return };
        self.despair = None;
        let start = *swarm.verified_at_join.get_or_insert(verified);
        if verified > swarm.verified.max(start) {
            (swarm.verified, swarm.last_verified, swarm.attended) = (verified, now, now);
            swarm.idle = swarm.idle.map(|_| Idle { since: now, acted: now });
        }
        let elapsed = now.duration_since(swarm.joined);
        let rest = expected_rest(verified.saturating_sub(start), elapsed, self.brief.size.saturating_sub(verified));
        if swarm.webseeds.len() == 1 && rest.is_some_and(|rest| rest > SECOND_MIRROR_AFTER) {
            self.add_webseed(now);
        }
    }

    /// Somebody has sent something.
    pub(crate) fn handle_bytes(&mut self) {
        self.despair = None;
    }

    /// The swarm has every piece.
    pub(crate) fn handle_swarm_complete(&mut self) {
        if self.swarm.take().is_some() {
            self.actions.push_back(Action::LeaveSwarm);
            self.verify();
        }
    }

    /// The engine broke down; `contiguous` first bytes of the file are good.
    pub(crate) fn handle_swarm_failure(&mut self, contiguous: u64, now: Instant) {
        if self.swarm.take().is_some() {
            self.metainfo = MetainfoState::Absent;
            self.position = contiguous;
            self.sole_mirror = None;
            self.actions.push_back(Action::LeaveSwarm);
            self.proceed(now);
        }
    }

    /// The package may not be shared any more: from now on mirrors alone, whose first `contiguous` bytes of the file are good.
    pub(crate) fn handle_unshared(&mut self, contiguous: u64, now: Instant) {
        self.brief.sharing = Sharing::MirrorsOnly;
        self.metainfo = MetainfoState::Absent;
        self.handle_swarm_failure(contiguous, now);
        self.proceed(now);
    }

    /// A webseed has nothing to do, or has something again.
    pub(crate) fn handle_webseed(&mut self, mirror: usize, activity: Activity, now: Instant) {
        if let Some(swarm) = &mut self.swarm {
            let idle = activity == Activity::Idle;
            swarm.idle = if idle { swarm.idle.or(Some(Idle { since: now, acted: now })) } else { None };
            if let Some(webseed) = swarm.webseeds.iter_mut().find(|webseed| webseed.mirror == mirror) {
                let heard_at = if activity == Activity::Serves || webseed.idle { now } else { webseed.heard_at };
                (webseed.idle, webseed.heard_at) = (idle, heard_at);
            }
        }
    }

    /// A webseed's mirror failed.
    pub(crate) fn handle_webseed_fault(&mut self, mirror: usize, verdict: Verdict, now: Instant) {
        self.mirrors.judge(mirror, verdict, now);
        if let Some(swarm) = &mut self.swarm {
            swarm.webseeds.retain(|webseed| webseed.mirror != mirror);
            swarm.idle = None;
            self.add_webseed(now);
            self.fear(now);
        }
    }

    /// A webseed's bytes contradict the pieces: somebody lies.
    pub(crate) fn handle_contradiction(&mut self, mirror: usize, now: Instant) {
        if self.swarm.take().is_some() {
            self.metainfo = MetainfoState::Disputed;
            self.actions.push_back(Action::LeaveSwarm);
            self.begin_anew();
            self.open_stream(mirror, now);
        }
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
            (None, MetainfoState::Trusted) => self.metainfo = MetainfoState::Absent,
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
        self.proceed(now);
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.ended || self.verifying {
            return;
        }
        if self.despair.is_some_and(|at| at <= now) {
            return self.fail(self.mirrors.reason());
        }
        if self.patience.is_some_and(|at| at <= now) {
            self.patience = None;
            self.seek_metainfo();
        }
        self.attend_swarm(now);
        self.proceed(now);
    }

    fn begin(&mut self, now: Instant) {
        match self.brief.resume {
            Resume::Prefix(bytes) if bytes == self.brief.size => return self.verify(),
            Resume::Prefix(bytes) => {
                self.position = bytes;
                if self.brief.sharing == Sharing::Allowed && self.brief.pieces > 1 {
                    self.seek_metainfo();
                } else {
                    self.patience = Some(now + SMALL_PACKAGE_PATIENCE);
                }
            }
            // To join would tell others of what is not shared.
            Resume::Pieces if self.brief.sharing == Sharing::MirrorsOnly => self.begin_anew(),
            Resume::Pieces => {
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
        if self.swarm.is_some() || self.stream.is_some() {
            return;
        }
        match self.mirrors.best(now, &[]) {
            Some(mirror) => self.open_stream(mirror, now),
            // No mirror is left to tell who lied: the SHA-256 of what the swarm brings will.
            None if self.metainfo == MetainfoState::Disputed && self.peers > 0 => {
                self.metainfo = MetainfoState::Trusted;
                self.join(now);
            }
            None => self.fear(now),
        }
    }

    fn consider_swarm(&mut self, now: Instant) {
        if self.swarm.is_some() || self.ended || self.verifying || !self.swarm_pays(now) {
            return;
        }
        match self.metainfo {
            MetainfoState::Found => {
                self.metainfo = MetainfoState::Checking;
                self.actions.push_back(Action::CheckMetainfo);
            }
            MetainfoState::Trusted => self.join(now),
            MetainfoState::NotSought
            | MetainfoState::Sought
            | MetainfoState::Checking
            | MetainfoState::Disputed
            | MetainfoState::Absent => {}
        }
    }

    fn swarm_pays(&mut self, now: Instant) -> bool {
        let Some(stream) = self.stream else { return self.peers > 0 };
        let other_mirror = self.mirrors.best(now, &[stream.mirror]).is_some();
        if self.peers == 0 && (!other_mirror || self.brief.pieces < 2) {
            return false;
        }
        let elapsed = now.duration_since(stream.opened);
        let silent_at = stream.last_bytes + STREAM_SILENCE;
        if self.peers > 0 && silent_at <= now {
            return true;
        }
        if elapsed < RATE_IS_KNOWN_AFTER || self.brief.pieces < 2 {
            self.patience = Some(if self.brief.pieces < 2 { silent_at } else { stream.opened + RATE_IS_KNOWN_AFTER });
            return false;
        }
        let least = if self.peers > 0 { SWARM_PAYS_AFTER } else { SECOND_MIRROR_AFTER };
        let left = self.brief.size.saturating_sub(self.position);
        let rest = expected_rest(self.position.saturating_sub(stream.from), elapsed, left);
        if rest.is_none_or(|rest| rest > least) {
            return self.peers > 0 || rest.is_some();
        }
        // It should have ended by then; if not, the mirror has slowed down.
        self.patience = rest.map(|rest| now + rest + SWARM_PAYS_AFTER);
        false
    }

    fn join(&mut self, now: Instant) {
        if self.stream.take().is_some() {
            self.actions.push_back(Action::CloseStream);
        }
        self.sole_mirror = None;
        self.patience = None;
        self.actions.push_back(Action::JoinSwarm);
        let webseeds = Vec::new();
        let swarm = Swarm {
            joined: now,
            verified_at_join: None,
            verified: 0,
            webseeds,
            idle: None,
            last_verified: now,
            attended: now,
        };
        self.swarm = Some(swarm);
        if self.brief.policy != Policy::SpareMirrors {
            self.add_webseed(now);
        }
        self.fear(now);
    }

    fn add_webseed(&mut self, now: Instant) {
        let Some(used) = self.swarm.as_ref().map(Swarm::mirrors) else { return };
        if let Some(mirror) = self.mirrors.best(now, &used) {
            self.actions.push_back(Action::AddWebseed { mirror });
            if let Some(swarm) = &mut self.swarm {
                swarm.webseeds.push(Webseed { mirror, idle: true, heard_at: now });
            }
        }
    }

    fn attend_swarm(&mut self, now: Instant) {
        let Some(swarm) = &mut self.swarm else { return };
        if let Some(idle) = swarm.idle.as_mut().filter(|idle| idle.acted + WEBSEED_IDLE_LIMIT <= now) {
            idle.acted = now;
            let whatever_its_rate = idle.since.max(swarm.last_verified) + PIECE_PATIENCE <= now;
            self.actions.push_back(Action::CutSlowestPeer { whatever_its_rate });
        }
        if let Some(mirror) = swarm.silent_since(now.checked_sub(WEBSEED_SILENCE)) {
            self.actions.push_back(Action::RemoveWebseed { mirror });
            return self.handle_webseed_fault(mirror, Verdict::Rests(None), now);
        }
        if swarm.attended + SWARM_STALL_LIMIT <= now {
            swarm.attended = now;
            self.actions.push_back(Action::RetryPeers);
            if swarm.webseeds.len() < 2 {
                self.add_webseed(now);
            }
            self.fear(now);
        }
    }

    fn open_stream(&mut self, mirror: usize, now: Instant) {
        self.sole_mirror =
            if self.position == 0 { Some(mirror) } else { self.sole_mirror.filter(|sole| *sole == mirror) };
        self.stream = Some(Stream { mirror, opened: now, from: self.position, last_bytes: now });
        self.despair = self.despair.or(Some(now + FIRST_BYTE_PATIENCE));
        self.actions.push_back(Action::OpenStream { mirror, from: self.position });
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
        let hope = match self.metainfo {
            MetainfoState::Sought | MetainfoState::Found | MetainfoState::Checking | MetainfoState::Trusted => true,
            MetainfoState::NotSought | MetainfoState::Disputed | MetainfoState::Absent => false,
        };
        let rested = self.mirrors.next_promised().is_some_and(|at| at < now + DESPAIR_AFTER);
        if !hope && !rested {
            return self.fail(self.mirrors.reason());
        }
        let end = now + DESPAIR_AFTER;
        self.despair = Some(self.despair.map_or(end, |earlier| earlier.min(end)));
    }

    fn fail(&mut self, despair: Despair) {
        self.ended = true;
        if self.swarm.take().is_some() {
            self.actions.push_back(Action::LeaveSwarm);
        }
        if self.stream.take().is_some() {
            self.actions.push_back(Action::CloseStream);
        }
        self.actions.push_back(Action::Fail(despair));
    }
}

#[cfg(test)]
mod tests;
