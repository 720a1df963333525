//! What counts as one address, wherever connections of one address are counted or barred.
//!
//! Who has one IPv6 address has the 2^64 of its network (RFC 4291, 2.5.1) and calls from whichever he likes.

use std::net::{IpAddr, Ipv6Addr};

use crate::filter::{Reach, embedded};

/// One address, or a network whose addresses are all one stranger's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Network {
    Address(IpAddr),
    /// The first 64 bits of an IPv6 address.
    Prefix([u16; 4]),
}

impl Network {
    /// What `address` counts as; `is_on_link` is asked only where the answer depends on it: a network that we are on
    /// ourselves has many machines in one prefix.
    pub(crate) fn of(address: IpAddr, is_on_link: impl FnOnce(IpAddr) -> bool) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Address(address.into()),
            IpAddr::V6(address) => Self::of_v6(address, is_on_link),
        }
    }

    fn of_v6(address: Ipv6Addr, is_on_link: impl FnOnce(IpAddr) -> bool) -> Self {
        if let Some(embedded) = embedded(address) {
            return Self::Address(embedded.into());
        }
        let [a, b, c, d, ..] = address.segments();
        let address = address.into();
        if Reach::of(address) == Reach::Global && !is_on_link(address) {
            Self::Prefix([a, b, c, d])
        } else {
            Self::Address(address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Network {
        Network::of(address.parse().expect("an address"), |_| false)
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_count_as_one() {
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }

    #[test]
    fn an_ipv4_address_counts_as_itself_however_it_is_written() {
        assert_eq!(of("203.0.113.7"), Network::Address([203, 0, 113, 7].into()));
        for address in ["::ffff:203.0.113.7", "64:ff9b::203.0.113.7", "2002:cb00:7107:1::5", "2002:cb00:7107:2::5"] {
            assert_eq!(of(address), of("203.0.113.7"), "{address}");
        }
        assert_ne!(of("::ffff:203.0.113.7"), of("::ffff:203.0.113.8"));
    }

    #[test]
    fn the_machines_of_a_local_network_count_each_for_itself() {
        for (one, other) in [("fe80::1", "fe80::2"), ("fd00::1", "fd00::2"), ("::1", "::2")] {
            assert_ne!(of(one), of(other), "{one}");
        }
        let home = "2001:db8::7".parse().expect("an address");
        assert_eq!(Network::of(home, |asked| asked == home), Network::Address(home));
    }
}
