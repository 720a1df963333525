//! Which addresses may be dialled, and which may call: the answer to "no request on a stranger's word".
//!
//! An address from the DHT, from PEX or from a tracker is an assertion by a stranger. Followed blindly it would let
//! him use this daemon to reach loopback services and the private network behind the router.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use p2p_wire::is_global;

/// Who told us of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The user's configuration.
    Configured,
    /// Local service discovery (BEP 14), which has already checked that the address is on the link.
    Lan,
    /// A DHT node (BEP 5).
    Dht,
    /// A tracker (BEP 3, BEP 15).
    Tracker,
    /// Another peer (BEP 11).
    Pex,
}

/// How far the daemon may reach: `discovery.scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Any peer.
    #[default]
    Public,
    /// Only peers on the local networks, and those that the user configured.
    Lan,
}

/// Why an address is not spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Port 0, or an address that is nobody's: unspecified, multicast, broadcast, reserved.
    #[error("no peer can have this address")]
    Unusable,
    /// An address that does not belong to the whole Internet, on the word of a stranger.
    #[error("a stranger cannot vouch for an address outside of the Internet")]
    Local,
    /// Outside of the local networks, where the scope is `lan`.
    #[error("the address is outside of the local networks")]
    OutOfScope,
}

/// The kinds of address that the rules distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nobody's.
    Nowhere,
    /// This host.
    Loopback,
    /// This link.
    LinkLocal,
    /// RFC 1918, RFC 6598 (100.64.0.0/10), unique local IPv6.
    Private,
    /// Everything else, the documentation networks included: tests use them in network namespaces.
    Global,
}

impl Reach {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // 0.0.0.0/8 reaches this host on Linux; 224.0.0.0/4 is multicast; 240.0.0.0/4 is reserved (RFC 6890).
            [0 | 224..=255, ..] => Self::Nowhere,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Self::Private,
            _ => Self::Global,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // The rest of ::/96 is the unspecified address and the IPv4-compatible ones that RFC 4291 retired; 100::/64
            // is the black hole of RFC 6666; ff00::/8 is multicast.
            [0, 0, 0, 0, 0, 0, _, _] | [0x100, 0, 0, 0, ..] | [0xff00..=0xffff, ..] => Self::Nowhere,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            // fc00::/7, and the site-local fec0::/10 that some networks still have.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            _ => embedded(address).map_or(Self::Global, Self::of_v4),
        }
    }

    /// Whether the address is of a local network or of this host.
    pub(crate) fn is_local(self) -> bool {
        matches!(self, Self::Loopback | Self::LinkLocal | Self::Private)
    }
}

/// The address as the whole crate writes it: IPv4 where it is IPv4, without flow label.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match (address.ip().to_canonical(), address) {
        // The scope id stays: without it a link-local address cannot be dialled.
        (IpAddr::V6(_), SocketAddr::V6(mut address)) => {
            address.set_flowinfo(0);
            SocketAddr::V6(address)
        }
        (ip, address) => SocketAddr::new(ip, address.port()),
    }
}

/// Whether `address`, known from `origin`, may be dialled.
///
/// # Errors
///
/// Says which rule forbids it.
pub(crate) fn may_dial(address: SocketAddr, origin: Origin, scope: Scope) -> Result<(), AddressFault> {
    if address.port() == 0 {
        return Err(AddressFault::Unusable);
    }
    match (Reach::of(address.ip()), origin) {
        (Reach::Nowhere, _) => Err(AddressFault::Unusable),
        (_, Origin::Configured) | (Reach::LinkLocal | Reach::Private | Reach::Global, Origin::Lan) => Ok(()),
        // Some of what is neither local nor nobody's leads home nevertheless: Teredo, say.
        (_, _) if !is_global(address.ip()) => Err(AddressFault::Local),
        (_, _) if scope == Scope::Lan => Err(AddressFault::OutOfScope),
        (_, _) => Ok(()),
    }
}

/// Whether a caller from `address` may be heard; `is_on_link` is asked only where the answer depends on it.
///
/// # Errors
///
/// Says which rule forbids it.
pub(crate) fn may_accept(
    address: SocketAddr,
    scope: Scope,
    is_on_link: impl FnOnce(IpAddr) -> bool,
) -> Result<(), AddressFault> {
    match Reach::of(address.ip()) {
        Reach::Nowhere => Err(AddressFault::Unusable),
        Reach::Global if scope == Scope::Lan && !is_on_link(address.ip()) => Err(AddressFault::OutOfScope),
        Reach::Loopback | Reach::LinkLocal | Reach::Private | Reach::Global => Ok(()),
    }
}

/// The IPv4 address that an IPv6 address leads to: NAT64 (RFC 6052) and 6to4 (RFC 3056).
pub(crate) fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGERS: [Origin; 3] = [Origin::Dht, Origin::Tracker, Origin::Pex];
    const EVERYONE: [Origin; 5] = [Origin::Configured, Origin::Lan, Origin::Dht, Origin::Tracker, Origin::Pex];

    fn dial(address: &str, origin: Origin, scope: Scope) -> Result<(), AddressFault> {
        may_dial(address.parse().expect("an address"), origin, scope)
    }

    #[test]
    fn nobody_is_dialled_at_an_address_that_is_nobodys() {
        let unusable = [
            "198.51.100.1:0",
            "0.0.0.0:1",
            "0.1.2.3:1",
            "224.0.0.1:1",
            "239.192.152.143:6771",
            "255.255.255.255:1",
            "240.0.0.1:1",
            "[::]:1",
            "[::ffff:0.0.0.0]:1",
            "[ff02::1]:1",
            "[::7f00:1]:1",
            "[100::1]:1",
            "[2001:db8::1]:0",
        ];
        for address in unusable {
            for origin in EVERYONE {
                assert_eq!(dial(address, origin, Scope::Public), Err(AddressFault::Unusable), "{address} {origin:?}");
            }
        }
    }

    #[test]
    fn strangers_cannot_point_at_this_host_or_its_networks() {
        let local = [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "169.254.1.1:1",
            "[fe80::1]:1",
            "10.0.0.1:1",
            "172.16.0.1:1",
            "172.31.255.255:1",
            "192.168.1.1:1",
            "100.64.0.1:1",
            "[fd00::1]:1",
            "[fec0::1]:1",
            "[::ffff:10.0.0.1]:1",
            "[64:ff9b::10.0.0.1]:1",
            "[2002:7f00:1::]:1",
            "[2001::1]:1",
            "[2001:0:53aa:64c:0:fbff:f5ff:fffe]:1",
            "192.0.0.1:1",
            "198.18.0.1:1",
        ];
        for address in local {
            for origin in STRANGERS {
                for scope in [Scope::Public, Scope::Lan] {
                    assert_eq!(dial(address, origin, scope), Err(AddressFault::Local), "{address} {origin:?}");
                }
            }
            assert_eq!(dial(address, Origin::Configured, Scope::Lan), Ok(()), "{address}");
        }
    }

    #[test]
    fn local_discovery_leads_to_the_local_networks_but_not_to_loopback() {
        for address in ["10.0.0.1:1", "[fe80::1%2]:1", "169.254.1.1:1", "203.0.113.5:1", "[2001:db8::5]:1"] {
            assert_eq!(dial(address, Origin::Lan, Scope::Lan), Ok(()), "{address}");
        }
        for address in ["127.0.0.1:1", "[::1]:1"] {
            assert_eq!(dial(address, Origin::Lan, Scope::Lan), Err(AddressFault::Local), "{address}");
        }
    }

    #[test]
    fn the_scope_lan_ends_where_the_local_networks_do() {
        for address in ["203.0.113.5:1", "100.128.0.1:1", "172.32.0.1:1", "[2001:db8::1]:1", "[64:ff9b::8.8.8.8]:1"] {
            for origin in STRANGERS {
                assert_eq!(dial(address, origin, Scope::Public), Ok(()), "{address}");
                assert_eq!(dial(address, origin, Scope::Lan), Err(AddressFault::OutOfScope), "{address}");
            }
            assert_eq!(dial(address, Origin::Configured, Scope::Lan), Ok(()), "{address}");
        }
    }

    #[test]
    fn in_the_scope_lan_only_local_and_on_link_callers_are_heard() {
        let global = "203.0.113.5:1".parse().expect("an address");
        assert_eq!(may_accept(global, Scope::Public, |_| false), Ok(()));
        assert_eq!(may_accept(global, Scope::Lan, |_| false), Err(AddressFault::OutOfScope));
        assert_eq!(may_accept(global, Scope::Lan, |_| true), Ok(()));
        for address in ["192.168.1.7:1", "[fe80::1]:1", "127.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            let address = address.parse().expect("an address");
            assert_eq!(may_accept(address, Scope::Lan, |_| false), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_that_it_contains() {
        let mapped = "[::ffff:192.0.2.1]:6881".parse().expect("an address");
        assert_eq!(canonical(mapped), "192.0.2.1:6881".parse().expect("an address"));
        let scoped = "[fe80::1%7]:6881".parse().expect("an address");
        assert_eq!(canonical(scoped), scoped);
    }
}
