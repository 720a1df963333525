//! Who is connected for which package, so that they can be told of one another (BEP 11).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use p2p_package::InfoHash;
use tokio::sync::broadcast;

/// Changes that one connection may be behind; what it misses it is not told.
const MAX_BEHIND: usize = 64;

/// The swarms with at least one connection.
#[derive(Debug, Default)]
pub(crate) struct Swarms {
    swarms: Mutex<HashMap<InfoHash, Swarm>>,
}

#[derive(Debug)]
struct Swarm {
    connections: usize,
    /// Where those listen who said so.
    peers: Vec<SocketAddr>,
    changes: broadcast::Sender<Change>,
}

/// A peer that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Came(SocketAddr),
    Went(SocketAddr),
}

/// One connection's place; leaving it makes room.
#[derive(Debug)]
pub(crate) struct Membership {
    swarms: Arc<Swarms>,
    info_hash: InfoHash,
    listens_on: Option<SocketAddr>,
}

impl Swarms {
    /// Joins, unless there are `limit` connections already.
    pub(crate) fn join(
        self: &Arc<Self>,
        info_hash: InfoHash,
        limit: usize,
    ) -> Option<(Membership, Vec<SocketAddr>, broadcast::Receiver<Change>)> {
        let mut swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        let swarm = swarms.entry(info_hash).or_insert_with(|| Swarm {
            connections: 0,
            peers: Vec::new(),
            changes: broadcast::Sender::new(MAX_BEHIND),
        });
        if swarm.connections >= limit {
            return None;
        }
        swarm.connections += 1;
        let membership = Membership { swarms: Arc::clone(self), info_hash, listens_on: None };
        Some((membership, swarm.peers.clone(), swarm.changes.subscribe()))
    }

    /// Connections in all swarms.
    pub(crate) fn connections(&self) -> usize {
        let swarms = self.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        swarms.values().map(|swarm| swarm.connections).sum()
    }
}

impl Membership {
    /// Tells the others where this peer listens; only its first word counts.
    pub(crate) fn announce(&mut self, address: SocketAddr) {
        if self.listens_on.is_some() {
            return;
        }
        let mut swarms = self.swarms.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(swarm) = swarms.get_mut(&self.info_hash)
            && !swarm.peers.contains(&address)
        {
            swarm.peers.push(address);
            self.listens_on = Some(address);
            // Nobody may be listening.
            let _ = swarm.changes.send(Change::Came(address));
        }
    }

    /// Where this peer listens.
    pub(crate) fn listens_on(&self) -> Option<SocketAddr> {
        self.listens_on
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut swarms = self.swarms.swarms.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(swarm) = swarms.get_mut(&self.info_hash) else {
            return;
        };
        swarm.connections -= 1;
        if let Some(address) = self.listens_on {
            swarm.peers.retain(|peer| *peer != address);
            let _ = swarm.changes.send(Change::Went(address));
        }
        if swarm.connections == 0 {
            swarms.remove(&self.info_hash);
        }
    }
}

/// Whether `to` may be told of `peer`: addresses of a local network mean nothing, and are nobody's business, outside it.
pub(crate) fn may_be_told(peer: IpAddr, to: IpAddr) -> bool {
    match reach(peer) {
        Reach::Host => false,
        Reach::Site => reach(to) == Reach::Site,
        Reach::World => true,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reach {
    Host,
    Site,
    World,
}

fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_unspecified() || v4.is_link_local() || v4.is_multicast() => {
            Reach::Host
        }
        IpAddr::V4(v4) if v4.is_private() => Reach::Site,
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() => Reach::Host,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Reach::Host,
        IpAddr::V6(v6) if v6.is_unique_local() => Reach::Site,
        IpAddr::V4(_) | IpAddr::V6(_) => Reach::World,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: InfoHash = InfoHash::from_bytes([1; 20]);

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn peers_hear_of_those_before_them_and_after_them() {
        let swarms = Arc::new(Swarms::default());
        let (mut first, known, mut heard) = swarms.join(HASH, 2).expect("room");
        assert_eq!(known, []);
        first.announce(address("1.2.3.4:5"));
        assert_eq!(heard.try_recv(), Ok(Change::Came(address("1.2.3.4:5"))));
        let (mut second, known, _) = swarms.join(HASH, 2).expect("room");
        assert_eq!(known, [address("1.2.3.4:5")]);
        assert!(swarms.join(HASH, 2).is_none(), "full");
        second.announce(address("1.2.3.5:5"));
        second.announce(address("1.2.3.6:5"));
        assert_eq!(heard.try_recv(), Ok(Change::Came(address("1.2.3.5:5"))));
        drop(second);
        assert_eq!(heard.try_recv(), Ok(Change::Went(address("1.2.3.5:5"))));
        drop(first);
        assert_eq!((swarms.connections(), swarms.swarms.lock().unwrap().len()), (0, 0));
    }

    #[test]
    fn local_addresses_stay_local() {
        for (peer, to, told) in [
            ("127.0.0.1", "127.0.0.1", false),
            ("fe80::1", "fe80::2", false),
            ("::ffff:127.0.0.1", "1.2.3.4", false),
            ("192.168.1.2", "192.168.1.3", true),
            ("192.168.1.2", "1.2.3.4", false),
            ("1.2.3.4", "192.168.1.2", true),
            ("fd00::1", "2001:db8::1", false),
        ] {
            assert_eq!(may_be_told(peer.parse().unwrap(), to.parse().unwrap()), told, "{peer} to {to}");
        }
    }
}
