//! The table of open connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use p2p_package::InfoHash;
use p2p_wire::PeerId;
use tokio_util::sync::CancellationToken;

use crate::admission::{Party, Speaker};
use crate::doorman::Direction;
use crate::eviction::Candidate;
use crate::meter::Meter;
use crate::network::Network;
use crate::transport::Transport;

/// What one connection has done so far. Byte counts include the handshakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerTraffic {
    /// From where they called, or where we did.
    pub address: SocketAddr,
    /// Who dialled.
    pub direction: Direction,
    /// TCP or uTP.
    pub transport: Transport,
    /// Bytes from the peer.
    pub downloaded: u64,
    /// Bytes to the peer.
    pub uploaded: u64,
    /// When the connection was made.
    pub since: Instant,
    /// When the last byte arrived.
    pub last_received: Instant,
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) info_hash: InfoHash,
    pub(crate) address: SocketAddr,
    /// What its address counts as.
    pub(crate) network: Network,
    pub(crate) direction: Direction,
    pub(crate) speaker: Speaker,
    pub(crate) transport: Transport,
    pub(crate) meter: Arc<Meter>,
    pub(crate) peer_id: PeerId,
    /// Where we reached the same peer too, by a connection that was given up for this one.
    pub(crate) alias: Option<SocketAddr>,
    pub(crate) hang_up: CancellationToken,
}

pub(crate) type ConnectionId = u64;

/// Open connections by info hash.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: BTreeMap<(InfoHash, ConnectionId), Connection>,
    next: ConnectionId,
}

impl Connections {
    pub(crate) fn insert(&mut self, connection: Connection) -> ConnectionId {
        let id = self.next;
        self.next += 1;
        self.open.insert((connection.info_hash, id), connection);
        id
    }

    pub(crate) fn remove(&mut self, info_hash: InfoHash, id: ConnectionId) -> Option<Connection> {
        self.open.remove(&(info_hash, id))
    }

    pub(crate) fn get(&self, info_hash: InfoHash, id: ConnectionId) -> Option<&Connection> {
        self.open.get(&(info_hash, id))
    }

    pub(crate) fn of(&self, info_hash: InfoHash) -> impl Iterator<Item = &Connection> {
        self.open.range((info_hash, 0)..=(info_hash, ConnectionId::MAX)).map(|(_, connection)| connection)
    }

    pub(crate) fn contains(&self, info_hash: InfoHash, address: SocketAddr) -> bool {
        self.of(info_hash).any(|connection| connection.address == address || connection.alias == Some(address))
    }

    /// The connection with the same peer that the other side dialled, where there are two.
    ///
    /// A peer id proves nothing, so the address has to be the same: else a stranger could pass for anybody's twin.
    pub(crate) fn twin_of(&mut self, new: &Connection) -> Option<(ConnectionId, &mut Connection)> {
        let of_info_hash = (new.info_hash, 0)..=(new.info_hash, ConnectionId::MAX);
        let open = self.open.range_mut(of_info_hash).map(|((_, id), connection)| (*id, connection));
        open.filter(|(_, other)| other.peer_id == new.peer_id && other.address.ip() == new.address.ip())
            .find(|(_, other)| other.direction != new.direction && !other.hang_up.is_cancelled())
    }

    /// The connections that may have to go for a caller, of one info hash or of all: callers too, and served here.
    pub(crate) fn candidates(&self, of: Option<InfoHash>, now: Instant) -> Vec<Candidate<(InfoHash, ConnectionId)>> {
        let first = of.map_or((InfoHash::from_bytes([0; 20]), 0), |hash| (hash, 0));
        let last = of.unwrap_or(InfoHash::from_bytes([0xff; 20]));
        let open = self.open.range(first..=(last, ConnectionId::MAX));
        let is_caller = |one: &Connection| one.direction == Direction::Incoming && one.speaker == Speaker::Here;
        let may_go = open.filter(|(_, one)| is_caller(one) && !one.meter.is_kept());
        let candidate = |(id, one): (&(InfoHash, ConnectionId), &Connection)| Candidate {
            id: *id,
            network: one.network,
            idle: now.saturating_duration_since(one.meter.last_served()),
            waits: one.meter.waits(),
        };
        may_go.map(candidate).collect()
    }

    pub(crate) fn traffic(&self, info_hash: InfoHash) -> Vec<PeerTraffic> {
        self.of(info_hash).map(Connection::traffic).collect()
    }
}

impl Connection {
    pub(crate) fn party(&self) -> Party {
        let Self { info_hash, network, speaker, direction, .. } = *self;
        Party { info_hash, network, speaker, direction }
    }

    fn traffic(&self) -> PeerTraffic {
        PeerTraffic {
            address: self.address,
            direction: self.direction,
            transport: self.transport,
            downloaded: self.meter.downloaded(),
            uploaded: self.meter.uploaded(),
            since: self.meter.since(),
            last_received: self.meter.last_received(),
        }
    }
}
