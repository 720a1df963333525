//! The whole way, with real parts: pacman, mirrors, trackers, other BitTorrent clients, and the daemon as built by
//! `cargo build --workspace --bins`. Network namespaces and small disks need root.

mod adversity;
mod cache_server;
mod catalog;
mod changes;
mod clients;
mod databases;
mod hook;
mod namespaces;
mod neighbours;
mod packages;
mod pacman;
mod prefetch;
mod replicate;
mod secrecy;
mod transactions;
mod upload;
mod world;
