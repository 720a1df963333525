//! The networks that this machine is on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use network_interface::{Addr, NetworkInterface, NetworkInterfaceConfig};

/// Addresses used; a router with containers has some dozens.
const MAX_LINKS: usize = 64;

/// One address of one interface, with the network behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    /// The interface's number.
    pub(super) index: u32,
    /// Our own address there.
    pub(super) address: IpAddr,
    /// As many leading bits of it as the network has.
    prefix: u32,
}

/// Reads the links. Loopback counts only where there is nothing else: daemons of one machine meet there then.
///
/// # Errors
///
/// The kernel does not tell.
pub(super) fn read() -> io::Result<Vec<Link>> {
    let interfaces = NetworkInterface::show().map_err(io::Error::other)?;
    let mut links: Vec<_> = interfaces.iter().flat_map(links_of).collect();
    if links.iter().any(|link| !link.address.is_loopback()) {
        links.retain(|link| !link.address.is_loopback());
    }
    links.sort();
    links.dedup();
    links.truncate(MAX_LINKS);
    Ok(links)
}

fn links_of(interface: &NetworkInterface) -> impl Iterator<Item = Link> {
    interface.addr.iter().filter_map(|address| {
        let (address, prefix) = match address {
            Addr::V4(v4) => (IpAddr::V4(v4.ip), v4.netmask.map_or(32, |mask| u32::from(mask).leading_ones())),
            Addr::V6(v6) => (IpAddr::V6(v6.ip), v6.netmask.map_or(128, |mask| u128::from(mask).leading_ones())),
        };
        // IPv6 has no multicast on loopback.
        let is_usable = !address.is_unspecified() && address != IpAddr::V6(Ipv6Addr::LOCALHOST);
        is_usable.then_some(Link { index: interface.index, address, prefix })
    })
}

impl Link {
    /// Where searches are sent from: any IPv4 address, and IPv6 only by the address that every link has.
    pub(super) fn sends(&self) -> bool {
        match self.address {
            IpAddr::V4(_) => true,
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
    }

    /// Whether the address is a direct neighbour's, or our own.
    pub(super) fn covers(&self, address: SocketAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), SocketAddr::V4(other)) => same_v4(own, *other.ip(), self.prefix),
            (IpAddr::V6(own), SocketAddr::V6(other)) => {
                let same_link = !other.ip().is_unicast_link_local() || other.scope_id() == self.index;
                same_link && same_v6(own, *other.ip(), self.prefix)
            }
            (IpAddr::V4(_), SocketAddr::V6(_)) | (IpAddr::V6(_), SocketAddr::V4(_)) => false,
        }
    }
}

fn same_v4(own: Ipv4Addr, other: Ipv4Addr, prefix: u32) -> bool {
    (u32::from(own) ^ u32::from(other)).leading_zeros() >= prefix
}

fn same_v6(own: Ipv6Addr, other: Ipv6Addr, prefix: u32) -> bool {
    (u128::from(own) ^ u128::from(other)).leading_zeros() >= prefix
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV6;

    use super::*;

    fn link(address: &str, prefix: u32) -> Link {
        Link { index: 3, address: address.parse().expect("an address"), prefix }
    }

    fn covers(link: Link, address: &str) -> bool {
        link.covers(address.parse().expect("an address"))
    }

    #[test]
    fn neighbours_are_those_in_the_network_of_a_link() {
        let home = link("192.168.1.7", 24);
        assert!(covers(home, "192.168.1.255:1") && covers(home, "192.168.1.7:1"));
        assert!(!covers(home, "192.168.2.7:1") && !covers(home, "[::ffff:192.168.1.8]:1"));
        assert!(!covers(link("10.0.0.1", 32), "10.0.0.2:1") && covers(link("10.0.0.1", 32), "10.0.0.1:1"));
        assert!(covers(link("2a00::1", 64), "[2a00::2:0:0:1]:1") && !covers(link("2a00::1", 64), "[2a00:0:0:1::1]:1"));
    }

    #[test]
    fn a_link_local_address_is_a_neighbours_on_its_own_link_only() {
        let address = |scope| SocketAddr::V6(SocketAddrV6::new("fe80::2".parse().expect("an address"), 1, 0, scope));
        assert!(link("fe80::1", 64).covers(address(3)));
        assert!(!link("fe80::1", 64).covers(address(4)));
    }

    #[test]
    fn this_machine_has_at_least_one_link() {
        assert!(read().expect("the kernel tells").iter().any(Link::sends));
    }
}
