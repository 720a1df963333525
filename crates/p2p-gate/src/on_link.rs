//! Which addresses are on a network that this host is attached to, as the kernel's routing tables tell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The flag of a route that leads over a gateway (`RTF_GATEWAY` of the kernel's `route.h`).
const GATEWAY: u32 = 2;

/// A shorter prefix than these is no local network but a tunnel's default route.
const SHORTEST_V4_PREFIX: u32 = 16;
const SHORTEST_V6_PREFIX: u32 = 48;

/// Whether `address` is on a directly attached network. Where the tables cannot be read: no.
///
/// Below `/proc/self`, since `/proc/net` is a link that a unit with `ProcSubset=pid` does not see.
pub(crate) fn is_on_link(address: IpAddr) -> bool {
    let (path, contains): (_, fn(&str, IpAddr) -> bool) = match address {
        IpAddr::V4(_) => ("/proc/self/net/route", v4_line_contains),
        IpAddr::V6(_) => ("/proc/self/net/ipv6_route", v6_line_contains),
    };
    fs_err::read_to_string(path).is_ok_and(|table| table.lines().any(|line| contains(line, address)))
}

/// A line of `/proc/net/route`: interface, destination, gateway, flags, three counters, mask; the addresses in the
/// machine's byte order.
fn v4_line_contains(line: &str, address: IpAddr) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let ([_, destination, _, flags, _, _, _, mask, ..], IpAddr::V4(address)) = (fields.as_slice(), address) else {
        return false;
    };
    let word = |text| u32::from_str_radix(text, 16).ok();
    let (Some(destination), Some(flags), Some(mask)) = (word(destination), word(flags), word(mask)) else {
        return false;
    };
    let network = |word: u32| Ipv4Addr::from(word.to_ne_bytes());
    flags & GATEWAY == 0
        && mask.count_ones() >= SHORTEST_V4_PREFIX
        && address.to_bits() & network(mask).to_bits() == network(destination).to_bits()
}

/// A line of `/proc/net/ipv6_route`: destination, prefix length, source, its prefix length, gateway, three counters, flags,
/// interface.
fn v6_line_contains(line: &str, address: IpAddr) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let ([destination, prefix, _, _, _, _, _, _, flags, _], IpAddr::V6(address)) = (fields.as_slice(), address) else {
        return false;
    };
    let word = |text| u32::from_str_radix(text, 16).ok();
    let (Ok(destination), Some(prefix), Some(flags)) =
        (u128::from_str_radix(destination, 16), word(prefix), word(flags))
    else {
        return false;
    };
    let is_network = (SHORTEST_V6_PREFIX..=128).contains(&prefix) && flags & GATEWAY == 0;
    is_network && (address.to_bits() ^ Ipv6Addr::from(destination).to_bits()) >> (128 - prefix) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_attached_ipv4_network_is_on_link_and_what_lies_behind_a_gateway_is_not() {
        let attached = "veth0\t007100CB\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0";
        assert!(v4_line_contains(attached, address("203.0.113.9")));
        assert!(!v4_line_contains(attached, address("203.0.114.9")));
        for line in [
            "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
            "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0",
            "eth0\t007100CB\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0",
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
        ] {
            assert!(!v4_line_contains(line, address("203.0.113.9")), "{line}");
        }
    }

    #[test]
    fn an_attached_ipv6_network_is_on_link_and_what_lies_behind_a_gateway_is_not() {
        let line = |prefix: &str, flags: &str| {
            format!(
                "20010db8000000010000000000000000 {prefix} {0:032} 00 {0:032} 00000100 00000001 00000000 {flags} veth0",
                0
            )
        };
        assert!(v6_line_contains(&line("40", "00000001"), address("2001:db8:0:1::9")));
        assert!(!v6_line_contains(&line("40", "00000001"), address("2001:db8:0:2::9")));
        assert!(!v6_line_contains(&line("40", "00000003"), address("2001:db8:0:1::9")));
        assert!(!v6_line_contains(&line("00", "00000001"), address("2001:db8:0:1::9")));
        assert!(v6_line_contains(&line("80", "00000001"), address("2001:db8:0:1::")));
    }
}
