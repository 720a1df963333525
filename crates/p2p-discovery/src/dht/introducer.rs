//! Opens a node and introduces it to others; the socket behind [`Introduction`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mainline::async_dht::AsyncDht;
use mainline::{Dht, RequestFilter, RequestSpecific, ServerSettings};
use tokio::net::UdpSocket;

use super::acquaintances::Acquaintances;
use super::introduction::Introduction;
use crate::budget::Budget;

/// The introducer is listed so many times as bootstrap node, because `mainline` asks these while it knows fewer nodes
/// than they are.
const ENOUGH_NODES: usize = 8;
/// What others may ask of us, on average and at once: `mainline` itself sets no limit.
const QUERIES_PER_SECOND: u32 = 100;
const QUERY_BURST: u32 = 400;
/// The largest query of our own node.
const MAX_QUERY_BYTES: usize = 1024;
/// A socket that fails for good must not keep a processor busy.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// The one bootstrap node of our own node.
#[derive(Debug)]
pub(super) struct Introducer {
    socket: UdpSocket,
    address: SocketAddrV4,
    acquaintances: Arc<Mutex<Acquaintances>>,
}

impl Introducer {
    pub(super) async fn bind(acquaintances: Arc<Mutex<Acquaintances>>) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let SocketAddr::V4(address) = socket.local_addr()? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        Ok(Self { socket, address, acquaintances })
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Opens a node that will ask this introducer, and returns it with its port.
    pub(super) async fn open_node(&self, listen: SocketAddrV4) -> io::Result<(AsyncDht, u16)> {
        let node = self.open(free(listen).await?).await?;
        let info = tokio::spawn({
            let node = node.clone();
            async move { node.info().await }
        });
        let port = info.await.map_err(io::Error::other)?.local_addr().port();
        Ok((node, port))
    }

    async fn open(&self, listen: SocketAddrV4) -> io::Result<AsyncDht> {
        let mut builder = Dht::builder();
        let filter = Visitors {
            acquaintances: Arc::clone(&self.acquaintances),
            budget: Arc::new(Mutex::new(Budget::new(QUERIES_PER_SECOND, QUERY_BURST, Instant::now()))),
        };
        builder
            .server_mode()
            .server_settings(ServerSettings { filter: Box::new(filter), ..ServerSettings::default() })
            .bootstrap(&[self.address; ENOUGH_NODES])
            .port(listen.port())
            .bind_address(*listen.ip());
        let node = tokio::task::spawn_blocking(move || builder.build());
        Ok(node.await.map_err(io::Error::other)??.as_async())
    }

    /// Answers the node at `port` of this machine, for as long as it is polled.
    pub(super) async fn run(self, port: u16) {
        let mut introduction = Introduction::default();
        let mut buffer = [0; MAX_QUERY_BYTES];
        loop {
            let (length, from) = match self.socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                // A node that has just closed its socket; nothing else can go wrong on loopback for long.
                Err(error) => {
                    tracing::debug!(error = %error, "the dht introducer's socket failed");
                    tokio::time::sleep(ERROR_PAUSE).await;
                    continue;
                }
            };
            if from.port() != port {
                continue;
            }
            let answer = {
                let mut nodes = self.acquaintances.lock().expect("no panic while acquaintances are locked");
                introduction.answer(&buffer[..length], &mut nodes, Instant::now())
            };
            if let Some(answer) = answer {
                // A lost answer is a look-up that waits for 2 seconds.
                let _ = self.socket.send_to(&answer, from).await;
            }
        }
    }
}

/// This address, or any port of it where that one is taken. `mainline` could tell, but panics instead where its thread, which
/// binds, has ended before it is asked.
async fn free(listen: SocketAddrV4) -> io::Result<SocketAddrV4> {
    match UdpSocket::bind(listen).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && listen.port() != 0 => {
            tracing::warn!(port = listen.port(), "dht port is taken, using another one");
            Ok(SocketAddrV4::new(*listen.ip(), 0))
        }
        bound => bound.map(|_| listen),
    }
}

/// Notes who asks our node, and bounds how much they ask.
#[derive(Debug, Clone)]
struct Visitors {
    acquaintances: Arc<Mutex<Acquaintances>>,
    budget: Arc<Mutex<Budget>>,
}

impl RequestFilter for Visitors {
    fn allow_request(&self, request: &RequestSpecific, from: SocketAddrV4) -> bool {
        let is_allowed = self.budget.lock().expect("no panic while the budget is locked").take(1, Instant::now());
        if is_allowed && asks_for_nodes(request) {
            self.acquaintances.lock().expect("no panic while acquaintances are locked").visit(from);
        }
        is_allowed
    }
}

/// Whether a node asks, as far as can be told: all ask for nodes when they begin. Who only asks for peers, and announces
/// itself, may do so from a socket that answers nobody, as our own walks do; named to our node, it would cost each
/// look-up 2 seconds. `mainline` does not tell who is read-only (BEP 43), and what is asked only by its debug text.
fn asks_for_nodes(request: &RequestSpecific) -> bool {
    format!("{:?}", request.request_type).starts_with("FindNode")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_for_nodes_is_met_and_who_asks_for_peers_is_not() {
        let acquaintances = Arc::default();
        let introducer = Introducer::bind(Arc::clone(&acquaintances)).await.expect("loopback");
        let listen = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        let (_node, port) = introducer.open_node(listen).await.expect("a node");
        let mut asked = Vec::new();
        for (name, target) in [("find_node", "6:target"), ("get_peers", "9:info_hash")] {
            let socket = UdpSocket::bind(listen).await.expect("a socket");
            let (id, hash) = ("i".repeat(20), "h".repeat(20));
            let query = format!("d1:ad2:id20:{id}{target}20:{hash}e1:q9:{name}1:t4:abcd1:y1:qe");
            socket.send_to(query.as_bytes(), (Ipv4Addr::LOCALHOST, port)).await.expect("loopback");
            let answer = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut [0; 2048])).await;
            assert!(answer.is_ok_and(|length| length.is_ok()), "{name} was not answered");
            asked.push(SocketAddr::V4(SocketAddrV4::new(
                Ipv4Addr::LOCALHOST,
                socket.local_addr().expect("bound").port(),
            )));
        }
        let met: Vec<_> = acquaintances.lock().expect("no panic").introduce().into_iter().map(SocketAddr::V4).collect();
        assert_eq!(met, asked[..1]);
    }
}
