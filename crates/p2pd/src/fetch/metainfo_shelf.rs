//! Metainfo that was looked up before its package's turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use p2p_package::{Metainfo, PieceLength, Sha256};
use p2p_pacman::Known;

use super::metainfo::Race;
use super::wanted::Wanted;
use crate::knowledge::Target;
use crate::services::Services;
use crate::sharing::Reach;

/// Metainfo that waits at one time, each of some kilobytes.
const MAX_WAITING: usize = 256;
/// Nobody comes for it after so long.
const LIFE: Duration = Duration::from_mins(10);
/// Requests at one time: the packages themselves come first.
const AT_ONCE: usize = 2;

/// The metainfo of packages that will be fetched soon.
#[derive(Debug, Default)]
pub(crate) struct MetainfoShelf(Mutex<BTreeMap<Sha256, (Instant, Metainfo)>>);

impl MetainfoShelf {
    fn put(&self, package: Sha256, metainfo: Metainfo, now: Instant) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (since, _)| now.duration_since(*since) < LIFE);
        if waiting.len() < MAX_WAITING {
            waiting.insert(package, (now, metainfo));
        }
    }

    /// What was found for the package with this SHA-256.
    pub(crate) fn take(&self, package: &Sha256) -> Option<Metainfo> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(package).map(|(_, metainfo)| metainfo)
    }
}

/// Looks metainfo up for those of these packages that may come from a swarm, in their order.
pub(crate) async fn look_ahead(services: Arc<Services>, files: Vec<Wanted>) {
    let race = Race::configured(&services);
    let (services, race) = (&services, &race);
    let lookups = futures_util::stream::iter(files).map(|wanted| async move {
        let knowledge = Arc::clone(&services.knowledge);
        let target = tokio::task::spawn_blocking(move || knowledge.target(wanted)).await;
        let target = target.expect("reading databases does not panic");
        let Some(known) = target.known.as_ref().filter(|_| may_swarm(services, &target)) else { return };
        if services.publications.has_info(&known.id.sha256) {
            return;
        }
        if let Some(metainfo) = race.run_for(services, &target.servers, &known.id).await {
            services.metainfo_shelf.put(known.id.sha256, metainfo, Instant::now());
        }
    });
    lookups.buffered(AT_ONCE).collect::<()>().await;
}

fn may_swarm(services: &Services, target: &Target) -> bool {
    let sharing = services.knowledge.last_sharing();
    let is_public = |known: &&Known| sharing.reach(&known.id, &known.repository) == Reach::Public;
    let Some(known) = target.known.as_ref().filter(is_public) else { return false };
    let pieces = PieceLength::canonical(known.id.size).map_or(0, |length| length.pieces(known.id.size));
    !target.claimed && pieces > 1 && services.catalog.by_name(&known.id.file_name).is_none()
}

#[cfg(test)]
mod tests {
    use p2p_package::{Info, PieceHash};

    use super::*;

    #[test]
    fn metainfo_is_taken_once_and_no_more_of_it_waits_than_may() {
        let (shelf, now) = (MetainfoShelf::default(), Instant::now());
        let name = "a-1-1-any.pkg.tar".parse().expect("a package's name");
        let info = Info::canonical(name, 1, vec![PieceHash::of(b"a")]);
        let metainfo = Metainfo { info, trackers: Vec::new(), webseeds: Vec::new() };
        let package = |number: usize| Sha256::of(&number.to_be_bytes());
        for number in 0..=MAX_WAITING {
            shelf.put(package(number), metainfo.clone(), now);
        }
        assert!(shelf.take(&package(0)).is_some() && shelf.take(&package(0)).is_none());
        assert!(shelf.take(&package(MAX_WAITING)).is_none());
        shelf.put(package(0), metainfo, now + LIFE);
        assert!(shelf.take(&package(1)).is_none(), "nobody came for it");
    }
}
