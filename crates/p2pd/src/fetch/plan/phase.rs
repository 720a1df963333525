//! The states that a plan is in.

use std::time::{Duration, Instant};

use crate::fetch::shares::Share;

/// How far the search for metainfo is, and what is thought of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetainfoState {
    NotSought,
    Sought,
    /// Found, not yet compared with a mirror's bytes.
    Found,
    Checking,
    /// Found, and no mirror's bytes contradict it.
    Trusted,
    /// Found, and a mirror's bytes contradict it; the SHA-256 of the whole file will tell who lied.
    Disputed,
    Absent,
}

/// A plain download from one mirror.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) mirror: usize,
    pub(super) opened: Instant,
    pub(super) from: u64,
    pub(super) last_bytes: Instant,
    /// Whether it has begun to answer.
    pub(super) answered: bool,
}

/// A swarm that was joined.
#[derive(Debug, Clone)]
pub(super) struct Swarm {
    pub(super) joined: Instant,
    pub(super) verified_at_join: Option<u64>,
    pub(super) verified: u64,
    pub(super) webseeds: Vec<Webseed>,
    pub(super) idle: Option<Idle>,
    /// How much of what is missing mirrors are asked for.
    pub(super) share: Share,
    /// Bytes from its mirrors.
    pub(super) served: u64,
    /// How far it was when others nearby were first known to download it, too, or when it was joined.
    pub(super) shared: Mark,
    /// How far it was when all of its mirrors had nothing to do, while they have not.
    pub(super) rest: Option<Mark>,
    /// And when they had done our own share.
    pub(super) first_rest: Option<Mark>,
    /// Times that pieces were verified.
    pub(super) advances: u32,
    pub(super) last_verified: Instant,
    /// When a stall was last acted on.
    pub(super) attended: Instant,
    /// When a mirror joins that was held back for peers which are much faster, unless they deliver.
    pub(super) mirror_due: Option<Instant>,
}

/// A mirror in a swarm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Webseed {
    pub(super) mirror: usize,
    pub(super) idle: bool,
    /// When it sent something, or was asked after having had nothing to do.
    pub(super) heard_at: Instant,
}

impl Swarm {
    pub(super) fn mirrors(&self) -> Vec<usize> {
        self.webseeds.iter().map(|webseed| webseed.mirror).collect()
    }

    /// The engine has looked how much there is.
    pub(super) fn begin(&mut self, verified: u64, now: Instant) {
        (self.verified_at_join, self.verified) = (Some(verified), verified);
        (self.joined, self.shared) = (now, self.mark(now));
        (self.rest, self.first_rest) = (self.rest.map(|_| self.shared), self.first_rest.map(|_| self.shared));
    }

    /// How far it is.
    pub(super) fn mark(&self, now: Instant) -> Mark {
        Mark { at: now, verified: self.verified, served: self.served }
    }

    /// Notes whether its mirrors have nothing to do.
    pub(super) fn note_rest(&mut self, now: Instant) {
        let rests = !self.webseeds.is_empty() && self.webseeds.iter().all(|webseed| webseed.idle);
        self.rest = rests.then(|| self.rest.unwrap_or(self.mark(now)));
        self.first_rest = self.first_rest.filter(|_| rests || self.share != Share::Own).or(self.rest);
    }

    /// Since when a webseed that owes something has been silent, while pieces came from elsewhere.
    pub(super) fn next_silence(&self) -> Option<Instant> {
        self.silent().map(|webseed| webseed.heard_at).min()
    }

    /// A webseed that has been silent since `then`, or longer.
    pub(super) fn silent_since(&self, then: Option<Instant>) -> Option<usize> {
        self.silent().find(|webseed| then.is_some_and(|then| webseed.heard_at <= then)).map(|webseed| webseed.mirror)
    }

    fn silent(&self) -> impl Iterator<Item = &Webseed> {
        self.webseeds.iter().filter(|webseed| !webseed.idle && self.last_verified > webseed.heard_at)
    }
}

/// How far a swarm was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) at: Instant,
    /// Bytes that were verified then.
    pub(super) verified: u64,
    /// Bytes that its mirrors had brought.
    pub(super) served: u64,
}

/// A webseed has nothing to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Idle {
    pub(super) since: Instant,
    /// When that was last acted on.
    pub(super) acted: Instant,
}

/// How long `left` bytes take at the rate of `done` bytes in `elapsed`; none where nothing has come yet.
pub(super) fn expected_rest(done: u64, elapsed: Duration, left: u64) -> Option<Duration> {
    let per_byte = elapsed.as_nanos().checked_div(u128::from(done))?;
    let nanos = per_byte.saturating_mul(u128::from(left));
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
}
