//! What the daemon is doing, as `GET /v1/status` tells everyone.

use serde::{Deserialize, Serialize};

use crate::{Freshness, PortMapping, Replicate, Upload};

/// The daemon at a glance. Totals are bytes since its state was created, rates bytes a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// The `ip:port` on which peers reach it: the one really bound.
    pub listen: String,
    /// How many packages would be served if asked now.
    pub packages_seeded: u64,
    /// Their bytes.
    pub bytes_seeded: u64,
    /// Bytes given to peers.
    pub uploaded_bytes: u64,
    /// Bytes taken from peers.
    pub downloaded_from_peers_bytes: u64,
    /// Bytes taken from mirrors.
    pub downloaded_from_mirrors_bytes: u64,
    /// Bytes a second to peers, now.
    pub upload_rate: u64,
    /// Bytes a second from peers and mirrors, now.
    pub download_rate: u64,
    /// Daemons that we hold a club connection to.
    pub neighbours: u64,
    /// Peers that we are connected to.
    pub peers: u64,
    /// Nodes in the DHT's routing table.
    pub dht_nodes: u64,
    /// How many files clients wait for: the length of `fetches`.
    pub active_fetches: u64,
    /// The files that clients wait for.
    pub fetches: Vec<ActiveFetch>,
    /// How others are found.
    pub discovery: Discovery,
    /// How others are told what we hold; None: the daemon is older than this field.
    pub announcing: Option<Announcing>,
    /// How fresh the databases of shared repositories are; None: the daemon is older than this field.
    pub databases: Option<Vec<Freshness>>,
    /// Why signatures cannot be verified, so that nothing signed is taken from neighbours; None where they can.
    pub keyring_fault: Option<String>,
    /// What others than the local networks may be given; None: the daemon is older than this field.
    pub upload: Option<Upload>,
    /// Bytes in the daemon's own store of packages.
    pub store_bytes: u64,
    /// The `ip:port` of the cache server: the one really bound; None where there is none.
    pub cache_server: Option<String>,
    /// What is kept for others; None where that is off.
    pub replicate: Option<Replicate>,
    /// Whether the router forwards our port; None: the daemon is older than this field.
    pub port_mapping: Option<PortMapping>,
}

/// One file that a client waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveFetch {
    /// The file's name.
    pub file_name: String,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes that there will be; None while nobody knows.
    pub total: Option<u64>,
    /// How many of `done` came from peers.
    pub from_peers: u64,
    /// Bytes a second, now.
    pub rate: u64,
}

/// How others are found, and whether that works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// How far it reaches.
    pub scope: Scope,
    /// Local service discovery (BEP 14).
    pub lan: ServiceState,
    /// The DHT (BEP 5).
    pub dht: ServiceState,
    /// Every tracker that was asked lately.
    pub trackers: Vec<Tracker>,
}

/// How trackers and the DHT are told what we hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcing {
    /// Packages that are offered.
    pub offers: u64,
    /// How many of them are due to be announced now.
    pub due: u64,
    /// Packets sent for that since the daemon started.
    pub packets: u64,
    /// Packets a second that it may send, on average; 0: nothing is announced.
    pub budget: u64,
}

/// How far discovery reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Everywhere.
    Public,
    /// No further than the local networks.
    Lan,
}

/// Whether one way of finding others works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// It runs.
    On,
    /// The configuration turns it off.
    Off,
    /// It should run and does not.
    Failed,
}

/// One tracker and its last answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracker {
    /// Its announce URL.
    pub url: String,
    /// What went wrong at the last announce; None when nothing did.
    pub last_error: Option<String>,
    /// How many peers its last answer named.
    pub peers: u64,
}
