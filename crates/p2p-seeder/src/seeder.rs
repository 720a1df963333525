//! Serves connections from the catalog.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use p2p_wire::{Handshake, PeerId, Role, SeedConnection, SeedOptions, SeedTorrent};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::blocks::OpenFiles;
use crate::connection::{Connection, End};
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
    /// Connections in all; each holds at most its send buffer of 64 KiB, 160 KiB with the largest blocks.
    pub connections: usize,
    /// Connections for one package.
    pub connections_per_package: usize,
}

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They called, and our handshake is still to be sent.
    Incoming,
    /// We called, and both handshakes are done.
    Outgoing,
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
    pub(crate) uploaded_bytes: AtomicU64,
    options: SeederOptions,
    swarms: Arc<Swarms>,
}

impl SeederOptions {
    /// 64 open files, 1,000 connections, 250 for one package.
    #[must_use]
    pub fn new(peer_id: PeerId) -> Self {
        Self { peer_id, listen_port: None, open_files: 64, connections: 1_000, connections_per_package: 250 }
    }
}

impl Seeder {
    /// A seeder of what is in `catalog`.
    #[must_use]
    pub fn new(catalog: Catalog, options: SeederOptions) -> Self {
        let files = OpenFiles::new(options.open_files);
        let (uploaded_bytes, swarms) = (AtomicU64::new(0), Arc::default());
        Self { shared: Arc::new(Shared { catalog, files, uploaded_bytes, options, swarms }) }
    }

    /// Serves one connection until its end; returns at once where the package is not in the catalog.
    pub async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        theirs: Handshake,
        address: SocketAddr,
        direction: Direction,
    ) -> End {
        let end = self.converse(stream, theirs, address, direction).await;
        tracing::debug!(info_hash = %theirs.info_hash, peer = %address, ?end, "upload connection ended");
        end
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

    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        theirs: Handshake,
        address: SocketAddr,
        direction: Direction,
    ) -> End {
        let Some(row) = self.shared.catalog.get(&theirs.info_hash) else {
            return End::Withdrawn;
        };
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
        let torrent = SeedTorrent { info: row.info.clone() };
        let machine = match SeedConnection::new(torrent, role, self.seed_options(address), Instant::now().into_std()) {
            Ok(machine) => machine,
            Err(fault) => return End::Fault(fault),
        };
        let mut connection = Connection::new(Arc::clone(&self.shared), row, machine, address, membership);
        if direction == Direction::Outgoing {
            connection.learn_listener(address);
        }
        connection.tell(peers);
        connection.run(stream, changes).await
    }

    fn seed_options(&self, address: SocketAddr) -> SeedOptions {
        SeedOptions {
            listen_port: self.shared.options.listen_port,
            your_ip: Some(address.ip()),
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
