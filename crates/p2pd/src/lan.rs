//! Answers searches of the local network: whoever looks for a package that we hold is dialled, and nothing is multicast.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_discovery::LanSearch;
use p2p_gate::Origin;
use p2p_package::InfoHash;
use tokio::sync::mpsc;

use crate::clubs;
use crate::services::Services;

/// A searcher is dialled at most this often for one package.
const BETWEEN_DIALS: Duration = Duration::from_mins(1);
/// Dials that are remembered.
const MAX_REMEMBERED: usize = 4096;

/// Who was dialled lately, for what: pure.
#[derive(Debug, Default)]
struct Dialled(BTreeMap<(InfoHash, SocketAddr), Instant>);

impl Dialled {
    /// Whether to dial now; remembers that.
    fn handle_search(&mut self, search: LanSearch, now: Instant) -> bool {
        let key = (search.info_hash, search.address);
        let recent = |at: &Instant| now.duration_since(*at) < BETWEEN_DIALS;
        if self.0.get(&key).is_some_and(recent) {
            return false;
        }
        if self.0.len() >= MAX_REMEMBERED {
            self.0.retain(|_, at| recent(at));
        }
        let room = self.0.len() < MAX_REMEMBERED;
        if room {
            self.0.insert(key, now);
        }
        room
    }
}

/// Runs until discovery ends.
pub(crate) async fn answer(services: Arc<Services>, mut searches: mpsc::Receiver<LanSearch>) {
    let mut dialled = Dialled::default();
    while let Some(search) = searches.recv().await {
        services.diagnoses.note_search(Instant::now());
        if services.neighbours.speaks_for(&search.info_hash) {
            clubs::hear(&services.neighbours, search.info_hash, search.address);
            continue;
        }
        let held = services.swarms.held(&search.info_hash).is_some();
        if held && dialled.handle_search(search, Instant::now()) {
            let _ = services.gate.introduce(search.info_hash, search.address, Origin::Lan);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(byte: u8) -> LanSearch {
        LanSearch { info_hash: InfoHash::from_bytes([byte; 20]), address: ([10, 0, 0, 1], 6881).into() }
    }

    #[test]
    fn a_searcher_is_dialled_once_a_minute_for_each_package() {
        let (mut dialled, start) = (Dialled::default(), Instant::now());
        assert!(dialled.handle_search(search(1), start));
        assert!(dialled.handle_search(search(2), start));
        assert!(!dialled.handle_search(search(1), start + Duration::from_secs(59)));
        assert!(dialled.handle_search(search(1), start + Duration::from_mins(1)));
    }

    #[test]
    fn a_flood_of_searches_is_not_remembered_without_bound() {
        let (mut dialled, start) = (Dialled::default(), Instant::now());
        for port in 0..u16::try_from(2 * MAX_REMEMBERED).expect("a port") {
            let address = ([10, 0, 0, 1], port).into();
            dialled.handle_search(LanSearch { address, ..search(1) }, start);
        }
        assert_eq!(dialled.0.len(), MAX_REMEMBERED);
        assert!(dialled.handle_search(search(9), start + Duration::from_secs(61)));
    }
}
