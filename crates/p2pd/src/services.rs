//! Everything that a fetch, the API and the daemon's tasks share.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use p2p_api::Place;
use p2p_discovery::Discovery;
use p2p_engine::Engine;
use p2p_gate::Gate;
use p2p_neighbours::Neighbours;
use p2p_seeder::{CacheScan, Catalog};
use p2p_webseed::Mirrors;
use tokio_util::sync::CancellationToken;

use crate::clubs::Addresses;
use crate::config::Settings;
use crate::diagnosis::Diagnoses;
use crate::editions::Editions;
use crate::fetch::{
    Counters, Databases, Fetches, MetainfoMemory, MetainfoShelf, MirrorBook, Newcomers, PeerBook, Store, Stories,
    Whereabouts,
};
use crate::forgotten::Forgotten;
use crate::handovers::Handovers;
use crate::keyring::Keyring;
use crate::knowledge::Knowledge;
use crate::offers::Offers;
use crate::port_mapping::PortMapping;
use crate::publications::Publications;
use crate::rates::Rates;
use crate::replicate::Replication;
use crate::swarms::Swarms;
use crate::transactions::Transactions;
use crate::upload::Uploads;
use crate::verification::Verifications;

/// The running parts of the daemon.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) settings: RwLock<Arc<Settings>>,
    /// The settings of the start: some hold until the next one.
    pub(crate) started_with: Arc<Settings>,
    pub(crate) knowledge: Arc<Knowledge>,
    pub(crate) catalog: Catalog,
    pub(crate) engine: Engine,
    pub(crate) gate: Gate,
    pub(crate) discovery: Discovery,
    pub(crate) neighbours: Neighbours,
    pub(crate) club_addresses: Addresses,
    pub(crate) mirrors: Mirrors,
    pub(crate) swarms: Arc<Swarms>,
    pub(crate) store: Store,
    pub(crate) scan: CacheScan,
    pub(crate) handovers: Arc<Handovers>,
    pub(crate) forgotten: Arc<Forgotten>,
    pub(crate) verifications: Verifications,
    pub(crate) offers: Offers,
    pub(crate) passing: crate::fetch::Passing,
    pub(crate) fetches: Fetches,
    pub(crate) stories: Stories,
    pub(crate) transactions: Transactions,
    pub(crate) counters: Counters,
    pub(crate) upload: Uploads,
    pub(crate) rates: Rates,
    pub(crate) replication: Replication,
    pub(crate) metainfo_memory: MetainfoMemory,
    pub(crate) metainfo_shelf: MetainfoShelf,
    pub(crate) peer_book: PeerBook,
    pub(crate) newcomers: Newcomers,
    pub(crate) whereabouts: Arc<Whereabouts>,
    pub(crate) mirror_book: MirrorBook,
    pub(crate) databases: Arc<Databases>,
    pub(crate) publications: Arc<Publications>,
    pub(crate) editions: Arc<Editions>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) port_mapping: PortMapping,
    pub(crate) diagnoses: Diagnoses,
    pub(crate) started: Instant,
    /// Cancelled when the daemon stops.
    pub(crate) stopping: CancellationToken,
}

impl Services {
    /// The settings in force.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whose directory this is the path of a package in.
    pub(crate) fn place(&self, path: &Path) -> Place {
        if self.store.contains(path) { Place::Store } else { Place::Cache }
    }

    /// Whether a file of the store must stay for now: somebody writes it, or may be about to open it.
    pub(crate) fn is_in_use(&self, path: &Path) -> bool {
        self.handovers.is_in_use(path, Instant::now()) || self.fetches.writes(path) || self.transactions.holds(path)
    }

    /// Where peers reach us.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.gate.local_addr()
    }
}
