//! Real parts for the tests: repositories, mirrors, peers, namespaces.
//!
//! Everything here starts on a free port or in a network namespace of its own, in a temporary directory, waits with a
//! bound until it works, and is gone when its value is dropped. A part that cannot be made fails the test there and
//! then: so these functions panic, with the reason, where a library would return an error.
//!
//! Parts run on a [`Host`]: the loopback of this machine, or a machine of a [`Lan`] made of namespaces (needs root).

mod aria2;
mod binaries;
mod caller;
mod capture;
mod client;
mod condition;
mod connecting;
mod daemon;
mod daemon_options;
mod delay_proxy;
mod dht_network;
mod fake_peer;
mod fault;
mod fixed_tracker;
mod host;
mod internet_gateway;
mod keyring;
mod lan;
mod libtorrent;
mod listener;
mod lying_neighbour;
mod mirror;
mod name_server;
mod namespace;
mod nginx;
mod opentracker;
mod package;
mod pacman_root;
mod peer_sources;
mod process;
mod ran;
mod remains;
mod repository;
mod router;
mod small_disk;
mod terminal;
mod transmission;
mod usage;

pub use aria2::Aria2;
pub use binaries::Binaries;
pub use caller::{Caller, NoPiece, call_by_utp};
pub use capture::{Capture, Sent};
pub use client::Client;
pub use condition::{look_for, wait_for, wait_until};
pub use connecting::{Connecting, Encryption, Transport};
pub use daemon::{Daemon, Status};
pub use daemon_options::DaemonOptions;
pub use delay_proxy::DelayProxy;
pub use dht_network::{DhtNetwork, DhtSnapshot};
pub use fake_peer::{FakePeer, Temper};
pub use fault::Fault;
pub use fixed_tracker::FixedTracker;
pub use host::Host;
pub use internet_gateway::{InternetGateway, Manners, Mapping};
pub use keyring::Keyring;
pub use lan::Lan;
pub use libtorrent::{Libtorrent, LibtorrentOptions};
pub use lying_neighbour::{Lie, LyingNeighbour};
pub use mirror::{Mirror, MirrorRequest};
pub use name_server::NameServer;
pub use nginx::Nginx;
pub use opentracker::OpenTracker;
pub use package::{Package, PackageSpec, Payload};
pub use pacman_root::{PacmanRoot, PacmanRootOptions};
pub use peer_sources::PeerSources;
pub use process::Process;
pub use ran::{Ran, run};
pub use remains::{is_interrupt_ignored, processes_naming};
pub use repository::Repository;
pub use router::{Death, Router, Site};
pub use small_disk::SmallDisk;
pub use terminal::Terminal;
pub use transmission::Transmission;
pub use usage::Usage;
