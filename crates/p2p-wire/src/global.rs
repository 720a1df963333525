//! Which addresses belong to the whole Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address belongs to the whole Internet: only to such a one may a stranger's word lead, since all others may be
/// this machine, its neighbours or its router (RFC 6890).
///
/// An address that carries an IPv4 address inside is judged by that one. The documentation networks count as global: tests
/// use them in network namespaces, and nobody else has them.
#[must_use]
pub fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = (a, b, c) == (192, 0, 0);
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    let is_special = a == 0 || a >= 224 || is_shared || is_protocol || is_benchmark;
    !is_special && !address.is_private() && !address.is_loopback() && !address.is_link_local()
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            is_global_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        // Teredo (RFC 4380) hides the IPv4 address of a router in the middle.
        [0x2001, 0, ..] => false,
        // 2000::/3 is all that is handed out so far.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOBAL: [&str; 20] = [
        "1.1.1.1",
        "9.255.255.255",
        "99.255.0.1",
        "100.63.0.1",
        "100.128.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "192.0.2.1",
        "198.17.0.1",
        "198.20.0.1",
        "198.51.100.1",
        "203.0.113.7",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00::1",
        "2001:db8::1",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
        "64:ff9b::203.0.113.7",
        "2002:101:101::1",
    ];

    const NOT_GLOBAL: [&str; 32] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.8.8.8",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "100::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00::1",
        "ff02::1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::101:101",
        "2002:a00:1::1",
        "2001::1",
    ];

    #[test]
    fn addresses_of_the_internet_are_global_and_all_others_are_not() {
        for (addresses, expected) in [(GLOBAL.as_slice(), true), (NOT_GLOBAL.as_slice(), false)] {
            for address in addresses {
                assert_eq!(is_global(address.parse().expect("an address")), expected, "{address}");
            }
        }
    }
}
