//! The engine: a librqbit session without anything that the rest of the daemon does better.

use std::error::Error;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use librqbit::api::TorrentIdOrHash;
use librqbit::storage::StorageFactoryExt;
use librqbit::{
    AddTorrent, AddTorrentOptions, AddTorrentResponse, Api, ConnectionOptions, ListenerMode, ListenerOptions,
    ManagedTorrent, PeerConnectionOptions, Session, SessionOptions,
};
use librqbit_core::hash_id::Id20;
use p2p_package::{Info, Metainfo};

use crate::spool::Spool;
use crate::storage::SpoolStorage;
use crate::swarm::{Membership, Swarm, SwarmFault};
use crate::waker::Caller;

/// The engine hangs up on a peer that has been silent for so long, which frees the pieces that it had promised.
///
/// It makes no difference to the engine whether it waits for that peer. Peers that choke us, or have nothing for us,
/// rightly say nothing for up to 2 minutes (BEP 3): whoever brings foreign peers here has to keep those alive that owe us
/// no block. Our own seeds and virtual peers send a keep-alive each 5 s. The engine queues whatever a peer asks for without
/// bound, too (measured: a gigabyte in 8 s).
pub const PEER_SILENCE: Duration = Duration::from_secs(8);

/// The peers of one swarm, at most: the engine spends four tasks and some 100 KiB on each. The gate lets 60 in; besides there are
/// webseeds, the waker, and dials of the engine's own, which must not take the place of a webseed that calls anew.
const PEERS_PER_SWARM: usize = 96;

/// Blocking calls at one time. Each upload, write and check needs one; librqbit's default of 8 is too few for tens of
/// swarms.
const BLOCKING_CALLS: usize = 64;

type Cause = Box<dyn Error + Send + Sync>;

/// What an engine needs to know.
#[derive(Clone)]
pub struct EngineOptions {
    /// Our peer id in every swarm (BEP 20). No peer that dials the engine may have the same.
    pub peer_id: [u8; 20],
    /// The SOCKS5 proxy, `socks5://user:password@127.0.0.1:port`, that dials whom peers name by PEX; none to dial
    /// directly.
    pub proxy: Option<String>,
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The proxy's URL holds a secret.
        formatter.debug_struct("EngineOptions").field("proxy", &self.proxy.is_some()).finish_non_exhaustive()
    }
}

/// Why the engine did not start, or did not take a torrent in.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No socket on loopback, or an unusable proxy.
    #[error("the BitTorrent engine did not start")]
    Start(#[source] Cause),
    /// The engine refused the torrent.
    #[error("the BitTorrent engine refused the torrent")]
    Refused(#[source] Cause),
    /// A swarm of this info hash is still joined.
    #[error("the swarm is joined already")]
    Joined,
    /// The engine panicked; it goes on for the other swarms.
    #[error("the BitTorrent engine panicked over the torrent")]
    Panicked(#[source] tokio::task::JoinError),
}

/// Downloads the packages in progress.
pub struct Engine {
    session: Arc<Session>,
    listen_addr: SocketAddr,
    next_torrent: AtomicUsize,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Engine({})", self.listen_addr)
    }
}

impl Engine {
    /// Starts the engine on a free loopback port.
    ///
    /// # Errors
    ///
    /// [`EngineError::Start`].
    pub async fn start(options: EngineOptions) -> Result<Self, EngineError> {
        // Every torrent brings its own storage: the directory is never used.
        let directory = PathBuf::from("/nonexistent");
        let session = Session::new_with_opts(directory, session_options(options)).await;
        let session = session.map_err(|error| EngineError::Start(error.into()))?;
        let listen_addr = session.listen_addr().expect("a session with a listener has an address");
        Ok(Self { session, listen_addr, next_torrent: AtomicUsize::new(0) })
    }

    /// Where peers dial the engine, on loopback, TCP. Whoever is silent here for [`PEER_SILENCE`] is dropped.
    #[must_use]
    pub fn listen_addr(&self) -> SocketAddr {
        self.listen_addr
    }

    /// Joins the swarm of `info`, to complete `file`, which must be open for reading and writing. What the file holds
    /// already is kept where it is right. Peers may dial at once: they are answered after the initial check.
    ///
    /// # Errors
    ///
    /// Any but [`EngineError::Start`]. What goes wrong later is told by [`Swarm::progress`].
    pub async fn join(&self, info: Info, file: File) -> Result<Swarm, EngineError> {
        let torrent = self.next_torrent.fetch_add(1, Ordering::Relaxed);
        let session = Arc::clone(&self.session);
        // In a task of its own, since librqbit panics over some torrents. Where nobody waits for it any more, dropping
        // its result leaves the swarm.
        let caller = Caller::new(self.listen_addr, info.clone());
        let joining = tokio::spawn(add(session, torrent, info, file));
        let membership = joining.await.map_err(EngineError::Panicked)??;
        Ok(Swarm::new(membership, caller))
    }
}

async fn add(session: Arc<Session>, torrent: usize, info: Info, file: File) -> Result<Membership, EngineError> {
    let spool = Arc::new(Spool::new(&info, file));
    let options = AddTorrentOptions {
        storage_factory: Some(SpoolStorage(Arc::clone(&spool)).boxed()),
        // The session's own numbering is not made for concurrent callers.
        preferred_id: Some(torrent),
        ..AddTorrentOptions::default()
    };
    let metainfo = Metainfo { info, trackers: Vec::new(), webseeds: Vec::new() }.encode();
    let added = session.add_torrent(AddTorrent::from_bytes(metainfo), Some(options)).await;
    let AddTorrentResponse::Added(torrent, managed) = added.map_err(|error| EngineError::Refused(error.into()))? else {
        return Err(EngineError::Joined);
    };
    let membership = Membership { session: Arc::clone(&session), torrent, spool: Arc::clone(&spool) };
    tokio::spawn(go_live(session, managed, spool));
    Ok(membership)
}

/// Waits for the initial check and tells what it found.
async fn go_live(session: Arc<Session>, torrent: Arc<ManagedTorrent>, spool: Arc<Spool>) {
    let checked = torrent.wait_until_initialized().await;
    let id = TorrentIdOrHash::Id(torrent.id());
    let found = checked
        .map_err(|error| error.to_string())
        .and_then(|()| Api::new(session, None).api_dump_haves(id).map_err(|error| error.to_string()));
    match found {
        // The bit field is padded to whole bytes; the ledger knows how many pieces there are.
        Ok((pieces, _)) => spool.go_live(pieces.iter_ones()),
        Err(error) => spool.fail(SwarmFault::Engine(error.into())),
    }
}

fn session_options(options: EngineOptions) -> SessionOptions {
    let peer_options =
        PeerConnectionOptions { read_write_timeout: Some(PEER_SILENCE), ..PeerConnectionOptions::default() };
    SessionOptions {
        peer_id: Some(Id20::new(options.peer_id)),
        listen: Some(ListenerOptions {
            mode: ListenerMode::TcpOnly,
            listen_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ..ListenerOptions::default()
        }),
        connect: Some(ConnectionOptions { proxy_url: options.proxy, enable_tcp: true, peer_opts: Some(peer_options) }),
        dht: None,
        disable_trackers: true,
        disable_local_service_discovery: true,
        persistence: None,
        // Checks wait for the disk only, so a small one need not wait for a large one.
        concurrent_init_limit: Some(BLOCKING_CALLS),
        runtime_worker_threads: Some(BLOCKING_CALLS),
        peer_limit: Some(PEERS_PER_SWARM),
        client_name_and_version: Some(concat!("pacman2pacman ", env!("CARGO_PKG_VERSION")).to_owned()),
        ..SessionOptions::default()
    }
}
