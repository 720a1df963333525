//! A swarm that has every piece: those who are connected go on until the seeder serves the package, or nobody wants it.

use std::sync::Arc;
use std::time::Duration;

use p2p_engine::Swarm;
use p2p_package::InfoHash;
use p2p_pacman::Known;

use super::reach;
use crate::knowledge::Target;
use crate::services::Services;
use crate::sharing::Reach;
use crate::swarms::Joined;

/// Who is connected, and gets nothing for so long, has no need of us.
const QUIET: Duration = Duration::from_secs(2);
/// Whoever still wants something then dials again, and is served from the catalog.
const LONGEST: Duration = Duration::from_secs(30);
/// So often it is looked who is there.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Dropped, it is left at once, and everybody is hung up on.
#[derive(Debug)]
pub(super) struct FinishedSwarm {
    services: Arc<Services>,
    info_hash: InfoHash,
    joined: Option<Joined>,
    _swarm: Swarm,
}

impl FinishedSwarm {
    pub(super) fn new(services: &Arc<Services>, info_hash: InfoHash, swarm: Swarm, joined: Joined) -> Self {
        Self { services: Arc::clone(services), info_hash, joined: Some(joined), _swarm: swarm }
    }

    /// Serves those who are there a little longer: the file is the package.
    pub(super) fn linger(self, known: &Known, target: &Target) {
        let (known, target) = (known.clone(), target.clone());
        tokio::spawn(async move {
            let end = tokio::time::Instant::now() + LONGEST;
            let (mut uploaded, mut moved) = (0, tokio::time::Instant::now());
            while reach(&self.services, &known, &target) == Reach::Public {
                let peers = self.services.gate.peers(self.info_hash);
                let now = tokio::time::Instant::now();
                let sum = peers.iter().map(|peer| peer.uploaded).sum();
                if std::mem::replace(&mut uploaded, sum) != sum {
                    moved = now;
                }
                if peers.is_empty() || now >= end.min(moved + QUIET) {
                    return;
                }
                tokio::select! {
                    () = self.services.stopping.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        });
    }
}

impl Drop for FinishedSwarm {
    fn drop(&mut self) {
        // Whoever calls from now on is for the seeder.
        drop(self.joined.take());
        self.services.gate.close(self.info_hash);
    }
}
