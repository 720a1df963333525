//! Which addresses belong to the whole Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a stranger may make us talk to this address: not where the user's own machines and routers are. Addresses
/// that carry an IPv4 address inside are judged by that one.
pub(crate) fn is_global(address: IpAddr) -> bool {
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
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_global_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (segments[0], segments[1]) {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056).
        (0x64, 0xff9b) => segments[2..6] == [0; 4] && embedded(segments[6], segments[7]),
        (0x2002, _) => embedded(segments[1], segments[2]),
        // Teredo (RFC 4380) hides the IPv4 address of a router in the middle.
        (0x2001, 0) => false,
        // 2000::/3 is all that is handed out so far.
        (first, _) => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_internet_are_global_and_all_others_are_not() {
        let is_global = |text: &str| is_global(text.parse().expect("an address"));
        for address in ["1.1.1.1", "203.0.113.7", "99.255.0.1", "2a00::1", "::ffff:1.1.1.1", "64:ff9b::101:101"] {
            assert!(is_global(address), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::101:101",
            "2002:a00:1::1",
            "2001::1",
        ] {
            assert!(!is_global(address), "{address}");
        }
    }
}
