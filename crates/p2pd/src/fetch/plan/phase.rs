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
}

/// A swarm that was joined.
#[derive(Debug, Clone)]
pub(super) struct Swarm {
    pub(super) joined: Instant,
    pub(super) verified_at_join: Option<u64>,
    pub(super) webseeds: Vec<usize>,
    pub(super) idle: Option<Idle>,
    pub(super) last_verified: Instant,
    /// When a stall was last acted on.
    pub(super) attended: Instant,
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
