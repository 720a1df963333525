//! What is kept for others, as the status tells it.

use serde::{Deserialize, Serialize};

/// How far `[replicate]` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicate {
    /// Packages that were brought for others.
    pub held_packages: u64,
    /// Their bytes.
    pub held_bytes: u64,
    /// How many packages there should be: what fits into the budget, without what pacman's cache has.
    pub wanted_packages: u64,
    /// What they may take on the disk, in bytes.
    pub budget: u64,
    /// When the next package will be fetched, in seconds since 1970; None where nothing is missing.
    pub next: Option<u64>,
}
