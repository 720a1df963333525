//! uTP (BEP 29) by librqbit-utp: it reaches peers behind routers that let UDP through, and yields to other traffic.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use librqbit_utp::{SocketOpts, UtpSocketUdp, UtpSocketUdpOpts};
use tokio_util::sync::CancellationToken;

use crate::transport::Socket;

/// The most that one connection holds back in each direction: 5 MB/s at 50 ms.
const BUFFER_BYTES: NonZeroUsize = NonZeroUsize::new(256 * 1024).expect("not zero");

/// uTP connections at a time: with the buffers above 64 MiB if all of them stall.
const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");

/// How long each connection request is waited for. librqbit-utp sends it once, so a lost datagram needs another one.
const ATTEMPTS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Opens the UDP port. The token ends all connections at once.
pub(crate) async fn bind(address: SocketAddr, stop: CancellationToken) -> io::Result<Arc<UtpSocketUdp>> {
    let options = SocketOpts {
        vsock_rx_bufsize_bytes: Some(BUFFER_BYTES),
        vsock_tx_bufsize_bytes_max: Some(BUFFER_BYTES),
        max_live_vsocks: Some(MAX_CONNECTIONS),
        disable_nagle: true,
        dont_wait_for_lastack: true,
        cancellation_token: stop,
        ..SocketOpts::default()
    };
    UtpSocketUdp::new_udp_with_opts(address, options, UtpSocketUdpOpts::default()).await.map_err(io::Error::other)
}

/// Dials over uTP.
pub(crate) async fn connect(endpoint: &Arc<UtpSocketUdp>, address: SocketAddr) -> io::Result<Socket> {
    for patience in ATTEMPTS {
        if let Ok(connected) = tokio::time::timeout(patience, endpoint.connect(address)).await {
            return connected.map(Socket::Utp).map_err(io::Error::other);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
