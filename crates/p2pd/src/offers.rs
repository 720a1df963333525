//! What we have announced as ours, so that it can be taken back.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use p2p_discovery::Discovery;
use p2p_package::InfoHash;

/// The info hashes that were offered in this run.
#[derive(Debug, Default)]
pub(crate) struct Offers(Mutex<BTreeSet<InfoHash>>);

impl Offers {
    /// Announces that we have it all.
    pub(crate) fn make(&self, discovery: &Discovery, info_hash: InfoHash, trackers: &[String]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(info_hash);
        discovery.offer(info_hash, trackers);
    }

    /// Takes back what is not `held` any more.
    pub(crate) fn review(&self, discovery: &Discovery, held: impl Fn(&InfoHash) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|info_hash| {
            let keep = held(info_hash);
            if !keep {
                discovery.withdraw(*info_hash);
            }
            keep
        });
    }
}
