//! Which addresses are somewhere in the Internet, rather than on this machine or next door.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether packets to this address leave for the Internet. Private, loopback, link-local, shared and reserved ranges do
/// not (RFC 6890).
pub(crate) fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| is_global_v6(address), is_global_v4),
    }
}

/// The IPv4 address that a mapped (RFC 4291) or translated (NAT64, RFC 6052) address stands for.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let translated = || match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    };
    address.to_ipv4_mapped().or_else(translated)
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let shared = first == 100 && second & 0xc0 == 64;
    let protocols = [first, second, third] == [192, 0, 0];
    let benchmark = first == 198 && second & 0xfe == 18;
    let special = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast();
    !(special || shared || protocols || benchmark || address.is_documentation() || first == 0 || first >= 240)
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is handed out to anyone; 2001:db8::/32 is for documentation.
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000 && [first, second] != [0x2001, 0xdb8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_is_global() {
        for (address, global) in [
            ("1.1.1.1", true),
            ("100.63.0.1", true),
            ("172.32.0.1", true),
            ("2606:4700::1111", true),
            ("::ffff:1.1.1.1", true),
            ("64:ff9b::101:101", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("127.8.8.8", false),
            ("169.254.1.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_global(address.parse().expect("an address")), global, "{address}");
        }
    }
}
