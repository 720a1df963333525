//! Who speaks for an info hash: the engine for a package in progress, the seeder for one in the catalog.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use p2p_gate::{Destination, Direction, Doorman, Serving, Visitor};
use p2p_package::InfoHash;
use p2p_seeder::{Catalog, Seeder};

/// The swarms that we are in.
pub(crate) struct Swarms {
    catalog: Catalog,
    /// Known once the gate's port is, which they both need.
    speakers: OnceLock<Speakers>,
    joined: RwLock<BTreeSet<InfoHash>>,
}

/// Who speaks with peers.
struct Speakers {
    seeder: Seeder,
    /// Where the engine meets foreign peers.
    engine: SocketAddr,
}

/// Says that a swarm is in progress, until dropped.
#[derive(Debug)]
pub(crate) struct Joined {
    swarms: Arc<Swarms>,
    info_hash: InfoHash,
}

impl fmt::Debug for Swarms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = self.joined.read().unwrap_or_else(PoisonError::into_inner).len();
        write!(formatter, "Swarms({joined} joined)")
    }
}

impl Swarms {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self { catalog, speakers: OnceLock::new(), joined: RwLock::default() }
    }

    /// Says who speaks; before that, nobody is at home.
    pub(crate) fn open(&self, seeder: Seeder, engine: SocketAddr) {
        let _ = self.speakers.set(Speakers { seeder, engine });
    }

    /// Sends callers for `info_hash` to the engine from now on.
    pub(crate) fn join(self: &Arc<Self>, info_hash: InfoHash) -> Joined {
        self.joined.write().unwrap_or_else(PoisonError::into_inner).insert(info_hash);
        Joined { swarms: Arc::clone(self), info_hash }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.swarms.joined.write().unwrap_or_else(PoisonError::into_inner).remove(&self.info_hash);
    }
}

impl Doorman for Swarms {
    fn destination(&self, info_hash: InfoHash) -> Destination {
        let joined = self.joined.read().unwrap_or_else(PoisonError::into_inner).contains(&info_hash);
        match self.speakers.get() {
            Some(speakers) if joined => Destination::Engine(speakers.engine),
            Some(_) if self.catalog.get(&info_hash).is_some() => Destination::Here,
            Some(_) | None => Destination::Nowhere,
        }
    }

    fn serve(&self, visitor: Visitor) -> Serving {
        let Visitor { stream, handshake, address, direction } = visitor;
        let direction = match direction {
            Direction::Incoming => p2p_seeder::Direction::Incoming,
            Direction::Outgoing => p2p_seeder::Direction::Outgoing,
        };
        let seeder = self.speakers.get().map(|speakers| speakers.seeder.clone());
        Box::pin(async move {
            let Some(seeder) = seeder else { return };
            let end = seeder.serve(stream, handshake, address, direction).await;
            tracing::debug!(peer = %address, ?end, "a peer has been served");
        })
    }
}
