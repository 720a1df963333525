//! Which part of the Internet an address is of.

use std::net::IpAddr;

/// About what one provider has: an IPv4 /16 or an IPv6 /32. Whoever wants to surround us needs many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Network {
    V4(u16),
    V6(u32),
}

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, ..] = address.octets();
                Self::V4(u16::from_be_bytes([a, b]))
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.octets();
                Self::V6(u32::from_be_bytes([a, b, c, d]))
            }
        }
    }
}
