//! Serves connections from the catalog.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use p2p_package::InfoHash;
use p2p_wire::{Handshake, PeerId, Role, SeedConnection, SeedOptions, SeedTorrent, Upload};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::activity::{Activities, Activity};
use crate::blocks::OpenFiles;
use crate::buffers::{Buffers, LARGE};
use crate::connection::{Connection, End, OnClaim};
use crate::seats::Seats;
use crate::slots::Claim;
use crate::swarms::Swarms;
use crate::{Catalog, Row};

/// Limits and names of a [`Seeder`].
#[derive(Debug, Clone)]
pub struct SeederOptions {
    /// Who we are.
    pub peer_id: PeerId,
    /// Where we accept connections; none where nobody can call us.
    pub listen_port: Option<u16>,
    /// Files that are open at the same time, beside those that are just being read.
    pub open_files: usize,
    /// Connections in all. Each holds 64 KiB of blocks at most; 64 of them may hold 256 KiB.
    pub connections: usize,
    /// Connections for one package.
    pub connections_per_package: usize,
    /// Peers outside of the local networks that are served at a time.
    pub slots: usize,
}

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They called, and our handshake is still to be sent.
    Incoming,
    /// We called, and both handshakes are done.
    Outgoing,
}

/// Where a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vicinity {
    /// On this host or on a local network: served without a slot.
    Local,
    /// Anywhere else.
    Remote,
}

/// A peer that wants to be served.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// What it said.
    pub handshake: Handshake,
    /// From where it called, or where we did.
    pub address: SocketAddr,
    /// Whether it needs an upload slot.
    pub vicinity: Vicinity,
    /// Who called whom.
    pub direction: Direction,
}

/// A shared handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Seeder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) catalog: Catalog,
    pub(crate) files: OpenFiles,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) uploaded_bytes: AtomicU64,
    pub(crate) activities: Activities,
    options: SeederOptions,
    swarms: Arc<Swarms>,
    seats: Arc<Seats>,
}

impl SeederOptions {
    /// 64 open files, 8 upload slots, 1,100 connections, 330 for one package: a little more than the gate lets in, where a
    /// connection that makes room is counted until it has ended.
    #[must_use]
    pub fn new(peer_id: PeerId) -> Self {
        Self { peer_id, listen_port: None, open_files: 64, connections: 1_100, connections_per_package: 330, slots: 8 }
    }
}

impl Seeder {
    /// A seeder of what is in `catalog`.
    #[must_use]
    pub fn new(catalog: Catalog, options: SeederOptions) -> Self {
        let shared = Shared {
            catalog,
            files: OpenFiles::new(options.open_files),
            buffers: Arc::default(),
            uploaded_bytes: AtomicU64::new(0),
            activities: Activities::default(),
            seats: Arc::new(Seats::new(options.slots)),
            options,
            swarms: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves one connection until its end; returns at once where the package is not in the catalog.
    ///
    /// `on_claim` is told each time that the peer's claim to an upload slot may have changed, and must not block. A peer that
    /// needs no slot has none.
    pub async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        peer: Peer,
        on_claim: impl Fn(Claim) + Send + Sync + 'static,
    ) -> End {
        let end = self.converse(stream, peer, Box::new(on_claim)).await;
        tracing::debug!(info_hash = %peer.handshake.info_hash, peer = %peer.address, ?end, "upload connection ended");
        end
    }

    /// Serves so many peers outside of the local networks at a time, from now on.
    pub fn set_slots(&self, slots: usize) {
        self.shared.seats.set_slots(slots);
    }

    /// Serves nobody outside of the local networks while paused; connections stay. Local peers are not concerned.
    pub fn set_paused(&self, is_paused: bool) {
        self.shared.seats.set_paused(is_paused);
    }

    /// Whether nobody outside of the local networks is served.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.shared.seats.is_paused()
    }

    /// Bytes of blocks that have been handed to connections since the start.
    #[must_use]
    pub fn uploaded_bytes(&self) -> u64 {
        self.shared.uploaded_bytes.load(Ordering::Relaxed)
    }

    /// Connections that are being served now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.swarms.connections()
    }

    /// How many handshakes there were about each package since the start, the most wanted first; at most 32,768 of them.
    #[must_use]
    pub fn demand(&self) -> Vec<(InfoHash, u32)> {
        self.shared.activities.demand()
    }

    /// What peers have had of a package since the start; none where nobody has asked, or too many others since.
    #[must_use]
    pub fn activity(&self, info_hash: &InfoHash) -> Option<Activity> {
        self.shared.activities.get(info_hash)
    }

    async fn converse(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send, peer: Peer, on_claim: OnClaim) -> End {
        let Peer { handshake: theirs, address, vicinity, direction } = peer;
        let Some(row) = self.shared.catalog.get(&theirs.info_hash) else {
            return End::Withdrawn;
        };
        self.shared.activities.note_handshake(theirs.info_hash, SystemTime::now());
        if self.connections() >= self.shared.options.connections {
            return End::Full;
        }
        let limit = self.shared.options.connections_per_package;
        let Some((membership, peers, changes)) = self.shared.swarms.join(theirs.info_hash, limit) else {
            return End::Full;
        };
        let role = match direction {
            Direction::Incoming => Role::Answerer(theirs),
            Direction::Outgoing => Role::Introduced(theirs),
        };
        let torrent = SeedTorrent::whole(row.info.clone());
        let machine = match SeedConnection::new(torrent, role, self.seed_options(&peer), Instant::now().into_std()) {
            Ok(machine) => machine,
            Err(fault) => return End::Fault(fault),
        };
        let (seat, upload) = match vicinity {
            Vicinity::Local => (None, None),
            Vicinity::Remote => Some(self.shared.seats.take()).unzip(),
        };
        let seat = seat.map(|seat| (seat, on_claim));
        let mut connection = Connection::new(Arc::clone(&self.shared), row, machine, (address, membership), seat);
        if direction == Direction::Outgoing {
            connection.learn_listener(address);
        }
        connection.tell(peers);
        connection.run(stream, changes, upload).await
    }

    fn seed_options(&self, peer: &Peer) -> SeedOptions {
        SeedOptions {
            listen_port: self.shared.options.listen_port,
            your_ip: Some(peer.address.ip()),
            upload: match peer.vicinity {
                Vicinity::Local => Upload::Unchoked,
                Vicinity::Remote => Upload::Choked,
            },
            send_buffer: LARGE,
            ..SeedOptions::new(self.shared.options.peer_id)
        }
    }
}

impl Shared {
    /// The row that now stands for this one's torrent, if there is one.
    pub(crate) fn current(&self, row: &Arc<Row>) -> Option<Arc<Row>> {
        if row.is_withdrawn() { self.catalog.get(&row.info_hash()) } else { Some(Arc::clone(row)) }
    }
}
