//! How far a fetch is: what its clients see, one value at a time.

use std::path::Path;
use std::sync::Arc;

use p2p_api::{Failed, Ready};

/// The state of one fetch. Numbers are bytes.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
    pub(crate) from_peers: u64,
    /// The growing file.
    pub(crate) source: Option<Arc<Path>>,
    /// How many of its first bytes may be copied.
    pub(crate) contiguous: u64,
    /// How often bytes that could be copied have ceased to be good since, and the fewest that stayed so.
    pub(crate) rewinds: u32,
    pub(crate) rewound_to: u64,
    /// Whether every byte of the growing file was sent by a mirror, and during this run.
    pub(crate) mirrors_alone: bool,
    /// Set by [`Fetches::pin`](super::Fetches::pin): it must stay so.
    pub(crate) pinned: bool,
    /// Whether nobody knows the package's pieces, so that no peer will write to it.
    pub(crate) settled: bool,
    /// What the mirror says of the file's age, in seconds since 1970.
    pub(crate) modified: Option<u64>,
    /// Set once, at the end.
    pub(crate) outcome: Option<Outcome>,
}

/// How a fetch ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Ready(Ready),
    Failed(Failed),
    /// Every client has gone.
    Abandoned,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            done: 0,
            total: None,
            from_peers: 0,
            source: None,
            contiguous: 0,
            rewinds: 0,
            rewound_to: u64::MAX,
            mirrors_alone: true,
            pinned: false,
            settled: false,
            modified: None,
            outcome: None,
        }
    }
}
