//! Everything that the gate knows of callers, dials and connections, which has to change together: it is kept under one
//! lock, and nothing in it waits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use p2p_package::InfoHash;
use p2p_wire::PeerId;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, CrowdFault, Limits, Party, Speaker, Standing, WaitingId};
use crate::backoff::{Backoff, Barred};
use crate::connections::{Connection, ConnectionId, Connections, PeerTraffic};
use crate::dial_queue::{Dial, DialQueue, Queued};
use crate::doorman::Direction;
use crate::eviction;
use crate::filter::{AddressFault, Origin, Reach, Scope, may_dial};
use crate::network::Network;
use crate::transport::Transport;

/// Configured addresses whose connections are counted less strictly; nobody configures so many.
const MAX_CONFIGURED: usize = 256;

/// Why an address that was introduced is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntroduceFault {
    /// Its origin may not lead there.
    #[error("the address may not be dialled")]
    Address(#[source] AddressFault),
    /// There is a connection already, or a dial, or the address waits for one.
    #[error("the peer is known already")]
    Known,
    /// It failed a moment ago, or was cut off.
    #[error("the peer is not to be dialled again yet")]
    TooSoon,
    /// Too many addresses wait.
    #[error("too many addresses wait to be dialled")]
    Full,
}

/// Why a peer whose handshake is done is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EntryFault {
    #[error("there is no room")]
    Crowd(#[source] CrowdFault),
    #[error("the peer was cut off")]
    Barred,
    #[error("the dial was given up")]
    HungUp,
    #[error("the peer has called us at the same time")]
    Twin,
}

#[derive(Debug)]
pub(crate) struct Book {
    peer_id: PeerId,
    scope: Scope,
    max_dials: usize,
    admission: Admission,
    waiting: BTreeMap<WaitingId, CancellationToken>,
    connections: Connections,
    queue: DialQueue,
    dials: BTreeMap<(InfoHash, SocketAddr), CancellationToken>,
    /// How many of the dials came out of the queue; the others are the engine's.
    queued_dials: usize,
    probes: usize,
    backoff: Backoff,
    configured: BTreeSet<SocketAddr>,
    stop: CancellationToken,
}

impl Book {
    pub(crate) fn new(peer_id: PeerId, scope: Scope, limits: Limits, stop: CancellationToken) -> Self {
        Self {
            peer_id,
            scope,
            max_dials: limits.dials,
            admission: Admission::new(limits),
            waiting: BTreeMap::new(),
            connections: Connections::default(),
            queue: DialQueue::new(limits.queued_per_info_hash),
            dials: BTreeMap::new(),
            queued_dials: 0,
            probes: 0,
            backoff: Backoff::default(),
            configured: BTreeSet::new(),
            stop,
        }
    }

    /// A caller waits to be heard until the token says that somebody else needs his place.
    pub(crate) fn handle_caller(
        &mut self,
        address: IpAddr,
        network: Network,
        transport: Transport,
    ) -> (WaitingId, CancellationToken) {
        let standing = self.standing(address);
        let (id, leaves) = self.admission.handle_caller(counted(address, network, standing), transport, standing);
        if let Some(leaves) = leaves.and_then(|id| self.waiting.remove(&id)) {
            leaves.cancel();
        }
        let token = self.stop.child_token();
        self.waiting.insert(id, token.clone());
        (id, token)
    }

    /// A caller has spoken, or left.
    pub(crate) fn handle_caller_gone(&mut self, id: WaitingId) {
        self.admission.handle_caller_gone(id);
        self.waiting.remove(&id);
    }

    /// Takes a connection on whose handshake is done.
    pub(crate) fn handle_open(&mut self, mut connection: Connection, now: Instant) -> Result<ConnectionId, EntryFault> {
        let Connection { info_hash, address, network, .. } = connection;
        let standing = self.standing(address.ip());
        connection.network = counted(address.ip(), network, standing);
        if self.backoff.is_barred(info_hash, address, standing, now) {
            return Err(EntryFault::Barred);
        }
        if connection.hang_up.is_cancelled() {
            return Err(EntryFault::HungUp);
        }
        let party = connection.party();
        match self.settle_twins(&connection)? {
            None => self.make_room(party, standing, now).map_err(EntryFault::Crowd)?,
            Some(twin) => self.replace((info_hash, twin), party, standing).map_err(EntryFault::Crowd)?,
        }
        Ok(self.connections.insert(connection))
    }

    /// Counts a connection. A caller who is to be served here may take the place of another.
    fn make_room(&mut self, party: Party, standing: Standing, now: Instant) -> Result<(), CrowdFault> {
        let opened = self.admission.handle_open(party, standing);
        let (Err(fault), Speaker::Here, Direction::Incoming) = (opened, party.speaker, party.direction) else {
            return opened;
        };
        let crowd = match fault {
            CrowdFault::Total => None,
            CrowdFault::InfoHash => Some(party.info_hash),
            CrowdFault::Address | CrowdFault::Spliced => return opened,
        };
        let leaves = eviction::choose(party.network, &self.connections.candidates(crowd, now)).ok_or(fault)?;
        self.replace(leaves, party, standing)
    }

    /// Counts a connection in the place of another, which is hung up on.
    fn replace(
        &mut self,
        (info_hash, id): (InfoHash, ConnectionId),
        party: Party,
        standing: Standing,
    ) -> Result<(), CrowdFault> {
        let Some(other) = self.connections.get(info_hash, id).map(Connection::party) else {
            return self.admission.handle_open(party, standing);
        };
        self.admission.handle_open_instead(other, party, standing)?;
        // Not counted any more, so it is not in the table either when it ends.
        if let Some(other) = self.connections.remove(info_hash, id) {
            other.hang_up.cancel();
        }
        Ok(())
    }

    /// Two daemons that find each other call each other. Both keep the connection that the larger peer id dialled; names
    /// the one that has to go for the new one.
    fn settle_twins(&mut self, new: &Connection) -> Result<Option<ConnectionId>, EntryFault> {
        let ours_stays = self.peer_id > new.peer_id;
        let Some((id, other)) = self.connections.twin_of(new) else { return Ok(None) };
        if (new.direction == Direction::Outgoing) == ours_stays {
            return Ok(Some(id));
        }
        if new.direction == Direction::Outgoing {
            other.alias = Some(new.address);
        }
        Err(EntryFault::Twin)
    }

    /// A connection has ended.
    pub(crate) fn handle_closed(&mut self, info_hash: InfoHash, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(info_hash, id) {
            self.admission.handle_closed(connection.party());
        }
    }

    /// Puts an address in the line to be dialled.
    pub(crate) fn handle_introduction(&mut self, dial: Dial, now: Instant) -> Result<(), IntroduceFault> {
        may_dial(dial.address, dial.origin, self.scope).map_err(IntroduceFault::Address)?;
        if dial.origin == Origin::Configured && self.configured.len() < MAX_CONFIGURED {
            self.configured.insert(dial.address);
        }
        self.check_dial(dial, now)?;
        match self.queue.push(dial) {
            Queued::Added => Ok(()),
            Queued::Duplicate => Err(IntroduceFault::Known),
            Queued::Full => Err(IntroduceFault::Full),
        }
    }

    /// The next dial from the line, where one more may be in progress; it ends with [`Self::handle_dial_end`].
    pub(crate) fn next_dial(&mut self, speaker: impl Fn(InfoHash) -> Speaker) -> Option<(Dial, CancellationToken)> {
        if self.queued_dials + self.probes >= self.max_dials {
            return None;
        }
        let dial = self.queue.pop(|info_hash| self.admission.has_room_for(info_hash, speaker(*info_hash)))?;
        self.queued_dials += 1;
        Some((dial, self.begin(dial)))
    }

    /// Begins a dial that the engine asks for; it ends with [`Self::handle_dial_end`].
    ///
    /// A stranger told the engine of the address. That does not make one bad which the user configured.
    pub(crate) fn begin_engine_dial(
        &mut self,
        info_hash: InfoHash,
        address: SocketAddr,
        now: Instant,
    ) -> Result<(Dial, CancellationToken), IntroduceFault> {
        let origin = if self.configured.contains(&address) { Origin::Configured } else { Origin::Pex };
        let dial = Dial { info_hash, address, origin };
        may_dial(dial.address, dial.origin, self.scope).map_err(IntroduceFault::Address)?;
        self.check_dial(dial, now)?;
        let has_room = self.admission.has_room_for(&dial.info_hash, Speaker::Engine);
        if self.dials.len() - self.queued_dials >= self.max_dials || !has_room {
            return Err(IntroduceFault::Full);
        }
        self.queue.remove(&dial.info_hash, dial.address);
        Ok((dial, self.begin(dial)))
    }

    /// Begins to call a peer back where it has been seen; it ends with [`Self::handle_probe_end`]. A peer that is local by its
    /// own call is no stranger's invention.
    pub(crate) fn begin_probe(&mut self, address: SocketAddr) -> Result<(), IntroduceFault> {
        let origin = if Reach::of(address.ip()).is_local() { Origin::Configured } else { Origin::Pex };
        may_dial(address, origin, self.scope).map_err(IntroduceFault::Address)?;
        if self.queued_dials + self.probes >= self.max_dials {
            return Err(IntroduceFault::Full);
        }
        self.probes += 1;
        Ok(())
    }

    /// A peer has been called back, or not.
    pub(crate) fn handle_probe_end(&mut self) {
        self.probes -= 1;
    }

    /// A dial has ended, well or not.
    pub(crate) fn handle_dial_end(&mut self, dial: Dial, asked_by: AskedBy) {
        self.dials.remove(&(dial.info_hash, dial.address));
        match asked_by {
            AskedBy::Queue => self.queued_dials -= 1,
            AskedBy::Engine => (),
        }
    }

    /// An address answered with a handshake.
    pub(crate) fn handle_dial_success(&mut self, dial: Dial) {
        self.backoff.handle_success(dial.info_hash, dial.address);
    }

    /// An address did not answer, or not as it should, or hung up at once.
    pub(crate) fn handle_dial_failure(&mut self, dial: Dial, now: Instant) {
        self.backoff.handle_failure(dial.info_hash, dial.address, dial.origin, now);
    }

    /// Hangs up on one peer of an info hash, and keeps it away until `until`.
    pub(crate) fn cut(&mut self, info_hash: InfoHash, address: SocketAddr, network: Network, until: Instant) {
        let barred = match self.standing(address.ip()) {
            Standing::Stranger => Barred::Stranger(network),
            Standing::Familiar => Barred::Familiar(address),
        };
        self.backoff.bar(info_hash, barred, until);
        self.queue.remove(&info_hash, address);
        if let Some(dial) = self.dials.get(&(info_hash, address)) {
            dial.cancel();
        }
        for connection in self.connections.of(info_hash).filter(|connection| connection.address == address) {
            connection.hang_up.cancel();
        }
    }

    /// Hangs up on all peers of an info hash.
    pub(crate) fn close(&mut self, info_hash: InfoHash) {
        self.queue.clear(&info_hash);
        self.dials.iter().filter(|((of, _), _)| *of == info_hash).for_each(|(_, dial)| dial.cancel());
        self.connections.of(info_hash).for_each(|connection| connection.hang_up.cancel());
    }

    pub(crate) fn traffic(&self, info_hash: InfoHash) -> Vec<PeerTraffic> {
        self.connections.traffic(info_hash)
    }

    /// Connections after the handshake, and connections before it in both directions.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.admission.open(), self.admission.waiting() + self.dials.len() + self.probes)
    }

    fn check_dial(&self, dial: Dial, now: Instant) -> Result<(), IntroduceFault> {
        let Dial { info_hash, address, .. } = dial;
        if self.dials.contains_key(&(info_hash, address)) || self.connections.contains(info_hash, address) {
            return Err(IntroduceFault::Known);
        }
        if !self.backoff.is_clear(info_hash, address, self.standing(address.ip()), now) {
            return Err(IntroduceFault::TooSoon);
        }
        Ok(())
    }

    fn begin(&mut self, dial: Dial) -> CancellationToken {
        let token = self.stop.child_token();
        self.dials.insert((dial.info_hash, dial.address), token.clone());
        token
    }

    fn standing(&self, address: IpAddr) -> Standing {
        let of_address = SocketAddr::new(address, 0)..=SocketAddr::new(address, u16::MAX);
        Standing::of(address, self.configured.range(of_address).next().is_some())
    }
}

/// A familiar address counts for itself, whatever network it is in.
fn counted(address: IpAddr, network: Network, standing: Standing) -> Network {
    match standing {
        Standing::Stranger => network,
        Standing::Familiar => Network::Address(address),
    }
}

/// Whose wish a dial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskedBy {
    Queue,
    Engine,
}

#[cfg(test)]
mod tests;
