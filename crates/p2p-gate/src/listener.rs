//! The public port: one number, TCP and uTP, IPv6 and IPv4.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use librqbit_utp::UtpSocketUdp;
use socket2::{Domain, Protocol, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::gatehouse::Gatehouse;
use crate::incoming::receive;
use crate::transport::Socket;
use crate::utp;

/// How often another port is tried, where any will do and the UDP port of the same number is taken.
const PORT_ATTEMPTS: usize = 8;

/// Callers that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 256;

/// How long nobody is accepted after the process ran out of file descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_secs(1);

/// The public port.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) tcp: TcpListener,
    pub(crate) utp: Option<Arc<UtpSocketUdp>>,
    pub(crate) address: SocketAddr,
}

impl Port {
    /// Opens the port; without uTP where its half is taken.
    pub(crate) async fn bind(wanted: SocketAddr, stop_utp: &CancellationToken) -> io::Result<Self> {
        let mut attempt = 1;
        loop {
            let tcp = listen(wanted)?;
            let address = tcp.local_addr()?;
            let utp = utp::bind(address, stop_utp.clone()).await;
            match utp {
                Ok(utp) => return Ok(Self { tcp, utp: Some(utp), address }),
                Err(_) if wanted.port() == 0 && attempt < PORT_ATTEMPTS => attempt += 1,
                Err(error) => {
                    warn!(error = &error as &dyn Error, port = address.port(), "no uTP: its port cannot be opened");
                    return Ok(Self { tcp, utp: None, address });
                }
            }
        }
    }
}

/// Opens the TCP port: `[::]` for both families, or for IPv4 alone where there is no IPv6.
fn listen(wanted: SocketAddr) -> io::Result<TcpListener> {
    match listen_at(wanted) {
        Err(error) if wanted.is_ipv6() && wanted.ip().is_unspecified() && is_without_ipv6(&error) => {
            listen_at((Ipv4Addr::UNSPECIFIED, wanted.port()).into())
        }
        outcome => outcome,
    }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restart must not wait for the last run's connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_without_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT is what a kernel without IPv6 says, and std has no name for it (Linux: 97).
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(97)
}

/// Accepts TCP connections until the gate stops.
pub(crate) async fn accept_tcp(house: Arc<Gatehouse>, listener: TcpListener) {
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    receive(&house, Socket::tcp(stream), address);
                    // Of a crowd that calls at once, whoever has spoken is heard before the next takes a place.
                    tokio::task::yield_now().await;
                }
                Err(error) if is_exhausted(&error) => {
                    warn!(error = &error as &dyn Error, "no connections accepted for a moment");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
                // The caller was gone before we came: accept(2) passes his network's errors on to us.
                Err(error) => debug!(error = &error as &dyn Error, "caller gone before he was accepted"),
            }
        }
    };
    house.stop.run_until_cancelled(accept).await;
}

/// EMFILE, ENFILE, ENOBUFS, ENOMEM: nothing that the next call would not meet as well. The numbers are Linux's.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}

/// Accepts uTP connections until the gate stops.
pub(crate) async fn accept_utp(house: Arc<Gatehouse>, endpoint: Arc<UtpSocketUdp>) {
    let accept = async {
        loop {
            match endpoint.accept().await {
                Ok(stream) => {
                    let address = stream.remote_addr();
                    receive(&house, Socket::Utp(stream), address);
                }
                Err(error) => {
                    warn!(error = &error as &dyn Error, "no uTP any more: its port has failed");
                    return;
                }
            }
        }
    };
    house.stop.run_until_cancelled(accept).await;
}
