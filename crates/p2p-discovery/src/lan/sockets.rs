//! The sockets of local service discovery, shared with every other client on this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use p2p_wire::{LOCAL_SEARCH_V4, LOCAL_SEARCH_V6};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::links::Link;

/// The group of the address's family.
pub(super) fn group(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(_) => LOCAL_SEARCH_V4.into(),
        IpAddr::V6(_) => LOCAL_SEARCH_V6.into(),
    }
}

/// A socket that hears `group` on the links that [`join`] names. Bound to the group itself, it hears no packet that
/// somebody far away sends to our own address.
pub(super) fn listener(group: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Else the kernel adds what other programs have joined.
    if group.is_ipv4() {
        socket.set_multicast_all_v4(false)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_multicast_all_v6(false)?;
    }
    socket.bind(&group.into())?;
    UdpSocket::from_std(socket.into())
}

/// Hears the group on the link from now on.
pub(super) fn join(listener: &UdpSocket, link: &Link) -> io::Result<()> {
    let socket = socket2::SockRef::from(listener);
    match link.address {
        IpAddr::V4(_) => {
            let interface = InterfaceIndexOrAddress::Index(link.index);
            socket.join_multicast_v4_n(LOCAL_SEARCH_V4.ip(), &interface)
        }
        IpAddr::V6(_) => socket.join_multicast_v6(LOCAL_SEARCH_V6.ip(), link.index),
    }
}

/// A socket that sends to the group on the link, no further than the link, and to this machine's other daemons.
pub(super) fn sender(link: &Link) -> io::Result<UdpSocket> {
    let own = match link.address {
        IpAddr::V4(address) => SocketAddr::from((address, 0)),
        IpAddr::V6(address) => SocketAddrV6::new(address, 0, 0, link.index).into(),
    };
    let socket = Socket::new(Domain::for_address(own), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    match link.address {
        IpAddr::V4(address) => configure_v4(&socket, address)?,
        IpAddr::V6(_) => configure_v6(&socket, link.index)?,
    }
    socket.bind(&own.into())?;
    UdpSocket::from_std(socket.into())
}

fn configure_v4(socket: &Socket, address: Ipv4Addr) -> io::Result<()> {
    socket.set_multicast_if_v4(&address)?;
    socket.set_multicast_ttl_v4(1)?;
    socket.set_multicast_loop_v4(true)
}

fn configure_v6(socket: &Socket, index: u32) -> io::Result<()> {
    socket.set_only_v6(true)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_hops_v6(1)?;
    socket.set_multicast_loop_v6(true)
}

/// The address from which a datagram came, with the port where its sender takes connections.
pub(super) fn peer(from: SocketAddr, port: u16) -> SocketAddr {
    match from {
        SocketAddr::V4(from) => SocketAddr::from((*from.ip(), port)),
        SocketAddr::V6(from) => {
            let scope = if Ipv6Addr::is_unicast_link_local(from.ip()) { from.scope_id() } else { 0 };
            SocketAddrV6::new(*from.ip(), port, 0, scope).into()
        }
    }
}
