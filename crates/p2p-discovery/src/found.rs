//! What discovery tells its callers.

use std::net::SocketAddr;

use p2p_package::InfoHash;

/// Who told us of a peer, the most trusted first. The daemon decides by it which addresses may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The user, by `discovery.peers`.
    Configured,
    /// The peer itself, on this link (BEP 14).
    Lan,
    /// A tracker.
    Tracker,
    /// The DHT.
    Dht,
}

/// A peer that may have what is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where it takes BitTorrent connections.
    pub address: SocketAddr,
    /// Who said so.
    pub origin: Origin,
}

/// Somebody on this link looks for a swarm, or is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanSearch {
    /// The swarm.
    pub info_hash: InfoHash,
    /// Where they take BitTorrent connections.
    pub address: SocketAddr,
}
