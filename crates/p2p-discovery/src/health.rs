//! How each way of discovery does.

use std::time::Instant;

use url::Url;

/// Whether one way of discovery works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Activity {
    /// Not wanted.
    #[default]
    Off,
    /// Running.
    On,
    /// Wanted, but it could not start; it is tried again.
    Failed,
}

/// How discovery does at this moment.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Local service discovery.
    pub lan: Activity,
    /// The DHT.
    pub dht: Activity,
    /// Nodes in our routing table.
    pub dht_nodes: usize,
    /// Our own DHT port, 0 while there is none.
    pub dht_port: u16,
    /// The configured trackers.
    pub trackers: Vec<TrackerHealth>,
    /// What we hold, and how far others were told.
    pub announcing: Announcing,
}

/// How announcing what we hold does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announcing {
    /// Packages offered.
    pub offers: usize,
    /// How many of them are due now, where most are: in the DHT or at a tracker.
    pub due: usize,
    /// Packets sent for them since the start, DHT and trackers.
    pub packets: u64,
}

/// How one tracker does.
#[derive(Debug, Clone)]
pub struct TrackerHealth {
    /// The tracker.
    pub url: Url,
    /// Why its last answer was none; `None` after a good one, and before the first.
    pub last_error: Option<String>,
    /// Peers that its last good answer brought.
    pub peers: usize,
    /// When it will be asked next.
    pub next: Option<Instant>,
}
