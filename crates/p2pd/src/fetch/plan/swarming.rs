//! When a swarm pays, and what is done in it.

use std::time::{Duration, Instant};

use super::lending::Lending;
use super::phase::{Idle, Mark, MetainfoState, Swarm, Webseed, expected_rest};
use super::{Action, Activity, LastResort, Plan, Sharing, Verdict};
use crate::config::Policy;
use crate::fetch::shares::Share;

/// A stream that is expected to end within this time is left alone: a swarm takes about as long to get going.
const SWARM_PAYS_AFTER: Duration = Duration::from_millis(250);
/// How long a stream must have run before its rate says anything.
const RATE_IS_KNOWN_AFTER: Duration = Duration::from_millis(100);
/// A stream that has been silent for this long no longer keeps the package from a swarm.
const STREAM_SILENCE: Duration = Duration::from_secs(1);
/// A webseed that nobody asks for anything, while pieces are missing, means that a peer sits on them.
const WEBSEED_IDLE_LIMIT: Duration = Duration::from_millis(500);
/// A swarm that verified nothing for this long gets another mirror.
pub(super) const SWARM_STALL_LIMIT: Duration = Duration::from_secs(2);
/// A big package takes a second mirror when the rest would take this long.
const SECOND_MIRROR_AFTER: Duration = Duration::from_secs(5);
/// Where nobody waits, a mirror is spared as long as peers bring the rest within this time, and as long as they have not
/// stalled for this long.
const LEISURELY_REST: Duration = Duration::from_mins(10);
pub(super) const LEISURELY_STALL_LIMIT: Duration = Duration::from_secs(20);
/// A webseed that owes something and is silent for so long, while pieces come from elsewhere, is parted from: the pieces that
/// it holds are free at once.
const WEBSEED_SILENCE: Duration = Duration::from_secs(1);
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
/// With an idle webseed, this long without a verified piece is the fault of whoever holds the missing ones.
const PIECE_PATIENCE: Duration = Duration::from_secs(2);

impl Plan {
    /// When a swarm has to be looked after.
    pub(super) fn swarm_due(&self) -> Option<Instant> {
        let swarm = self.swarm.as_ref()?;
        let idle = swarm.idle.filter(|_| !self.withholds()).map(|idle| idle.acted + WEBSEED_IDLE_LIMIT);
        let silent = swarm.next_silence().map(|at| at + self.silence_limit());
        let attended = Some(swarm.attended + self.stall_limit());
        [idle, silent, swarm.mirror_due, attended, self.company_due()].into_iter().flatten().min()
    }

    /// Pieces were verified in the swarm.
    pub(crate) fn handle_swarm_progress(&mut self, verified: u64, now: Instant) {
        let too_long = if self.is_leisurely() { LEISURELY_REST } else { SECOND_MIRROR_AFTER };
        let Some(swarm) = &mut self.swarm else { return };
        self.despair = None;
        if swarm.verified_at_join.is_none() {
            swarm.begin(verified, now);
        }
        let start = swarm.verified_at_join.unwrap_or(verified);
        if verified > swarm.verified.max(start) {
            (swarm.verified, swarm.last_verified, swarm.attended) = (verified, now, now);
            swarm.advances += 1;
            self.latest_despair = None;
            swarm.mirror_due = swarm.mirror_due.and(self.brief.grace).map(|grace| now + grace);
            swarm.idle = swarm.idle.map(|_| Idle { since: now, acted: now });
        }
        let elapsed = now.duration_since(swarm.joined);
        let rest = expected_rest(verified.saturating_sub(start), elapsed, self.brief.size.saturating_sub(verified));
        let is_held_back = swarm.webseeds.is_empty() && swarm.mirror_due.is_some();
        if (swarm.webseeds.len() == 1 || is_held_back) && rest.is_some_and(|rest| rest > too_long) {
            self.add_webseed(now);
        }
    }

    /// The swarm has every piece.
    pub(crate) fn handle_swarm_complete(&mut self) {
        if self.swarm.take().is_some() {
            self.actions.push_back(Action::FinishSwarm);
            self.verify();
        }
    }

    /// Neighbours say different things of the pieces, or do not any more.
    pub(crate) fn handle_disagreement(&mut self, has_other_metainfo: bool) {
        self.has_other_metainfo = has_other_metainfo;
    }

    /// Nobody delivers in this swarm, and there is another one to try.
    pub(super) fn give_up_swarm(&mut self) {
        self.despair = None;
        self.swarm = None;
        self.actions.push_back(Action::LeaveSwarm);
        self.actions.push_back(Action::BeginAnew);
        (self.position, self.sole_mirror) = (0, None);
        self.doubt_metainfo();
    }

    /// The driver reports other metainfo, or that there is none.
    pub(super) fn doubt_metainfo(&mut self) {
        self.metainfo = MetainfoState::Sought;
        self.actions.push_back(Action::DoubtMetainfo);
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
        // Whoever was to say that neighbours have nothing is not there any more.
        (self.lending, self.last_resort) = (Lending::default(), LastResort::Spent);
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
            swarm.note_rest(now);
        }
    }

    /// A webseed's mirror failed.
    pub(crate) fn handle_webseed_fault(&mut self, mirror: usize, verdict: Verdict, now: Instant) {
        self.mirrors.judge(mirror, verdict, now);
        if let Some(swarm) = &mut self.swarm {
            swarm.webseeds.retain(|webseed| webseed.mirror != mirror);
            (swarm.idle, swarm.rest) = (None, None);
            swarm.note_rest(now);
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

    pub(super) fn consider_swarm(&mut self, now: Instant) {
        // The first neighbour that sends it whole is not to be raced by its own pieces.
        let is_lent = self.lending.is_borrowing() && self.borrowings == 1 && self.stream.is_none();
        if self.swarm.is_some() || self.ended || self.verifying || is_lent || !self.swarm_pays(now) {
            return;
        }
        match self.metainfo {
            MetainfoState::Found => {
                self.metainfo = MetainfoState::Checking;
                let first = || self.mirrors.best(now, &[]).filter(|_| self.is_peers_turn(now));
                // What others nearby are to bring is not asked of the mirror to be compared, either.
                let mirror =
                    self.stream.map(|stream| stream.mirror).or_else(first).filter(|_| self.company.count() == 0);
                self.actions.push_back(Action::CheckMetainfo { mirror });
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
        if self.peers == 0 && (!other_mirror || self.brief.pieces < 2 || self.is_leisurely()) {
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

    pub(super) fn join(&mut self, now: Instant) {
        self.close_stream();
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
            share: Share::default(),
            served: 0,
            shared: Mark { at: now, verified: 0, served: 0 },
            rest: None,
            first_rest: None,
            advances: 0,
            last_verified: now,
            attended: now,
            mirror_due: self.brief.grace.filter(|_| self.peers > 0).map(|grace| now + grace),
        };
        let is_held_back = self.brief.policy == Policy::SpareMirrors || swarm.mirror_due.is_some();
        self.swarm = Some(swarm);
        if !is_held_back {
            self.add_webseed(now);
        }
        self.fear(now);
    }

    pub(super) fn add_webseed(&mut self, now: Instant) {
        let Some(used) = self.swarm.as_ref().map(Swarm::mirrors) else { return };
        if let Some(mirror) = self.mirrors.best(now, &used) {
            self.actions.push_back(Action::AddWebseed { mirror });
            if let Some(swarm) = &mut self.swarm {
                swarm.webseeds.push(Webseed { mirror, idle: true, heard_at: now });
                swarm.note_rest(now);
            }
        }
    }

    fn stall_limit(&self) -> Duration {
        if self.is_leisurely() { LEISURELY_STALL_LIMIT } else { SWARM_STALL_LIMIT }
    }

    /// Machines that share a line slow one another down.
    fn silence_limit(&self) -> Duration {
        let sharers = u32::try_from(self.company.count()).unwrap_or(u32::MAX).saturating_add(1);
        WEBSEED_SILENCE.saturating_mul(sharers).min(LONGEST_SILENCE)
    }

    pub(super) fn attend_swarm(&mut self, now: Instant) {
        let (stall_limit, most) = (self.stall_limit(), if self.is_leisurely() { 1 } else { 2 });
        self.attend_company(now);
        let (withholds, silence_limit) = (self.withholds(), self.silence_limit());
        let Some(swarm) = &mut self.swarm else { return };
        let idle = swarm.idle.as_mut().filter(|_| !withholds);
        if let Some(idle) = idle.filter(|idle| idle.acted + WEBSEED_IDLE_LIMIT <= now) {
            idle.acted = now;
            let whatever_its_rate = idle.since.max(swarm.last_verified) + PIECE_PATIENCE <= now;
            self.actions.push_back(Action::CutSlowestPeer { whatever_its_rate });
        }
        if let Some(mirror) = swarm.silent_since(now.checked_sub(silence_limit)) {
            self.actions.push_back(Action::RemoveWebseed { mirror });
            return self.handle_webseed_fault(mirror, Verdict::Rests(None), now);
        }
        if swarm.mirror_due.take_if(|at| *at <= now).is_some() {
            self.add_webseed(now);
        }
        let Some(swarm) = &mut self.swarm else { return };
        if swarm.attended + stall_limit <= now {
            swarm.attended = now;
            self.actions.push_back(Action::RetryPeers);
            if swarm.webseeds.len() < most {
                self.add_webseed(now);
            }
            self.fear(now);
        }
    }
}
