//! Tracker announces: UDP packets (BEP 15) and HTTP answers (BEP 3, 7, 23).

mod http;
mod udp;

use std::net::SocketAddr;
use std::time::Duration;

use p2p_package::InfoHash;

pub use http::{HttpAnnounceFault, http_announce_query, read_http_announce};
pub use udp::{
    AddressFamily, ConnectionId, MAX_UDP_TRACKER_BYTES, UdpAnswer, UdpTrackerFault, udp_announce_request,
    udp_connect_request,
};

use crate::PeerId;

/// Peers that one answer may bring, and that we ask for: opentracker's own limit, and more than a package needs.
pub const MAX_TRACKER_PEERS: usize = 200;

/// What a tracker is told about one swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    /// The swarm.
    pub info_hash: InfoHash,
    /// Who announces.
    pub peer_id: PeerId,
    /// The port that takes BitTorrent connections.
    pub port: u16,
    /// Bytes sent to peers since `Started`.
    pub uploaded: u64,
    /// Bytes received since `Started`.
    pub downloaded: u64,
    /// Bytes still missing; 0 makes us a seed.
    pub left: u64,
    /// What has just happened.
    pub event: AnnounceEvent,
    /// Peers wanted, at most [`MAX_TRACKER_PEERS`].
    pub wanted: u16,
    /// Lets the tracker know us again at another address.
    pub key: u32,
}

/// Why an announce is made (BEP 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnounceEvent {
    /// The interval is over.
    Regular,
    /// The download begins.
    Started,
    /// The download has just become complete.
    Completed,
    /// We leave the swarm.
    Stopped,
}

/// What a tracker says about one swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceAnswer {
    /// How long to wait before the next regular announce.
    pub interval: Duration,
    /// How long to wait at least, where the tracker says so (HTTP only).
    pub min_interval: Option<Duration>,
    /// At most [`MAX_TRACKER_PEERS`].
    pub peers: Vec<SocketAddr>,
    /// Peers that have everything, as the tracker counts them.
    pub seeders: u32,
    /// Peers that have not, as the tracker counts them.
    pub leechers: u32,
}

impl Announce {
    fn wanted(&self) -> usize {
        usize::from(self.wanted).min(MAX_TRACKER_PEERS)
    }
}
