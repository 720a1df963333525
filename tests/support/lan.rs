//! A local network of namespaces: hosts on one switch, apart from every other network.

use std::net::Ipv4Addr;

use crate::Host;
use crate::host::ip;
use crate::namespace::Namespace;

/// A switch and the hosts on it. Needs root. Dropped last, it removes them all.
#[derive(Debug)]
pub struct Lan {
    network: [u8; 3],
    hub: Namespace,
    hosts: Vec<Namespace>,
}

impl Lan {
    /// A network without hosts: `network` is the first three bytes of its IPv4 addresses, 203.0.113 say, which counts
    /// as public, or 10.7.0, which is private.
    ///
    /// # Panics
    ///
    /// Without root: then these tests cannot run, and must not look as if they had.
    #[must_use]
    #[track_caller]
    pub fn new(network: [u8; 3]) -> Self {
        let hub = Namespace::new();
        ip(&["-n", hub.name(), "link", "add", "switch0", "type", "bridge", "mcast_snooping", "0"]);
        ip(&["-n", hub.name(), "link", "set", "dev", "switch0", "up"]);
        Self { network, hub, hosts: Vec::new() }
    }

    /// Plugs in another host; its address ends in its number, from 1 on.
    #[track_caller]
    pub fn host(&mut self) -> Host {
        let number = u8::try_from(self.hosts.len() + 1).expect("a test has few hosts");
        let [a, b, c] = self.network;
        self.plug_in(Ipv4Addr::new(a, b, c, number))
    }

    /// Plugs in a host of another network, 198.51.100.7 say: all hosts reach it, and take it for a machine far away.
    #[track_caller]
    pub fn stranger(&mut self, address: Ipv4Addr) -> Host {
        self.plug_in(address)
    }

    #[track_caller]
    fn plug_in(&mut self, address: Ipv4Addr) -> Host {
        let (namespace, port) = (Namespace::new(), format!("port{}", self.hosts.len() + 1));
        let (name, hub) = (namespace.name(), self.hub.name());
        ip(&["-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", hub]);
        ip(&["-n", hub, "link", "set", "dev", &port, "master", "switch0", "up"]);
        ip(&["-n", name, "address", "add", &format!("{address}/24"), "dev", "eth0"]);
        ip(&["-n", name, "link", "set", "dev", "eth0", "up"]);
        ip(&["-n", name, "link", "set", "dev", "lo", "up"]);
        // Multicast (BEP 14) needs a route, and clients that look for their own address ask where 8.8.8.8 would go.
        ip(&["-n", name, "route", "add", "default", "dev", "eth0"]);
        let host = Host::in_namespace(name, address, hub, &port);
        self.hosts.push(namespace);
        host
    }
}
