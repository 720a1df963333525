//! What all tasks of the gate share, and the way of a peer from its handshake to its end.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use librqbit_utp::UtpSocketUdp;
use p2p_package::InfoHash;
use p2p_wire::{Handshake, Message, PeerId, PieceSet};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::admission::{Limits, Speaker};
use crate::book::{Book, EntryFault};
use crate::claim::Claims;
use crate::clock;
use crate::connections::{Connection, ConnectionId};
use crate::doorman::{Destination, Direction, Doorman, Visitor};
use crate::embargo::Embargo;
use crate::engine_link;
use crate::filter::{Reach, Scope};
use crate::meter::{Meter, Odometer};
use crate::network::Network;
use crate::on_link::is_on_link;
use crate::splice::{Checkpoint, Terms, splice};
use crate::stream::PeerStream;
use crate::throttle::{Pace, Throttle};
use crate::transport::Socket;
use crate::vigil::{EngineHandshake, Vigil};

/// How long a caller waits for somebody who may speak for his info hash soon. Callers themselves wait some 10 s for a
/// handshake.
const SPEAKER_WITHIN: Duration = Duration::from_secs(8);

/// What all tasks of the gate share.
pub(crate) struct Gatehouse {
    pub(crate) peer_id: PeerId,
    pub(crate) scope: Scope,
    pub(crate) limits: Limits,
    pub(crate) doorman: Arc<dyn Doorman>,
    pub(crate) upload: Arc<Throttle>,
    pub(crate) download: Arc<Throttle>,
    pub(crate) odometer: Arc<Odometer>,
    pub(crate) utp: Option<Arc<UtpSocketUdp>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) book: Mutex<Book>,
    /// A dial may have become possible.
    pub(crate) dials: Notify,
}

impl fmt::Debug for Gatehouse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Gatehouse")
    }
}

/// A peer whose handshake is done.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) theirs: Handshake,
    pub(crate) address: SocketAddr,
    pub(crate) direction: Direction,
    pub(crate) speaker: Speaker,
    /// Ends the connection.
    pub(crate) hang_up: CancellationToken,
}

/// A connection in the book; it leaves the book when dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    house: Arc<Gatehouse>,
    visitor: Visitor,
    hang_up: CancellationToken,
    entry: Entry,
}

/// The connection's entry in the book.
#[derive(Debug)]
struct Entry {
    house: Arc<Gatehouse>,
    info_hash: InfoHash,
    id: ConnectionId,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.house.book().handle_closed(self.info_hash, self.id);
        self.house.dials.notify_one();
    }
}

impl Gatehouse {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nothing panics while it holds the book")
    }

    /// Who speaks for an info hash now, as far as places go.
    pub(crate) fn speaker(&self, info_hash: InfoHash) -> Speaker {
        Speaker::of(self.doorman.destination(info_hash))
    }

    /// Writes a connection into the book, where there is room for it.
    pub(crate) fn admit(self: &Arc<Self>, arrival: Arrival) -> Result<Admitted, EntryFault> {
        let Arrival { socket, theirs, address, direction, speaker, hang_up } = arrival;
        let (is_local, is_metered) = (is_local(address.ip()), is_metered(address.ip()));
        let meter = Arc::new(Meter::new(Arc::clone(&self.odometer), is_metered));
        let connection = Connection {
            info_hash: theirs.info_hash,
            address,
            network: Network::of(address.ip(), is_on_link),
            direction,
            speaker,
            transport: socket.transport(),
            meter: Arc::clone(&meter),
            peer_id: theirs.peer_id,
            alias: None,
            hang_up: hang_up.clone(),
        };
        let id = self.book().handle_open(connection, clock::now())?;
        let entry = Entry { house: Arc::clone(self), info_hash: theirs.info_hash, id };
        meter.handle_received(Handshake::BYTES);
        if direction == Direction::Outgoing {
            meter.handle_sent(Handshake::BYTES);
        }
        let claims = Claims::new(Arc::clone(&meter));
        let stream = self.paced(socket, meter, is_metered);
        let visitor = Visitor { stream, handshake: theirs, address, is_local, is_metered, direction, claims };
        Ok(Admitted { house: Arc::clone(self), visitor, hang_up, entry })
    }

    /// Local networks are faster than what the limits are there to protect.
    fn paced(&self, socket: Socket, meter: Arc<Meter>, is_metered: bool) -> PeerStream {
        let pace = |throttle: &Arc<Throttle>| Pace::new(is_metered.then(|| Arc::clone(throttle)));
        PeerStream::new(socket, meter, pace(&self.download), pace(&self.upload))
    }

    /// Gives a speaker who may come in a moment the time to.
    async fn settled(&self, destination: Destination, info_hash: InfoHash) -> Destination {
        if destination != Destination::Soon {
            return destination;
        }
        // Who does not come in time is as good as nobody.
        timeout(SPEAKER_WITHIN, self.doorman.await_speaker(info_hash)).await.ok();
        self.doorman.destination(info_hash)
    }

    /// Presents a peer to the engine and joins the two.
    async fn pass_on(&self, visitor: Visitor, engine: SocketAddr) {
        match engine_link::present(engine, &visitor.handshake, visitor.direction).await {
            Ok(link) => {
                let handshake = match visitor.direction {
                    Direction::Incoming => EngineHandshake::Follows,
                    Direction::Outgoing => EngineHandshake::Done,
                };
                self.join(visitor, link, handshake).await;
            }
            Err(error) => {
                debug!(peer = %visitor.address, error = &error as &dyn Error, "peer not passed on to the engine");
            }
        }
    }

    async fn join(&self, visitor: Visitor, mut link: Socket, handshake: EngineHandshake) {
        let info_hash = visitor.handshake.info_hash;
        let Destination::Engine { pieces, .. } = self.doorman.destination(info_hash) else { return };
        // A peer that has nothing need not say so (BEP 3), and then the engine does not tell it what we get (librqbit 9.1):
        // two that begin together would never hear of each other's pieces. What the peer says itself comes later, and counts.
        let nothing = Message::Bitfield(PieceSet::none(pieces).encoded()).encode();
        if link.write_all(&nothing).await.is_err() {
            return;
        }
        let checkpoint = visitor
            .is_metered
            .then(|| Checkpoint { embargo: Embargo::after(handshake.bytes()), upload: self.upload.upload() });
        let terms = Terms { vigil: Vigil::new(handshake), checkpoint, idle_timeout: self.limits.idle_timeout };
        let on_have = || self.doorman.note_have(info_hash);
        if let Err(error) = splice(visitor.stream, link, terms, on_have).await {
            debug!(peer = %visitor.address, error = &error as &dyn Error, "connection ended");
        }
    }
}

/// Whether a peer is on this machine's networks, as far as trust goes.
fn is_local(address: IpAddr) -> bool {
    Reach::of(address).is_local() || is_on_link(address)
}

/// Whether traffic with a peer leaves the local networks, as far as limits go. A home network has global IPv6 addresses; but
/// a network of global IPv4 addresses is a provider's, even where we are on it.
fn is_metered(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_home = Reach::of(address).is_local() || address.is_ipv6() && is_on_link(address);
    !is_home
}

impl Admitted {
    /// What the peer said.
    pub(crate) fn handshake(&self) -> &Handshake {
        &self.visitor.handshake
    }

    /// Brings the peer where its info hash is spoken for, and stays until the end.
    pub(crate) async fn attend(self, destination: Destination) {
        let Self { house, visitor, hang_up, entry } = self;
        let visit = async {
            match house.settled(destination, visitor.handshake.info_hash).await {
                Destination::Engine { listener, .. } => house.pass_on(visitor, listener).await,
                Destination::Here => house.doorman.serve(visitor).await,
                Destination::Soon | Destination::Nowhere => (),
            }
        };
        hang_up.run_until_cancelled(visit).await;
        drop(entry);
    }

    /// Joins the peer with the engine's own connection, and stays until the end.
    pub(crate) async fn attend_engine(self, link: Socket) {
        let Self { house, visitor, hang_up, entry } = self;
        hang_up.run_until_cancelled(house.join(visitor, link, EngineHandshake::Done)).await;
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_for_global_addresses_and_not_for_local_ones() {
        for (address, expected) in [
            ("203.0.113.7", true),
            ("::ffff:203.0.113.7", true),
            ("2001:db8:ffff::7", true),
            ("10.1.2.3", false),
            ("::ffff:192.168.1.1", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("fe80::1", false),
            ("fd00::1", false),
        ] {
            assert_eq!(is_metered(address.parse().expect("an address")), expected, "{address}");
        }
    }
}
