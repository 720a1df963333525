//! UDP tracker packets (BEP 15).

use std::time::Duration;

use super::{Announce, AnnounceAnswer, AnnounceEvent, MAX_TRACKER_PEERS};
use crate::compact;

/// The largest answer that we read: [`MAX_TRACKER_PEERS`] IPv6 peers behind the 20 bytes of the head.
pub const MAX_UDP_TRACKER_BYTES: usize = 20 + 18 * MAX_TRACKER_PEERS;

/// What BEP 15 puts where a connection id will be, so that other protocols on the port do not answer.
const PROTOCOL: u64 = 0x0417_2710_1980;
const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const ERROR: u32 = 3;

/// Characters of a tracker's error that are kept.
const MAX_MESSAGE_CHARACTERS: usize = 200;

/// A tracker's proof that we really are at our address; good for a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId(u64);

/// The family of the socket that a packet came by; it decides how long a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// 6 bytes a peer.
    V4,
    /// 18 bytes a peer.
    V6,
}

/// One packet from a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UdpAnswer {
    /// To a connect request.
    Connected(ConnectionId),
    /// To an announce.
    Announced(AnnounceAnswer),
    /// The tracker refuses, in its own words.
    Refused(String),
}

/// Why a packet answers none of our requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UdpTrackerFault {
    /// Shorter than its action needs.
    #[error("the packet of {0} bytes ends early")]
    TooShort(usize),
    /// It belongs to another request.
    #[error("the packet has another transaction id")]
    OtherTransaction,
    /// We asked for no such thing.
    #[error("the packet has the unknown action {0}")]
    UnknownAction(u32),
}

/// The packet that asks for a connection id.
#[must_use]
pub fn udp_connect_request(transaction: u32) -> [u8; 16] {
    let mut packet = [0; 16];
    packet[..8].copy_from_slice(&PROTOCOL.to_be_bytes());
    packet[8..12].copy_from_slice(&CONNECT.to_be_bytes());
    packet[12..].copy_from_slice(&transaction.to_be_bytes());
    packet
}

/// The packet that announces.
#[must_use]
pub fn udp_announce_request(connection: ConnectionId, transaction: u32, announce: &Announce) -> Vec<u8> {
    let event: u32 = match announce.event {
        AnnounceEvent::Regular => 0,
        AnnounceEvent::Completed => 1,
        AnnounceEvent::Started => 2,
        AnnounceEvent::Stopped => 3,
    };
    let wanted = u32::try_from(announce.wanted()).expect("at most 200");
    let mut packet = Vec::with_capacity(98);
    packet.extend_from_slice(&connection.0.to_be_bytes());
    packet.extend_from_slice(&ANNOUNCE.to_be_bytes());
    packet.extend_from_slice(&transaction.to_be_bytes());
    packet.extend_from_slice(announce.info_hash.as_bytes());
    packet.extend_from_slice(announce.peer_id.as_bytes());
    packet.extend_from_slice(&announce.downloaded.to_be_bytes());
    packet.extend_from_slice(&announce.left.to_be_bytes());
    packet.extend_from_slice(&announce.uploaded.to_be_bytes());
    packet.extend_from_slice(&event.to_be_bytes());
    // Address 0: the one that the packet comes from.
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&announce.key.to_be_bytes());
    packet.extend_from_slice(&wanted.to_be_bytes());
    packet.extend_from_slice(&announce.port.to_be_bytes());
    packet
}

impl UdpAnswer {
    /// Reads a packet that came by a socket of `family` as the answer to `transaction`.
    ///
    /// # Errors
    ///
    /// Why it is not that; a late answer to an earlier request is the usual reason.
    pub fn decode(packet: &[u8], transaction: u32, family: AddressFamily) -> Result<Self, UdpTrackerFault> {
        let number = |at: usize| {
            let bytes = packet.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(UdpTrackerFault::TooShort(packet.len()))
        };
        let action = number(0)?;
        if number(4)? != transaction {
            return Err(UdpTrackerFault::OtherTransaction);
        }
        match action {
            CONNECT => Ok(Self::Connected(ConnectionId(u64::from(number(8)?) << 32 | u64::from(number(12)?)))),
            ANNOUNCE => {
                let (interval, leechers, seeders) = (number(8)?, number(12)?, number(16)?);
                Ok(Self::Announced(AnnounceAnswer {
                    interval: Duration::from_secs(interval.into()),
                    min_interval: None,
                    peers: peers(&packet[20..], family),
                    seeders,
                    leechers,
                }))
            }
            ERROR => {
                Ok(Self::Refused(String::from_utf8_lossy(&packet[8..]).chars().take(MAX_MESSAGE_CHARACTERS).collect()))
            }
            other => Err(UdpTrackerFault::UnknownAction(other)),
        }
    }
}

fn peers(bytes: &[u8], family: AddressFamily) -> Vec<std::net::SocketAddr> {
    match family {
        AddressFamily::V4 => compact::read_v4(bytes).take(MAX_TRACKER_PEERS).collect(),
        AddressFamily::V6 => compact::read_v6(bytes).take(MAX_TRACKER_PEERS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use p2p_package::InfoHash;
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::PeerId;

    fn answer(action: u32, rest: &[u8]) -> Vec<u8> {
        [&action.to_be_bytes()[..], &7_u32.to_be_bytes(), rest].concat()
    }

    fn decode(packet: &[u8], family: AddressFamily) -> Result<UdpAnswer, UdpTrackerFault> {
        UdpAnswer::decode(packet, 7, family)
    }

    #[test]
    fn a_connection_id_is_sent_back_in_the_announce() {
        assert_eq!(udp_connect_request(7), *b"\x00\x00\x04\x17\x27\x10\x19\x80\0\0\0\0\0\0\0\x07");
        let packet = answer(CONNECT, b"\xff\x02\x03\x04\x05\x06\x07\x08");
        let Ok(UdpAnswer::Connected(connection)) = decode(&packet, AddressFamily::V4) else {
            panic!("a connect answer");
        };
        let announce = Announce {
            info_hash: InfoHash::from_bytes([1; 20]),
            peer_id: PeerId::from_bytes([2; 20]),
            port: 0x1ae1,
            uploaded: 3,
            downloaded: 4,
            left: 5,
            event: AnnounceEvent::Started,
            wanted: 1000,
            key: 6,
        };
        let request = udp_announce_request(connection, 8, &announce);
        assert_eq!(request.len(), 98);
        assert_eq!(request[..16], *b"\xff\x02\x03\x04\x05\x06\x07\x08\0\0\0\x01\0\0\0\x08");
        assert_eq!(request[16..56], [[1; 20], [2; 20]].concat());
        assert_eq!(request[56..80], *b"\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x03");
        assert_eq!(request[80..], *b"\0\0\0\x02\0\0\0\0\0\0\0\x06\0\0\0\xc8\x1a\xe1");
    }

    #[test]
    fn an_announce_answer_has_peers_of_the_sockets_family() {
        let head = b"\0\0\x07\x08\0\0\0\x02\0\0\0\x03";
        let v4 = answer(ANNOUNCE, &[&head[..], &[10, 0, 0, 1, 0, 80], &[10, 0, 0, 2, 0, 0], &[1, 2, 3]].concat());
        let Ok(UdpAnswer::Announced(announced)) = decode(&v4, AddressFamily::V4) else { panic!("an answer") };
        assert_eq!(announced.interval, Duration::from_mins(30));
        assert_eq!((announced.leechers, announced.seeders), (2, 3));
        assert_eq!(announced.peers, ["10.0.0.1:80".parse().expect("an address")]);

        let mut address = [0; 18];
        (address[0], address[15], address[17]) = (0x20, 1, 81);
        let v6 = answer(ANNOUNCE, &[&head[..], &address].concat());
        let Ok(UdpAnswer::Announced(announced)) = decode(&v6, AddressFamily::V6) else { panic!("an answer") };
        assert_eq!(announced.peers, ["[2000::1]:81".parse().expect("an address")]);
    }

    #[test]
    fn an_answer_brings_no_more_peers_than_the_limit() {
        let packet = answer(ANNOUNCE, &[vec![0; 12], [10, 0, 0, 1, 0, 80].repeat(10_000)].concat());
        let Ok(UdpAnswer::Announced(announced)) = decode(&packet, AddressFamily::V4) else { panic!("an answer") };
        assert_eq!(announced.peers.len(), MAX_TRACKER_PEERS);
    }

    #[test]
    fn short_foreign_and_unknown_packets_are_refused() {
        assert_eq!(decode(&[0; 7], AddressFamily::V4), Err(UdpTrackerFault::TooShort(7)));
        assert_eq!(decode(&answer(CONNECT, &[0; 7]), AddressFamily::V4), Err(UdpTrackerFault::TooShort(15)));
        assert_eq!(decode(&answer(ANNOUNCE, &[0; 11]), AddressFamily::V4), Err(UdpTrackerFault::TooShort(19)));
        assert_eq!(decode(&answer(9, b""), AddressFamily::V4), Err(UdpTrackerFault::UnknownAction(9)));
        assert_eq!(
            UdpAnswer::decode(&answer(CONNECT, &[0; 8]), 8, AddressFamily::V4),
            Err(UdpTrackerFault::OtherTransaction)
        );
        assert_eq!(decode(&answer(ERROR, b"no"), AddressFamily::V4), Ok(UdpAnswer::Refused("no".to_owned())));
    }

    proptest! {
        #[test]
        fn no_packet_makes_the_reader_panic(packet in any::<Vec<u8>>(), action in 0..4_u32) {
            let _ = decode(&packet, AddressFamily::V4);
            let _ = decode(&answer(action, &packet), AddressFamily::V6);
        }
    }
}
