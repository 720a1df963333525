//! Who speaks for an info hash: the engine for a package in progress, the seeder for one in the catalog.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use p2p_engine::Waker;
use p2p_gate::{Change, Claim, Destination, Direction, Doorman, Serving, Visitor};
use p2p_neighbours::Neighbours;
use p2p_package::{Info, InfoHash};
use p2p_seeder::{Catalog, Peer, Row, Seeder, Vicinity};
use tokio::sync::watch;

use crate::clubs;
use crate::knowledge::Knowledge;
use crate::sharing::{Reach, Sharing};

/// The swarms that we are in.
pub(crate) struct Swarms {
    catalog: Catalog,
    knowledge: Arc<Knowledge>,
    /// Known once the gate's port is, which they both need.
    speakers: OnceLock<Speakers>,
    joined: RwLock<BTreeMap<InfoHash, InProgress>>,
    /// Swarms that we look for and may join. A caller who comes before that waits.
    sought: RwLock<BTreeMap<InfoHash, Sought>>,
}

/// A swarm that the engine is in.
struct InProgress {
    pieces: u32,
    /// Whom to tell when a peer has got a piece.
    waker: Waker,
}

/// A swarm that a fetch looks for.
struct Sought {
    /// Told of each caller; must not block.
    on_caller: Box<dyn Fn() + Send + Sync>,
    /// Changes when the swarm is joined, and ends with the search.
    joined: watch::Sender<()>,
}

/// Says that a swarm is looked for, until dropped.
#[derive(Debug)]
pub(crate) struct Seeking {
    swarms: Arc<Swarms>,
    info_hash: InfoHash,
}

/// Who speaks with peers.
struct Speakers {
    seeder: Seeder,
    /// Where the engine meets foreign peers.
    engine: SocketAddr,
    /// Speak for the clubs.
    neighbours: Neighbours,
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
    pub(crate) fn new(catalog: Catalog, knowledge: Arc<Knowledge>) -> Self {
        let (speakers, joined, sought) = (OnceLock::new(), RwLock::default(), RwLock::default());
        Self { catalog, knowledge, speakers, joined, sought }
    }

    /// Says who speaks; before that, nobody is at home.
    pub(crate) fn open(&self, seeder: Seeder, engine: SocketAddr, neighbours: Neighbours) {
        let _ = self.speakers.set(Speakers { seeder, engine, neighbours });
    }

    /// Who speaks for a club of ours.
    fn club(&self, info_hash: &InfoHash) -> Option<&Neighbours> {
        let neighbours = self.speakers.get().map(|speakers| &speakers.neighbours);
        neighbours.filter(|neighbours| neighbours.speaks_for(info_hash))
    }

    /// Who serves the catalog, once the gate is open.
    pub(crate) fn seeder(&self) -> Option<&Seeder> {
        self.speakers.get().map(|speakers| &speakers.seeder)
    }

    /// The package with this torrent, if anybody at all may have it.
    pub(crate) fn held(&self, info_hash: &InfoHash) -> Option<Arc<Row>> {
        let row = self.catalog.get(info_hash)?;
        (self.knowledge.last_sharing().reach(&row.id, &row.repository) > Reach::Nobody).then_some(row)
    }

    /// Lets callers for `info_hash` wait from now on, and tells of each.
    pub(crate) fn seek(self: &Arc<Self>, info_hash: InfoHash, on_caller: impl Fn() + Send + Sync + 'static) -> Seeking {
        let sought = Sought { on_caller: Box::new(on_caller), joined: watch::Sender::default() };
        self.sought.write().unwrap_or_else(PoisonError::into_inner).insert(info_hash, sought);
        Seeking { swarms: Arc::clone(self), info_hash }
    }

    /// Sends callers for this torrent to the engine from now on.
    pub(crate) fn join(self: &Arc<Self>, info: &Info, waker: Waker) -> Joined {
        let info_hash = info.info_hash();
        let pieces = u32::try_from(info.pieces().len()).expect("a package has fewer than 2^32 pieces");
        let in_progress = InProgress { pieces, waker };
        self.joined.write().unwrap_or_else(PoisonError::into_inner).insert(info_hash, in_progress);
        if let Some(sought) = self.sought.read().unwrap_or_else(PoisonError::into_inner).get(&info_hash) {
            sought.joined.send_replace(());
        }
        Joined { swarms: Arc::clone(self), info_hash }
    }
}

/// Ends when a package does not go as far as to a peer who needs this reach.
async fn until_out_of_reach(mut sharing: watch::Receiver<Arc<Sharing>>, row: &Row, needed: Reach) {
    let is_out = |sharing: &Arc<Sharing>| sharing.reach(&row.id, &row.repository) < needed;
    // An error means that the daemon has ended.
    let _ = sharing.wait_for(is_out).await;
}

impl Drop for Seeking {
    fn drop(&mut self) {
        self.swarms.sought.write().unwrap_or_else(PoisonError::into_inner).remove(&self.info_hash);
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.swarms.joined.write().unwrap_or_else(PoisonError::into_inner).remove(&self.info_hash);
    }
}

impl Doorman for Swarms {
    fn destination(&self, info_hash: InfoHash) -> Destination {
        let joined = self.joined.read().unwrap_or_else(PoisonError::into_inner);
        let pieces = joined.get(&info_hash).map(|in_progress| in_progress.pieces);
        drop(joined);
        match (self.speakers.get(), pieces) {
            (Some(speakers), Some(pieces)) => Destination::Engine { listener: speakers.engine, pieces },
            (Some(_), None) if self.held(&info_hash).is_some() || self.club(&info_hash).is_some() => Destination::Here,
            (Some(_), None) if self.sought.read().unwrap_or_else(PoisonError::into_inner).contains_key(&info_hash) => {
                Destination::Soon
            }
            (_, _) => Destination::Nowhere,
        }
    }

    fn await_speaker(&self, info_hash: InfoHash) -> Change {
        let sought = self.sought.read().unwrap_or_else(PoisonError::into_inner);
        let joined = sought.get(&info_hash).map(|sought| {
            (sought.on_caller)();
            sought.joined.subscribe()
        });
        let is_joined = self.joined.read().unwrap_or_else(PoisonError::into_inner).contains_key(&info_hash);
        let joined = joined.filter(|_| !is_joined);
        Box::pin(async move {
            if let Some(mut joined) = joined {
                // Joined, or looked for no more.
                let _ = joined.changed().await;
            }
        })
    }

    fn note_have(&self, info_hash: InfoHash) {
        if let Some(in_progress) = self.joined.read().unwrap_or_else(PoisonError::into_inner).get(&info_hash) {
            in_progress.waker.wake();
        }
    }

    fn serve(&self, visitor: Visitor) -> Serving {
        if let Some(neighbours) = self.club(&visitor.handshake.info_hash) {
            return clubs::serve(neighbours.clone(), visitor);
        }
        let Visitor { stream, handshake, address, is_local, is_metered, direction, claims } = visitor;
        let Some(row) = self.held(&handshake.info_hash) else { return Box::pin(std::future::ready(())) };
        let (knowledge, sharing) = (Arc::clone(&self.knowledge), self.knowledge.watch_sharing());
        let direction = match direction {
            Direction::Incoming => p2p_seeder::Direction::Incoming,
            Direction::Outgoing => p2p_seeder::Direction::Outgoing,
        };
        let vicinity = if is_metered { Vicinity::Remote } else { Vicinity::Local };
        let peer = Peer { handshake, address, vicinity, direction };
        let seeder = self.speakers.get().map(|speakers| speakers.seeder.clone());
        Box::pin(async move {
            let Some(seeder) = seeder else { return };
            if !is_local {
                // A database may have been replaced a moment ago, and with it what is an old version.
                knowledge.recent_sharing().await;
            }
            let needed = if is_local { Reach::Lan } else { Reach::Public };
            tokio::select! {
                biased;
                () = until_out_of_reach(sharing, &row, needed) => {
                    tracing::debug!(peer = %address, package = %row.id.file_name, "a package does not go as far as this peer");
                }
                end = seeder.serve(stream, peer, move |claim| claims.note(as_the_gate_says(claim))) => {
                    tracing::debug!(peer = %address, ?end, "a peer has been served");
                }
            }
        })
    }
}

fn as_the_gate_says(claim: p2p_seeder::Claim) -> Claim {
    match claim {
        p2p_seeder::Claim::Nothing => Claim::Nothing,
        p2p_seeder::Claim::Waiting => Claim::Waiting,
        p2p_seeder::Claim::Served => Claim::Served,
    }
}
