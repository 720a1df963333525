//! Finds who has a package and says what we have: trackers, DHT, local network.
//!
//! [`Discovery::seek`] looks for the peers of one swarm in every way that is configured, and says that we want it too,
//! for as long as its [`Search`] lives; [`Discovery::meet`] does so for a club, with fewer packets; [`Discovery::offer`] and
//! [`Discovery::hold`] say what we have all of. What is due when is decided
//! without any I/O (`schedule`), who was told already too (`peers`); the rest drives sockets. A way that is slow or dead
//! never delays what another one finds.

mod announces_file;
mod budget;
mod clock;
mod dht;
mod discovery;
mod driver;
mod found;
mod health;
mod lan;
mod options;
mod peers;
mod resolve;
mod schedule;
mod search;
mod shared;
mod tracker;

pub use clock::slept_since_boot;
pub use discovery::{Discovery, DiscoveryError};
pub use found::{Found, LanSearch, Origin};
pub use health::{Activity, Announcing, Health, TrackerHealth};
pub use options::{DhtOptions, DiscoveryOptions, Scope};
pub use search::Search;
pub use tracker::HttpSetupError;
