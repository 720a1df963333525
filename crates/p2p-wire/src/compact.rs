//! Peers in compact form: address and port, 6 bytes for IPv4 (BEP 23) and 18 bytes for IPv6 (BEP 7).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The peers of both families, each in compact form.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CompactPeers {
    /// 6 bytes a peer.
    pub v4: Vec<u8>,
    /// 18 bytes a peer.
    pub v6: Vec<u8>,
}

impl CompactPeers {
    /// The peers in the order given; an IPv4 address that is mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn of(peers: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut compact = Self::default();
        for peer in peers {
            let port = peer.port().to_be_bytes();
            match peer.ip().to_canonical() {
                IpAddr::V4(address) => {
                    compact.v4.extend_from_slice(&address.octets());
                    compact.v4.extend_from_slice(&port);
                }
                IpAddr::V6(address) => {
                    compact.v6.extend_from_slice(&address.octets());
                    compact.v6.extend_from_slice(&port);
                }
            }
        }
        compact
    }
}

/// The IPv4 peers in `bytes`; an incomplete last one and those with port 0 are left out.
pub fn read_v4(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes.chunks_exact(6).filter_map(|chunk| {
        let (address, port) = chunk.split_first_chunk::<4>()?;
        peer(Ipv4Addr::from(*address).into(), port)
    })
}

/// The IPv6 peers in `bytes`; an incomplete last one and those with port 0 are left out.
pub fn read_v6(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> {
    bytes.chunks_exact(18).filter_map(|chunk| {
        let (address, port) = chunk.split_first_chunk::<16>()?;
        peer(Ipv6Addr::from(*address).into(), port)
    })
}

fn peer(address: IpAddr, port: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(*port.first_chunk()?);
    (port != 0).then(|| SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn peers_without_a_port_and_cut_off_peers_are_left_out() {
        assert_eq!(read_v4(&[127, 0, 0, 1, 0, 0, 10, 0, 0, 1, 0x1a, 0xe1, 1, 2]).count(), 1);
        assert_eq!(read_v6(&[0; 17]).count(), 0);
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let compact = CompactPeers::of(["[::ffff:10.0.0.1]:6881".parse().expect("an address")]);
        assert_eq!(compact, CompactPeers { v4: vec![10, 0, 0, 1, 0x1a, 0xe1], v6: Vec::new() });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(v4 in any::<([u8; 4], u16)>(), v6 in any::<([u8; 16], u16)>()) {
            let v4 = SocketAddr::from((v4.0, v4.1.max(1)));
            let v6 = SocketAddr::from((Ipv6Addr::from(v6.0), v6.1.max(1)));
            let compact = CompactPeers::of([v4, v6]);
            let read: Vec<_> = read_v4(&compact.v4).chain(read_v6(&compact.v6)).collect();
            let mut expected = vec![v4, v6];
            for peer in &mut expected {
                peer.set_ip(peer.ip().to_canonical());
            }
            assert_eq!(read, expected);
        }
    }
}
