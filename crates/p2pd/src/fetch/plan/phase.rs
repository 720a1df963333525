//! The states that a plan is in.

use std::time::{Duration, Instant};

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
