//! The daemons that this one is connected with.

use serde::{Deserialize, Serialize};

/// One neighbour. The answer to `GET /v1/neighbours` is an array of them, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Where it listens, or from where it called: `"ip:port"`.
    pub address: String,
    /// The repository in whose club it was met; None where we are not in that club any more.
    pub repository: Option<String>,
    /// Whether it is on a local network.
    pub local: bool,
    /// How we know of it.
    pub origin: NeighbourOrigin,
    /// Its program, as it says; at most 64 bytes.
    pub version: Option<String>,
    /// For how long it has been here.
    pub connected_seconds: u64,
    /// How long it takes to answer a question, in microseconds; None before the first answer.
    pub round_trip_us: Option<u64>,
}

/// Who told us of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeighbourOrigin {
    /// The user, by `discovery.peers`.
    Configured,
    /// Itself, on a local network (BEP 14), or by calling from there.
    Lan,
    /// An earlier run.
    Remembered,
    /// Another neighbour (BEP 11), or itself, by calling.
    Neighbour,
    /// A tracker.
    Tracker,
    /// The DHT, or something that only a newer daemon knows.
    #[serde(other)]
    Dht,
}
