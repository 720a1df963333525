//! Which URLs lead to our own cache server: they are no mirrors, or we would ask ourselves.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use url::{Host, Url};

use super::host_names::HostNames;

/// The address of the cache server, and the names of the machine that it runs on.
#[derive(Debug)]
pub(crate) struct OwnAddress {
    bound: SocketAddr,
    names: HostNames,
}

impl OwnAddress {
    /// The cache server listens on `bound`.
    pub(crate) fn new(bound: SocketAddr) -> Self {
        Self { bound, names: HostNames::of_this_machine() }
    }

    /// The address that is really bound.
    pub(crate) fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// Whether requests for this URL come to us.
    pub(crate) fn is_named_by(&self, url: &Url) -> bool {
        if url.port_or_known_default() != Some(self.bound.port()) {
            return false;
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.answers_at(address.into()),
            Some(Host::Ipv6(address)) => self.answers_at(address.into()),
            Some(Host::Domain(name)) => self.names.contain(name),
            None => false,
        }
    }

    fn answers_at(&self, address: IpAddr) -> bool {
        let (address, bound) = (address.to_canonical(), self.bound.ip().to_canonical());
        address == bound || bound.is_unspecified() && is_of_this_machine(address)
    }
}

/// Only an address of this machine can be bound.
fn is_of_this_machine(address: IpAddr) -> bool {
    address.is_unspecified() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bound: &str, url: &str) -> bool {
        let own = OwnAddress::new(bound.parse().expect("an address"));
        own.is_named_by(&Url::parse(url).expect("a URL"))
    }

    #[test]
    fn our_address_is_known_by_every_name() {
        assert!(names("127.0.0.1:9717", "http://127.0.0.1:9717/core/os/x86_64"));
        assert!(names("127.0.0.1:9717", "http://LOCALHOST:9717/core"));
        assert!(names("0.0.0.0:9717", "http://127.0.0.1:9717/core"));
        assert!(names("[::]:9717", "http://127.0.0.2:9717/core"));
        assert!(names("[::]:80", "http://localhost/core"));
        assert!(names("[::ffff:127.0.0.1]:9717", "http://127.0.0.1:9717/core"));
    }

    #[test]
    fn other_ports_and_other_machines_are_others() {
        assert!(!names("127.0.0.1:9717", "http://127.0.0.1:8080/core"));
        assert!(!names("127.0.0.1:9717", "http://127.0.0.1/core"));
        assert!(!names("127.0.0.1:9717", "http://mirror.example:9717/core"));
        assert!(!names("0.0.0.0:9717", "http://192.0.2.1:9717/core"));
        assert!(!names("127.0.0.1:9717", "http://192.0.2.1:9717/core"));
    }
}
