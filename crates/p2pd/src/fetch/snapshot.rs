//! How far a fetch is: what its clients see, one value at a time.

use std::path::Path;
use std::sync::Arc;

use p2p_api::{Failed, Ready};

/// The state of one fetch. Numbers are bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) done: u64,
    pub(crate) total: Option<u64>,
    pub(crate) from_peers: u64,
    /// The growing file.
    pub(crate) source: Option<Arc<Path>>,
    /// How many of its first bytes may be copied.
    pub(crate) contiguous: u64,
    /// Set once, at the end.
    pub(crate) outcome: Option<Outcome>,
}

/// How a fetch ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Ready(Ready),
    Failed(Failed),
}
