//! UDP announces: one socket each, few packets, a few seconds.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use p2p_wire::{
    AddressFamily, Announce, AnnounceAnswer, ConnectionId, MAX_UDP_TRACKER_BYTES, UdpAnswer, udp_announce_request,
    udp_connect_request,
};
use tokio::net::UdpSocket;

use super::TrackerFault;

/// How long each packet of one request is waited for. BEP 15 begins with 15 seconds and goes on for an hour: by then
/// the fetch is over, so a tracker that is silent now is asked again by the schedule.
const WAITS: [Duration; 3] = [Duration::from_millis(1500), Duration::from_millis(2500), Duration::from_secs(4)];
/// A connection id is good for a minute (BEP 15), on the tracker's clock.
const CONNECTION_LIFE: Duration = Duration::from_secs(55);
/// Connection ids kept.
const MAX_CONNECTIONS: usize = 64;

/// Announces by UDP, and the connection ids that spare half of the packets.
#[derive(Debug, Default)]
pub(super) struct UdpTrackers {
    connections: Mutex<BTreeMap<SocketAddr, (ConnectionId, Instant)>>,
}

impl UdpTrackers {
    /// Announces to the first address of each family at once: a tracker names peers of the family it is asked by.
    pub(super) async fn announce(
        &self,
        addresses: &[SocketAddr],
        announce: &Announce,
        sent: &AtomicU32,
    ) -> Result<AnnounceAnswer, TrackerFault> {
        let v4 = addresses.iter().find(|address| address.is_ipv4());
        let v6 = addresses.iter().find(|address| address.is_ipv6());
        match (v4, v6) {
            (Some(v4), Some(v6)) => {
                let (first, second) =
                    tokio::join!(self.announce_at(*v4, announce, sent), self.announce_at(*v6, announce, sent));
                merge(first, second)
            }
            (Some(address), None) | (None, Some(address)) => self.announce_at(*address, announce, sent).await,
            (None, None) => Err(TrackerFault::NotGlobal),
        }
    }

    async fn announce_at(
        &self,
        address: SocketAddr,
        announce: &Announce,
        sent: &AtomicU32,
    ) -> Result<AnnounceAnswer, TrackerFault> {
        let socket = connect(address).await.map_err(TrackerFault::Unreachable)?;
        let exchange = Exchange { socket, family: family(address), sent };
        if let Some(connection) = self.connection(address) {
            match exchange.announce(connection, announce, &WAITS[..1]).await {
                // A tracker that was restarted does not know its connection ids any more.
                Err(TrackerFault::Refused(_) | TrackerFault::Silent) => self.forget(address),
                other => return other,
            }
        }
        let connection = exchange.connect().await?;
        self.remember(address, connection);
        exchange.announce(connection, announce, &WAITS).await.map_err(|fault| {
            // It is well: opentracker, say, passes over what is not on its list. Other torrents must not wait for that.
            let passes_over = || TrackerFault::Refused("it answers, but not about this torrent".to_owned());
            if matches!(fault, TrackerFault::Silent) { passes_over() } else { fault }
        })
    }

    fn connection(&self, address: SocketAddr) -> Option<ConnectionId> {
        let connections = self.connections.lock().expect("no panic while connections are locked");
        let (connection, since) = connections.get(&address)?;
        (since.elapsed() < CONNECTION_LIFE).then_some(*connection)
    }

    fn forget(&self, address: SocketAddr) {
        self.connections.lock().expect("no panic while connections are locked").remove(&address);
    }

    fn remember(&self, address: SocketAddr, connection: ConnectionId) {
        let mut connections = self.connections.lock().expect("no panic while connections are locked");
        connections.retain(|_, (_, since)| since.elapsed() < CONNECTION_LIFE);
        if connections.len() < MAX_CONNECTIONS {
            connections.insert(address, (connection, Instant::now()));
        }
    }
}

struct Exchange<'a> {
    socket: UdpSocket,
    family: AddressFamily,
    sent: &'a AtomicU32,
}

impl Exchange<'_> {
    async fn connect(&self) -> Result<ConnectionId, TrackerFault> {
        let transaction = rand::random();
        match self.ask(&udp_connect_request(transaction), transaction, &WAITS).await? {
            UdpAnswer::Connected(connection) => Ok(connection),
            UdpAnswer::Refused(reason) => Err(TrackerFault::Refused(reason)),
            UdpAnswer::Announced(_) => Err(TrackerFault::Silent),
        }
    }

    async fn announce(
        &self,
        connection: ConnectionId,
        announce: &Announce,
        waits: &[Duration],
    ) -> Result<AnnounceAnswer, TrackerFault> {
        let transaction = rand::random();
        match self.ask(&udp_announce_request(connection, transaction, announce), transaction, waits).await? {
            UdpAnswer::Announced(answer) => Ok(answer),
            UdpAnswer::Refused(reason) => Err(TrackerFault::Refused(reason)),
            UdpAnswer::Connected(_) => Err(TrackerFault::Silent),
        }
    }

    /// Sends the packet once for each wait.
    async fn ask(&self, packet: &[u8], transaction: u32, waits: &[Duration]) -> Result<UdpAnswer, TrackerFault> {
        for wait in waits {
            self.sent.fetch_add(1, Ordering::Relaxed);
            self.socket.send(packet).await.map_err(TrackerFault::Unreachable)?;
            if let Ok(answer) = tokio::time::timeout(*wait, self.answer(transaction)).await {
                return answer.map_err(TrackerFault::Unreachable);
            }
        }
        Err(TrackerFault::Silent)
    }

    async fn answer(&self, transaction: u32) -> io::Result<UdpAnswer> {
        let mut buffer = vec![0; MAX_UDP_TRACKER_BYTES];
        loop {
            // The socket is connected: nobody else's packets come through, and a closed port is an error at once.
            let length = self.socket.recv(&mut buffer).await?;
            match UdpAnswer::decode(&buffer[..length], transaction, self.family) {
                Ok(answer) => return Ok(answer),
                Err(fault) => tracing::debug!(error = %fault, "ignoring a packet of a tracker"),
            }
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = match family(address) {
        AddressFamily::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        AddressFamily::V6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::V4 } else { AddressFamily::V6 }
}

fn merge(
    first: Result<AnnounceAnswer, TrackerFault>,
    second: Result<AnnounceAnswer, TrackerFault>,
) -> Result<AnnounceAnswer, TrackerFault> {
    match (first, second) {
        (Ok(mut first), Ok(second)) => {
            first.peers.extend(second.peers);
            first.interval = first.interval.max(second.interval);
            Ok(first)
        }
        (Ok(answer), Err(_)) | (Err(_), Ok(answer)) => Ok(answer),
        // One that is well by either family is well.
        (Err(_), Err(fault @ TrackerFault::Refused(_))) | (Err(fault), Err(_)) => Err(fault),
    }
}
