//! The way to the engine: it sees every peer as a caller at its loopback listener.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use p2p_wire::Handshake;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::doorman::Direction;
use crate::handshaking::{HandshakeFault, read_handshake};
use crate::transport::Socket;

/// How long the engine may take for each step: it is in this process.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a peer could not be passed on. Our own fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineFault {
    #[error("the engine's listener cannot be reached")]
    Connect(#[source] io::Error),
    #[error("the engine does not want the peer")]
    Refused(#[source] HandshakeFault),
}

/// Presents a peer to the engine with the handshake that the peer made.
///
/// Where we called the peer, it has had our handshake already: the engine's is swallowed, which differs at most in extension
/// bits that the peer was not told.
pub(crate) async fn present(
    engine: SocketAddr,
    theirs: &Handshake,
    direction: Direction,
) -> Result<Socket, EngineFault> {
    let connect = async {
        let mut socket = Socket::tcp(TcpStream::connect(engine).await?);
        socket.write_all(&theirs.encode()).await?;
        Ok(socket)
    };
    let connected = tokio::time::timeout(PATIENCE, connect).await;
    let mut socket = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(EngineFault::Connect)?;
    if direction == Direction::Outgoing {
        read_handshake(&mut socket, PATIENCE).await.map_err(EngineFault::Refused)?;
    }
    Ok(socket)
}
