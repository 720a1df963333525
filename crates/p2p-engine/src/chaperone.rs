//! Accompanies foreign peers to the engine's listener.
//!
//! The engine hangs up on whoever is silent, whether it waits for that peer or not, queues whatever a peer asks for, and
//! lets its small messages wait for acknowledgements (it does not set `TCP_NODELAY`). So each foreign peer goes through
//! here: it is kept alive while it owes us nothing, cut off when it floods, and the engine is acknowledged at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::vigil::Vigil;

/// After so much silence of a peer that owes us nothing, the engine gets a keep-alive.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// Peers accompanied at one time, of all swarms together; each takes two buffers of 32 KiB.
const CONNECTIONS: usize = 1024;
const BUFFER_BYTES: usize = 32 * 1024;
/// As long as it has sent fewer bytes than this, the engine is acknowledged at once; later it only costs time.
const QUICK_ACK_BYTES: usize = 100 * 1024;

/// The listener for foreign peers; dropping it hangs up on all of them.
#[derive(Debug)]
pub(crate) struct Chaperone {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Chaperone {
    /// Listens on a free loopback port, and passes on to the engine at `engine`.
    pub(crate) async fn start(engine: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, _task: AbortOnDropHandle::new(tokio::spawn(welcome(listener, engine))) })
    }

    /// Where to bring foreign peers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn welcome(listener: TcpListener, engine: SocketAddr) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut conversations = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        while conversations.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((peer, _)) => {
                conversations.spawn(async move {
                    if let Err(error) = accompany(peer, engine).await {
                        tracing::debug!(%error, "a foreign peer's connection failed");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: others will be closed.
                tracing::warn!(%error, "no foreign peer can be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Passes on until either side hangs up: half a connection is of no use to BitTorrent.
async fn accompany(peer: TcpStream, engine: SocketAddr) -> io::Result<()> {
    let engine = TcpStream::connect(engine).await?;
    peer.set_nodelay(true)?;
    engine.set_nodelay(true)?;
    let vigil = Mutex::new(Vigil::default());
    let (from_peer, to_peer) = peer.into_split();
    let (from_engine, to_engine) = engine.into_split();
    tokio::select! {
        ended = pass_in(from_peer, to_engine, &vigil) => ended,
        ended = pass_out(from_engine, to_peer, &vigil) => ended,
    }
}

async fn pass_in(mut peer: OwnedReadHalf, mut engine: OwnedWriteHalf, vigil: &Mutex<Vigil>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match tokio::time::timeout(KEEP_ALIVE, peer.read(&mut buffer)).await {
            Ok(read) => {
                let bytes = &buffer[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                lock(vigil).handle_peer_bytes(bytes).map_err(io::Error::other)?;
                engine.write_all(bytes).await?;
            }
            Err(_) if lock(vigil).may_be_silent() => engine.write_all(&[0; 4]).await?,
            // It owes us something: the engine shall notice its silence.
            Err(_) => {}
        }
    }
}

async fn pass_out(mut engine: OwnedReadHalf, mut peer: OwnedWriteHalf, vigil: &Mutex<Vigil>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut passed = 0;
    loop {
        let bytes = engine.read(&mut buffer).await?;
        if bytes == 0 {
            return Ok(());
        }
        if passed < QUICK_ACK_BYTES {
            // Where this fails, the conversation is only slower.
            let _ = SockRef::from(engine.as_ref()).set_tcp_quickack(true);
        }
        passed += bytes;
        lock(vigil).handle_engine_bytes(&buffer[..bytes]);
        peer.write_all(&buffer[..bytes]).await?;
    }
}

fn lock(vigil: &Mutex<Vigil>) -> MutexGuard<'_, Vigil> {
    vigil.lock().unwrap_or_else(PoisonError::into_inner)
}
