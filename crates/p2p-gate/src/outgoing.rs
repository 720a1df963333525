//! Dials: to addresses that were introduced, and on behalf of the engine.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use p2p_wire::Handshake;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::book::{AskedBy, EntryFault};
use crate::clock;
use crate::dial_queue::Dial;
use crate::doorman::{Destination, Direction};
use crate::gatehouse::{Admitted, Arrival, Gatehouse};
use crate::handshaking::{HandshakeFault, shake_hands};
use crate::transport::{Socket, Transport};
use crate::utp;

/// How long TCP is tried alone.
const HEAD_START: Duration = Duration::from_secs(1);

/// How long a dial may take in all, from its first packet to the handshake: TCP, and uTP after it. The circle of neighbours counts
/// one as failed after the same time.
pub const DIAL_WITHIN: Duration = Duration::from_secs(20);

/// A connection that the peer ends so soon was not worth dialling: it is not dialled again at once.
const SHORT_VISIT: Duration = Duration::from_secs(5);

/// Why a dial came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialFault {
    #[error("the peer cannot be reached")]
    Connect(#[source] io::Error),
    #[error("the peer did not answer as a peer")]
    Handshake(#[source] HandshakeFault),
    #[error("the peer is not taken on")]
    Entry(#[source] EntryFault),
    /// Not the peer's fault.
    #[error("nobody speaks for the info hash any more")]
    Abandoned,
}

impl DialFault {
    fn is_peers(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Handshake(_))
    }
}

/// Begins as many dials as may be in progress, until the gate stops.
pub(crate) async fn dial(house: Arc<Gatehouse>) {
    let dial = async {
        loop {
            house.dials.notified().await;
            // Not in the loop's head: there the book would stay locked for the whole turn.
            while let Some((dial, hang_up)) = { house.book().next_dial(|info_hash| house.speaker(info_hash)) } {
                let dialling = Dialling { house: Arc::clone(&house), dial, asked_by: AskedBy::Queue, hang_up };
                house.tasks.spawn(dialling.run());
            }
        }
    };
    house.stop.run_until_cancelled(dial).await;
}

/// A dial in progress; it leaves the book when dropped.
#[derive(Debug)]
pub(crate) struct Dialling {
    house: Arc<Gatehouse>,
    dial: Dial,
    asked_by: AskedBy,
    hang_up: CancellationToken,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.house.book().handle_dial_end(self.dial, self.asked_by);
        self.house.dials.notify_one();
    }
}

impl Dialling {
    /// A dial that the engine has asked for and the book knows of.
    pub(crate) fn for_engine(house: &Arc<Gatehouse>, dial: Dial, hang_up: CancellationToken) -> Self {
        Self { house: Arc::clone(house), dial, asked_by: AskedBy::Engine, hang_up }
    }

    async fn run(self) {
        let (house, dial, hang_up) = (Arc::clone(&self.house), self.dial, self.hang_up.clone());
        let destination = house.doorman.destination(dial.info_hash);
        let ours = Handshake::ours(dial.info_hash, house.peer_id);
        let ours = match destination {
            // The engine hangs up at the fast extension's messages.
            Destination::Engine { .. } => ours.without_fast(),
            Destination::Here => ours,
            Destination::Soon | Destination::Nowhere => return,
        };
        let Ok(admitted) = self.finish(&ours).await else { return };
        // A fetch may have ended, or begun, while we dialled; what we said then may be wrong now.
        if house.doorman.destination(dial.info_hash) == destination {
            let begun = clock::now();
            admitted.attend(destination).await;
            if clock::now().duration_since(begun) < SHORT_VISIT && !hang_up.is_cancelled() {
                house.book().handle_dial_failure(dial, clock::now());
            }
        }
    }

    /// Dials and says `ours`; the dial is over with it, and the connection begun.
    pub(crate) async fn finish(self, ours: &Handshake) -> Result<Admitted, DialFault> {
        let Dial { info_hash, address, .. } = self.dial;
        let speaker = self.house.speaker(info_hash);
        let reached = async {
            let reached = timeout(DIAL_WITHIN, reach(&self.house, address, ours)).await;
            reached.unwrap_or_else(|_| Err(DialFault::Connect(io::ErrorKind::TimedOut.into())))
        };
        let attempt = self.hang_up.run_until_cancelled(reached).await;
        let outcome = attempt.unwrap_or(Err(DialFault::Abandoned)).and_then(|(socket, theirs)| {
            self.house.book().handle_dial_success(self.dial);
            let (direction, hang_up) = (Direction::Outgoing, self.hang_up.clone());
            self.house.admit(Arrival { socket, theirs, address, direction, speaker, hang_up }).map_err(DialFault::Entry)
        });
        if let Err(error) = &outcome {
            debug!(peer = %address, %info_hash, error = error as &dyn Error, "dial failed");
            if error.is_peers() {
                self.house.book().handle_dial_failure(self.dial, clock::now());
            }
        }
        outcome
    }
}

async fn reach(house: &Gatehouse, address: SocketAddr, ours: &Handshake) -> Result<(Socket, Handshake), DialFault> {
    let limit = house.limits.handshake_timeout;
    let mut socket = in_time(house, connect(house, address)).await?;
    let mut shaken = shake_hands(&mut socket, ours, limit).await;
    // A peer that wants no TCP, and a network that looks into it, let the connection stand and break it at once.
    let by_tcp = socket.transport() == Transport::Tcp;
    if let (true, Err(HandshakeFault::Io(_)), Some(endpoint)) = (by_tcp, &shaken, &house.utp) {
        socket = in_time(house, utp::connect(endpoint, address)).await?;
        shaken = shake_hands(&mut socket, ours, limit).await;
    }
    Ok((socket, shaken.map_err(DialFault::Handshake)?))
}

async fn in_time(house: &Gatehouse, dial: impl Future<Output = io::Result<Socket>>) -> Result<Socket, DialFault> {
    let connected = timeout(house.limits.dial_timeout, dial).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(DialFault::Connect)
}

/// TCP, joined by uTP when it fails or takes long; the first to connect is taken, and the other dropped.
async fn connect(house: &Gatehouse, address: SocketAddr) -> io::Result<Socket> {
    let mut by_tcp = pin!(async { TcpStream::connect(address).await.map(Socket::tcp) });
    let Some(endpoint) = &house.utp else { return by_tcp.await };
    let mut by_utp = pin!(utp::connect(endpoint, address));
    match timeout(HEAD_START, &mut by_tcp).await {
        Ok(Ok(socket)) => return Ok(socket),
        Ok(Err(_)) => return by_utp.await,
        Err(_) => (),
    }
    tokio::select! {
        outcome = &mut by_tcp => match outcome {
            Ok(socket) => Ok(socket),
            Err(_) => by_utp.await,
        },
        outcome = &mut by_utp => match outcome {
            Ok(socket) => Ok(socket),
            Err(_) => by_tcp.await,
        },
    }
}
