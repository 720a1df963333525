//! Downloads one swarm; the only crate that knows the BitTorrent engine.
//!
//! [`Engine`] is a librqbit session reduced to what it does well: fetching the pieces of the few packages in progress. It
//! listens on loopback only, keeps nothing on disk of its own, asks no tracker, DHT or local network, and dials only what
//! peers name by PEX, through the proxy that it was given. Peers come to it: virtual ones, and those who bring foreign ones, dial
//! [`Engine::listen_addr`].
//!
//! Each [`Swarm`] works on one file that the caller opened. The engine never creates, shortens, renames or removes a file.

mod engine;
mod ledger;
mod spool;
mod storage;
mod swarm;
mod waker;

pub use engine::{Engine, EngineError, EngineOptions, PEER_SILENCE};
pub use swarm::{Stage, Swarm, SwarmFault, SwarmProgress};
pub use waker::Waker;
