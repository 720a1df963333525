//! Wakes the engine where a peer has more than it had.
//!
//! The engine looks only every five seconds whether a peer that had nothing for it has got a piece since (measured with
//! librqbit 9.1): a `have` (BEP 3) does not wake it. What does is a peer that hangs up while it owes a piece. So somebody calls who
//! offers everything, and hangs up at the first request.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_package::Info;
use p2p_wire::{PeerId, Role, SeedConnection, SeedOptions, SeedTorrent};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// A piece that all of many peers get at about the same time is one reason to call.
const PAUSE: Duration = Duration::from_millis(50);
/// The engine asks at once for what nobody else is asked for; where there is nothing of that kind, it needs no waking.
const PATIENCE: Duration = Duration::from_millis(200);

/// Says that peers of one swarm have more than they had. Cheap, and may be done at any time.
#[derive(Debug, Clone)]
pub struct Waker(Arc<Notify>);

impl Waker {
    /// Lets the engine look again what its peers have.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Calls when the waker says so, until dropped.
#[derive(Debug)]
pub(crate) struct Caller {
    waker: Waker,
    _task: AbortOnDropHandle<()>,
}

impl Caller {
    pub(crate) fn new(engine: SocketAddr, info: Info) -> Self {
        let waker = Waker(Arc::default());
        let told = Arc::clone(&waker.0);
        let task = tokio::spawn(async move {
            let mut from = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            loop {
                told.notified().await;
                // The engine need not have read yet what the peer said when it is told of: hence twice.
                for _ in 0..2 {
                    // Where it fails, the engine is slower by seconds.
                    if let Ok(Err(error)) = timeout(PATIENCE, call(&mut from, engine, &info)).await {
                        // Somebody else may have the port now.
                        from.set_port(0);
                        tracing::debug!(info_hash = %info.info_hash(), %error, "the engine is not woken");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Self { waker, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

/// Offers everything, and ends with the first request. The engine never forgets an address, so all calls are from the same one.
async fn call(from: &mut SocketAddr, engine: SocketAddr, info: &Info) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(*from)?;
    let mut stream = socket.connect(engine).await?;
    *from = stream.local_addr()?;
    stream.set_nodelay(true)?;
    // The port is free at once when we hang up.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    let (torrent, options) = (SeedTorrent::whole(info.clone()), SeedOptions::new(PeerId::within(*b"wake")));
    let mut connection =
        SeedConnection::new(torrent, Role::Caller, options, Instant::now()).expect("no handshake has come");
    let mut buffer = vec![0; 4 * 1024];
    while connection.poll_wanted_block().is_none() {
        while let Some(bytes) = connection.poll_transmit() {
            stream.write_all(&bytes).await?;
        }
        let read = stream.read(&mut buffer).await?;
        if read == 0 || connection.handle_bytes(&buffer[..read], Instant::now()).is_err() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        // Or else the engine's request waits 40 ms for our acknowledgement.
        SockRef::from(&stream).set_tcp_quickack(true)?;
    }
    Ok(())
}
