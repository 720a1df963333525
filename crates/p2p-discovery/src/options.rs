//! What a discovery is started with.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use p2p_wire::PeerId;
use url::Url;

/// How far discovery reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Public,
    /// The local networks and the configured peers: no DHT, no tracker.
    Lan,
}

/// Everything that a discovery needs to know.
#[derive(Debug, Clone)]
pub struct DiscoveryOptions {
    /// With [`Scope::Lan`], `dht` and all trackers count as absent.
    pub scope: Scope,
    /// Local service discovery (BEP 14).
    pub lan: bool,
    /// The DHT (BEP 5), unless `None`.
    pub dht: Option<DhtOptions>,
    /// Asked about every swarm; wherever they are, the user named them.
    pub trackers: Vec<Url>,
    /// `host:port` of other daemons, members of every swarm.
    pub peers: Vec<String>,
    /// The port that takes BitTorrent connections, which is announced.
    pub port: u16,
    /// Who announces.
    pub peer_id: PeerId,
    /// Tells HTTP trackers what we are.
    pub user_agent: String,
    /// Packets a second for announcing what is offered, on average; 0: nothing of it is announced.
    pub announce_budget: u32,
    /// The file that keeps, from one run to the next, when which offer is due; none: each run begins anew.
    pub announces: Option<PathBuf>,
}

/// What a DHT node needs to know.
#[derive(Debug, Clone)]
pub struct DhtOptions {
    /// Port 0 means any free port; so does a port that somebody else has.
    pub listen: SocketAddrV4,
    /// `host:port` of the nodes to begin with; empty: the well-known ones.
    pub bootstrap: Vec<String>,
    /// The directory that keeps `dht-nodes`, the nodes known when we last ran.
    pub state_dir: PathBuf,
}
