//! Local networks joined by a router: some machines can be called from everywhere, others are behind NAT, and whole networks
//! can be made to vanish.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use crate::host::ip;
use crate::namespace::Namespace;
use crate::{Host, run};

/// The last byte of the router's address in each network.
const ROUTER: u8 = 254;

/// What the router does at first: it forwards everything but what `dead` stops.
const RULES: &str = "add table inet router; add chain inet router dead; \
     add chain inet router forward { type filter hook forward priority 0; }; \
     add rule inet router forward jump dead; \
     add rule inet router forward ct state established,related accept; \
     add table ip nat; add chain ip nat leaving { type nat hook postrouting priority 100; }";

/// A router, the switches of its networks, and the hosts on them. Needs root. Dropped last, it removes them all.
#[derive(Debug)]
pub struct Router {
    namespace: Namespace,
    networks: Vec<[u8; 3]>,
    hosts: Vec<Namespace>,
}

/// One network of a [`Router`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site(usize);

/// How somebody is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Packets vanish: who calls finds out by waiting.
    Silent,
    /// Calls are refused at once.
    Refusing,
}

impl Router {
    /// A router without networks.
    ///
    /// # Panics
    ///
    /// Without root.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let router = Self { namespace: Namespace::new(), networks: Vec::new(), hosts: Vec::new() };
        ip(&["-n", router.namespace.name(), "link", "set", "dev", "lo", "up"]);
        let forwards = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
        router.run(&[&["sysctl", "--quiet", "--write"][..], &forwards].concat());
        router.nft(RULES);
        // What no network has is as silent as most of what a stranger invents.
        ip(&["-n", router.namespace.name(), "route", "add", "blackhole", "default"]);
        router
    }

    /// One more network, whose machines can be called from everywhere: `network` is the first three bytes of its IPv4
    /// addresses. Each machine has a global IPv6 address as well, of a network that stands for this one.
    #[track_caller]
    pub fn site(&mut self, network: [u8; 3]) -> Site {
        let site = Site(self.networks.len());
        self.networks.push(network);
        let (name, switch) = (self.namespace.name(), site.switch());
        ip(&["-n", name, "link", "add", &switch, "type", "bridge", "mcast_snooping", "0"]);
        ip(&["-n", name, "link", "set", "dev", &switch, "up"]);
        ip(&["-n", name, "address", "add", &format!("{}/24", ipv4(network, ROUTER)), "dev", &switch]);
        ip(&["-n", name, "address", "add", &format!("{}/64", ipv6(network, ROUTER)), "dev", &switch, "nodad"]);
        site
    }

    /// One more network, of private addresses: what leaves it seems to come from the router, at its address in the network
    /// `outside`, and nobody gets in who was not called. By IPv6 it has addresses of its own, and is called no more than by IPv4.
    #[track_caller]
    pub fn site_behind_nat(&mut self, network: [u8; 3], outside: Site) -> Site {
        let outside = ipv4(self.networks[outside.0], ROUTER);
        let site = self.site(network);
        let (switch, inside) = (site.switch(), ipv4(network, 0));
        self.nft(&format!("add rule inet router forward iifname != \"{switch}\" oifname \"{switch}\" drop"));
        self.nft(&format!(
            "add rule ip nat leaving ip saddr {inside}/24 oifname != \"{switch}\" snat to {outside} random"
        ));
        // The router itself takes no calls for those behind it, and does not say so.
        self.nft(&format!(
            "add chain inet router own {{ type filter hook input priority 0; }}; \
             add rule inet router own ip daddr {outside} meta l4proto {{ tcp, udp }} ct state new drop"
        ));
        site
    }

    /// Plugs in another host; its addresses end in its number among all hosts, from 1 on.
    #[track_caller]
    pub fn host(&mut self, site: Site) -> Host {
        let network = self.networks[site.0];
        let number = u8::try_from(self.hosts.len() + 1).expect("a test has few hosts");
        let (namespace, port) = (Namespace::new(), format!("port{number}"));
        let (name, router) = (namespace.name(), self.namespace.name());
        ip(&["-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", router]);
        ip(&["-n", router, "link", "set", "dev", &port, "master", &site.switch(), "up"]);
        ip(&["-n", name, "address", "add", &format!("{}/24", ipv4(network, number)), "dev", "eth0"]);
        ip(&["-n", name, "address", "add", &format!("{}/64", ipv6(network, number)), "dev", "eth0", "nodad"]);
        ip(&["-n", name, "link", "set", "dev", "eth0", "up"]);
        ip(&["-n", name, "link", "set", "dev", "lo", "up"]);
        ip(&["-n", name, "route", "add", "default", "via", &ipv4(network, ROUTER).to_string()]);
        ip(&["-n", name, "-6", "route", "add", "default", "via", &ipv6(network, ROUTER).to_string()]);
        let host = Host::in_namespace(name, ipv4(network, number), router, &port);
        self.hosts.push(namespace);
        host
    }

    /// Makes addresses (`198.51.100.7`, or `198.51.100.0/24`) dead for everybody in other networks: open connections break,
    /// too. Who has died stays so.
    #[track_caller]
    pub fn kill(&self, addresses: &str, death: Death) {
        let mut rules = vec![format!("ip saddr {addresses} drop")];
        if death == Death::Refusing {
            rules.push(format!("ip daddr {addresses} meta l4proto tcp reject with tcp reset"));
            rules.push(format!("ip daddr {addresses} reject with icmp type port-unreachable"));
        }
        rules.push(format!("ip daddr {addresses} drop"));
        for rule in rules {
            self.nft(&format!("add rule inet router dead {rule}"));
        }
    }

    #[track_caller]
    fn nft(&self, rules: &str) {
        self.run(&["nft", rules]);
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.namespace.name()]).args(arguments);
        run(command, Duration::from_secs(10)).succeeded();
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    fn switch(self) -> String {
        format!("switch{}", self.0)
    }
}

fn ipv4([a, b, c]: [u8; 3], last: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, last)
}

fn ipv6([a, b, c]: [u8; 3], last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, u16::from_be_bytes([a, b]), c.into(), 0, 0, 0, last.into())
}

#[cfg(test)]
mod tests;
