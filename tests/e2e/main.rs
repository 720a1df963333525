//! The whole way, with real parts: pacman, mirrors, trackers, other BitTorrent clients, and the daemon as built by
//! `cargo build --workspace --bins`. Network namespaces and small disks need root.

mod adversity;
mod cache_server;
mod databases;
mod namespaces;
mod pacman;
mod prefetch;
mod transactions;
mod world;
