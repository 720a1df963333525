//! One torrent in progress.

use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use librqbit::Session;
use librqbit::api::TorrentIdOrHash;
use tokio::sync::watch;

use crate::spool::Spool;
use crate::waker::{Caller, Waker};

/// How far a swarm is. Every change is told at once; nothing polls.
#[derive(Debug, Clone)]
pub struct SwarmProgress {
    /// What the swarm is doing.
    pub stage: Stage,
    /// The bytes in verified pieces, those found in the file included.
    pub verified_bytes: u64,
    /// The bytes before the first piece that is missing.
    pub contiguous_bytes: u64,
}

/// What a swarm is doing.
#[derive(Debug, Clone)]
pub enum Stage {
    /// It looks which pieces the file holds already; peers wait.
    Checking,
    /// It downloads, and uploads what it has.
    Live,
    /// Every piece is in the file and verified. It goes on uploading until it is left.
    Complete,
    /// It has stopped for good.
    Failed(SwarmFault),
}

/// Why a swarm has stopped: always something of this machine, never a peer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SwarmFault {
    /// The disk or the quota is full.
    #[error("no space is left for the spool file")]
    DiskFull,
    /// The file can't be read or written.
    #[error("the spool file can't be used")]
    Disk(#[source] Arc<io::Error>),
    /// The engine gave up for a reason of its own.
    #[error("the engine gave up: {0}")]
    Engine(Arc<str>),
}

/// One torrent in progress. Dropping it leaves the swarm at once; [`Self::leave`] also says when the file is free.
#[derive(Debug)]
pub struct Swarm {
    membership: Membership,
    caller: Caller,
}

impl Swarm {
    pub(crate) fn new(membership: Membership, caller: Caller) -> Self {
        Self { membership, caller }
    }

    /// Whom to tell when a peer says that it has got a piece.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.caller.waker()
    }

    /// The progress, now and from now on.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<SwarmProgress> {
        self.membership.spool.subscribe()
    }

    /// How many peers are connected, virtual peers included.
    #[must_use]
    pub fn peers(&self) -> u32 {
        let torrent = self.membership.session.get(self.membership.id());
        let live = torrent.and_then(|torrent| torrent.live());
        live.map_or(0, |live| live.stats_snapshot().peer_stats.live)
    }

    /// Leaves the swarm: every peer is disconnected, and when this returns, the engine has let go of the file, which
    /// keeps all that was written to it.
    pub async fn leave(self) {
        let spool = Arc::clone(&self.membership.spool);
        drop(self);
        // Waits for a write that has begun.
        let closed = tokio::task::spawn_blocking(move || spool.close()).await;
        closed.expect("closing a file does not panic");
    }
}

/// A torrent's place in the session; dropping it takes the torrent out, and the file is not touched any more.
pub(crate) struct Membership {
    pub(crate) session: Arc<Session>,
    pub(crate) torrent: usize,
    pub(crate) spool: Arc<Spool>,
}

impl Membership {
    fn id(&self) -> TorrentIdOrHash {
        TorrentIdOrHash::Id(self.torrent)
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Membership({})", self.torrent)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.spool.refuse();
        // Deleting awaits nothing in a session without persistence.
        if let Some(Err(error)) = self.session.delete(self.id(), false).now_or_never() {
            tracing::warn!(%error, "engine did not know the torrent that we left");
        }
    }
}
