//! The whole way, with real parts: pacman, mirrors, trackers, other BitTorrent clients, and the daemon as built by
//! `cargo build --workspace --bins`. Network namespaces and small disks need root.

mod adversity;
mod blackout;
mod blackout_databases;
mod blackout_liars;
mod blackout_transactions;
mod cache_server;
mod catalog;
mod changes;
mod clients;
mod databases;
mod doctor;
mod hook;
mod hostile_neighbours;
mod namespaces;
mod neighbour_transports;
mod neighbours;
mod packages;
mod pacman;
mod port_mapping;
mod prefetch;
mod publisher_keys;
mod publishing;
mod replicate;
mod secrecy;
mod signed;
mod transactions;
mod upload;
mod world;
