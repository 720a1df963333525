//! The gate itself: opens the ports, and is what the rest of the daemon holds.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use p2p_package::InfoHash;
use p2p_wire::PeerId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::book::{Book, IntroduceFault};
use crate::clock;
use crate::connections::PeerTraffic;
use crate::dial_queue::Dial;
use crate::doorman::Doorman;
use crate::filter::{Origin, canonical};
use crate::gatehouse::Gatehouse;
use crate::listener::{Port, accept_tcp, accept_utp};
use crate::meter::Odometer;
use crate::network::Network;
use crate::on_link::is_on_link;
use crate::options::GateOptions;
use crate::outgoing::dial;
use crate::probe::probe;
use crate::proxy::{Proxy, ProxyAddress};
use crate::throttle::Throttle;

/// How long [`Gate::shutdown`] waits for connections to end by themselves after they were told to.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why there is no gate. A local fault.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The public port.
    #[error("cannot listen at {address}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// The engine's proxy.
    #[error("cannot listen on loopback")]
    Proxy(#[source] io::Error),
}

/// Sums over all peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Bytes from peers since the gate was built, handshakes included.
    pub downloaded: u64,
    /// Bytes to peers since the gate was built, handshakes included.
    pub uploaded: u64,
    /// The part of them that went to peers for whom the rate limits hold.
    pub uploaded_outside: u64,
    /// Connections whose handshake is done.
    pub connections: usize,
    /// Callers before their handshake, and dials in progress.
    pub half_open: usize,
}

/// Every connection with strangers, until it is dropped or [shut down](Self::shutdown).
pub struct Gate {
    house: Arc<Gatehouse>,
    address: SocketAddr,
    proxy: ProxyAddress,
    stop_utp: CancellationToken,
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Gate({})", self.address)
    }
}

impl Gate {
    /// Opens the ports and begins to accept. Its tasks run on the calling Tokio runtime.
    ///
    /// Where the UDP port is taken there is a warning and no uTP.
    ///
    /// # Errors
    ///
    /// When TCP cannot listen at the address, or the engine's proxy nowhere.
    pub async fn bind(options: GateOptions, doorman: Arc<dyn Doorman>) -> Result<Self, GateError> {
        let GateOptions { listen: address, peer_id, scope, limits, upload, download, proxy_secret } = options;
        let (stop, stop_utp) = (CancellationToken::new(), CancellationToken::new());
        let port = Port::bind(address, &stop_utp).await.map_err(|source| GateError::Listen { address, source })?;
        let proxy = Proxy::bind(proxy_secret).await.map_err(GateError::Proxy)?;
        let house = Arc::new(Gatehouse {
            peer_id,
            scope,
            limits,
            doorman,
            upload: Arc::new(Throttle::new(upload)),
            download: Arc::new(Throttle::new(download)),
            odometer: Arc::new(Odometer::default()),
            utp: port.utp.clone(),
            tasks: TaskTracker::new(),
            stop: stop.clone(),
            book: Mutex::new(Book::new(peer_id, scope, limits, stop)),
            dials: Notify::new(),
        });
        let gate = Self { house, address: port.address, proxy: proxy.address(), stop_utp };
        gate.open(port, proxy);
        Ok(gate)
    }

    fn open(&self, port: Port, proxy: Proxy) {
        let house = &self.house;
        house.tasks.spawn(accept_tcp(Arc::clone(house), port.tcp));
        if let Some(endpoint) = port.utp {
            house.tasks.spawn(accept_utp(Arc::clone(house), endpoint));
        }
        house.tasks.spawn(dial(Arc::clone(house)));
        house.tasks.spawn(proxy.accept(Arc::clone(house)));
    }

    /// Dials a peer soon, unless it is known already; after its handshake it is treated like a caller.
    ///
    /// Returns at once. A dial that fails is not repeated before the address is introduced again.
    ///
    /// # Errors
    ///
    /// Says why the peer will not be dialled.
    pub fn introduce(&self, info_hash: InfoHash, address: SocketAddr, origin: Origin) -> Result<(), IntroduceFault> {
        let dial = Dial { info_hash, address: canonical(address), origin };
        self.house.book().handle_introduction(dial, clock::now())?;
        self.house.dials.notify_one();
        Ok(())
    }

    /// Whether a peer of this name answers for an info hash at an address: dials by TCP, shakes hands and hangs up, all within
    /// 4 s. Only for an address that the peer has itself been seen at.
    ///
    /// It is one of the dials in progress, and false where there are as many as there may be, and where no such peer may be
    /// dialled.
    pub fn probe(
        &self,
        info_hash: InfoHash,
        address: SocketAddr,
        peer_id: PeerId,
    ) -> impl Future<Output = bool> + Send + use<> {
        probe(Arc::clone(&self.house), info_hash, canonical(address), peer_id)
    }

    /// The proxy through which the engine has to dial.
    pub fn proxy(&self) -> ProxyAddress {
        self.proxy.clone()
    }

    /// Hangs up on all peers of an info hash, and forgets the addresses that wait to be dialled for it.
    pub fn close(&self, info_hash: InfoHash) {
        self.house.book().close(info_hash);
    }

    /// Hangs up on one peer of an info hash, and keeps it away for the time of `bar`, whoever dials. A stranger is kept away
    /// with all of his ports, and with the /64 of an IPv6 address.
    pub fn cut(&self, info_hash: InfoHash, address: SocketAddr, bar: Duration) {
        let address = canonical(address);
        let network = Network::of(address.ip(), is_on_link);
        self.house.book().cut(info_hash, address, network, clock::now() + bar);
    }

    /// The peers of an info hash, the oldest connection first.
    pub fn peers(&self, info_hash: InfoHash) -> Vec<PeerTraffic> {
        self.house.book().traffic(info_hash)
    }

    /// Sums over all peers.
    pub fn totals(&self) -> Totals {
        let (connections, half_open) = self.house.book().counts();
        let odometer = &self.house.odometer;
        Totals {
            downloaded: odometer.downloaded(),
            uploaded: odometer.uploaded(),
            uploaded_outside: odometer.uploaded_outside(),
            connections,
            half_open,
        }
    }

    /// Returns once [`Totals::uploaded_outside`] is so large. For one waiter: a later call takes the place of an earlier one.
    pub async fn uploaded_outside_reaches(&self, bytes: u64) {
        self.house.odometer.uploaded_outside_reaches(bytes).await;
    }

    /// Replaces the rate limits, in bytes a second; they hold for open connections too. None: no limit.
    ///
    /// An upload of 0 keeps every block of the engine's from peers outside of the local networks, chokes them, and leaves
    /// 128 KiB/s for the rest of the protocol, without which nothing could be downloaded from them. What a [`Visitor`](crate::Visitor)
    /// is served is for the doorman to end.
    pub fn set_limits(&self, upload: Option<u64>, download: Option<NonZeroU64>) {
        match upload.map(NonZeroU64::new) {
            Some(None) => self.house.upload.close(),
            limit => self.house.upload.set_limit(limit.flatten()),
        }
        self.house.download.set_limit(download);
    }

    /// Where strangers can call: the address really listened at.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Whether uTP works beside TCP.
    pub fn has_utp(&self) -> bool {
        self.house.utp.is_some()
    }

    /// Hangs up on everybody and closes the ports; waits until that is done, two seconds at most.
    pub async fn shutdown(self) {
        self.house.stop.cancel();
        self.house.tasks.close();
        // What has not ended by then is dropped with the runtime.
        tokio::time::timeout(LAST_WORDS, self.house.tasks.wait()).await.ok();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.house.stop.cancel();
        self.stop_utp.cancel();
    }
}
