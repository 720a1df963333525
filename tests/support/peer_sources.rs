//! By which methods a BitTorrent client may find peers.

use std::net::SocketAddr;

/// What is switched on in a foreign client, beside the trackers that its torrent names. The default is nothing at all.
#[derive(Debug, Clone, Default)]
pub struct PeerSources {
    /// The DHT, with these nodes to begin with.
    pub dht: Vec<SocketAddr>,
    /// Local service discovery (BEP 14).
    pub lsd: bool,
    /// Peer exchange (BEP 11).
    pub pex: bool,
}
