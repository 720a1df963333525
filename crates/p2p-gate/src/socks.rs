//! The server side of SOCKS 5 as values (RFC 1928, RFC 1929): as much of it as the engine's dials need.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Says that the next bytes are user name and password.
pub(crate) const METHOD_PASSWORD: [u8; 2] = [5, 2];

/// Says that no offered method will do; the client hangs up.
pub(crate) const NO_METHOD: [u8; 2] = [5, 0xff];

/// Says that user name and password are right.
pub(crate) const WELCOME: [u8; 2] = [1, 0];

/// Says that they are wrong; the client hangs up.
pub(crate) const UNWELCOME: [u8; 2] = [1, 1];

/// Says that the connection stands. The address bound means nothing to our only client.
pub(crate) const SUCCEEDED: [u8; 10] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

/// Says that only TCP connections to IP addresses are made.
pub(crate) const UNSUPPORTED: [u8; 10] = [5, 7, 0, 1, 0, 0, 0, 0, 0, 0];

/// The kinds of address that a request may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressKind {
    V4,
    V6,
}

impl AddressKind {
    /// Reads the fixed first four bytes of a request; none where it asks for something else than a TCP connection to an
    /// IP address.
    pub(crate) fn of_request(head: [u8; 4]) -> Option<Self> {
        match head {
            [5, 1, 0, 1] => Some(Self::V4),
            [5, 1, 0, 4] => Some(Self::V6),
            _ => None,
        }
    }

    /// How many bytes address and port take.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::V4 => 6,
            Self::V6 => 18,
        }
    }

    /// The address in bytes of that [`Self::length`].
    pub(crate) fn address(self, bytes: &[u8]) -> Option<SocketAddr> {
        let (ip, port) = bytes.split_last_chunk::<2>()?;
        let port = u16::from_be_bytes(*port);
        Some(match self {
            Self::V4 => (Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?), port).into(),
            Self::V6 => (Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?), port).into(),
        })
    }
}

/// Whether a client that offers `methods` can be asked for a password.
pub(crate) fn offers_password(methods: &[u8]) -> bool {
    methods.contains(&2)
}

/// Compares secrets in a time that tells nothing about where they differ.
pub(crate) fn is_same_secret(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_an_ipv4_or_an_ipv6_address() {
        let kind = AddressKind::of_request([5, 1, 0, 1]).expect("a connection over IPv4");
        assert_eq!(kind.address(&[203, 0, 113, 7, 0x1a, 0xe1]), Some(([203, 0, 113, 7], 6_881).into()));
        let kind = AddressKind::of_request([5, 1, 0, 4]).expect("a connection over IPv6");
        let mut bytes = [0; 18];
        (bytes[0], bytes[1], bytes[15], bytes[17]) = (0x20, 0x01, 1, 80);
        assert_eq!(bytes.len(), kind.length());
        assert_eq!(kind.address(&bytes), Some("[2001::1]:80".parse().expect("an address")));
        assert_eq!(kind.address(&bytes[1..]), None);
    }

    #[test]
    fn domain_names_and_other_commands_are_not_served() {
        for head in [[5, 1, 0, 3], [5, 2, 0, 1], [5, 3, 0, 1], [4, 1, 0, 1], [5, 1, 1, 1]] {
            assert_eq!(AddressKind::of_request(head), None, "{head:?}");
        }
    }

    #[test]
    fn only_the_whole_secret_is_the_secret() {
        assert!(is_same_secret(b"secret", b"secret"));
        for wrong in [&b"secreT"[..], b"secre", b"secrets", b""] {
            assert!(!is_same_secret(wrong, b"secret"));
        }
    }
}
