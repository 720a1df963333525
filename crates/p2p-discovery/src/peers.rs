//! The peers known of one swarm: each told once, few, and not for ever.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::found::{Found, Origin};

/// Peers remembered of one swarm: more than a package's download can use.
pub(crate) const MAX_PEERS: usize = 200;
/// After this time a peer that is heard of again is told again: it may have come back.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// The peers of one swarm that were told already.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    known: BTreeMap<SocketAddr, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    origin: Origin,
    since: Instant,
}

impl Peers {
    /// Whether the peer should be told: it is new, or a more trusted origin than before names it.
    pub(crate) fn insert(&mut self, found: Found, now: Instant) -> bool {
        if !is_address_of_a_peer(found.address) {
            return false;
        }
        let known = self.known.get(&found.address);
        if known.is_some_and(|known| known.origin <= found.origin && !known.is_forgotten(now)) {
            return false;
        }
        if known.is_none() && !self.make_room(found.origin, now) {
            return false;
        }
        self.known.insert(found.address, Known { origin: found.origin, since: now });
        true
    }

    /// Peers that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// All of them, the most trusted first.
    pub(crate) fn all(&self) -> Vec<Found> {
        let mut all: Vec<_> =
            self.known.iter().map(|(address, known)| Found { address: *address, origin: known.origin }).collect();
        all.sort_by_key(|found| found.origin);
        all
    }

    /// Strangers' lists must not keep a peer of the link out.
    fn make_room(&mut self, origin: Origin, now: Instant) -> bool {
        if self.known.len() < MAX_PEERS {
            return true;
        }
        self.known.retain(|_, known| !known.is_forgotten(now));
        if self.known.len() < MAX_PEERS {
            return true;
        }
        let weakest =
            self.known.iter().max_by_key(|(_, known)| known.origin).map(|(address, known)| (*address, *known));
        let Some((address, _)) = weakest.filter(|(_, known)| known.origin > origin) else {
            return false;
        };
        self.known.remove(&address);
        true
    }
}

impl Known {
    fn is_forgotten(self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= FORGOTTEN_AFTER
    }
}

/// Whether one peer can be there at all; which networks may be dialled is the gate's to say.
fn is_address_of_a_peer(address: SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::from([255; 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(number: u16, origin: Origin) -> Found {
        Found { address: SocketAddr::from(([10, 0, 0, 1], number)), origin }
    }

    #[test]
    fn a_peer_is_told_once_until_it_is_forgotten() {
        let start = Instant::now();
        let mut peers = Peers::default();
        assert!(peers.insert(found(1, Origin::Dht), start));
        assert!(!peers.insert(found(1, Origin::Dht), start));
        assert!(peers.insert(found(1, Origin::Dht), start + FORGOTTEN_AFTER));
    }

    #[test]
    fn a_peer_is_told_again_by_a_more_trusted_origin_only() {
        let start = Instant::now();
        let mut peers = Peers::default();
        assert!(peers.insert(found(1, Origin::Tracker), start));
        assert!(!peers.insert(found(1, Origin::Dht), start));
        assert!(peers.insert(found(1, Origin::Lan), start));
        assert_eq!(peers.all(), [found(1, Origin::Lan)]);
    }

    #[test]
    fn a_full_list_takes_the_more_trusted_in_and_nobody_else() {
        let start = Instant::now();
        let mut peers = Peers::default();
        for number in 1..=300 {
            peers.insert(found(number, Origin::Dht), start);
        }
        assert_eq!(peers.len(), MAX_PEERS);
        assert!(!peers.insert(found(400, Origin::Dht), start));
        assert!(peers.insert(found(400, Origin::Lan), start));
        assert_eq!(peers.len(), MAX_PEERS);
        assert!(peers.insert(found(401, Origin::Dht), start + FORGOTTEN_AFTER));
        assert_eq!(peers.len(), 1);
    }

    #[test]
    fn addresses_where_no_peer_can_be_are_left_out() {
        let mut peers = Peers::default();
        for address in ["10.0.0.1:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"] {
            let address = address.parse().expect("an address");
            assert!(!peers.insert(Found { address, origin: Origin::Lan }, Instant::now()), "{address}");
        }
    }
}
